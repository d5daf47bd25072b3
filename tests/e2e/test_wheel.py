"""The wheel as people install it: it holds what git tracks, and runs without the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.e2e.processes import PATIENCE_S, demo, environment, http, stopped

ROOT = Path(__file__).parents[2]
PACKAGES = ("approvals/", "bot/")
pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="what belongs to the wheel is what git tracks, and this is no git checkout",
)


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


def pip(*words: str | Path) -> None:
    """pip without a network: what it needs is in .venv."""
    options = ["--disable-pip-version-check", "--no-input", "-qq"]
    command = [sys.executable, "-I", "-m", "pip", *options, *words]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked files, so that nothing left behind here gets in."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked():
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy)
    built = tmp_path_factory.mktemp("built")
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", built, source)
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone, unpacked where a path can name it."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-index", "--no-deps", "--target", target, wheel)
    return target


# With `python -S`, which reads no .pth file, nothing leads to this repository.
NO_EDITABLE = (sys.executable, "-S")


def path_to(installed: Path) -> str:
    """The installed wheel, and the packages it needs."""
    return os.pathsep.join((str(installed), sysconfig.get_path("purelib")))


def printed(installed: Path, directory: Path, *words: str | Path) -> str:
    """What Python prints in `directory` with the installed wheel."""
    result = subprocess.run(
        [*NO_EDITABLE, *words],
        cwd=directory,
        env=environment(directory, PYTHONPATH=path_to(installed)),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_it_holds_what_git_tracks_of_the_packages_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert held == {name for name in tracked() if name.startswith(PACKAGES)}
    assert {"approvals/py.typed", "bot/py.typed", "bot/demo/config/policy.yaml"} <= held
    assert "approvals/store/lua/commit.lua" in held


def test_it_names_its_licence_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        (folder,) = {name.split("/")[0] for name in opened.namelist() if ".dist-info/" in name}
        assert opened.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        commands = opened.read(f"{folder}/entry_points.txt").decode()
    assert "placet = bot.cli.entry:main" in commands


def test_its_code_is_what_runs(installed: Path, tmp_path: Path) -> None:
    where = "import bot, sys; print(bot.__file__, *sys.path, sep='\\n')"
    module, *path = printed(installed, tmp_path, "-c", where).splitlines()
    assert module == str(installed / "bot" / "__init__.py")
    assert str(ROOT) not in path
    assert "usage: placet" in printed(installed, tmp_path, installed / "bin" / "placet", "--help")


async def test_its_demo_answers_a_request_and_ends_at_ctrl_c(
    installed: Path, tmp_path: Path
) -> None:
    program = (*NO_EDITABLE, installed / "bin" / "placet")
    path = path_to(installed)
    async with demo(tmp_path, "--no-sample", program=program, PYTHONPATH=path) as placet:
        body = {
            "action": placet.facts["actions"][0],
            "requester": {"id": placet.facts["requesters"][0]},
            "justification": "Customer asked for a copy of their data, ticket ZD-48213",
        }
        async with http(placet.facts) as client, client.post("/v1/requests", json=body) as reply:
            assert (reply.status, (await reply.json())["status"]) == (201, "pending")
        result = await stopped(placet.process)
    assert (result.code, result.err) == (0, "")

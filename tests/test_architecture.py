"""The house rules no reader sees at a glance: sizes, imports, Lua, keys, locks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import lua_source

ROOT = Path(__file__).resolve().parents[1]
SOURCE_LINES, TEST_LINES = 400, 600
SOURCE_FOLDERS = ("approvals", "bot", "benchmarks", "examples")
PURE_MODULES = ("lifecycle", "model", "events")


def _files(pattern: str, *folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob(pattern))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


SOURCES = _files("*.py", *SOURCE_FOLDERS)
SHIPPED = _files("*.py", "approvals", "bot")
LUA = _files("*.lua", "approvals")
PRELUDE = ROOT / "approvals/store/lua/queue.lua"  # stands in front of every other script
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]


def _too_long(files: list[Path], ceiling: int) -> dict[str, int]:
    lines = {_name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    return {name: count for name, count in lines.items() if count > ceiling}


def test_no_source_file_is_longer_than_its_ceiling() -> None:
    assert _too_long(SOURCES + LUA, SOURCE_LINES) == {}


def test_no_test_file_is_longer_than_its_ceiling() -> None:
    assert _too_long(_files("*.py", "tests"), TEST_LINES) == {}


def test_every_module_says_what_it_is_for() -> None:
    trees = {_name(file): _tree(file) for file in SOURCES}
    silent = [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_the_dependency_rule_holds() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint_imports, "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_the_worker_knows_the_scheduler() -> None:
    users = {
        _name(file)
        for file in SOURCES
        if any(name.partition(".")[0] == "apscheduler" for name in _imported(_tree(file)))
    }
    assert users <= {"bot/worker.py"}


@pytest.mark.parametrize("module", PURE_MODULES)
def test_the_pure_core_never_asks_the_clock(module: str) -> None:
    tree = _tree(ROOT / "approvals" / f"{module}.py")
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"now", "utcnow", "today"}


def _asks_a_clock(tree: ast.Module) -> bool:
    """Whether the code names a wall clock of its own process."""
    asked = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    clocks = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
    return bool(asked & {*clocks, ("time", "time"), ("time", "time_ns")})


def test_the_domain_decides_by_no_clock_of_its_own_process() -> None:
    # A web server whose clock is an hour slow must decide as any other: only the store's time is
    # asked. Health compares the two, to warn. A callback's receiver runs in a service, and its age
    # is judged by the clock that there is.
    asking = {_name(file) for file in _files("*.py", "approvals") if _asks_a_clock(_tree(file))}
    assert asking == {"approvals/store/health.py", "approvals/callback_receiver.py"}


@pytest.mark.parametrize("module", PURE_MODULES)
def test_the_pure_core_waits_for_nothing(module: str) -> None:
    tree = _tree(ROOT / "approvals" / f"{module}.py")
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]


def _strings(tree: ast.Module) -> Iterator[str]:
    """Every string but docstrings, the fixed parts of f-strings too."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def test_only_one_file_makes_redis_keys() -> None:
    # "placet: cannot" is a message, "urn:placet:" a problem; "placet:default" would be a key.
    key = re.compile(r"(?<!urn:)placet:(?!\s)")
    makers = {
        _name(file) for file in SHIPPED if any(key.search(text) for text in _strings(_tree(file)))
    }
    makers |= {_name(file) for file in LUA if key.search(file.read_text(encoding="utf-8"))}
    assert makers <= {"approvals/store/keys.py"}


@pytest.mark.parametrize("script", LUA, ids=_name)
def test_a_script_names_its_keys_and_arguments_first(script: Path) -> None:
    comment = lua_source.first_comment(script.read_text(encoding="utf-8"))
    assert "KEYS" in comment
    assert "ARGV" in comment


@pytest.mark.parametrize("script", LUA, ids=_name)
def test_a_script_uses_what_every_engine_has_and_declares_the_rest(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    prelude = "" if script == PRELUDE else PRELUDE.read_text(encoding="utf-8")
    assert lua_source.undeclared(source, prelude) == set()
    assert lua_source.forbidden(source) == set()


def _pins(lock: Path) -> set[str]:
    return set(
        re.findall(r"^[a-z0-9.-]+==[^ ;\\]+", lock.read_text(encoding="utf-8"), re.MULTILINE)
    )


@pytest.mark.parametrize("lock", LOCKS, ids=_name)
def test_a_lock_pins_hashes_and_names_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text))


def test_the_tests_run_on_what_people_install() -> None:
    runtime, dev = LOCKS
    assert _pins(runtime)
    assert _pins(runtime) <= _pins(dev)

"""Which deployment a command means: the one named, else the one that runs here, else none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.deployment import RUNNING, running_file
from bot.settings import Settings
from tests.bot.cli.conftest import Office, Shell
from tests.configurations import write_configuration

OURS = (
    "PLACET_REDIS_URL",
    "PLACET_NAMESPACE",
    "PLACET_AUDIT_KEY",
    "PLACET_PSEUDONYM_KEY",
    "PLACET_VAULT_KEY",
    "PLACET_SIGNING_KEY",
)

KEY_NEW = ("key", "new", "crm", "--as", "ben", "--reason", "Rotation")


def a_dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_running(directory: Path, environment: dict[str, str], config: Path, pid: int) -> Path:
    keys = directory / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    for name in ("audit_key", "pseudonym_key", "vault_key"):
        (keys / name).write_text(environment["PLACET_" + name.upper()])
        (keys / name).chmod(0o600)
    path = directory / RUNNING
    told = {
        "pid": pid,
        "redis_url": environment["PLACET_REDIS_URL"],
        "namespace": environment["PLACET_NAMESPACE"],
        "config_dir": str(config),
        "keys_dir": str(keys),
    }
    path.write_text(json.dumps(told))
    path.chmod(0o600)
    return path


def outside(office: Office) -> Shell:
    """A second terminal: nothing but the data directory is known there."""
    environment = {k: v for k, v in office.shell.environment.items() if k not in OURS}
    return Shell({k: v for k, v in environment.items() if k != "PLACET_CONFIG_DIR"})


@pytest.mark.parametrize("where", ["data", "data/demo"])
async def test_a_running_deployment_is_found_by_its_file(
    office: Office, tmp_path: Path, where: str
) -> None:
    request = await office.ask()
    environment = office.shell.environment
    write_running(tmp_path / where, environment, tmp_path / "config", os.getpid())
    shell = outside(office)
    words = ("--as", "anna", "--reason", "Ticket checked", "--yes")
    assert request in (await shell("pending")).out
    assert (await shell("approve", request, *words)).code == 0


async def test_two_that_run_are_told_apart_by_the_user(office: Office, tmp_path: Path) -> None:
    for where in ("data", "data/demo"):
        write_running(tmp_path / where, office.shell.environment, tmp_path / "config", os.getpid())
    result = await outside(office)("pending")
    assert result.code == 2
    assert "PLACET_DATA_DIR" in result.err
    chosen = await outside(office)("pending", PLACET_DATA_DIR=str(tmp_path / "data" / "demo"))
    assert chosen.code == 0


async def test_a_process_that_is_gone_is_ignored(office: Office, tmp_path: Path) -> None:
    write_running(tmp_path / "data", office.shell.environment, tmp_path / "config", a_dead_pid())
    result = await outside(office)("pending", "--json")
    assert result.code == 3
    assert result.data["error"] == "nothing_runs"
    assert "placet demo" in result.err
    assert "placet serve" in result.err


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"pid": "x"}', "[]", '"\\ud800"'])
@pytest.mark.parametrize("words", [("pending",), KEY_NEW])
def test_a_file_that_says_nothing_is_named(
    shell: Shell, tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    write_configuration(tmp_path / "config")
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / RUNNING
    path.write_text(content)
    path.chmod(0o600)
    result = shell.now(*words)
    assert result.code == 3
    assert str(path) in result.err
    assert len(result.err.splitlines()) == 1
    assert str(path) in shell.now("check").err


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "no such {name}"},
        {"namespace": ""},
        {"redis_url": "ftp://user:hush@127.0.0.1"},
        {"redis_url": "redis://127.0.0.1:hush"},
        {"redis_url": "redis://127.0.0.1:1?hush=1"},
        {"redis_url": "redis://127.0.0.1:1?db=hush"},
        {"pid": True},
        {"pid": 1.5},
    ],
)
async def test_a_file_with_a_wrong_value_is_named_and_not_its_value(
    office: Office, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = write_running(
        tmp_path / "data", office.shell.environment, tmp_path / "config", os.getpid()
    )
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    result = await outside(office)("pending")
    assert (result.code, result.out) == (3, "")
    assert str(path) in result.err
    assert "hush" not in result.err


@pytest.mark.parametrize("pid", [0, -1, 2**80])
async def test_a_pid_that_is_no_process_of_placet_does_not_run(
    office: Office, tmp_path: Path, pid: int
) -> None:
    write_running(tmp_path / "data", office.shell.environment, tmp_path / "config", pid)
    result = await outside(office)("pending", "--json")
    assert (result.code, result.data["error"]) == (3, "nothing_runs")


@pytest.mark.parametrize("name", ["PLACET_AUDIT_KEY", "PLACET_PSEUDONYM_KEY", "PLACET_VAULT_KEY"])
async def test_another_key_in_the_environment_is_refused_and_not_used(
    office: Office, tmp_path: Path, name: str
) -> None:
    environment = office.shell.environment
    write_running(tmp_path / "data", environment, tmp_path / "config", os.getpid())
    shell = outside(office)
    assert (await shell("pending", **{name: environment[name]})).code == 0
    for words in (("pending",), ("check",), KEY_NEW):
        result = await shell(*words, **{name: environment[name] + "x"})
        assert (result.code, result.out) == (2, "")
        assert name in result.err
        assert environment[name] not in result.err


AS_ANNA = ("--as", "anna", "--reason", "Ticket checked")
AS_BEN = ("--as", "ben", "--reason", "Ticket checked")
WRITING = [
    ("show", "{id}", "--as", "anna"),
    ("approve", "{id}", *AS_ANNA, "--yes"),
    ("deny", "{id}", *AS_ANNA, "--yes"),
    ("cancel", "{id}", *AS_BEN),
    ("revoke", "{id}", *AS_BEN),
    ("clock", "reset", *AS_BEN),
    ("callbacks", "replay", "--since", "2d", *AS_BEN),
    KEY_NEW,
]


@pytest.mark.parametrize("words", WRITING, ids=lambda words: words[0])
@pytest.mark.parametrize("name", ["PLACET_AUDIT_KEY", "PLACET_PSEUDONYM_KEY", "PLACET_VAULT_KEY"])
async def test_no_command_writes_with_another_key_than_the_deployments(
    office: Office, words: tuple[str, ...], name: str
) -> None:
    request = await office.ask()
    before = await office.entries()
    told = [word.format(id=request) for word in words]
    result = await office.shell(*told, **{name: office.shell.environment[name] + "x"})
    assert (result.code, result.out) == (2, "")
    assert f"{name} is not the key" in result.err
    assert await office.entries() == before
    assert (await office.request(request)).views == ()


async def test_a_file_that_others_can_read_or_write_is_ignored(
    office: Office, tmp_path: Path
) -> None:
    path = write_running(
        tmp_path / "data", office.shell.environment, tmp_path / "config", os.getpid()
    )
    path.chmod(0o666)
    result = await outside(office)("pending")
    assert result.code == 3
    assert f"{path} is there, but not used: it can be read by group or others." in result.err
    assert "chmod 600" in result.err
    assert f"{path} is there, but not used" in (await outside(office)("check")).err


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("PLACET_NAMESPACE", None, "another"),
        ("PLACET_DURABILITY", "local", "none"),
        ("PLACET_CONFIG_DIR", None, "/another"),
    ],
)
async def test_another_setting_than_the_deployments_is_refused_and_not_overruled(
    office: Office, tmp_path: Path, name: str, same: str | None, other: str
) -> None:
    environment = office.shell.environment
    write_running(tmp_path / "data", environment, tmp_path / "config", os.getpid())
    shell = outside(office)
    assert (await shell("pending", **{name: same or environment[name]})).code == 0
    result = await shell("pending", "--json", **{name: other})
    assert (result.code, result.data["error"]) == (2, "other_setting")
    assert f"{name} is {other}, but the Placet that runs here uses" in result.err
    checked = await shell("check", **{name: other})
    assert "store: not checked, for another deployment runs here" in checked.out
    assert f"Warning: {name} is {other}" in checked.err


async def test_missing_keys_are_named_and_never_made(office: Office, tmp_path: Path) -> None:
    write_running(tmp_path / "data", office.shell.environment, tmp_path / "config", os.getpid())
    (tmp_path / "data" / "keys" / "audit_key").unlink()
    result = await outside(office)("pending")
    assert result.code == 1
    assert "PLACET_AUDIT_KEY" in result.err
    assert not (tmp_path / "data" / "keys" / "audit_key").exists()
    (tmp_path / "data" / "keys" / "pseudonym_key").chmod(0o644)
    assert "chmod 600" in (await outside(office)("pending")).err


@pytest.mark.parametrize("words", [("pending",), ("check",)])
async def test_a_store_out_of_reach_is_named_with_place_cause_and_remedy(
    office: Office, tmp_path: Path, words: tuple[str, ...]
) -> None:
    services = tmp_path / "config" / "services.yaml"
    elsewhere = "https://crm.internal.example"
    services.write_text(services.read_text().replace("http://127.0.0.1:9", elsewhere))
    nowhere = "redis://user:hush@127.0.0.1:1/0"
    result = await office.shell(*words, PLACET_REDIS_URL=nowhere)
    assert result.code == 3
    assert result.err == (
        "The store at 127.0.0.1:1 cannot be reached (connection refused). "
        "See that it runs there, or put PLACET_REDIS_URL right.\n"
    )


async def test_a_found_store_out_of_reach_is_to_be_started_again(
    office: Office, tmp_path: Path
) -> None:
    environment = office.shell.environment | {"PLACET_REDIS_URL": f"unix://{tmp_path}/no.sock"}
    write_running(tmp_path / "data", environment, tmp_path / "config", os.getpid())
    result = await outside(office)("pending")
    assert result.code == 3
    assert f"The store at {tmp_path}/no.sock cannot be reached" in result.err
    assert result.err.endswith("or start Placet again.\n")


@pytest.mark.parametrize("words", [("pending",), ("check",)])
async def test_a_url_that_the_client_cannot_use_is_a_fault_of_the_setting(
    office: Office, words: tuple[str, ...]
) -> None:
    for url in ("redis://127.0.0.1/hush", "redis://127.0.0.1:1?hush=1"):
        result = await office.shell(*words, PLACET_REDIS_URL=url)
        assert result.code == 1
        assert "PLACET_REDIS_URL: cannot be used." in result.err
        assert "hush" not in result.err


def test_the_running_file_is_ours_alone_and_goes_with_us(tmp_path: Path) -> None:
    environment = {
        "PLACET_DATA_DIR": str(tmp_path),
        "PLACET_REDIS_URL": "redis://user:word@127.0.0.1:1/0",
        "PLACET_DURABILITY": "none",
    }
    settings = Settings.from_environment(environment)
    path = tmp_path / RUNNING
    with running_file(settings):
        assert path.stat().st_mode & 0o777 == 0o600
        told = json.loads(path.read_text())
        assert told["pid"] == os.getpid()
        assert told["redis_url"] == "redis://user:word@127.0.0.1:1/0"
        assert told["durability"] == "none"
        assert {"namespace", "config_dir", "keys_dir"} <= told.keys()
    assert not path.exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_where_no_running_file_can_be_written_we_say_so_and_go_on(
    tmp_path: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    # A directory cannot be made in a file, and a file cannot take a directory's place.
    data = tmp_path / "data"
    (data if make is Path.touch else data / RUNNING).parent.mkdir(exist_ok=True)
    make(data if make is Path.touch else data / RUNNING)
    settings = Settings.from_environment(
        {"PLACET_DATA_DIR": str(data), "PLACET_REDIS_URL": "redis://127.0.0.1:1"}
    )
    with running_file(settings):
        pass
    (record,) = caplog.records
    assert "PLACET_DATA_DIR" in record.getMessage()
    assert str(data / RUNNING) in record.getMessage()
    assert make is Path.touch or [path.name for path in data.iterdir()] == [RUNNING]


def test_the_running_file_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"PLACET_DATA_DIR": str(tmp_path), "PLACET_REDIS_URL": "redis://127.0.0.1:1"}
    )
    path = tmp_path / RUNNING
    with running_file(settings):
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"pid": 1}))
    assert path.exists()

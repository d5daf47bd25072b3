"""`placet check`: every fault with its remedy, and exit codes that tell what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.cli.conftest import Office, Shell
from tests.bot.cli.test_finding import OURS, write_running
from tests.configurations import POLICY, write_configuration
from tests.conftest import RealServer, start_real_server
from tests.signing import SIGNING_KEY

# Loopback receivers are the demo's alone, and the tests' own configuration names one.
ELSEWHERE = "https://crm.internal.example"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    directory = tmp_path / "config"
    write_configuration(directory)
    services = directory / "services.yaml"
    services.write_text(services.read_text().replace("http://127.0.0.1:9", ELSEWHERE))
    return directory


def serving(directory: Path, *options: str) -> Iterator[RealServer]:
    directory.mkdir()
    server = start_real_server(directory, *options)
    yield server
    server.process.terminate()
    server.process.wait()


@pytest.fixture
def careless_server(tmp_path: Path) -> Iterator[RealServer]:
    yield from serving(
        tmp_path / "careless", "--appendonly", "no", "--maxmemory-policy", "allkeys-lru"
    )


@pytest.fixture
def trial_server(tmp_path: Path) -> Iterator[RealServer]:
    yield from serving(tmp_path / "trial", "--appendonly", "no")


async def test_all_is_fine(office: Office, config: Path) -> None:
    result = await office.shell("check")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "settings: fine",
        "store (durability local): fine",
        f"configuration in {config}: fine",
    ]


async def test_without_a_store_the_files_are_checked_all_the_same(
    shell: Shell, config: Path
) -> None:
    result = await shell("check", "--json")
    assert result.code == 0
    assert result.data["ok"]
    assert any("placet serve" in part for part in result.data["checked"])


async def test_every_fault_of_the_files_is_told_with_its_line(shell: Shell, config: Path) -> None:
    (config / "policy.yaml").write_text(POLICY.replace("threshold: 2", "threshold: two"))
    (config / "people.yaml").write_text("people: []\n")
    result = await shell("check")
    assert result.code == 1
    assert "policy.yaml:" in result.err
    assert "people.yaml" in result.err or "no group is called" in result.err
    assert "wrong" in result.out


async def test_a_missing_secret_and_a_loopback_receiver_are_faults(
    shell: Shell, tmp_path: Path
) -> None:
    write_configuration(tmp_path / "config")
    del shell.environment["CRM_CALLBACK_SECRET"]
    result = await shell("check", "--json")
    assert result.code == 1
    faults = "\n".join(result.data["faults"])
    assert "CRM_CALLBACK_SECRET" in faults
    assert "it is not https" in faults


async def test_the_running_demo_may_call_back_to_loopback(office: Office, tmp_path: Path) -> None:
    environment = office.shell.environment
    path = write_running(tmp_path / "data" / "demo", environment, tmp_path / "config", os.getpid())
    path.write_text(path.read_text().replace("{", '{"is_demo": true, ', 1))
    for name in (*OURS, "PLACET_CONFIG_DIR"):
        del environment[name]
    result = await office.shell("check")
    assert (result.code, result.err) == (0, "")


async def test_every_fault_of_the_settings_is_told_and_the_files_too(
    shell: Shell, config: Path
) -> None:
    (config / "people.yaml").unlink()
    result = await shell("check", PLACET_PORT="many", PLACET_COLOUR="red")
    assert result.code == 1
    for name in ("PLACET_PORT", "PLACET_COLOUR", "people.yaml"):
        assert name in result.err


async def test_a_store_that_may_lose_decisions_is_told_setting_and_remedy(
    office: Office, config: Path, careless_server: RealServer
) -> None:
    result = await office.shell("check", PLACET_REDIS_URL=careless_server.url)
    assert result.code == 1
    assert "set maxmemory-policy noeviction" in result.err
    assert "set appendonly yes" in result.err


async def test_a_store_for_trials_is_fine_and_its_dangers_are_told(
    office: Office, config: Path, trial_server: RealServer
) -> None:
    words = {"PLACET_REDIS_URL": trial_server.url, "PLACET_DURABILITY": "none"}
    result = await office.shell("check", **words)
    assert result.code == 0
    assert "Warning: PLACET_DURABILITY is none" in result.err
    assert "Warning: appendonly is no" in result.err
    assert (await office.shell("check", "--json", **words)).data["warnings"]


async def test_a_look_leaves_nothing_in_the_store(office: Office, config: Path) -> None:
    before = await office.store.pipeline.run("DBSIZE")
    result = await office.shell("check", PLACET_NAMESPACE="never-begun")
    assert (result.code, result.err) == (0, "")
    assert await office.store.pipeline.run("DBSIZE") == before


async def test_a_store_out_of_reach_is_exit_three(
    office: Office, config: Path, tmp_path: Path
) -> None:
    result = await office.shell("check", PLACET_REDIS_URL=f"unix://{tmp_path}/no.sock")
    assert result.code == 3
    assert "store: out of reach" in result.out


async def test_a_named_store_needs_its_keys(office: Office, config: Path) -> None:
    del office.shell.environment["PLACET_AUDIT_KEY"]
    result = await office.shell("check")
    assert result.code == 1
    assert "PLACET_AUDIT_KEY: is not set" in result.err


async def test_a_named_store_without_a_signing_key_is_a_warning(office: Office) -> None:
    del office.shell.environment["PLACET_SIGNING_KEY"]
    result = await office.shell("check", "--json")
    assert any("PLACET_SIGNING_KEY is not set" in each for each in result.data["warnings"])
    assert not any("SIGNING_KEY" in each for each in result.data["faults"])


async def test_a_signing_key_that_is_none_is_a_fault_where_it_is_given_or_made(
    shell: Shell, config: Path, tmp_path: Path
) -> None:
    given = await shell("check", PLACET_SIGNING_KEY="opensesame")
    assert (given.code, "opensesame" in given.err) == (1, False)
    assert "PLACET_SIGNING_KEY: holds something else than whole PEM blocks." in given.err
    made = tmp_path / "data" / "keys" / "signing_key"
    made.parent.mkdir(parents=True)
    made.write_text(SIGNING_KEY)
    made.chmod(0o600)
    assert (await shell("check")).code == 0
    made.write_text(SIGNING_KEY * 2)
    result = await shell("check")
    assert (result.code, "signing key: 1 wrong" in result.out) == (1, True)
    assert f"{made}: block 2 is the same key as block 1." in result.err

"""Output that nobody reads or no disk takes: no harm to who reads, never silence about a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bot.cli.conftest import Lost, Office, Shell, full, gone
from tests.configurations import write_configuration

AS_ANNA = ("--as", "anna", "--reason", "Ticket checked")
AS_BEN = ("--as", "ben", "--reason", "Ticket checked")


async def test_who_reads_and_has_seen_enough_may_go(office: Office) -> None:
    result = await asyncio.to_thread(office.shell.onto, gone(), "pending")
    assert (result.code, result.err) == (0, "")


async def test_a_full_disk_is_told_once_in_one_sentence(office: Office) -> None:
    result = await asyncio.to_thread(office.shell.onto, full(), "pending")
    told = "The output could not be written (No space left on device).\n"
    assert (result.code, result.err) == (1, told)


@pytest.mark.parametrize("lost", [gone, full])
@pytest.mark.parametrize("vote", ["approve", "deny"])
async def test_a_view_that_nobody_saw_is_no_vote(
    office: Office, vote: str, lost: Callable[[], Lost]
) -> None:
    request = await office.ask()
    words = (vote, request, *AS_ANNA, "--yes")
    result = await asyncio.to_thread(office.shell.onto, lost(), *words)
    assert result.code == 1
    assert result.err.endswith("Nothing was changed.\n")
    assert (await office.request(request)).status == "pending"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("approve", "{}", *AS_ANNA, "--yes", "--json"), "approved", "Your vote counts: approve."),
        (("cancel", "{}", *AS_BEN), "cancelled", "The request is cancelled."),
    ],
)
async def test_what_is_done_is_said_and_no_failure(
    office: Office, words: tuple[str, ...], status: str, told: str
) -> None:
    request = await office.ask()
    command = [word.format(request) for word in words]
    result = await asyncio.to_thread(office.shell.onto, gone(), *command)
    assert (await office.request(request)).status == status
    assert result.code == 0
    assert result.err == f"{told} The output could not be written (Broken pipe).\n"


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_key_that_nobody_saw_is_not_kept(
    shell: Shell, tmp_path: Path, json: tuple[str, ...]
) -> None:
    write_configuration(tmp_path / "config")
    services = tmp_path / "config" / "services.yaml"
    before = services.read_bytes()
    result = shell.onto(full(), "key", "new", "crm", *AS_BEN, *json)
    assert result.code == 1
    assert "The key could not be shown (No space left on device)." in result.err
    assert f"{services} is as it was" in result.err
    assert services.read_bytes() == before

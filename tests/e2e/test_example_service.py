"""`examples/service` as a process of its own against a real demo, decided through the CLI."""

from __future__ import annotations

import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.configurations import CALLBACK_SECRET
from tests.e2e.processes import Demo, command, demo, ended, line_of, line_with, running

DESK = (sys.executable, Path(__file__).parents[2] / "examples/service/support_desk.py")
WHY = "Customer asks why the invoice went to an old address"
PROFILE = "dana.weiss@example.com"


@pytest.fixture
async def placet(tmp_path: Path) -> AsyncIterator[Demo]:
    async with demo(tmp_path, "--no-sample") as running_demo:
        yield running_demo


def desk(
    placet: Demo, directory: Path, *, why: str = WHY, **changes: str
) -> AbstractAsyncContextManager[Process]:
    given = {
        "PLACET_URL": placet.facts["base_url"],
        "PLACET_API_KEY": placet.facts["api_key"],
        "CALLBACK_SECRET": placet.facts["callback_secret"],
        "DESK_PORT": "0",
    }
    return running(directory, "ZD-48213", "48213", why, program=DESK, **(given | changes))


async def asked(process: Process) -> str:
    return (await line_with(process, "Asked: req_")).split()[1]


async def decide(directory: Path, verdict: str, request: str) -> None:
    words = ("--as", "anna", "--reason", "Ticket checked", "--yes")
    assert (await command(directory, verdict, request, *words)).code == 0


async def test_the_profile_is_shown_after_an_approval_and_not_before(
    placet: Demo, tmp_path: Path
) -> None:
    async with desk(placet, tmp_path, DESK_PATIENCE_S="30") as process:
        request = await asked(process)
        await decide(tmp_path, "approve", request)
        result = await ended(process)

    assert result.out == f"Approved. The profile of 48213: Dana Weiss, {PROFILE}\n"
    assert (result.code, result.err) == (0, "")
    listed = await command(tmp_path, "callbacks", "list")
    # The desk took its callback. That of the redeem may come when it has ended.
    assert "request.approved" not in listed.out


async def test_after_a_denial_it_stays_closed(placet: Demo, tmp_path: Path) -> None:
    async with desk(placet, tmp_path) as process:
        await decide(tmp_path, "deny", await asked(process))
        result = await ended(process)

    assert (result.code, result.err) == (1, "")
    assert result.out == "The profile of 48213 stays closed: the request is denied.\n"


async def test_a_callback_of_somebody_else_is_not_believed_and_placet_is_asked(
    placet: Demo, tmp_path: Path
) -> None:
    changes = {"CALLBACK_SECRET": CALLBACK_SECRET, "DESK_PATIENCE_S": "0.1"}
    async with desk(placet, tmp_path, **changes) as process:
        request = await asked(process)
        await decide(tmp_path, "approve", request)
        result = await ended(process)

    assert (result.code, result.err) == (0, "")
    assert PROFILE in result.out


async def test_started_again_it_finds_its_request(placet: Demo, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    async with desk(placet, tmp_path, DESK_PORT=port) as process:
        request = await asked(process)
        process.kill()
        await ended(process)
    await decide(tmp_path, "approve", request)
    async with desk(placet, tmp_path, DESK_PORT=port) as process:
        result = await ended(process)

    assert result.out.startswith(f"Asked: {request} is approved.\nApproved. ")
    assert PROFILE in result.out


async def test_what_is_refused_is_told_and_nothing_is_shown(placet: Demo, tmp_path: Path) -> None:
    async with desk(placet, tmp_path, why="Too short") as process:
        result = await ended(process)
    assert result.code == 1
    assert "refuses to ask: /justification: needs 20 to 500 characters" in result.out

    async with desk(placet, tmp_path, PLACET_API_KEY="plc_crm-1_" + "0" * 32) as process:
        result = await ended(process)
    assert result.code == 1
    assert "refuses to ask: Send a valid API key" in result.out


async def test_without_placet_nothing_is_shown(placet: Demo, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with desk(placet, tmp_path, PLACET_URL=nobody) as process:
        assert await line_of(process) == (
            "The profile of 48213 stays closed: Placet cannot be asked.\n"
        )
        assert (await ended(process)).code == 1

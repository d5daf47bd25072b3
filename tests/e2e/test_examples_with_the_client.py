"""The examples that stand on the client, and the one with curl: real processes, a real demo."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.processes import Demo, Ended, demo, ended, http, line_with, running

EXAMPLES = Path(__file__).parents[2] / "examples"
WHY = "Customer asks why the invoice went to an old address"
PROFILE = "dana.weiss@example.com"
REVIEWS: Mapping[str, Mapping[str, str]] = {
    "approve": {"decision": "approve"},
    "deny": {"decision": "deny", "reason": "Not this customer"},
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def placet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    async with demo(tmp_path_factory.mktemp("placet"), "--no-sample") as running_demo:
        yield running_demo


async def decide(placet: Demo, verdict: str) -> dict[str, Any]:
    """As a person does on the page: waits for the one request that is pending, looks, decides."""
    headers = {"X-Placet-Person": placet.facts["approvers"][0]}
    async with aiohttp.ClientSession(placet.facts["base_url"], headers=headers) as client:
        items: list[dict[str, Any]] = []
        while not items:
            async with client.get("/console/api/requests?status=pending") as reply:
                items = (await reply.json())["items"]
        path = f"/console/api/requests/{items[0]['id']}"
        async with client.post(f"{path}/view") as reply:
            assert reply.status == 200
        async with client.post(f"{path}/review", json=REVIEWS[verdict]) as reply:
            told: dict[str, Any] = await reply.json()
    assert told["status"] == {"approve": "approved", "deny": "denied"}[verdict]
    return told


async def grant_of(placet: Demo, request_id: str) -> dict[str, Any]:
    async with (
        http(placet.facts) as client,
        client.get(f"/v1/requests/{request_id}") as reply,
    ):
        grant: dict[str, Any] = (await reply.json())["grant"]
        return grant


def example(
    placet: Demo, directory: Path, *words: str | Path, **changes: str
) -> AbstractAsyncContextManager[Process]:
    access = {
        "PLACET_URL": placet.facts["base_url"],
        "PLACET_API_KEY": placet.facts["api_key"],
        "CALLBACK_SECRET": placet.facts["callback_secret"],
    }
    return running(directory, program=words, **(access | changes))


async def decided(placet: Demo, process: Process, verdict: str) -> tuple[str, Ended]:
    told, result = await asyncio.gather(decide(placet, verdict), ended(process))
    return str(told["id"]), result


SCRIPTS = {
    "plain script": (sys.executable, EXAMPLES / "plain_script/show_profile.py"),
    "curl": (EXAMPLES / "curl/profile.sh",),
}
NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
EACH_SCRIPT = pytest.mark.parametrize(
    "script", ["plain script", pytest.param("curl", marks=NEEDS_CURL)]
)


@EACH_SCRIPT
async def test_a_script_prints_the_profile_after_an_approval(
    placet: Demo, tmp_path: Path, script: str
) -> None:
    async with example(placet, tmp_path, *SCRIPTS[script], "48213", WHY) as process:
        request_id, result = await decided(placet, process, "approve")
    assert (result.code, result.err) == (0, "")
    assert PROFILE in result.out
    assert request_id in result.out
    grant = await grant_of(placet, request_id)
    assert (grant["status"], grant["receipt"]["records"]) == ("used", 1)


@EACH_SCRIPT
async def test_a_script_prints_nothing_after_a_denial(
    placet: Demo, tmp_path: Path, script: str
) -> None:
    async with example(placet, tmp_path, *SCRIPTS[script], "48213", WHY) as process:
        request_id, result = await decided(placet, process, "deny")
    assert result.code == 1
    assert PROFILE not in result.out
    assert f"{request_id}" in result.out + result.err
    assert "closed" in result.out + result.err


@EACH_SCRIPT
async def test_a_script_that_is_refused_says_why(placet: Demo, tmp_path: Path, script: str) -> None:
    async with example(placet, tmp_path, *SCRIPTS[script], "48213", "Short") as process:
        result = await ended(process)
    assert result.code == 1
    assert "needs 20 to 500 characters" in result.out + result.err


async def test_the_django_view_answers_what_was_decided(placet: Demo, tmp_path: Path) -> None:
    desk = (sys.executable, EXAMPLES / "django_view/desk.py")
    async with example(placet, tmp_path, *desk, DESK_PORT="0") as process:
        url = (await line_with(process, "http://")).split()[-1]
        async with aiohttp.ClientSession(url) as client:

            async def ask(customer: str, why: str = WHY) -> tuple[int, dict[str, Any]]:
                async with client.post(f"/customers/{customer}", data={"why": why}) as reply:
                    return reply.status, await reply.json()

            (status, told), decision = await asyncio.gather(ask("48213"), decide(placet, "approve"))
            assert (status, told) == (
                200,
                {"profile": f"Dana Weiss, {PROFILE}", "opened because": WHY},
            )
            assert (await grant_of(placet, decision["id"]))["receipt"]["outcome"] == "succeeded"

            (status, told), decision = await asyncio.gather(ask("48213"), decide(placet, "deny"))
            assert status == 403
            assert told["closed"].startswith(f"Request {decision['id']}: denied by an approver.")

            status, told = await ask("48213", "Short")
            assert status == 422
            assert "20 to 500 characters" in told["closed"]
            assert (await ask("1"))[0] == 404
        process.terminate()
        await process.wait()


async def test_the_fastapi_service_hears_redeems_and_shows_once(
    placet: Demo, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    folder = str(EXAMPLES / "fastapi_service")
    server = (sys.executable, "-m", "uvicorn", "--app-dir", folder, "--port", port, "profiles:app")
    async with example(
        placet, tmp_path, *server, CALLBACK_URL=f"{url}/placet", PYTHONUNBUFFERED="1"
    ) as process:
        await started(process)
        async with aiohttp.ClientSession(url) as client:

            async def ask() -> str:
                body = {"customer": "48213", "why": WHY}
                async with client.post("/profiles", json=body) as reply:
                    assert reply.status == 202, await reply.text()
                    return str((await reply.json())["id"])

            async def shown(request_id: str) -> tuple[int, str]:
                async with client.get(f"/profiles/{request_id}") as reply:
                    return reply.status, await reply.text()

            async def heard(request_id: str) -> tuple[int, str]:
                """What it shows once the callback has come."""
                while (told := await shown(request_id))[1] == PENDING:
                    pass
                return told

            denied = await ask()
            assert await shown(denied) == (403, PENDING)
            await decide(placet, "deny")
            status, text = await heard(denied)
            assert (status, PROFILE in text, "denied" in text) == (403, False, True)

            approved = await ask()
            await decide(placet, "approve")
            status, text = await heard(approved)
            assert (status, PROFILE in text) == (200, True)
            status, text = await shown(approved)
            assert (status, "grant-used" in text) == (403, True)
            assert (await grant_of(placet, approved))["receipt"]["records"] == 1

            async with client.post("/placet", data=b"{}") as reply:
                assert reply.status == 401


PENDING = '{"detail":"The request is pending"}'


async def started(process: Process) -> None:
    """Until uvicorn says so on its standard error."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"Uvicorn running on" not in (line := await process.stderr.readline()):
            assert line, "it has ended"

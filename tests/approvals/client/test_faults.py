"""Over real connections: whatever goes wrong at whichever call, the guarded body never runs."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from approvals.client import AsyncPlacet, BadAnswer, ClientError, Patience, Placet, Unreachable
from tests.approvals.client.faces import WISH
from tests.servers.callback_receiver import (
    Behaviour,
    answers,
    answers_hugely,
    closes_mid_body,
    closes_without_a_word,
    hangs_until,
    trickles_until,
)
from tests.servers.fake_placet import API_KEY
from tests.servers.fake_placet_server import (
    Served,
    closes_mid_head,
    fake_placet_server,
    is_no_http,
)

PATIENCE = Patience(tries=2, timeout_s=0.2, total_s=0.4)
NO_TLS = ssl.create_default_context()  # one for all: making one takes a tenth of a second


def says(status: int, text: str, **headers: str) -> Behaviour:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


FAULTS: dict[str, Callable[[asyncio.Event], Behaviour]] = {
    "slow": lambda released: hangs_until(released, 200),
    "trickles": trickles_until,
    "closes": lambda _: closes_without_a_word,
    "closes in the head": lambda _: closes_mid_head,
    "closes in the body": lambda _: closes_mid_body,
    "no HTTP": lambda _: is_no_http,
    "hugely": lambda _: answers_hugely,
    "500": lambda _: answers(500),
    "503": lambda _: answers(503),
    "garbage": lambda _: says(200, "<html>Welcome</html>"),
    "empty": lambda _: answers(200),
    "redirect": lambda _: answers(307, Location="/v1/requests"),
    "wrong shape": lambda _: says(200, '{"status": "approved"}'),
    "a list": lambda _: says(200, '["approved"]'),
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with fake_placet_server() as running:
        yield running


def sync_guarded(url: str, ran: list[str], patience: Patience) -> None:
    with (
        Placet(url, API_KEY, patience=patience, ssl_context=NO_TLS) as client,
        client.guard(**WISH, timeout=0.3),
    ):
        ran.append("sync")


async def guarded(url: str, ran: list[str], patience: Patience = PATIENCE) -> None:
    async with (
        AsyncPlacet(url, API_KEY, patience=patience, ssl_context=NO_TLS) as client,
        client.guard(**WISH, timeout=0.3),
    ):
        ran.append("async")


async def guarded_in_a_thread(url: str, ran: list[str], patience: Patience = PATIENCE) -> None:
    await asyncio.to_thread(sync_guarded, url, ran, patience)


Way = Callable[..., Awaitable[None]]
WAYS = pytest.mark.parametrize("way", [guarded, guarded_in_a_thread])


@WAYS
@pytest.mark.parametrize("name", ["open", "show", "redeem"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_guarded_body_never_runs(served: Served, way: Way, name: str, fault: str) -> None:
    released, ran = asyncio.Event(), list[str]()
    served.faults[name] = FAULTS[fault](released)
    try:
        with pytest.raises(ClientError) as caught:
            await way(served.url, ran)
    finally:
        released.set()
    assert ran == []
    assert isinstance(caught.value, Unreachable | BadAnswer)
    assert API_KEY not in repr(vars(caught.value))


@WAYS
async def test_nor_while_nobody_listens(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    ran: list[str] = []
    with pytest.raises(Unreachable, match="no connection"):
        await way(nobody, ran)
    assert ran == []


@WAYS
async def test_and_it_runs_when_all_is_well(served: Served, way: Way) -> None:
    ran: list[str] = []
    await way(served.url, ran, Patience())
    assert len(ran) == 1
    assert served.placet.names() == ["open", "show", "redeem", "receipt"]

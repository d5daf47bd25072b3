"""Connections as the real server treats them: bytes on a socket, on both event loops."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.bootstrap import listen
from bot.web.protocol import BoundedProtocol, Bounds
from bot.web.server import Server, make_server, settle_memory
from tests.bot.web.conftest import Web, wait_until
from tests.configurations import ask

SHORT = 0.05
PATIENT = Bounds(linger_s=SHORT)
HASTY = Bounds(head_s=2 * SHORT, linger_s=SHORT)
HOST = b"Host: placet\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n"


@dataclass
class Echo:
    """Answers the path and, unless `is_early`, the body; once `gate` is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_early: bool = False
    begun: int = 0
    size: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        body = scope["path"].encode() + b"." * self.size
        more = not self.is_early
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await self.gate.wait()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Peer:
    """One raw connection."""

    reader: StreamReader
    writer: StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def is_closed(self) -> bool:
        async with asyncio.timeout(10):
            with suppress(ConnectionResetError):
                assert await self.reader.read() == b""
        return True

    async def problem(self, status: int, slug: str) -> dict[str, Any]:
        """Expects this problem, and the end of the connection behind it."""
        given, headers, body = await self.answer()
        told: dict[str, Any] = json.loads(body)
        assert (given, told["status"]) == (status, status)
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert "date" in headers
        assert told["type"] == f"urn:placet:problem:{slug}"
        assert told["title"]
        assert told["detail"]
        assert await self.is_closed()
        return told


@dataclass
class Site:
    """A running server of `echo`."""

    echo: Echo
    server: Server
    port: int

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def protocol(self) -> BoundedProtocol:
        """The one connection, from the server's side."""
        (protocol,) = self.server.server_state.connections
        assert isinstance(protocol, BoundedProtocol)
        return protocol

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Peer]:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        yield peer
        peer.writer.close()
        with suppress(ConnectionError):
            await peer.writer.wait_closed()


@asynccontextmanager
async def site(
    bounds: Bounds = PATIENT, echo: Echo | None = None, app: ASGIApp | None = None
) -> AsyncIterator[Site]:
    """A server of `app`, or of an `echo`, whose gate is open unless it is the test's own."""
    listener = listen("127.0.0.1", 0)
    own = echo or Echo()
    if echo is None:
        own.gate.set()
    server = make_server(app or own, drain_s=1, bounds=bounds)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    port = listener.getsockname()[1]
    await server.wait_until_started(serving)
    try:
        yield Site(own, server, port)
    finally:
        own.gate.set()
        server.should_exit = True
        await serving
        # Ended for good: neither connections nor timers are left.
        assert not server.server_state.connections


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\n" + HOST,
        b"\r\n",
        GET.replace(b"\r\n\r\n", b"\r\nX-Slow: "),
        POST[:-2],
    ],
)
async def test_a_connection_without_a_whole_head_is_closed_in_time(sent: bytes) -> None:
    async with site(HASTY) as there, there.connected() as peer:
        peer.send(sent)
        assert await peer.is_closed()
        assert there.echo.begun == 0


@pytest.mark.parametrize("sent", [b"G", b"\r\n", GET[:-2]])
async def test_a_later_head_has_no_more_time(sent: bytes) -> None:
    async with site(HASTY) as there, there.connected() as peer:
        peer.send(GET)
        await peer.answer()
        peer.send(sent)
        assert await peer.is_closed()


async def test_a_head_begun_behind_a_request_has_no_more_time() -> None:
    async with site(HASTY) as there, there.connected() as peer:
        peer.send(GET + b"GET / HT")
        await peer.answer()
        assert await peer.is_closed()


async def test_trickling_wins_no_time() -> None:
    async with site(HASTY) as there, there.connected() as peer:
        peer.send(GET[:-2])
        while not peer.reader.at_eof():
            with suppress(ConnectionError):
                peer.send(b"a: b\r\n")
                await peer.writer.drain()
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.01):
                    await peer.reader.read(1)
            if there.connections == 0:
                break
        assert there.echo.begun == 0


async def test_between_requests_a_connection_may_rest_longer() -> None:
    async with site(HASTY) as there, there.connected() as peer, there.connected() as silent:
        peer.send(GET)
        await peer.answer()
        peer.send(POST)
        await wait_until(lambda: there.echo.begun == 2)
        peer.send(b"/body")
        await peer.answer()
        # Who began after it is over: so the time for heads has passed.
        async with there.connected() as later:
            assert await later.is_closed()
        assert await silent.is_closed()
        peer.send(GET)
        assert (await peer.answer())[0] == 200


async def test_a_slow_answer_is_no_slow_client() -> None:
    echo = Echo()
    async with site(HASTY, echo) as there, there.connected() as peer:
        peer.send(GET + GET[:5])
        await wait_until(lambda: echo.begun == 1)
        async with there.connected() as later:
            assert await later.is_closed()
        echo.gate.set()
        assert (await peer.answer())[0] == 200


@pytest.mark.parametrize("rest", [b"", b"x", b"/body"])
async def test_a_body_behind_its_answer_holds_nothing_open(rest: bytes) -> None:
    async with site(HASTY, Echo(is_early=True)) as there, there.connected() as peer:
        there.echo.gate.set()
        peer.send(POST)
        assert (await peer.answer())[0] == 200
        peer.send(rest)
        assert await peer.is_closed()


LONG = {
    "many headers": b"".join(b"a%d: b\r\n" % n for n in range(20_000)),
    "one header": b"a: " + b"b" * 4_000_000,
    "a header's name": b"a" * 300_000,
}


@pytest.mark.parametrize("more", LONG.values(), ids=LONG.keys())
async def test_a_long_head_is_refused(more: bytes) -> None:
    async with site() as there, there.connected() as peer:
        peer.send(GET[:-2] + more)
        await peer.problem(431, "request-header-fields-too-large")
        assert there.echo.begun == 0


async def test_a_long_head_that_is_whole_is_refused() -> None:
    async with site() as there, there.connected() as peer:
        peer.send(GET[:-2] + b"a: " + b"b" * 33_000 + b"\r\n\r\n")
        await peer.problem(431, "request-header-fields-too-large")


async def test_a_long_target_is_refused() -> None:
    async with site() as there, there.connected() as peer:
        peer.send(b"GET /" + b"a" * 33_000 + GET[5:])
        await peer.problem(431, "request-header-fields-too-large")


async def test_a_head_just_short_enough_is_taken_with_any_body_behind_it() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\na: "
    head += b"b" * (32 * 1024 - len(head) - 4) + b"\r\n\r\n"
    async with site() as there, there.connected() as peer:
        for _ in range(2):
            peer.send(head + b"x" * 100_000)
            assert len((await peer.answer())[2]) == 100_001


MALFORMED = {
    "an unknown method": b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00",
    "two lengths of one body": POST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "two lengths": POST.replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n"),
    "a space before the colon": GET.replace(b"Host:", b"Host :"),
    "a header without a colon": GET[:-2] + b"bad header\r\n\r\n",
    "a folded header": GET[:-2] + b"a: b\r\n c\r\n\r\n",
    "a zero byte": GET[:-2] + b"a: \x00\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    "two hosts": GET[:-2] + HOST + b"\r\n",
    "two hosts in HTTP/1.0": (GET[:-2] + HOST + b"\r\n").replace(b"1.1", b"1.0"),
    "a wrong chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_http_is_a_problem_too(sent: bytes) -> None:
    async with site() as there, there.connected() as peer:
        peer.send(sent)
        await peer.problem(400, "malformed-request")


async def test_http_1_0_needs_no_host() -> None:
    async with site() as there, there.connected() as peer:
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await peer.answer())[0] == 200


async def test_who_waits_for_an_answer_is_not_given_another_requests() -> None:
    echo = Echo()
    async with site(echo=echo) as there, there.connected() as peer:
        peer.send(GET)
        await wait_until(lambda: echo.begun == 1)
        peer.send(b"FOO / HTTP/1.1\r\n\r\n")
        assert await peer.is_closed()


async def test_one_connection_too_many_is_told_so() -> None:
    async with (
        site(Bounds(connections=1)) as there,
        there.connected() as first,
    ):
        await wait_until(lambda: there.connections == 1)
        async with there.connected() as second:
            await second.problem(503, "too-many-connections")
        first.send(GET)
        assert (await first.answer())[0] == 200
        await wait_until(lambda: there.connections == 1)
        first.writer.close()
        await wait_until(lambda: there.connections == 0)
        async with there.connected() as third:
            third.send(GET)
            assert (await third.answer())[0] == 200


async def test_who_never_reads_is_cut_off() -> None:
    echo = Echo(size=30_000_000)
    echo.gate.set()
    async with site(Bounds(unread_s=SHORT), echo) as there, there.connected() as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's can
        peer.send(GET)
        await wait_until(lambda: echo.begun == 1)
        await wait_until(lambda: there.connections == 0)


async def test_an_upgrade_is_answered_plainly_and_advises_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
    with caplog.at_level(logging.INFO):
        async with site() as there, there.connected() as peer:
            for _ in range(2):
                peer.send(GET[:-2] + upgrade)
                assert (await peer.answer())[0] == 200
    assert "pip" not in caplog.text
    assert "WebSocket" not in caplog.text


CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
ASKS_FOR_HTTP_2 = b"Connection: Upgrade, HTTP2-Settings\r\nUPGRADE: h2c\r\nHTTP2-Settings: AA\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST[:-2] + ASKS_FOR_HTTP_2 + b"\r\n/body",
        CHUNKED + ASKS_FOR_HTTP_2 + b"\r\n5\r\n/body\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
async def test_a_body_sent_with_the_wish_to_upgrade_is_read_however_it_is_cut(sent: bytes) -> None:
    async with site() as there, there.connected() as peer:
        await wait_until(lambda: there.connections == 1)
        protocol = there.protocol
        for cut in range(len(sent)):
            protocol.data_received(sent[:cut])
            protocol.data_received(sent[cut:])
            status, headers, body = await peer.answer()
            assert (status, body) == (200, b"//body")
            assert headers.get("connection") != "close"


async def test_a_value_is_the_same_however_it_is_cut() -> None:
    told: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append([*scope["headers"], (b"query", scope["query_string"])])
        await Echo(gate=opened, is_early=True)(scope, receive, send)

    opened = asyncio.Event()
    opened.set()
    sent = b"GET /?a=upgrade:1 HTTP/1.1\r\nHost: placet\r\nA: upgrade:42\r\n\r\n"
    async with site(app=app) as there, there.connected() as peer:
        await wait_until(lambda: there.connections == 1)
        protocol = there.protocol
        for cut in range(len(sent)):
            protocol.data_received(sent[:cut])
            protocol.data_received(sent[cut:])
            assert (await peer.answer())[0] == 200
    wanted = [(b"host", b"placet"), (b"a", b"upgrade:42"), (b"query", b"a=upgrade:1")]
    assert told == [wanted] * len(sent)


@pytest.mark.parametrize("name", [b"Upgrade: h2c", b"upgrade", b"U"])
async def test_a_head_that_ends_in_a_name_cut_by_its_bound_is_refused(name: bytes) -> None:
    async with site() as there, there.connected() as peer:
        head = GET[:-2] + b"a: "
        head += b"b" * (32 * 1024 - len(head) - 2 - 3) + b"\r\n"
        peer.send(head + name + b"x" * 300_000)
        await peer.problem(431, "request-header-fields-too-large")


async def test_what_comes_behind_a_waiting_request_is_not_read_however_often_it_is_asked_for() -> (
    None
):
    released = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def asks() -> None:
            while True:  # uvicorn goes on reading each time
                await receive()

        asking = asyncio.create_task(asks())
        await released.wait()
        asking.cancel()
        await Echo(gate=released, is_early=True)(scope, receive, send)

    async with site(app=app) as there, there.connected() as peer:
        peer.send(GET + GET)
        await wait_until(lambda: there.connections == 1 and bool(there.protocol.pipeline))
        protocol = there.protocol
        before = len(protocol._unfed)
        peer.send(GET * 100_000)
        await wait_until(lambda: len(protocol._unfed) > before and protocol.flow.read_paused)
        assert len(protocol._unfed) <= 1024 * 1024
        released.set()
        assert (await peer.answer())[0] == 200
        peer.writer.transport.abort()


async def test_who_sends_on_past_every_pause_is_cut_off() -> None:
    echo = Echo()
    async with site(echo=echo) as there, there.connected() as peer:
        peer.send(GET + GET)
        await wait_until(lambda: there.connections == 1 and bool(there.protocol.pipeline))
        there.protocol.data_received(b"x" * 2_000_000)
        assert await peer.is_closed()


async def test_what_looks_like_an_upgrade_in_a_body_stays_as_it_is() -> None:
    async with site() as there, there.connected() as peer:
        body = b"a\nUpgrade: b\nupgrade"
        peer.send(POST.replace(b"5", str(len(body)).encode()) + body + GET)
        assert (await peer.answer())[2] == b"/" + body
        assert (await peer.answer())[2] == b"/"


async def test_requests_in_a_line_are_answered_in_order_and_wait_outside() -> None:
    echo = Echo()
    async with site(echo=echo) as there, there.connected() as peer:
        names = [f"/{number}".encode() for number in range(500)]
        peer.send(b"".join(b"GET " + name + GET[5:] for name in names))
        await wait_until(lambda: echo.begun == 1)
        assert len(there.protocol.pipeline) == 1
        echo.gate.set()
        assert [(await peer.answer())[2] for _ in names] == names


async def test_who_does_not_read_does_not_make_the_server_remember() -> None:
    async with site() as there, there.connected() as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's can
        peer.send(GET * 100_000)
        await wait_until(lambda: there.echo.begun > 1)
        assert len(there.protocol.pipeline) <= 1
        peer.writer.transport.abort()


async def test_a_client_that_leaves_with_another_request_behind_it_is_noticed() -> None:
    left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with site(app=app) as there:
        async with there.connected() as peer:
            peer.send(GET + GET)
            await wait_until(lambda: there.connections == 1 and bool(there.protocol.pipeline))
        async with asyncio.timeout(10):
            await left.wait()


@pytest.mark.parametrize(
    "trailer", [b"a: b\r\n" * 200_000, b"a: " + b"b" * 2_000_000], ids=["many", "long"]
)
async def test_trailers_without_end_are_refused(trailer: bytes) -> None:
    async with site(echo=Echo()) as there, there.connected() as peer:
        peer.send(CHUNKED + b"\r\n0\r\n" + trailer)
        await peer.problem(413, "body-too-large")


async def test_a_body_without_end_is_refused_in_words_also_behind_its_answer() -> None:
    async with site(echo=Echo(is_early=True)) as there, there.connected() as peer:
        there.echo.gate.set()
        peer.send(POST.replace(b"5", b"50000000"))
        assert (await peer.answer())[0] == 200
        with suppress(ConnectionError):
            peer.send(b"x" * 1_000_000)
            await peer.writer.drain()
        assert await peer.is_closed()


async def test_trailers_are_no_headers() -> None:
    told: list[tuple[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        told.extend(scope["headers"])
        await Echo(gate=opened, is_early=True)(scope, receive, send)

    opened = asyncio.Event()
    opened.set()
    async with site(app=app) as there, there.connected() as peer:
        peer.send(CHUNKED + b"\r\n1\r\nx\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        assert (await peer.answer())[0] == 200
    assert [name for name, _ in told] == [b"host", b"transfer-encoding"]


async def test_white_space_around_a_value_is_none_of_it() -> None:
    told: list[tuple[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.extend(scope["headers"])
        await Echo(gate=opened, is_early=True)(scope, receive, send)

    opened = asyncio.Event()
    opened.set()
    async with site(app=app) as there, there.connected() as peer:
        peer.send(GET[:-2] + b"A: \t b c \t \r\n\r\n")
        assert (await peer.answer())[0] == 200
    assert (b"a", b"b c") in told


async def test_a_request_is_opened_over_a_real_connection(web: Web) -> None:
    listener = listen("127.0.0.1", 0)
    server = make_server(web.client.app, drain_s=1)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.wait_until_started(serving)
    body = json.dumps(ask()).encode()
    key = web.auth()["Authorization"].encode()
    head = b"POST /v1/requests HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    head += b"Authorization: %s\r\nContent-Length: %d\r\n\r\n" % (key, len(body))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(head + body)
    assert (await Peer(reader, writer).answer())[0] == 201
    writer.close()
    server.should_exit = True
    await serving


async def test_accepted_connections_do_not_wait_to_fill_packets() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio asks before TCP_NODELAY


@pytest.fixture
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("collector")
def test_what_stands_at_the_start_is_not_collected_again() -> None:
    settle_memory()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == (20_000, 20, 50)

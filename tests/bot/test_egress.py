"""The SSRF guard: what it refuses never arrives, which the servers' own logs say."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from secrets import token_hex

import aiohttp
import pytest

from approvals.destinations import Destinations, is_reachable
from bot.egress import (
    BoundedNames,
    DeliveryFailed,
    Egress,
    Reply,
    guarded_connector,
    retry_after,
)
from tests.servers.name_server import NameServer, UdpResolver

GOOD, FORBIDDEN = "127.0.0.1", "127.0.0.9"
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
MANY = [f"169.254.1.{last}" for last in range(1, 250)]
ZONE = {
    "good.test": [[GOOD]],
    "evil.test": [[FORBIDDEN]],
    "rebind.test": [[GOOD], [FORBIDDEN]],
    "mixed.test": [[FORBIDDEN, GOOD]],
    "metadata.test": [["169.254.169.254"]],
    "metadata6.test": [["fd00:ec2::254"]],
    "mapped.test": [["::ffff:127.0.0.9"]],
    "many.test": [MANY],
    "silent.test": [],
}

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answers(text: str) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())

    return answer


OK = answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@dataclass
class Listener:
    """A plain TCP server that logs every connection and request head."""

    answer: Answer = OK
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            first = await reader.readexactly(1)
            if first == b"P":
                self.requests.append(first + await reader.readuntil(b"\r\n\r\n"))
            await self.answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()


@dataclass
class Network:
    good: Listener
    forbidden: Listener
    port: int
    names: NameServer
    resolver: UdpResolver

    def admits(self, *hosts: str) -> Destinations:
        origins = tuple(f"{host}:{self.port}" for host in hosts)
        return Destinations(origins, loopback=True)


async def bind_both(good: Listener, forbidden: Listener, stack: AsyncExitStack) -> int:
    """Both on one port, or a refusal of the port would hide that the address was not judged."""
    for _ in range(50):
        first = await asyncio.start_server(good.serve, GOOD, 0)
        port: int = first.sockets[0].getsockname()[1]
        stack.callback(first.close)
        with suppress(OSError):  # taken on the second address: try another
            second = await asyncio.start_server(forbidden.serve, FORBIDDEN, port)
            stack.callback(second.close)
            return port
    raise AssertionError("no port is free on both addresses")


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(NameServer(ZONE))
        good, forbidden = Listener(), Listener()
        port = await bind_both(good, forbidden, stack)
        yield Network(good, forbidden, port, names, UdpResolver(names.address))


@asynccontextmanager
async def sending(network: Network, total: float = 5, connect: float = 2) -> AsyncIterator[Egress]:
    egress = Egress(
        network.resolver, connect=timedelta(seconds=connect), total=timedelta(seconds=total)
    )
    try:
        yield egress
    finally:
        await egress.close()


async def post_to_good(network: Network, total: float = 5) -> Reply:
    destinations = network.admits("http://127.0.0.1")
    async with sending(network, total) as egress:
        return await egress.post("crm", destinations, destinations.origins[0], b"{}", {})


async def kind_of_failure(egress: Egress, destinations: Destinations, url: str) -> str:
    with pytest.raises(DeliveryFailed) as caught:
        await egress.post("crm", destinations, url, b"{}", {})
    return caught.value.kind


async def without_registry(network: Network, url: str, *, loopback: bool = True) -> int | None:
    """The guarded connector alone, under a client that does nothing to help it."""
    destinations = Destinations(
        (f"http://good.test:{network.port}",), EVERYWHERE, loopback=loopback
    )
    connector = guarded_connector("crm", destinations, network.resolver)
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            async with session.post(url, data=b"{}") as response:
                return response.status
        except (aiohttp.ClientError, ValueError):
            return None


# The connection guard alone: the corpus with the registry out of the way.


async def test_an_admitted_name_is_reached(network: Network) -> None:
    assert await without_registry(network, f"http://good.test:{network.port}/") == 200
    assert network.good.connections == 1


async def test_a_rebinding_name_never_leads_to_the_forbidden_host(network: Network) -> None:
    url = f"http://rebind.test:{network.port}/"
    assert [await without_registry(network, url) for _ in range(4)] == [200, None, 200, None]
    assert network.names.asked.count("rebind.test") >= 4
    assert network.forbidden.connections == 0


async def test_of_a_bad_and_a_good_address_only_the_good_one_is_reached(network: Network) -> None:
    assert await without_registry(network, f"http://mixed.test:{network.port}/") == 200
    assert (network.good.connections, network.forbidden.connections) == (1, 0)


async def test_even_following_redirects_does_not_reach_the_forbidden_host(network: Network) -> None:
    network.good.answer = answers(
        f"HTTP/1.1 307 Elsewhere\r\nLocation: http://{FORBIDDEN}:{network.port}/latest/\r\n\r\n"
    )
    assert await without_registry(network, f"http://good.test:{network.port}/") is None
    assert (network.good.connections, network.forbidden.connections) == (1, 0)


FORBIDDEN_HOSTS = """
    evil.test metadata.test metadata6.test mapped.test 127.0.0.9 2130706441
    0x7f000009 0177.0.0.9 127.9 0 0.0.0.0 [::] [::ffff:127.0.0.9] [::ffff:7f00:9]
    [::127.0.0.9] [::ffff:a9fe:a9fe] [64:ff9b::7f00:9] [2002:7f00:9::] [fd00:ec2::254]
    [fe80::1%25lo] 100.100.100.200 169.254.169.254 good.test@127.0.0.9 127。0。0。9 ①②⑦.0.0.⑨
"""


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS.split())
async def test_no_form_of_a_forbidden_address_connects_even_when_every_network_is_listed(
    network: Network, host: str
) -> None:
    assert await without_registry(network, f"http://{host}:{network.port}/") is None
    assert (network.good.connections, network.forbidden.connections) == (0, 0)


@pytest.mark.parametrize(
    "host", ["good.test", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0"]
)
async def test_outside_the_demo_loopback_is_never_reached(network: Network, host: str) -> None:
    url = f"http://{host}:{network.port}/"
    assert await without_registry(network, url, loopback=False) is None
    assert network.good.connections == 0


@pytest.mark.parametrize(
    ("address", "port", "may"),
    [("8.8.8.8", 8443, True), ("8.8.8.8", 22, False), ("127.0.0.1", 8443, False)],
)
def test_only_the_port_of_an_origin_is_reached(address: str, port: int, may: bool) -> None:
    assert is_reachable(address, port, Destinations(("https://a.example:8443",))) is may


# Posting, with everything in place.


async def test_a_callback_arrives_and_only_its_status_comes_back(network: Network) -> None:
    url = f"http://127.0.0.1:{network.port}/placet"
    async with sending(network) as egress:
        reply = await egress.post(
            "crm", network.admits("http://127.0.0.1"), url, b"{}", {"webhook-id": "evt_1"}
        )
    assert (reply.status, reply.retry_after) == (200, None)
    assert reply.milliseconds >= 0
    assert network.good.requests[0].startswith(b"POST /placet HTTP/1.1\r\n")
    assert b"webhook-id: evt_1\r\n" in network.good.requests[0]


async def test_a_redirect_is_a_status_and_is_not_followed(network: Network) -> None:
    network.good.answer = answers(
        f"HTTP/1.1 302 Elsewhere\r\nLocation: http://127.0.0.1:{network.port}/other\r\n\r\n"
    )
    assert (await post_to_good(network)).status == 302
    assert network.good.connections == 1


async def test_every_attempt_is_judged_again_for_a_rebinding_name(network: Network) -> None:
    destinations = network.admits("https://rebind.test")
    url = destinations.origins[0]
    async with sending(network) as egress:
        kinds = [await kind_of_failure(egress, destinations, url) for _ in range(4)]
    # The admitted listener answers TLS with plain HTTP: a failure of its own.
    assert kinds == ["tls", "refused-address", "tls", "refused-address"]
    assert (network.good.connections, network.forbidden.connections) == (2, 0)


async def test_a_url_outside_the_registry_asks_no_name_server(network: Network) -> None:
    async with sending(network) as egress:
        url = f"https://evil.test:{network.port}/"
        kind = await kind_of_failure(egress, network.admits("https://good.test"), url)
    assert kind == "refused-url"
    assert network.names.asked == []


async def test_a_listed_but_forbidden_literal_is_refused(network: Network) -> None:
    destinations = network.admits(f"https://{FORBIDDEN}")
    async with sending(network) as egress:
        kind = await kind_of_failure(egress, destinations, destinations.origins[0])
    assert kind == "refused-url"
    assert network.forbidden.connections == 0


async def test_a_refused_address_is_logged_with_its_service(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    destinations = network.admits("https://evil.test")
    async with sending(network) as egress:
        with caplog.at_level(logging.WARNING, logger="bot.egress"):
            await kind_of_failure(egress, destinations, destinations.origins[0])
    assert {(vars(line)["service"], vars(line)["address"]) for line in caplog.records} == {
        ("crm", FORBIDDEN)
    }


async def test_a_proxy_in_the_environment_is_ignored(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{FORBIDDEN}:{network.port}")
    monkeypatch.setenv("no_proxy", "")
    assert (await post_to_good(network)).status == 200
    assert network.forbidden.connections == 0


async def test_names_of_the_system_work_and_no_cookie_is_ever_sent_back(network: Network) -> None:
    network.good.answer = answers("HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
    destinations = network.admits("http://localhost")
    egress = Egress()  # asks the system, because a cookie needs a name
    for _ in range(2):
        await egress.post("crm", destinations, destinations.origins[0], b"{}", {})
    await egress.close()
    assert [b"cookie" in head.lower() for head in network.good.requests] == [False, False]


async def test_each_attempt_opens_a_connection_of_its_own(network: Network) -> None:
    destinations = network.admits("http://127.0.0.1")
    async with sending(network) as egress:
        for service in ("crm", "crm", "billing"):
            await egress.post(service, destinations, destinations.origins[0], b"{}", {})
    assert network.good.connections == 3


# Receivers that misbehave.


async def test_a_reply_of_megabytes_is_cut_off(network: Network) -> None:
    accepted = 0
    ended = asyncio.Event()

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")
        try:
            for _ in range(4096):
                writer.write(bytes(65536))
                await writer.drain()
                accepted += 65536
        finally:
            ended.set()

    network.good.answer = flood
    reply = await post_to_good(network)
    async with asyncio.timeout(5):
        await ended.wait()
    assert reply.status == 200
    # What the kernel's buffers took before the connection was cut, of 256 MB.
    assert accepted < 32 * 1024 * 1024


@pytest.mark.parametrize("piece", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"x: y\r\n", b"x" * 99])
async def test_an_answer_that_never_comes_to_its_point_is_cut_off(
    network: Network, piece: bytes
) -> None:
    ended = asyncio.Event()

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n" if piece[:1] == b"x" else piece)
        try:
            for _ in range(4096):
                writer.write(piece * 1000)
                await writer.drain()
        finally:
            ended.set()

    network.good.answer = flood
    with pytest.raises(DeliveryFailed, match="protocol"):
        await post_to_good(network)
    async with asyncio.timeout(5):
        await ended.wait()


async def test_an_interim_answer_is_no_answer(network: Network) -> None:
    network.good.answer = answers("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert (await post_to_good(network)).status == 204


async def trickle(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.005)


async def test_a_trickling_head_ends_by_the_total_time_out(network: Network) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        await trickle(writer)

    network.good.answer = answer
    with pytest.raises(DeliveryFailed, match="timeout"):
        await post_to_good(network, total=0.3)


async def test_a_trickling_body_ends_too_and_does_not_undo_the_status(network: Network) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await trickle(writer)

    network.good.answer = answer
    assert (await post_to_good(network, total=0.3)).status == 200


async def test_a_body_that_breaks_off_does_not_undo_the_status(network: Network) -> None:
    network.good.answer = answers("HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\nhalf")
    assert (await post_to_good(network)).status == 410


@pytest.mark.parametrize("text", ["", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"])
async def test_what_is_not_http_is_a_protocol_failure(network: Network, text: str) -> None:
    network.good.answer = answers(text)
    with pytest.raises(DeliveryFailed, match="protocol"):
        await post_to_good(network)


async def test_nobody_listening_is_a_connect_failure(network: Network) -> None:
    with socket.socket() as held:
        held.bind((GOOD, 0))  # bound but not listening, so that nobody else takes the port
        origin = f"http://{GOOD}:{held.getsockname()[1]}"
        async with sending(network) as egress:
            destinations = Destinations((origin,), loopback=True)
            assert await kind_of_failure(egress, destinations, origin) == "connect"


async def test_an_unknown_name_is_a_dns_failure(network: Network) -> None:
    destinations = network.admits("https://nowhere.test")
    async with sending(network) as egress:
        assert await kind_of_failure(egress, destinations, destinations.origins[0]) == "dns"


async def test_a_silent_name_server_fails_one_service_and_no_other(network: Network) -> None:
    silent = network.admits("https://silent.test")
    admitted = network.admits("http://127.0.0.1")
    async with sending(network, connect=0.5) as egress:
        waiting = asyncio.create_task(kind_of_failure(egress, silent, silent.origins[0]))
        reply = await egress.post("billing", admitted, admitted.origins[0], b"{}", {})
        assert reply.status == 200
        assert await waiting == "dns"


async def test_a_name_with_hundreds_of_addresses_yields_a_handful(network: Network) -> None:
    found = await BoundedNames(network.resolver, 2).resolve("many.test")
    assert [one["host"] for one in found] == MANY[:8]


async def test_a_failure_tells_neither_query_nor_body(network: Network) -> None:
    secret = token_hex()
    network.good.answer = answers("garbage\r\n\r\n")
    destinations = network.admits("http://127.0.0.1", "https://nowhere.test")
    async with sending(network) as egress:
        for origin in (*destinations.origins, "https://elsewhere.test", "http://a b"):
            url = f"{origin}/{secret}?key={secret}"
            with pytest.raises(DeliveryFailed) as caught:
                await egress.post("crm", destinations, url, secret.encode(), {})
            assert secret not in "".join(traceback.format_exception(caught.value))


# Retry-After.

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *((text, None) for text in (None, "", "soon", "-5", "1.5", "٣")),
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        ("999999999", timedelta(hours=1)),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), timedelta(minutes=5)),
        ("Mon, 23 Nov 2026 14:05:00 -0000", timedelta(minutes=5)),
        ("Mon, 23 Nov 2026 12:00:00 GMT", timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=1)),
        ("Mon, 23 Nov 2026 14:05:00 +99999999999", None),
    ],
)
def test_retry_after_has_two_forms_and_a_cap(header: str, expected: timedelta | None) -> None:
    assert retry_after(header, NOW) == expected


async def test_retry_after_comes_back_with_the_reply(network: Network) -> None:
    network.good.answer = answers("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n")
    reply = await post_to_good(network)
    assert reply == Reply(429, timedelta(seconds=7), reply.milliseconds)

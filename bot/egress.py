"""The one way out to receivers: judges the URL, then the address of the very socket that connects.

Knows nothing of requests, signatures or retries. Of a receiver's answer only status, Retry-After
and duration are kept: the rest is foreign input.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from time import monotonic

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from approvals.destinations import Destinations, check_url, is_reachable
from approvals.errors import CallbackNotAllowed

MOST_OF_A_REPLY = 4096
MOST_OF_AN_ANSWER = 16 * 1024  # interim answers, head and the body's beginning together
MOST_ADDRESSES = 8
LONGEST_RETRY_AFTER = timedelta(hours=1)

_log = logging.getLogger(__name__)


class DeliveryFailed(Exception):
    """No answer. Kinds: refused-url, refused-address, dns, connect, timeout, tls, protocol."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"callback not delivered: {kind}")
        self.kind = kind


class RefusedAddress(OSError):
    """An OSError, so that the client moves on to the name's next address."""


@dataclass(frozen=True)
class Reply:
    """All that is kept of a receiver's answer."""

    status: int
    retry_after: timedelta | None
    milliseconds: int


class _BoundedAnswer(ResponseHandler):
    """aiohttp's protocol with an end: what comes later is cut off, what came before counts.

    Interim answers (1xx) without end would keep the loop of the whole process busy otherwise.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._room = MOST_OF_AN_ANSWER

    def data_received(self, data: bytes) -> None:
        """Hands on what fits."""
        part, self._room = data[: self._room], self._room - len(data)
        if part:
            super().data_received(part)
        if self._room <= 0 and self.transport is not None:
            self._room = 0
            self.transport.abort()


class _Connector(aiohttp.TCPConnector):
    """Written against aiohttp 3.14: makes its protocols by `_factory`, which is a private name."""

    def __init__(self, resolver: AbstractResolver, sockets: aiohttp.SocketFactoryType) -> None:
        super().__init__(
            resolver=resolver, use_dns_cache=False, force_close=True, socket_factory=sockets
        )
        make: type[ResponseHandler] = _BoundedAnswer
        self._factory = partial(make, loop=self._loop)


def guarded_connector(
    service: str, destinations: Destinations, resolver: AbstractResolver
) -> aiohttp.TCPConnector:
    """A connector that reaches only what `destinations` admit, on their origins' own ports.

    It judges the address a socket is opened for, of names and literals alike: a name that changes
    its address between check and use (rebinding) gains nothing.
    """

    def open_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (address, port, *_) = address_info
        if is_reachable(str(address), int(port), destinations):
            return socket.socket(family, kind, protocol)
        where = {"service": service, "address": address, "port": port}
        _log.warning("callback address refused", extra=where)
        raise RefusedAddress("callback address refused")

    return _Connector(resolver, open_socket)


class Egress:
    """Posts callbacks. One session per service: no connection, name or wait is shared."""

    def __init__(
        self,
        resolver: AbstractResolver | None = None,
        *,
        connect: timedelta = timedelta(seconds=3),
        total: timedelta = timedelta(seconds=10),
    ) -> None:
        self._resolver = resolver
        self._connect = connect.total_seconds()
        # aiohttp rounds waits above its threshold up, which could outlast the lease of a claim.
        self._timeout = aiohttp.ClientTimeout(
            total=total.total_seconds(), sock_connect=self._connect, ceil_threshold=float("inf")
        )
        self._names: dict[str, BoundedNames] = {}
        self._sessions: dict[tuple[str, Destinations], aiohttp.ClientSession] = {}

    async def post(
        self,
        service: str,
        destinations: Destinations,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Reply:
        """Send once. Any status is a Reply, a redirect too; DeliveryFailed if none came in time."""
        started = monotonic()
        try:
            target = check_url(url, destinations)
            session = self._session(service, destinations)
            async with session.post(
                target, data=body, headers=headers, allow_redirects=False
            ) as response:
                milliseconds = round((monotonic() - started) * 1000)
                wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
                await _drain(response)
                return Reply(response.status, wait, milliseconds)
        # Chained errors may quote the URL, whose query can hold a secret of the receiver.
        except CallbackNotAllowed:
            raise DeliveryFailed("refused-url") from None
        except TimeoutError:
            raise DeliveryFailed("timeout") from None
        except aiohttp.ClientError as error:
            raise DeliveryFailed(_kind(error)) from None

    async def close(self) -> None:
        """Close every session and resolver; what is under way fails."""
        for session in self._sessions.values():
            await session.close()
        for names in self._names.values():
            await names.close()

    def _session(self, service: str, destinations: Destinations) -> aiohttp.ClientSession:
        # Changed destinations get a new session, so no attempt is judged by another's rules.
        session = self._sessions.get((service, destinations))
        if session is None:
            if service not in self._names:
                self._names[service] = BoundedNames(self._resolver or SystemNames(), self._connect)
            session = self._sessions[service, destinations] = aiohttp.ClientSession(
                connector=guarded_connector(service, destinations, self._names[service]),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,  # a proxy from the environment would connect on its own terms
                auto_decompress=False,  # a small reply could unpack to gigabytes
                read_bufsize=MOST_OF_A_REPLY,
            )
        return session


class SystemNames(AbstractResolver):
    """The system's resolver in two threads of its own.

    Otherwise one service's dead name server would hold all the threads the loop shares.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="callback-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address the system knows for the name."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, socket.getaddrinfo, host, port, family, socket.SOCK_STREAM
        )
        return [
            ResolveResult(
                hostname=host, host=str(at[0]), port=port, family=kind, proto=protocol, flags=0
            )
            for kind, _, protocol, _, at in found
        ]

    async def close(self) -> None:
        """Leave hanging lookups to end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class BoundedNames(AbstractResolver):
    """Another resolver within a time-out, and the first few addresses of a name only."""

    def __init__(self, inner: AbstractResolver, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """At most a handful: judging thousands of refused addresses would hold the loop."""
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._inner.resolve(host, port, family)
        except TimeoutError:
            # As a plain OSError the client calls it a DNS failure, not a slow receiver.
            raise OSError("no answer from the name server") from None
        return found[:MOST_ADDRESSES]

    async def close(self) -> None:
        """Close the resolver inside."""
        await self._inner.close()


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """`Retry-After`, as seconds or as an HTTP date, up to an hour; None if it is neither."""
    try:
        if re.fullmatch(r"[0-9]{1,9}", header or ""):
            wait = timedelta(seconds=int(header or ""))
        else:
            date = parsedate_to_datetime(header or "")
            wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_RETRY_AFTER)


async def _drain(response: aiohttp.ClientResponse) -> None:
    # The status has decided; a body that stalls or breaks cannot undo it. A little is read to spare
    # an honest receiver a reset connection, the rest is cut off.
    with suppress(TimeoutError, aiohttp.ClientError, asyncio.IncompleteReadError):
        await response.content.readexactly(MOST_OF_A_REPLY)


def _kind(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ClientConnectorError(os_error=RefusedAddress()):
            return "refused-address"
        case aiohttp.ClientConnectorError():
            return "connect"
        case _:
            return "protocol"

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
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from approvals.errors import CallbackNotAllowed

LONGEST_URL = 2048
MOST_OF_A_REPLY = 4096
MOST_ADDRESSES = 8
LONGEST_RETRY_AFTER = timedelta(hours=1)

_log = logging.getLogger(__name__)

# Sought in the text as sent, before a parser tidies it: yarl resolves ".." and full-width dots.
_FAULTS = (
    (r"[^\x21-\x7e]", "it holds a space or non-ASCII text (write a host in its xn-- form)"),
    (r"#", "it has a fragment"),
    (r"^[^/]*//[^/?]*@", "it has a user part"),
    (r"^[^/]*//[^/?]*%", "its host has a zone id or percent-encoding"),
    # A receiver that decodes twice, or cuts at ";", would leave the prefix: %252e%252e/ and ..;/
    (r"^[^?]*%(25|2e|2f|5c)", "its path has a percent-encoded dot, slash or percent sign"),
    (r"^[^?]*/\.\.?([/;?]|$)", "its path has a dot segment"),
)
_FORM = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)(?::[0-9]{1,5})?"
    r"(?:/(?:[\w.~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?(?:\?(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?",
    re.ASCII | re.IGNORECASE,
)

# Never called back, whatever the registry says; ipaddress itself knows multicast, link-local etc.
_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this host": Linux connects it to loopback
        "100.100.100.200/32",  # metadata, Alibaba
        "168.63.129.16/32",  # metadata, Azure: a public address, so is_global does not stop it
        "192.0.0.0/24",  # protocol assignments, and metadata, Oracle
        "192.88.99.0/24",  # 6to4 relays
        "::/96",  # IPv4-compatible: from here on, an IPv4 host hidden from the other rules
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local use
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fd00:ec2::254/128",  # metadata, AWS
        "fd20:ce::254/128",  # metadata, Google
        "fec0::/10",  # site-local, which ipaddress calls global
    )
)
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


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


@dataclass(frozen=True)
class Destinations:
    """What one service may call back. Origins are `https://host[:port][/prefix]`, else ValueError.

    `loopback` admits 127.0.0.1 and ::1, these by plain http too; only the demo may set it.
    """

    origins: tuple[str, ...]
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    loopback: bool = False

    def __post_init__(self) -> None:
        for origin in self.origins:
            if "?" in origin:
                raise ValueError("an origin has no query")
            _parse(origin)


def check_url(url: str, destinations: Destinations) -> URL:
    """The URL to call, or CallbackNotAllowed with a reason that quotes neither path nor query."""
    try:
        target = _parse(url)
        _judge(target, destinations)
    except ValueError as error:
        raise CallbackNotAllowed(f"the callback URL is refused: {error}") from None
    return target


def is_allowed(address: str, destinations: Destinations) -> bool:
    """Whether the service may be called back at this address. The never-list comes first."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return False
        # Unwrapped before it is judged, or ::ffff:169.254.169.254 would pass for an IPv6 address.
        found = found.ipv4_mapped or found
    if found in _LOOPBACK:
        return destinations.loopback
    if _is_never_called(found):
        return False
    return found.is_global or any(found in network for network in destinations.networks)


def guarded_connector(
    service: str, destinations: Destinations, resolver: AbstractResolver
) -> aiohttp.TCPConnector:
    """A connector that reaches only what `destinations` admit, on their origins' own ports.

    It judges the address a socket is opened for, of names and literals alike: a name that changes
    its address between check and use (rebinding) gains nothing.
    """
    ports = {URL(origin).port for origin in destinations.origins}

    def open_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (address, port, *_) = address_info
        if port in ports and is_allowed(str(address), destinations):
            return socket.socket(family, kind, protocol)
        where = {"service": service, "address": address, "port": port}
        _log.warning("callback address refused", extra=where)
        raise RefusedAddress("callback address refused")

    return aiohttp.TCPConnector(
        resolver=resolver, use_dns_cache=False, force_close=True, socket_factory=open_socket
    )


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


def _parse(text: str) -> URL:
    if len(text) > LONGEST_URL:
        raise ValueError(f"it is longer than {LONGEST_URL} characters")
    for pattern, reason in _FAULTS:
        if re.search(pattern, text, re.IGNORECASE):
            raise ValueError(reason)
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("it is not of the form https://host[:port][/path][?query]")
    _literal(form[1].strip("[]").lower())
    return URL(text)


def _judge(target: URL, destinations: Destinations) -> None:
    host = target.raw_host or ""
    shown = f"{target.scheme}://{target.host_port_subcomponent}"
    if target.scheme != "https" and not (destinations.loopback and host in _LOOPBACK_HOSTS):
        raise ValueError(f"{shown} is not https")
    if not any(_covers(URL(origin), target) for origin in destinations.origins):
        raise ValueError(f"{shown}, or its path, is under none of the service's callback origins")
    if _literal(host) and not is_allowed(host, destinations):
        raise ValueError(f"{host} is never called, or in none of the service's callback networks")


def _literal(host: str) -> str | None:
    """The host, if it is an address. What clients read differently is refused: 127.1, 0x7f.1."""
    if ":" not in host and not re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host.rsplit(".", 1)[-1]):
        return None
    with suppress(ValueError):
        found = ip_address(host)
        is_mapped = isinstance(found, IPv6Address) and found.ipv4_mapped is not None
        if str(found) == host and not is_mapped:
            return host
    raise ValueError("its host is an address in an unusual form")


def _covers(origin: URL, target: URL) -> bool:
    # With its slash the prefix ends on a segment's border: /placet does not cover /placet-admin.
    prefix = origin.raw_path.rstrip("/") + "/"
    is_same_place = (origin.scheme, origin.raw_host, origin.port) == (
        target.scheme,
        target.raw_host,
        target.port,
    )
    return is_same_place and f"{target.raw_path}/".startswith(prefix)


def _is_never_called(found: IPv4Address | IPv6Address) -> bool:
    return (
        found.is_link_local
        or found.is_loopback
        or found.is_multicast
        or found.is_reserved
        or found.is_unspecified
        or any(found in network for network in _NEVER)
    )


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

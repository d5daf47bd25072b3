"""Where one service may be called back: judges a URL as text, and an address as a number.

Pure: nothing is looked up or connected to here. The egress guard asks again at every attempt, for
the address of the very socket.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from approvals.errors import CallbackNotAllowed

LONGEST_URL = 2048

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
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)(?::[1-9][0-9]{0,4})?"
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
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Destinations:
    """What one service may call back. Origins are `https://host[:port][/prefix]`, else ValueError.

    `loopback` admits 127.0.0.1 and ::1 on every port, by plain http too; only the demo sets it.
    """

    origins: tuple[str, ...]
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    loopback: bool = False

    def __post_init__(self) -> None:
        for origin in self.origins:
            if "?" in origin:
                raise ValueError("it has a query")
            _parse(origin)

    @property
    def urls(self) -> tuple[URL, ...]:
        """The origins, parsed."""
        return tuple(URL(origin) for origin in self.origins)


def check_url(url: str, destinations: Destinations) -> URL:
    """The URL to call, or CallbackNotAllowed with a reason that quotes nothing of it."""
    try:
        target = _parse(url)
        _judge(target, destinations)
    except ValueError as error:
        remedy = "Send an https URL below one of the service's callback origins (services.yaml)"
        raise CallbackNotAllowed("/callback_url", f"is refused: {error}", remedy) from None
    return target


def is_reachable(address: str, port: int, destinations: Destinations) -> bool:
    """Whether a socket may connect there: an allowed address, on a port of the origins.

    In the demo this host may be reached on every port.
    """
    is_own = destinations.loopback and address in LOOPBACK_HOSTS
    is_origins = port in {origin.port for origin in destinations.urls}
    return (is_own or is_origins) and is_allowed(address, destinations)


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
    if destinations.loopback and host in LOOPBACK_HOSTS:
        return
    if target.scheme != "https":
        raise ValueError("it is not https")
    if not any(_covers(origin, target) for origin in destinations.urls):
        raise ValueError("it is under none of the service's callback origins")
    if _literal(host) and not is_allowed(host, destinations):
        raise ValueError("its host is never called, or in none of the service's callback networks")


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

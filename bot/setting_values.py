"""How a setting's text becomes its value. A `ValueError` holds the remedy, never the text."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from approvals.store.health import Durability
from approvals.store.keys import NAMESPACE

LogLevel = Literal["debug", "info", "warning", "error"]
Network = IPv4Network | IPv6Network
# Control characters, and what bytes become that are not UTF-8.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def given(text: str) -> str:
    """`text`, trimmed; an empty variable is more likely a mistake than a wish."""
    tidy = text.strip()
    if not tidy:
        raise ValueError("It is empty: give it a value, or unset it.")
    return tidy


def path(text: str) -> Path:
    """A path; relative ones count from the current directory."""
    if _UNSHOWN.search(text):
        # It would break the lines of our messages and log, or the file it is written to.
        raise ValueError("Write the path in UTF-8, on one line, without control characters.")
    return Path(text)


def namespace(text: str) -> str:
    """The part of every Redis key that tells deployments apart."""
    if not NAMESPACE.fullmatch(text):
        raise ValueError("Use 1 to 40 of a-z, 0-9 and -.")
    return text


def redis_url(text: str) -> SecretStr:
    """Where the store is; may hold a password."""
    text = given(text)
    parts = _split(text)
    has_place = parts is not None and (parts.path if parts.scheme == "unix" else parts.hostname)
    if parts is None or parts.scheme not in {"redis", "rediss", "unix"} or not has_place:
        raise ValueError("Write redis://host:6379/0, rediss://... for TLS, or unix:///path.")
    return SecretStr(text)


def base_url(text: str) -> str:
    """The address that people and services reach us under."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("Write a URL such as https://placet.example.com.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("Write it without user, query and fragment.")
    return text.rstrip("/")


def host(text: str) -> str:
    """The address to listen on."""
    if not text.isascii() or any(character in text for character in " /@?#"):
        raise ValueError("Write an address or a host name, such as 127.0.0.1.")
    return text


def whole(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= 9
        if not is_number or not least <= int(text) <= most:
            raise ValueError(f"Write a whole number, {least} to {most}.")
        return int(text)

    return parse


_port = whole(0, 65535)


def port(text: str) -> int:
    """The port to listen on; 0 takes a free one."""
    if is_service_link(text):
        raise ValueError(
            "Kubernetes set it for a Service of that name: set enableServiceLinks: false in the "
            "pod, name the Service otherwise, or set PLACET_PORT in the container."
        )
    return _port(text)


def is_service_link(text: str) -> bool:
    """Whether it is what Kubernetes tells pods of a Service, such as tcp://10.0.0.1:8080."""
    return text.startswith(("tcp://", "udp://", "sctp://"))


def log_level(text: str) -> LogLevel:
    """The least urgent kind of line that is logged."""
    if text.lower() not in get_args(LogLevel):
        raise ValueError("Write debug, info, warning or error.")
    return cast("LogLevel", text.lower())


def durability(text: str) -> Durability:
    """When a commit counts as kept."""
    if text not in get_args(Durability):
        raise ValueError("Write local, replica, or none for trials.")
    return cast("Durability", text)


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        remedy = "Write addresses or networks separated by commas, such as 10.0.0.0/8."
        raise ValueError(remedy) from None


def _split(text: str) -> SplitResult | None:
    if _UNSHOWN.search(text):  # the parser would leave them out silently
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where the port is no number
    except ValueError:
        return None
    return parts

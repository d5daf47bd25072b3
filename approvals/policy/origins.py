"""Origins of callback URLs, compared as text before anything is looked up or connected to.

What an address resolves to is the egress guard's matter, at the connection itself.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_URL = 2048
_PORTS = {"https": 443, "http": 80}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Parsers disagree on backslashes, white space and quotes: one reads another host than the next.
_PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]+")


class UnfitUrl(ValueError):
    """A URL that no callback may go to. Says why, without the URL."""


def origin_of(url: str) -> str:
    """`scheme://host:port` of an https URL, or an http one on loopback. Raises `UnfitUrl`."""
    if len(url) > MAX_URL or _PLAIN.fullmatch(url) is None:
        raise UnfitUrl("holds characters that no URL needs")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnfitUrl("is not a URL") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UnfitUrl("is not an https URL")
    if "@" in parts.netloc or "#" in url:
        raise UnfitUrl("holds a user name or a fragment")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise UnfitUrl("is plain http, which is for loopback only")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{_PORTS[parts.scheme] if port is None else port}"


def bare_origin(text: str) -> str:
    """`text` as an origin, if it is nothing more. Raises `UnfitUrl`."""
    origin = origin_of(text)
    parts = urlsplit(text)
    if parts.path not in ("", "/") or "?" in text:
        raise UnfitUrl("holds more than scheme, host and port")
    return origin

"""Canaries: texts that occur nowhere else, and how to find them again, however they are spelled.

Knows no channel and no rule of what may stand where.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

_MARK = "zqcanary"  # no word of any language, no shape that the scan knows
_TAIL = 8  # letters alone: digits could make a telephone number or a card of it
_FOUND = re.compile(f"{_MARK}([a-z]{{0,{_TAIL}}})")
_BASE64 = re.compile("[A-Za-z0-9+/_-]{16,}")
_HEX = re.compile("[0-9A-Fa-f]{20,}")
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_UNSEEN = re.compile("[\u0000\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LAYERS = 2  # an escape within an escape, such as JSON in a query string


@dataclass
class Canaries:
    """Makes canaries, each with the name of the place that it is planted in."""

    places: dict[str, str] = field(default_factory=dict, repr=False)

    def word(self, place: str) -> str:
        """One that the scan takes for an ordinary word."""
        digest = hashlib.sha256(f"{len(self.places)} {place}".encode()).digest()
        core = _MARK + "".join(chr(ord("a") + byte % 26) for byte in digest[:_TAIL])
        assert core not in self.places, "two canaries are alike"
        self.places[core] = place
        return core

    def email(self, place: str) -> str:
        """One that the scan takes for an e-mail address."""
        return self.word(place) + "@example.org"

    def cloud_key(self, place: str) -> str:
        """One that the scan takes for a secret."""
        return "AKIA" + self.word(place).upper()

    def in_text(self, text: str | bytes) -> frozenset[str]:
        """The places whose canaries `text` holds, in any spelling; a part of one counts too."""
        return frozenset(self.places.get(core, f"a part: {core}") for core in _cores(text))


def _cores(text: str | bytes) -> Iterator[str]:
    """Everything in `text` that looks like a canary."""
    for layer in _layers(_as_text(text), _LAYERS):
        for seen in {layer, _UNSEEN.sub("", layer)}:
            yield from (found.group() for found in _FOUND.finditer(_folded(seen)))


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _layers(text: str, more: int) -> Iterator[str]:
    """`text`, and what it is an escaped or encoded form of."""
    yield text
    if not more:
        return
    decoded = {unquote_plus(text), html.unescape(text), _unescaped(text), *_encoded(text)}
    for inner in decoded - {text, ""}:
        yield from _layers(inner, more - 1)


def _encoded(text: str) -> Iterator[str]:
    """What all runs of base64 in it hold, and all of hex: each may begin with letters of none."""
    runs = [run.replace("-", "+").replace("_", "/") for run in _BASE64.findall(text)]
    for begin in range(4):
        yield "\n".join(_of_base64(run[begin:]) for run in runs)
    runs = _HEX.findall(text)
    for begin in range(2):
        yield "\n".join(_of_hex(run[begin:]) for run in runs)


def _of_base64(run: str) -> str:
    run = run[: len(run) - (len(run) % 4 == 1)]  # a letter alone is no byte
    return _as_text(base64.b64decode(run + "=" * (-len(run) % 4)))


def _of_hex(run: str) -> str:
    return _as_text(bytes.fromhex(run[: len(run) // 2 * 2]))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)


def _as_text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")

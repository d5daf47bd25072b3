"""The canaries' own test: a search that overlooks one would let every leak pass."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.canaries import Canaries

Spelled = Callable[[str], str | bytes]


def in_base64(before: str, after: str = "") -> Spelled:
    return lambda text: "key=" + base64.b64encode(f"{before}{text}{after}".encode()).decode()


SPELLINGS: dict[str, Spelled] = {
    "plain": lambda text: f"a {text}, b",
    "bytes that are no text": lambda text: b"\xff" + text.encode() + b"\x00",
    "another case": lambda text: text.title(),
    "within a word": lambda text: f"x{text}x",
    "URL-encoded": lambda text: quote(f"<{text}>"),
    "URL-encoded letter by letter": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "JSON in a query string": lambda text: quote(json.dumps({f"é{text}": text})),
    "JSON-escaped letter by letter": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "as Redis tells bytes": lambda text: "".join(f"\\x{ord(c):02x}" for c in text),
    "HTML-escaped": lambda text: html.escape(f'"{text}&'),
    "HTML-escaped letter by letter": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "base64": in_base64(""),
    "base64 after one byte": in_base64("1", "{}"),
    "base64 after two bytes": in_base64("12", "{}!"),
    "base64 for URLs": lambda t: base64.urlsafe_b64encode(f"??>{t}~~~".encode()),
    "base64 within JSON": lambda t: json.dumps([base64.b64encode(t.encode()).decode()]),
    "hex": lambda text: text.encode().hex(),
    "hex in capitals, at an odd place": lambda text: "A" + text.encode().hex().upper(),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "with zero-width spaces": "\u200b".join,
    "full-width": lambda text: "".join(chr(ord(c) + 0xFEE0) for c in text),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", ["word", "email", "cloud_key"])
def test_a_canary_is_found_however_it_is_spelled(spelling: str, kind: str) -> None:
    canaries = Canaries()
    text = getattr(canaries, kind)("params")
    assert canaries.in_text(SPELLINGS[spelling](text)) == {"params"}


def test_each_is_told_by_its_place_and_a_part_of_one_too() -> None:
    canaries = Canaries()
    one, two = canaries.word("subject"), canaries.word("ticket")
    assert one != two
    assert canaries.in_text(f"{one}{two}") == {"subject", "ticket"}
    assert canaries.in_text(one[:-3]) == {f"a part: {one[:-3]}"}
    assert canaries.in_text("Ed25519 plc_crm-1 c2FsdA== 00ff") == frozenset()

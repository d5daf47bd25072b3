"""Foreign text as the detectors read it, and where each of its characters stands in the original.

Undoes what hides a value from a pattern: full-width signs, zero width, letters set apart, escapes.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache, cached_property

BLANK = "\0"  # stands for what is masked: no letter, no digit, no separator of any value

# Nobody sees them, and every pattern stumbles over them.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
_FILLER = "\u200b"
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\[nrtbf]")  # as JSON writes them
# Signs set apart by single spaces, and digits set apart by any single sign.
_SPACED = re.compile(r"(?<!\w)\S(?: \S(?!\w)){5,}+")
_STRUNG = re.compile(r"(?<![0-9A-Za-z.])[0-9](?:[-._ ][0-9](?![0-9A-Za-z])){8,}+")
_MAY_BE_SPACED = re.compile(r" \S \S \S ")
_MAY_BE_STRUNG = re.compile(r"[0-9][-._ ][0-9][-._ ][0-9][-._ ][0-9][-._ ][0-9]")
_LABEL = re.compile(
    r"\[(?:email|card|iban|national id|ip|birth date|phone|cloud key|token|private key|password)\]"
)
# Digits in groups, between which white space or other signs of numbers may stand.
_RUN = re.compile(r"[0-9]++(?:[-\s./()_]{1,3}+[0-9]++)*+")
_SHORTEST_RUN = 7  # no number of a person is shorter
_SKELETON = str.maketrans(
    dict.fromkeys("0123456789", "0")
    | dict.fromkeys("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "A")
    | dict.fromkeys("\t\n\r", " ")
)
_SIGNS = {
    "-": (*range(0x2010, 0x2016), 0x2212),
    ".": (0x3002, 0xFF0E, 0xFF61),
    "\n": (0x0085, 0x2028, 0x2029),
}
# The blocks in which signs stand that read as an ASCII letter, digit or sign.
_LOOKALIKE_BLOCKS = (
    range(0x00A0, 0x3400),
    range(0xA620, 0xABFA),
    range(0xFE10, 0x11FFF),
    range(0x16A60, 0x1FC00),
)


class NormalForm:
    """`text` is what detectors search; `original` leads from a span of it to the given text."""

    def __init__(self, given: str) -> None:
        self._cuts: list[_Cuts] = []
        text = _LABEL.sub(_blank, given) if "[" in given else given
        text = _ESCAPE.sub(_meant, text) if "\\" in text else text
        if not text.isascii():
            text = self._without_unseen(text.translate(_signs()))
        if _MAY_BE_STRUNG.search(text):
            text = self._closed_up(text, _STRUNG)
        if _MAY_BE_SPACED.search(text):
            text = self._closed_up(text, _SPACED)
        self.text = text

    @property
    def is_as_given(self) -> bool:
        """Whether every place in `text` is the same in the given text."""
        return not self._cuts

    @cached_property
    def lower(self) -> str:
        """In small letters, for words; its places need not be those of `text`."""
        return self.text.lower()

    @cached_property
    def skeleton(self) -> str:
        """Digits as 0, ASCII letters as A, white space as a space: the shape of what is written."""
        return self.text.translate(_SKELETON)

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """Where digits stand in groups, those aside that are too short for a number of a person."""
        spans = (found.span() for found in _RUN.finditer(self.text))
        return [(start, end) for start, end in spans if end - start >= _SHORTEST_RUN]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span in the given text of a span in `text`."""
        last = end - 1
        for cuts in reversed(self._cuts):
            start, last = cuts.before(start), cuts.before(last)
        return start, last + 1

    def _without_unseen(self, text: str) -> str:
        spans = [found.span() for found in _UNSEEN.finditer(text)]
        if not spans:
            return text
        self._cuts.append(_Cuts(spans))
        return _UNSEEN.sub("", text)

    def _closed_up(self, text: str, apart: re.Pattern[str]) -> str:
        runs = [found.span() for found in apart.finditer(text)]
        self._cuts.append(_Cuts((at, at + 1) for a, b in runs for at in range(a + 1, b, 2)))
        return apart.sub(lambda found: found.group()[::2], text)


class _Cuts:
    """What was taken out of a text, so that a place in the rest can be found in the whole."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._places: list[int] = []  # in the rest
        self._gone: list[int] = []  # how much in all, from that place on
        gone = 0
        for start, end in spans:
            self._places.append(start - gone)
            gone += end - start
            self._gone.append(gone)

    def before(self, place: int) -> int:
        index = bisect_right(self._places, place)
        return place + (self._gone[index - 1] if index else 0)


def _blank(label: re.Match[str]) -> str:
    return BLANK * len(label.group())


def _meant(escape: re.Match[str]) -> str:
    """The sign that an escape stands for, as long as the escape."""
    if escape[1] is None:
        return "  "
    return chr(int(escape[1], 16)) + _FILLER * 5


@cache
def _signs() -> dict[int, str]:
    """Every sign that reads as one ASCII sign: full-width and styled letters, digits of any script.

    Takes some 15 ms, once, and only where a text is not ASCII.
    """
    found = {code: sign for sign, codes in _SIGNS.items() for code in codes}
    for block in _LOOKALIKE_BLOCKS:
        for code in block:
            if code not in found and (sign := _reads_as(chr(code))):
                found[code] = sign
    return found


def _reads_as(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    plain = unicodedata.normalize("NFKC", character)
    if plain == character or not plain.isascii():
        return ""
    core = "".join(c for c in plain if c.isalnum()) or plain  # a digit in brackets is a digit
    return core if len(core) == 1 else ""

"""Text as the scanner reads it: what looks like an ASCII character is one, the invisible is gone.

Keeps the way back, so that a find names its place in the text as given.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

_GONE = "\0"  # stands for what nobody sees; a NUL of the text itself is such a character too
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d\u00ad")


class _Folding(dict[int, str]):
    """One character to one character, worked out when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = made = _fold(chr(code))
        return made


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in its normal form. `kept_before`: what stays before each left out."""

    text: str
    kept_before: tuple[int, ...] = ()

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text as given stands what is at `start` to `end` of this one."""
        if not self.kept_before:
            return start, end
        return self._before(start), self._before(end - 1) + 1

    def _before(self, place: int) -> int:
        return place + bisect_right(self.kept_before, place)


_FOLDING = _Folding()


def folded(text: str) -> Folded:
    """`text` in its normal form."""
    if text.isascii() and _GONE not in text:
        return Folded(text)
    same_length = text.translate(_FOLDING)
    if _GONE not in same_length:
        return Folded(same_length)
    pieces = same_length.split(_GONE)
    kept_before = tuple(accumulate(map(len, pieces[:-1])))
    return Folded("".join(pieces), kept_before)


def _fold(character: str) -> str:
    if character in _DASHES:
        return "-" if character != "\u00ad" else _GONE
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me") or character == _GONE:
        return _GONE
    if category == "Zs":
        return " "
    if category == "Nd":  # digits of every script, and the full-width ones
        return str(unicodedata.digit(character))
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character

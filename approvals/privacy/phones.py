"""Phone numbers: with a country's code always, in national form where the text speaks of phones.

The only module that knows the library of numbering plans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import phonenumbers

from approvals.privacy.scanner import Hit

# Plans are looked up for so many candidates; after that the rest of the text counts as found.
MOST_CHECKED = 12

_ABROAD = re.compile(r"(?<![\w+])(?:\+|00) ?\(?\d(?:[ .\-/()\u00b7]{0,3}\d){6,14}(?![ .-]?\d)")
_PARENTHESES = re.compile(r"(?<![\w(])\(\d{3}\) ?\d{3}[-. ]\d{4}(?!\d)")
_AT_HOME = re.compile(r"(?<![\w.,:/+#-])\(?\d(?:[ .\-/()]{0,2}\d){6,12}(?![\w])(?![.,:/-]\d)")
_STEMS = (
    "tel",
    "phone",
    "call",
    "ring",
    "mobil",
    "cell",
    "handy",
    "rufnummer",
    "anruf",
    "fon",
    "móvil",
    "movil",
    "celular",
    "gsm",
    "bel",
    "numéro",
    "numero",
    "whats",
    "sms",
    "fax",
    "komórk",
    "puhelin",
    "dzwo",
    "tél",
)
_WORD = re.compile(
    r"\b(?:tel|tél|phone|call|ring|mobil|cell|handy|rufnummer|anruf|fon|móvil|movil|celular|gsm|bel"
    r"|numéro|numero|whats|sms|fax|komórk|puhelin|za?dzwo)|phone\b|fon\b",
    re.IGNORECASE,
)
_NEAR_BEFORE, _NEAR_AFTER = 24, 80  # characters between such a word and its number
# By what a number begins with at home: those with a trunk zero, and those without.
_WITH_ZERO = ("GB", "FR", "DE", "NL", "IT", "SE", "BE", "AT", "CH", "IE", "FI", "IN", "BR")
_WITHOUT = ("US", "ES", "PT", "PL", "DK", "NO", "BR", "IN", "CZ", "GR")


class Phones:
    """Numbers that a numbering plan knows."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The phone numbers in `text`."""
        for number, (found, is_one) in enumerate(_candidates(text)):
            if number == MOST_CHECKED:
                yield Hit("phone", found.start(), len(text))
                return
            if is_one(found.group()):
                yield Hit("phone", *found.span())


def _candidates(text: str) -> Iterator[tuple[re.Match[str], Callable[[str], bool]]]:
    if "+" in text or "00" in text:
        yield from ((found, _is_abroad) for found in _ABROAD.finditer(text))
    if "(" in text:
        yield from ((found, bool) for found in _PARENTHESES.finditer(text))
    lower = text.lower()
    if any(stem in lower for stem in _STEMS) and _SEVEN_DIGITS.search(text):
        until = 0
        for word in _WORD.finditer(text):
            start = max(until, word.start() - _NEAR_BEFORE)
            until = max(until, word.end() + _NEAR_AFTER)
            yield from ((found, _is_at_home) for found in _AT_HOME.finditer(text, start, until))


_SEVEN_DIGITS = re.compile(r"\d(?:[ .\-/()]{0,2}\d){6}")


def _is_abroad(text: str) -> bool:
    number = "+" + text.lstrip("+0 ") if text.startswith("00") else text
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    if text.startswith("00"):  # many a long number begins so
        return phonenumbers.is_valid_number(parsed)
    return phonenumbers.is_possible_number(parsed)


def _is_at_home(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return any(_is_in(digits, region) for region in (_WITH_ZERO if digits[0] == "0" else _WITHOUT))


def _is_in(digits: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False

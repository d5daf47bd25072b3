"""Card numbers and IBANs: by issuer or country, length and check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn

from approvals.privacy.finds import Checks, Hit
from approvals.privacy.normal_form import NormalForm

MOST_CARDS = 400  # places looked at in one text
MOST_IBANS = 50

_GROUP = re.compile(r"[0-9]+")
_SHORTEST, _LONGEST = 13, 19
_BRANDS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)"
    r"[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|09|6[0-9]|[89][0-9])[0-9]{11,16}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"  # Discover
    r"|(?:352[89]|35[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|220[0-4][0-9]{12,15}"  # Mir
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:50|5[6-8]|6[0-9])[0-9]{10,17}"  # Maestro
)

_IBAN_HEAD = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=[-\s.]?[0-9A-Za-z]{2})")
_GAPS = re.compile(r"[-\s.]{1,2}")
_LENGTHS = {
    **dict.fromkeys(["NO"], 15),
    **dict.fromkeys(["BE"], 16),
    **dict.fromkeys(["DK", "FI", "FO", "GL", "NL", "SD", "FK"], 18),
    **dict.fromkeys(["MK", "SI"], 19),
    **dict.fromkeys(["AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"], 20),
    **dict.fromkeys(["CH", "CR", "HR", "LI", "LV"], 21),
    **dict.fromkeys(["BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"], 22),
    **dict.fromkeys(["AE", "GI", "IL", "IQ", "OM", "SO", "TL"], 23),
    **dict.fromkeys(["AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"], 24),
    **dict.fromkeys(["LY", "PT", "ST"], 25),
    **dict.fromkeys(["IS", "TR"], 26),
    **dict.fromkeys(["BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"], 27),
    **dict.fromkeys(["AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV"], 28),
    **dict.fromkeys(["BR", "EG", "PS", "QA", "UA"], 29),
    **dict.fromkeys(["JO", "KW", "MU", "YE"], 30),
    **dict.fromkeys(["MT", "SC"], 31),
    **dict.fromkeys(["LC"], 32),
    **dict.fromkeys(["RU"], 33),
}


def cards(form: NormalForm, checks: Checks | None = None) -> Iterator[Hit]:
    """Card numbers, whole or in groups, by brand, length and Luhn's check digit."""
    checks = checks or Checks(MOST_CARDS)
    for start, end in form.runs:
        if end - start >= _SHORTEST:
            yield from _cards_in(form.text, start, end, checks)


def _cards_in(text: str, start: int, end: int, checks: Checks) -> Iterator[Hit]:
    groups = [found.span() for found in _GROUP.finditer(text, start, end)]
    if sum(to - at for at, to in groups) < _SHORTEST:
        return
    if text[start - 1 : start].isalpha() or text[end : end + 1].isalpha():
        groups = _apart_from_letters(text, groups)
    first = 0
    while first < len(groups):
        at = groups[first][0]
        is_short = groups[first][1] - at < 2 or end - at < _SHORTEST
        if is_short or text[at] not in "23456":
            first += 1
            continue
        if checks.left <= 0:
            yield from _by_length(groups[first:])
            return
        last = _card_from(text, groups, first, checks)
        if last is not None:
            yield Hit("card", at, groups[last][1])
            first = last
        first += 1


def _apart_from_letters(text: str, groups: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the first and the last group where they are a part of a word, as in a hash."""
    first = 1 if text[groups[0][0] - 1 : groups[0][0]].isalpha() else 0
    last = len(groups) - (1 if text[groups[-1][1] : groups[-1][1] + 1].isalpha() else 0)
    return groups[first:last]


def _card_from(text: str, groups: list[tuple[int, int]], first: int, checks: Checks) -> int | None:
    """The last group of a card that begins with the group `first`."""
    digits, last = "", first
    for last in range(first, len(groups)):
        start, end = groups[last]
        length = len(digits) + end - start
        is_single = (
            end - start == 1 and length != _SHORTEST
        )  # Visa's old numbers end in a single one
        if is_single or length > _LONGEST or not _may_adjoin(text, groups, first, last):
            break
        digits += text[start:end]
        if length >= _SHORTEST and checks.passes(_is_card, digits):
            return last
    checks.left -= (last - first) // 3  # looking costs too
    return None


def _may_adjoin(text: str, groups: list[tuple[int, int]], first: int, last: int) -> bool:
    """White space and dashes may stand between any groups; another sign must be the same in all."""
    if last == first:
        return True
    gap = text[groups[last - 1][1] : groups[last][0]]
    return gap.strip("- \t\n\r\xa0") == "" or (
        gap in "._/" and gap == text[groups[first][1] : groups[first + 1][0]]
    )


def _by_length(groups: list[tuple[int, int]]) -> Iterator[Hit]:
    """All of the rest of a run that could hold a card; too much was asked to look closer."""
    if sum(end - start for start, end in groups) >= _SHORTEST:
        yield Hit("card", groups[0][0], groups[-1][1])


def _is_card(digits: str) -> bool:
    return bool(_BRANDS.fullmatch(digits)) and luhn.is_valid(digits)


def ibans(form: NormalForm, checks: Checks | None = None) -> Iterator[Hit]:
    """IBANs, whole or in groups, by country, length and check digits."""
    checks = checks or Checks(MOST_IBANS)
    text, after = form.text, 0
    for head in _IBAN_HEAD.finditer(text):
        length = _LENGTHS.get(text[head.start() : head.start() + 2].upper())
        if length is None or head.start() < after:
            continue
        end = _end_of(text, head.start(), length)
        if end and checks.passes(iban.is_valid, text[head.start() : end].translate(_BLANKS)):
            after = end
            yield Hit("iban", head.start(), end)


_BLANKS = str.maketrans(dict.fromkeys("\t\n\r", " "))


def _end_of(text: str, start: int, length: int) -> int | None:
    """Where the `length` letters and digits from `start` end, gaps of one or two signs aside."""
    if text[start : start + length].isalnum():
        return start + length if text[start : start + length].isascii() else None
    window = text[start : start + length * 2]
    joined = _GAPS.sub("", window)[:length]
    if len(joined) < length or not (joined.isascii() and joined.isalnum()):
        return None
    count = place = 0
    while count < length:
        count += window[place].isalnum()
        place += 1
    return start + place

"""E-mail addresses, card numbers, IBANs, IP addresses and dates of birth.

Candidates come from linear patterns; check digits by python-stdnum. Where there are more of them
than anybody writes, the rest of the text counts as found: a flood takes no time and hides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from stdnum import iban, luhn
from stdnum.exceptions import ValidationError

from approvals.privacy.scanner import Hit

MOST_CHECKED = 100  # candidates of a kind in one text

_EMAIL = re.compile(
    r"(?<![\w.%+'-])[\w%+'-][\w.%+'-]*+@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
# Written apart, or with the sign in brackets, or with both signs in words.
_APART = re.compile(r"(?<=[\w.]) {1,3}@ {0,3}(?=\w)|(?<=\w)@ {1,3}(?=\w)")
_IN_BRACKETS = re.compile(
    r"[\[({<]\s{0,2}(?:at|@|arroba|chez)\s{0,2}[\])}>]\s{0,3}(?=\w)", re.IGNORECASE
)
_IN_WORDS = re.compile(r"(?<=\w) at (?=[\w-]{1,63} ?(?:dot |[\[({]))", re.IGNORECASE)
_LOCAL = re.compile(r"[\w.%+'-]{1,64}")
# A full stop with a blank after it alone ends a sentence.
_DOT = (
    r"(?:\.|\s{1,2}\.\s{1,2}|\sdot\s"
    r"|\s{0,2}[\[({<]\s{0,2}(?:dot|punkt|point|punto|ponto|\.)\s{0,2}[\])}>]\s{0,2})"
)
_DOMAIN = re.compile(
    rf"[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{0,4}}{_DOT}[^\W\d_]{{2,24}}", re.IGNORECASE
)
_LETTERS_LEFT = re.compile(r" (?:[\w.%+-] ){0,63}[\w%+-](?!\S)")
_LETTERS_RIGHT = re.compile(r"(?: [\w-]){1,40}(?: \.(?: [\w-]){1,40}){1,4}")

_THIRTEEN = re.compile(r"\d(?:[ .\-/]{0,2}\d){12}")
_CARD = re.compile(
    r"(?<![\d.,])\d{13,19}(?![\d])"
    r"|(?<!\d)\d{4}([ .\-/]|\s{2})\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?(?!\d)"
    r"|(?<!\d)\d{4}([ .-])\d{6}\2\d{4,5}(?!\d)"
    r"|(?<!\d)(?<!\d[ .-])(?:\d[ .-]){12,18}\d(?![ .-]?\d)"
)
# Issuers' ranges as their own documents give them: prefix and lengths.
_ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]|[689]\d)\d{11}(?:\d{2,5})?"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d{2})\d{12}(?:\d{3})?"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}(?:\d{3})?"  # JCB
    r"|62\d{14}(?:\d{1,3})?"  # UnionPay
    r"|(?:50|5[6-8]|6\d)\d{11,17}"  # Maestro
    r"|220[0-4]\d{12}(?:\d{1,3})?"  # Mir
)
# The registry of ISO 13616 by length of the whole.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FO FI GL NL SD FK", 19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN", 21: "HR LV LI CH", 22: "BH BG CR GE DE IE ME RS GB VA",
        23: "AE TL GI IQ IL OM SO", 24: "AD CZ MD PK RO SA SK ES SE TN VG DZ",
        25: "LY PT ST", 26: "IS TR BI", 27: "FR GR IT MC MR SM DJ",
        28: "AL AZ BY CY DO GT HU LB PL SV NI",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 33: "RU", 32: "LC",
    }.items()
    for country in countries.split()
}  # fmt: skip
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])(?=([A-Za-z] ?[A-Za-z] ?\d(?:[ .\n-]{0,2}[A-Za-z0-9]){12,32}))"
)
_SEPARATORS = str.maketrans("", "", " .-/\n\t\r")

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w)(?!\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,38}:[0-9A-Fa-f.]{0,15}(?![\w:])")
_VERSION = re.compile(
    r"(?:\bv|versi[oó]n|version|release|build|firmware)[ .:]{0,2}$", re.IGNORECASE
)

_MONTH = r"[^\W\d_]{3,12}"
_DATE = (
    r"(?:\d{1,2}[./-]\s?\d{1,2}[./-]\s?(?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|º)?\.? (?:de |of )?{_MONTH}\.?,? (?:de |of )?\d{{4}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})"
)
_BIRTH_WORDS = (
    "born",
    "birth",
    "dob",
    "d.o.b",
    "geboren",
    "geburt",
    "geb.",
    "naissance",
    "née",
    "né le",
    "né(e)",
    "nacid",
    "nacimiento",
    "nato il",
    "nata il",
    "nascita",
    "nascid",
    "nascimento",
    "geboorte",
    "född",
    "födelse",
    "født",
    "fødsel",
    "fødd",
    "syntym",
    "urodz",
    "ur. ",
    "narozen",
    "nar. ",
    "născut",
    "naștere",
    "született",
    "rođen",
    "rojen",
    "γεννη",
    "роден",
    "рожд",
    "sündi",
    "dzimš",
    "gimim",
    "*",
)
_BIRTH_WORD = re.compile("|".join(map(re.escape, _BIRTH_WORDS)))
_DATE_AFTER = re.compile(rf"[^\d\n]{{0,24}}?(?<!\d)({_DATE})(?!\d)")
_DATE_BEFORE = re.compile(rf"(?<!\d)({_DATE})[ ,(]{{1,3}}$")


class Emails:
    """Addresses of the usual shape, and those written apart to get past."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The addresses in `text`."""
        if "@" in text:
            for found in _EMAIL.finditer(text):
                yield Hit("email", *found.span())
        for number, (start, end) in enumerate(_signs(text)):
            if number == MOST_CHECKED:
                yield Hit("email", start, len(text))
                return
            if hit := _written_apart(text, start, end):
                yield hit


def _signs(text: str) -> Iterator[tuple[int, int]]:
    """Where something stands for the sign of an address, with the blanks around it."""
    if "@ " in text or " @" in text:
        yield from (found.span() for found in _APART.finditer(text))
    if any(bracket in text for bracket in "[({<"):
        for found in _IN_BRACKETS.finditer(text):
            blanks = text[max(0, found.start() - 3) : found.start()]
            yield found.start() - (len(blanks) - len(blanks.rstrip())), found.end()
    if "dot" in text.lower():
        yield from (found.span() for found in _IN_WORDS.finditer(text))


def _written_apart(text: str, start: int, end: int) -> Hit | None:
    right = _DOMAIN.match(text, end)
    left = _LOCAL.match(text[max(0, start - 64) : start][::-1])
    if left and right and left.end() > 1:
        return Hit("email", start - left.end(), right.end())
    # A letter at a time: the pattern is read from the sign outwards.
    left = _LETTERS_LEFT.match(text[max(0, start - 128) : start + 1][::-1])
    right = _LETTERS_RIGHT.match(text, end - 1)
    if left and right:
        return Hit("email", start + 1 - left.end(), right.end())
    return None


class Cards:
    """Numbers of a known issuer whose Luhn digit fits."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The card numbers in `text`."""
        if not _THIRTEEN.search(text):
            return
        for number, found in enumerate(_CARD.finditer(text)):
            if number == MOST_CHECKED:
                yield Hit("card", found.start(), len(text))
                return
            if _is_card(found.group().translate(_SEPARATORS)):
                yield Hit("card", *found.span())


def _is_card(digits: str) -> bool:
    return _ISSUER.fullmatch(digits) is not None and luhn.is_valid(digits)


class Ibans:
    """Account numbers whose country, length and check digits fit."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The IBANs in `text`."""
        known = (found for found in _IBAN.finditer(text) if _length(found[1]))
        for number, found in enumerate(known):
            if number == MOST_CHECKED:
                yield Hit("iban", found.start(), len(text))
                return
            if end := _end_of_iban(found[1]):
                yield Hit("iban", found.start(), found.start() + end)


def _end_of_iban(candidate: str) -> int:
    """How many characters of `candidate` are an IBAN with its blanks; 0 for none."""
    signs = [place for place, sign in enumerate(candidate) if sign.isalnum()]
    length = _length(candidate)
    if len(signs) < length:
        return 0
    end = signs[length - 1] + 1
    is_whole = candidate[end : end + 1].isalnum() is False
    return end if is_whole and _is_iban(candidate[:end]) else 0


def _length(candidate: str) -> int:
    """Of an IBAN of the country that `candidate` begins with; 0 for none."""
    return _IBAN_LENGTHS.get(candidate[:3].replace(" ", "")[:2].upper(), 0)


def _is_iban(text: str) -> bool:
    try:
        iban.validate(text.translate(_SEPARATORS), check_country=False)
    except ValidationError:
        return False
    return True


class IpAddresses:
    """IPv4 and IPv6 addresses; a version number is none."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The addresses in `text`."""
        for number, found in enumerate(_ip_candidates(text)):
            if number == MOST_CHECKED:
                yield Hit("ip", found.start(), len(text))
                return
            address = found.group().rstrip(".")  # which may end the sentence
            if len(address) > 3 and _is_address(
                text[max(0, found.start() - 12) : found.start()], address
            ):
                yield Hit("ip", found.start(), found.start() + len(address))


def _ip_candidates(text: str) -> Iterator[re.Match[str]]:
    if text.count(".") >= 3:
        yield from _IPV4.finditer(text)
    if text.count(":") >= 2:
        yield from _IPV6.finditer(text)


def _is_address(before: str, address: str) -> bool:
    if ":" not in address and _VERSION.search(before):
        return False
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


class BirthDates:
    """Dates beside a word of birth."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The dates in `text`, without the word."""
        lower = text.lower()
        if len(lower) != len(text):  # a letter that has no small one of one character
            lower = text
        for number, word in enumerate(_BIRTH_WORD.finditer(lower)):
            if number == MOST_CHECKED:
                yield Hit("birth_date", word.end(), len(text))
                return
            if found := _DATE_AFTER.match(text, word.end()):
                yield Hit("birth_date", *found.span(1))
            start = max(0, word.start() - 32)
            if before := _DATE_BEFORE.search(text[start : word.start()]):
                yield Hit("birth_date", start + before.start(1), start + before.end(1))

"""Phone numbers: with a country code, in a form that nothing else has, or beside a word of phones.

The library's own search is slow; it only judges short candidates that were found here.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property

import phonenumbers
from phonenumbers import NumberParseException

from approvals.privacy.finds import Checks, Hit
from approvals.privacy.normal_form import BLANK, NormalForm
from approvals.privacy.phone_words import OTHER_NUMBERS, WORDS

_MOST_FOUND = 300
MOST_PHONES = 50  # judgements of the library in one text

_WITH_CODE = re.compile(
    r"(?<![0-9A-Za-z+])(?:\+|(?<![0-9.,] )00 ?)"
    r"(?=[1-9])[0-9](?:[-\s./()]{0,3}+[0-9]){6,14}+(?![0-9])"
)
# North America's form, fictional 555 numbers too, which the library knows to be given to nobody.
_NANP = re.compile(r"\+?1?[-\s.]{0,2}\(?[2-9][0-9]{2}\)?[-\s.]{0,2}[2-9][0-9]{2}[-\s.]?[0-9]{4}")
_UNMISTAKABLE = re.compile(
    r"(?<![\w+.-])(?:"
    r"(?:1[-. ])?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[-. ][0-9]{4}"  # (202) 555-0100
    r"|(?:1[-.])?[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}|[2-9][0-9]{2}\.[2-9][0-9]{2}\.[0-9]{4}"
    r"|\([1-9]{2}\) ?9?[0-9]{4}-[0-9]{4}"  # Brazil
    r"|0[1-79](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4})"  # France
    r"|07[0-9]{3} [0-9]{6}|0(?:2[0-9]|1[0-9]1|11[0-9]) [0-9]{4} [0-9]{4}"  # Britain
    r")(?![\w]|[.-][0-9])"
)
_LAST_GROUP = re.compile(r"[-\s./()]{1,3}[0-9]+$")
# Beside a word of phones.
_NATIONAL = re.compile(
    r"(?<![\w+./-])(?!(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.])"  # no dates
    r"(?![0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:19|20)[0-9]{2}(?![0-9]))"
    r"\(?[0-9](?:[-\s./()]{0,2}+[0-9]){6,13}+(?![0-9A-Za-z])"
)
_BEFORE, _AFTER, _CLOSE = 48, 12, 16  # how near a word must stand, in characters
_SHORTEST, _SHORTEST_FORM, _LONG_ENOUGH = 7, 10, 10
_NOWHERE = -1_000_000
_AFTER_WORD = " .:#\u2116\"'=-"
_NUMBER_WORDS = frozenset({"no", "nr", "num", "number", "n\xb0", "n\xba", "no.", "nr."})
_NOT_DIGITS = re.compile(r"[^0-9]+")
# Beside a word the digits need only begin as the numbers of a country do.
_BY_DIGITS = re.compile(
    r"0[1-9][0-9]{7,10}"  # with a trunk zero: DE, GB, FR, IT, NL, SE and more
    r"|1?[2-9][0-9]{2}[2-9][0-9]{6}"  # North America
    r"|[36-9][0-9]{9}|[1-9]{2}9?[0-9]{8}"  # IT mobile and IN, BR
    r"|[2-9][0-9]{8}|[2-9][0-9]{7}"  # ES, PT, PL, CZ; DK, NO
)


def phones(form: NormalForm, checks: Checks | None = None) -> Iterator[Hit]:
    """Phone numbers of every country with its code; national ones by form or beside a word."""
    text, checks = form.text, checks or Checks(MOST_PHONES)
    if not form.runs:
        return
    nearby = _Nearby(form)
    found = 0
    for start, end in form.runs:
        if (
            found >= _MOST_FOUND
        ):  # a list of numbers: what else stands in it is not looked at closer
            yield Hit("phone", start, end)
            continue
        rest = start
        for hit in _by_form(text, start, end, checks):
            found, rest = found + 1, hit.end
            yield hit
        if end - rest >= _SHORTEST and nearby.is_word_near(rest, end):
            for hit in _beside_words(form, rest, end, nearby):
                found += 1
                yield hit


def _by_form(text: str, start: int, end: int, checks: Checks) -> Iterator[Hit]:
    """Those in a run of digits that need no word beside them."""
    before = max(0, start - 1)
    rest = before
    if text[before] == "+" or text.find("00", start, end) >= 0:
        for found in _WITH_CODE.finditer(text, before, end + 1):
            for last in _ends(text, *found.span()):
                if checks.passes(_is_international, text[found.start() : last]):
                    rest = last
                    yield Hit("phone", found.start(), last)
                    break
    if end - rest >= _SHORTEST_FORM and not text[start:end].isdecimal():
        for found in _UNMISTAKABLE.finditer(text, rest, end + 1):
            yield Hit("phone", *found.span())


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """The end of a candidate, and before its last groups: they may be the next sentence's."""
    for _ in range(3):
        yield end
        cut = _LAST_GROUP.search(text, max(start, end - 20), end)
        if not cut or cut.start() - start < 7:
            return
        end = cut.start()


def _beside_words(form: NormalForm, start: int, end: int, nearby: _Nearby) -> Iterator[Hit]:
    text = form.text
    for found in _NATIONAL.finditer(text, max(0, start - 1), end + 1):
        first, whole = found.span()
        if not nearby.is_word_near(first, whole) or _is_other(nearby.before(first)):
            continue
        if not _is_written_as_phone(found.group(), nearby.distance(first)):
            continue
        for last in _ends(text, first, whole):
            if _is_national(text[first:last]):
                nearby.last = last
                yield Hit("phone", first, last)
                break


class _Nearby:
    """Where a text's words of phones stand. `last` is the end of the last number found."""

    def __init__(self, form: NormalForm) -> None:
        is_same_length = len(form.lower) == len(form.text)  # a dotted capital I makes it longer
        self._text = form.lower if is_same_length else form.text
        self.last = _NOWHERE  # numbers in a list: what one is, its neighbour is

    def before(self, start: int) -> str:
        """What stands before `start`, in small letters."""
        return self._text[max(0, start - 28) : start]

    @cached_property
    def _words(self) -> tuple[list[int], list[int]]:
        starts, ends = [], []
        for found in WORDS.finditer(self._text):
            starts.append(found.start())
            ends.append(found.end())
        return starts, ends

    def is_word_near(self, start: int, end: int) -> bool:
        """Whether one stands shortly before or close behind; any part of a long run will do."""
        starts, _ = self._words
        if not starts:
            return False
        behind = bisect_left(starts, start)
        if self.distance(start) <= _BEFORE:
            return True
        is_behind = behind < len(starts) and starts[behind] - end <= _AFTER
        return is_behind and BLANK not in self._text[end : starts[behind]]

    def distance(self, start: int) -> int:
        """How far before `start` the nearest ends."""
        _, ends = self._words
        index = bisect_right(ends, start)
        nearest = max(ends[index - 1] if index else _NOWHERE, self.last)
        # Not across what is masked, which would bring a word nearer than it was.
        is_near = start - nearest <= _BEFORE and BLANK not in self._text[nearest:start]
        return start - nearest if is_near else start - _NOWHERE


def _is_written_as_phone(candidate: str, distance: int) -> bool:
    """A bare number beside a word must stand close to it, or begin with a 0."""
    return candidate[0] in "(0" or not candidate.isdecimal() or distance <= _CLOSE


def _is_other(before: str) -> bool:
    """Whether the word directly before says that it is another kind of number."""
    words = before.replace("'", " ").replace('"', " ").rstrip(_AFTER_WORD).rsplit(maxsplit=2)
    if words and words[-1] in _NUMBER_WORDS:
        words.pop()
    return bool(words) and words[-1].lstrip("([{") in OTHER_NUMBERS


def _is_international(candidate: str) -> bool:
    if _NANP.fullmatch(candidate):
        return True
    plain = candidate.replace("(0)", "")
    number = _parsed("+" + plain[2:].strip() if plain.startswith("00") else plain)
    if number is None:
        return False
    # Ranges are given out anew all the time: a plus, a country and a right length are enough, but
    # "+49 500 000 euros" is no number.
    is_long = sum(map(str.isdecimal, plain)) >= _LONG_ENOUGH and " 000" not in plain
    return phonenumbers.is_valid_number(number) or (
        is_long and phonenumbers.is_possible_number(number)
    )


def _is_national(candidate: str) -> bool:
    return bool(_BY_DIGITS.fullmatch(_NOT_DIGITS.sub("", candidate)))


def _parsed(candidate: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(candidate, None)
    except NumberParseException:
        return None

"""Text from outside: normalised, and refused where it holds what a reader cannot see."""

from __future__ import annotations

import re
import unicodedata

MAX_RAW = 2_000  # code points before normalising, which sorts runs of marks in quadratic time
MOST_MARKS = 4  # on one letter; no script needs more

# Controls but newline, bidi controls, zero width, tag characters, fillers and blank signs: they
# make a text read differently from what it holds, hide part of it, or say nothing at all.
_UNSEEN = re.compile(
    "[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff"
    "\uffa0\ufe00-\ufe0e\ufff0-\ufffc\ud800-\udfff\U00013430-\U0001345f\U00016fe4"
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINER = "\u200d"
_VARIATION = "\ufe0f"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
# Unassigned and noncharacters, private use, surrogates: fonts show nothing, or what they like.
_NO_ONES = frozenset({"Cn", "Co", "Cs"})
_MARKS = frozenset({"Mn", "Me"})


class UnseenCharacter(ValueError):
    """A text holds a character that a reader cannot see. Names the code point, never the text."""

    def __init__(self, character: str) -> None:
        super().__init__(f"holds U+{ord(character):04X}, which a reader cannot see; remove it")


class PiledMarks(UnseenCharacter):
    """So many marks on one letter that they cover the lines around it."""

    def __init__(self) -> None:
        message = f"holds more than {MOST_MARKS} combining marks in a row; remove some"
        ValueError.__init__(self, message)


def readable(text: str, *, newlines: bool = False) -> str:
    """`text` after NFKC and trimming. Raises `UnseenCharacter`; U+200D may stand between emoji.

    Text from a caller must be no longer than `MAX_RAW`.
    """
    tidy = unicodedata.normalize("NFKC", text.replace("\r\n", "\n")).strip()
    if tidy.isascii() and tidy.isprintable():
        return tidy
    if unseen := _UNSEEN.search(tidy):
        raise UnseenCharacter(unseen.group())
    if "\n" in tidy and not newlines:
        raise UnseenCharacter("\n")
    _check_characters(tidy)
    return tidy


def _check_characters(text: str) -> None:
    marks = 0
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if _is_stray(text, place) or (category in _NO_ONES and not _is_newer_emoji(character)):
            raise UnseenCharacter(character)
        marks = marks + 1 if category in _MARKS else 0
        if marks > MOST_MARKS:
            raise PiledMarks


def _is_stray(text: str, place: int) -> bool:
    if text[place] == _JOINER:
        return not _joins_emoji(text, place)
    return text[place] == _VARIATION and not _may_be_varied(text[place - 1 : place])


def _is_newer_emoji(character: str) -> bool:
    # People's telephones know next year's emoji before this interpreter's tables do.
    return 0x1F000 <= ord(character) <= 0x1FAFF


def _joins_emoji(text: str, place: int) -> bool:
    before = place - 1
    while before >= 0 and (text[before] == _VARIATION or ord(text[before]) in _SKIN_TONES):
        before -= 1
    after = text[place + 1 : place + 2]
    return before >= 0 and _is_pictograph(text[before]) and bool(after) and _is_pictograph(after)


def _may_be_varied(character: str) -> bool:
    # Elsewhere a run of selectors, which nobody sees, can carry a hidden message.
    return bool(character) and (_is_pictograph(character) or character in "0123456789#*©®")


def _is_pictograph(character: str) -> bool:
    # The blocks of symbols, arrows and emoji. No letter is in them, nor any sign of Latin text.
    return 0x2190 <= ord(character) <= 0x2BFF or 0x1F000 <= ord(character) <= 0x1FAFF

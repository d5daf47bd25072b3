"""Text from outside: normalised, and refused where it holds what a reader cannot see."""

from __future__ import annotations

import re
import unicodedata

# Controls but newline, bidi controls, zero width, tag characters and Hangul fillers: they make a
# text read differently from what it holds, or hide part of it.
_UNSEEN = re.compile(
    "[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufe00-\ufe0e\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_JOINER = "\u200d"
_VARIATION = "\ufe0f"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


class UnseenCharacter(ValueError):
    """A text holds a character that a reader cannot see. Names the code point, never the text."""

    def __init__(self, character: str) -> None:
        super().__init__(f"holds U+{ord(character):04X}, which a reader cannot see; remove it")


def readable(text: str, *, newlines: bool = False) -> str:
    """`text` after NFKC and trimming. Raises `UnseenCharacter`; U+200D may stand between emoji."""
    tidy = unicodedata.normalize("NFKC", text.replace("\r\n", "\n")).strip()
    if tidy.isascii() and tidy.isprintable():
        return tidy
    if unseen := _UNSEEN.search(tidy):
        raise UnseenCharacter(unseen.group())
    if "\n" in tidy and not newlines:
        raise UnseenCharacter("\n")
    for place, character in enumerate(tidy):
        is_stray_joiner = character == _JOINER and not _joins_emoji(tidy, place)
        is_stray_selector = character == _VARIATION and not _may_be_varied(tidy[place - 1 : place])
        if is_stray_joiner or is_stray_selector:
            raise UnseenCharacter(character)
    return tidy


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

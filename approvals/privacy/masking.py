"""The one gate: what a person may see of foreign text, and the masks of declared fields.

Only here does text become `Shown`, and cards, views and answers take nothing else of what somebody
outside has written. Pure: a value and its class in, what may be shown out. What does not fit its
class is hidden.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import NewType

from pydantic import JsonValue

from approvals.privacy.scanner import Scanner, replaced

Shown = NewType("Shown", str)

HIDDEN = Shown("hidden")
ERASED = Shown("[erased]")
LONGEST = 500  # each value is shortened by itself, so that a long one cannot hide a later one
_EMAIL = re.compile(r"([^@\s])[^@\s]*@([^@\s.])[^@\s]*\.([A-Za-z]{2,24})")
_LAST4_LEAST = 8

Pseudonym = Callable[[str], str]


def said(text: str) -> Shown:
    """What somebody wrote, whole, with every find of the scan replaced by its kind.

    Kept text was scanned on its way in; here once more, since the scan may have learnt since then.
    """
    return Shown(replaced(text, _scanner().scan(text)))


def plain(value: JsonValue) -> Shown:
    """A value that identifies nobody, as given."""
    return shortened(_visible(text_of(value)))


def scanned(value: JsonValue) -> Shown:
    """Free text, or any JSON, with every find of the scan replaced by its kind."""
    return shortened(_visible(said(text_of(value))))


def mask_email(value: JsonValue) -> Shown:
    """`j***@e***.com`; always three stars, so that length does not leak."""
    found = _EMAIL.fullmatch(value.strip()) if isinstance(value, str) else None
    return Shown(f"{found[1]}***@{found[2]}***.{found[3]}") if found else HIDDEN


def last4(value: JsonValue) -> Shown:
    """The last four characters of at least eight."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    return Shown(f"...{_visible(text[-4:])}") if len(text) >= _LAST4_LEAST else HIDDEN


def count(value: JsonValue) -> Shown:
    """How many items a list or an object holds; a number as it is."""
    if isinstance(value, list | dict):
        return Shown(str(len(value)))
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return Shown(str(value)) if is_number else HIDDEN


def masked(show: str, value: JsonValue, pseudonym: Pseudonym) -> Shown:
    """`value` through the mask that `show` names; an unknown mask hides it."""
    if show == "pseudonym":
        return Shown(pseudonym(_alike(value))) if isinstance(value, str | int) else HIDDEN
    masks = {
        "plain": plain,
        "scan": scanned,
        "mask_email": mask_email,
        "last4": last4,
        "count": count,
    }
    mask = masks.get(show)
    return mask(value) if mask else HIDDEN


def shortened(text: str) -> Shown:
    """`text`, cut with a visible mark that tells how much is missing."""
    if len(text) <= LONGEST:
        return Shown(text)
    return Shown(f"{text[:LONGEST]}... ({len(text) - LONGEST} more characters)")


def as_kept(text: str) -> Shown:
    """What went through its mask before: a field when its request opened, a pseudonym."""
    return Shown(text)


@cache
def _scanner() -> Scanner:
    return Scanner()  # when first needed: it takes in the tables of all countries


def text_of(value: JsonValue) -> str:
    """A value as one text, for a mask or the scan."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _alike(value: str | int) -> str:
    """One spelling for what means the same, or one person gets two pseudonyms."""
    text = unicodedata.normalize("NFKC", " ".join(str(value).split()))
    return text.casefold() if "@" in text else text


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)

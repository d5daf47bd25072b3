"""The masks through which a declared field reaches a person. A value that does not fit is hidden.

Pure: a value and its class in, what may be shown out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pydantic import JsonValue

HIDDEN = "hidden"
LONGEST = 200  # each value is shortened by itself, so that a long one cannot hide a later one
_EMAIL = re.compile(r"([^@\s])[^@\s]*@([^@\s.])[^@\s]*\.([A-Za-z]{2,24})")
_LAST4_LEAST = 8

Pseudonym = Callable[[str], str]


def plain(value: JsonValue) -> str:
    """A value that identifies nobody, as given."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(_visible(text))


def mask_email(value: JsonValue) -> str:
    """`j***@e***.com`; always three stars, so that length does not leak."""
    found = _EMAIL.fullmatch(value.strip()) if isinstance(value, str) else None
    return f"{found[1]}***@{found[2]}***.{found[3]}" if found else HIDDEN


def last4(value: JsonValue) -> str:
    """The last four characters of at least eight."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    return f"...{_visible(text[-4:])}" if len(text) >= _LAST4_LEAST else HIDDEN


def count(value: JsonValue) -> str:
    """How many items a list or an object holds; a number as it is."""
    if isinstance(value, list | dict):
        return str(len(value))
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else HIDDEN


def masked(show: str, value: JsonValue, pseudonym: Pseudonym) -> str:
    """`value` through the mask that `show` names; an unknown mask hides it."""
    if show == "pseudonym":
        return pseudonym(plain(value)) if isinstance(value, str | int) else HIDDEN
    masks = {"plain": plain, "mask_email": mask_email, "last4": last4, "count": count}
    mask = masks.get(show)
    return mask(value) if mask else HIDDEN


def shortened(text: str) -> str:
    """`text`, cut with a visible mark that tells how much is missing."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}... ({len(text) - LONGEST} more characters)"


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)

"""A body as a service sends it, read strictly: every fault at once, by field, never by value.

Knows no field: each kind of body is a `Sent` of its own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Self

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from approvals.errors import MOST_FINDINGS, Finding, InvalidRequest
from approvals.model import Frozen

_HINTED = 5  # names; looking for a close one is slow
_LONGEST_HINTED = 40
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_.]{0,39}")
# Faults of our own validators, whose messages are written for the caller.
OURS = frozenset(
    {"unseen", "empty", "text_too_long", "justification", "too_many", "seconds", "shape"}
)

Place = tuple[int | str, ...]


class Sent(Frozen):
    """Base of every body. Build one with `parse`."""

    @classmethod
    def parse(cls, data: Mapping[str, object]) -> Self:
        """`data` as a body of this kind. Raises `InvalidRequest` naming every wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True, include_input=False)
            more = max(0, len(details) - MOST_FINDINGS)
            raise InvalidRequest(_findings(cls, details[:MOST_FINDINGS]), more=more) from None


_MESSAGES = {
    "missing": "is required",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "tuple_type": "must be a list",
    "greater_than_equal": "must not be negative",
    "less_than_equal": "is too large",
    "string_too_long": "is too long",
    "string_too_short": "must not be empty",
    "too_long": "holds too many items",
}


def _findings(kind: type[Sent], details: list[ErrorDetails]) -> list[Finding]:
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    hinted = unknown[:_HINTED]
    return [_finding(kind, detail, hinted) for detail in details]


def _finding(kind: type[Sent], detail: ErrorDetails, hinted: list[Place]) -> Finding:
    fault, place = detail["type"], detail["loc"]
    if fault == "extra_forbidden":
        hint = _hint(kind, place) if place in hinted else "remove it"
        return Finding(_pointer(_shown(place)), f"is not a known field; {hint}")
    if fault == "literal_error":
        return Finding(_pointer(place), f"must be {detail['ctx']['expected']}")
    message = detail["msg"] if fault in OURS else _MESSAGES.get(fault, "is not valid")
    return Finding(_pointer(place), message)


def _hint(kind: type[Sent], place: Place) -> str:
    name = str(place[-1])
    is_long = len(name) > _LONGEST_HINTED
    known = [] if is_long else difflib.get_close_matches(name, _fields(kind, place[:-1]), n=1)
    return f"did you mean {known[0]}?" if known else "remove it"


def _fields(kind: type[BaseModel], place: Place) -> Collection[str]:
    """The fields of `kind`, or of the model that stands at `place` within it."""
    for name in place:
        field = kind.model_fields.get(str(name))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ()
        kind = inner
    return kind.model_fields


def _shown(place: Place) -> Place:
    # A field's name is the caller's text too: only what looks like a name is told back.
    return place if _PLAIN_NAME.fullmatch(str(place[-1])) else place[:-1]


def _pointer(place: tuple[int | str, ...]) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return "".join("/" + part for part in parts)

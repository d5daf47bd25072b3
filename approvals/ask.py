"""A request as a service sends it: the shape and limits of CONTRACT section 1.

What is wrong is told field by field, never with the value. Knows no policy.
"""

from __future__ import annotations

import difflib
import re
from datetime import timedelta
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from approvals.errors import MOST_FINDINGS, Finding, InvalidRequest
from approvals.model import Frozen
from approvals.text import MAX_RAW, UnseenCharacter, readable

JUSTIFICATION = range(20, 501)  # code points after NFKC and trimming
MAX_PARAMS = 20
MAX_NAME = 200
MAX_EXPIRES_IN = 7 * 24 * 3600
MAX_GRANT_TTL = 3600
_HINTED = 5  # names; looking for a close one is slow
_LONGEST_HINTED = 40
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_.]{0,39}")

Place = tuple[int | str, ...]


def _one_line(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_RAW:
        raise _too_long()
    try:
        tidy = readable(text)
    except UnseenCharacter as error:
        raise PydanticCustomError("unseen", "{reason}", {"reason": str(error)}) from None
    if not tidy:
        raise PydanticCustomError("empty", "must not be empty")
    if len(tidy) > MAX_NAME:
        raise _too_long()
    return tidy


def _too_long() -> PydanticCustomError:
    return PydanticCustomError("text_too_long", "holds more than 200 characters; shorten it")


def _justification(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_RAW:
        raise _unjustified()
    try:
        tidy = readable(text, newlines=True)
    except UnseenCharacter as error:
        raise PydanticCustomError("unseen", "{reason}", {"reason": str(error)}) from None
    if len(tidy) not in JUSTIFICATION:
        raise _unjustified()
    return tidy


def _unjustified() -> PydanticCustomError:
    message = "needs 20 to 500 characters; say in a sentence why the data is needed"
    return PydanticCustomError("justification", message)


def _few_params(params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(params) > MAX_PARAMS:
        raise PydanticCustomError("too_many", "holds more than 20 top-level keys")
    return params


def _seconds(most: int, limit: str) -> BeforeValidator:
    def check(value: object) -> timedelta:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise PydanticCustomError(
                "seconds", "must be whole seconds, 1 to {limit}", {"limit": limit}
            )
        return timedelta(seconds=value)

    return BeforeValidator(check)


def _schema_of_seconds(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": 1, "maximum": most})


def _whole_seconds(value: timedelta) -> int:
    return int(value.total_seconds())


OneLine = Annotated[StrictStr, AfterValidator(_one_line)]
Justification = Annotated[StrictStr, AfterValidator(_justification)]
ExpiresIn = Annotated[
    timedelta,
    _seconds(MAX_EXPIRES_IN, "604800 (7 days)"),
    PlainSerializer(_whole_seconds),
    _schema_of_seconds(MAX_EXPIRES_IN),
]
GrantTtl = Annotated[
    timedelta,
    _seconds(MAX_GRANT_TTL, "3600 (60 minutes)"),
    PlainSerializer(_whole_seconds),
    _schema_of_seconds(MAX_GRANT_TTL),
]
# The document of the API shows these in place of what is for readers of the code.
_FOR_CALLERS = (
    "A text holds at most 200 characters where nothing else is said, and none that a reader cannot "
    "see. An action may require more members."
)
_HOW_LONG = "20 to 500 characters, after NFKC and trimming: why the data is needed"
_FEW = Field(json_schema_extra={"maxProperties": MAX_PARAMS})
_NOT_YET = "Only false: a later version carries it out"
_SMALLEST = "Seconds. The smallest of this, the rule's, the action's and the default holds"


class AskedRequester(Frozen):
    """Who will act. `name` is kept as given and never decides."""

    id: OneLine
    name: OneLine | None = None


class Ask(Frozen):
    """A request as sent. Build it with `parse`, which tells every fault at once."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        title="Request as sent",
        json_schema_extra={"description": _FOR_CALLERS},
    )

    action: OneLine
    requester: AskedRequester
    justification: Annotated[Justification, Field(description=_HOW_LONG)]
    ticket: OneLine | None = None
    purpose: OneLine | None = None
    subject: OneLine | None = None
    record_count: Annotated[StrictInt, Field(ge=0, le=2**53 - 1)] | None = None
    data_classes: Annotated[tuple[OneLine, ...], Field(max_length=20)] = ()
    params: Annotated[dict[str, JsonValue], AfterValidator(_few_params), _FEW] = {}
    context: dict[str, JsonValue] = {}
    expires_in: Annotated[ExpiresIn | None, Field(description=_SMALLEST)] = None
    grant_ttl: Annotated[GrantTtl | None, Field(description=_SMALLEST)] = None
    reuse_pending: Annotated[StrictBool, Field(description=_NOT_YET)] = False
    callback_url: Annotated[StrictStr, Field(min_length=1, max_length=2048)] | None = None

    @classmethod
    def parse(cls, data: dict[str, JsonValue]) -> Self:
        """`data` as an `Ask`. Raises `InvalidRequest` naming every wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True, include_input=False)
            more = max(0, len(details) - MOST_FINDINGS)
            raise InvalidRequest(_findings(details[:MOST_FINDINGS]), more=more) from None


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
_OURS = {"unseen", "empty", "text_too_long", "justification", "too_many", "seconds"}


def _findings(details: list[ErrorDetails]) -> list[Finding]:
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    hinted = unknown[:_HINTED]
    return [_finding(detail, hinted) for detail in details]


def _finding(detail: ErrorDetails, hinted: list[Place]) -> Finding:
    kind, place = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        hint = _hint(place) if place in hinted else "remove it"
        return Finding(_pointer(_shown(place)), f"is not a known field; {hint}")
    message = detail["msg"] if kind in _OURS else _MESSAGES.get(kind, "is not valid")
    return Finding(_pointer(place), message)


def _hint(place: Place) -> str:
    name = str(place[-1])
    fields = AskedRequester.model_fields if place[0] == "requester" else Ask.model_fields
    is_long = len(name) > _LONGEST_HINTED
    known = [] if is_long else difflib.get_close_matches(name, fields, n=1)
    return f"did you mean {known[0]}?" if known else "remove it"


def _shown(place: Place) -> Place:
    # A field's name is the caller's text too: only what looks like a name is told back.
    return place if _PLAIN_NAME.fullmatch(str(place[-1])) else place[:-1]


def _pointer(place: tuple[int | str, ...]) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return "".join("/" + part for part in parts)


def reason_text(reason: str | None) -> str | None:
    """A person's reason or comment, normalised. Raises `InvalidRequest` at `/reason`."""
    if reason is None:
        return None
    reason = reason.strip()
    if len(reason) > MAX_RAW:
        raise _reason_too_long()
    try:
        tidy = readable(reason, newlines=True)
    except UnseenCharacter as error:
        raise InvalidRequest([Finding("/reason", str(error))]) from None
    if len(tidy) > JUSTIFICATION[-1]:
        raise _reason_too_long()
    return tidy or None


def _reason_too_long() -> InvalidRequest:
    return InvalidRequest([Finding("/reason", "holds more than 500 characters; shorten it")])

"""A request as a service sends it: the shape and limits of CONTRACT section 1.

What is wrong is told field by field, never with the value. Knows no policy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

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
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from approvals.errors import Finding, InvalidRequest
from approvals.model import Frozen
from approvals.sent import Sent
from approvals.text import MAX_RAW, UnseenCharacter, readable

JUSTIFICATION = range(20, 501)  # code points after NFKC and trimming
MAX_PARAMS = 20
MAX_NAME = 200
MAX_EXPIRES_IN = 7 * 24 * 3600
MAX_GRANT_TTL = 3600
MAX_RECORDS = 2**53 - 1  # what JSON carries exactly (RFC 8785)


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
Params = Annotated[
    dict[str, JsonValue],
    AfterValidator(_few_params),
    Field(json_schema_extra={"maxProperties": MAX_PARAMS}),
]
_REUSE = (
    "A pending request that asks the same (requester, action, subject, params) is answered instead"
)
_SMALLEST = "Seconds. The smallest of this, the rule's, the action's and the default holds"


class AskedRequester(Frozen):
    """Who will act. `name` is kept as given and never decides."""

    id: OneLine
    name: OneLine | None = None


class Ask(Sent):
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
    record_count: Annotated[StrictInt, Field(ge=0, le=MAX_RECORDS)] | None = None
    data_classes: Annotated[tuple[OneLine, ...], Field(max_length=20)] = ()
    params: Params = {}
    context: dict[str, JsonValue] = {}
    expires_in: Annotated[ExpiresIn | None, Field(description=_SMALLEST)] = None
    grant_ttl: Annotated[GrantTtl | None, Field(description=_SMALLEST)] = None
    reuse_pending: Annotated[StrictBool, Field(description=_REUSE)] = False
    callback_url: Annotated[StrictStr, Field(min_length=1, max_length=2048)] | None = None


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

"""What a service sends when it acts on a grant: what it is about to do, and what it has done.

The shapes of CONTRACT section 1. Knows no grant.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from approvals.ask import MAX_RECORDS, OneLine, Params
from approvals.model import ReceiptOutcome
from approvals.sent import Sent
from approvals.text import MAX_RAW, UnseenCharacter, readable

MAX_NONCE = 64
MAX_NOTE = 500
_NONCE = re.compile(r"[\x20-\x7e]{1,64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _nonce(text: str) -> str:
    if not _NONCE.fullmatch(text):
        raise _shape("must be 1 to 64 printable ASCII characters; take a new one for each use")
    return text


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise _shape("must be `sha256:` and 64 hex digits, as the request's answer has it")
    return text


def _note(text: str) -> str:
    text = text.strip()
    try:
        tidy = readable(text, newlines=True) if len(text) <= MAX_RAW else text
    except UnseenCharacter as error:
        raise PydanticCustomError("unseen", "{reason}", {"reason": str(error)}) from None
    if len(tidy) > MAX_NOTE:
        raise _shape("holds more than 500 characters; shorten it")
    return tidy


def _shape(message: str) -> PydanticCustomError:
    return PydanticCustomError("shape", "{message}", {"message": message})


_PRINTABLE = "1 to 64 printable ASCII characters, new for each use; again for each retry of it"
_HOLDS = "What is known now; compared where the rule names attributes that must hold"


class Redeem(Sent):
    """What will be done: all of it, or the digest that it has. `nonce` names this one use."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        title="Redeem as sent",
        json_schema_extra={
            "description": "Either `digest`, or what will be done: `action`, and `subject` and "
            "`params` as they were asked for."
        },
    )

    nonce: Annotated[StrictStr, AfterValidator(_nonce), Field(description=_PRINTABLE)]
    digest: Annotated[StrictStr, AfterValidator(_digest)] | None = None
    action: OneLine | None = None
    subject: OneLine | None = None
    params: Params | None = None
    context: Annotated[dict[str, JsonValue], Field(description=_HOLDS)] = {}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.digest is None) == (self.action is None):
            message = "send either digest, or action with subject and params as they were asked for"
            raise _shape(message)
        if self.digest and (self.subject is not None or self.params is not None):
            raise _shape("subject and params belong to action; leave them out beside digest")
        return self


class ReceiptSent(Sent):
    """What was really done under a grant."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Receipt as sent")

    records: Annotated[
        StrictInt, Field(ge=0, le=MAX_RECORDS, description="How many records were touched")
    ]
    outcome: ReceiptOutcome
    note: Annotated[
        Annotated[StrictStr, AfterValidator(_note)] | None,
        Field(description="At most 500 characters, for the record; no personal data"),
    ] = None

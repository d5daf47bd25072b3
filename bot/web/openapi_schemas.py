"""The schemas of the OpenAPI document. A body's is its model's own: the two cannot differ."""

from __future__ import annotations

from typing import get_args

from pydantic import JsonValue

from approvals.act import ReceiptSent, Redeem
from approvals.answer import Json
from approvals.ask import Ask
from approvals.model import GrantStatus, ReceiptOutcome
from approvals.sent import Sent
from approvals.store.health import Durability
from bot.web.openapi_parts import (
    COUNT,
    REF,
    SENTENCES,
    STATUS,
    STATUSES,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    an_object,
)


def schemas() -> Json:
    """Every schema by its name."""
    return {
        **_sent("Ask", Ask),
        **_sent("Redeem", Redeem),
        **_sent("Receipt", ReceiptSent),
        "Request": _request_schema(),
        "Decision": _decision_schema(),
        "Grant": _grant_schema(),
        "GrantAnswer": _grant_answer_schema(),
        "Problem": _problem_schema(),
        "Ready": _ready_schema(),
        "NotReady": _not_ready_schema(),
    }


def _sent(name: str, body: type[Sent]) -> Json:
    """A body's schema under its name, and those of its parts."""
    whole: Json = body.model_json_schema(ref_template=REF + "{model}")
    parts = whole.pop("$defs", {})
    return {name: whole, **(parts if isinstance(parts, dict) else {})}


def _request_schema() -> Json:
    finding = an_object({"pointer": TEXT, "kind": TEXT})
    return an_object(
        {
            "id": TEXT,
            "status": {**STATUS, "description": "pending, then exactly one of the others"},
            "delivery": {"type": "string", "enum": ["queued", "presented", "undeliverable"]},
            "revision": {"type": "integer", "minimum": 1},
            "service": TEXT,
            "action": TEXT,
            "requester": an_object({"id": TEXT}),
            "digest": TEXT,
            "salt": TEXT_OR_NULL,
            "created_at": TIME,
            "expires_at": TIME,
            "presented_at": TIME_OR_NULL,
            "policy": an_object({"version": TEXT, "rule": TEXT, "why": TEXT}),
            "approvals": an_object({"needed": COUNT, "given": COUNT}),
            "context_ignored": {"type": "array", "items": TEXT},
            "text_findings": {"type": "array", "items": finding},
            "decision": {"anyOf": [{"$ref": REF + "Decision"}, {"type": "null"}]},
            "grant": {"anyOf": [{"$ref": REF + "Grant"}, {"type": "null"}]},
        },
        closed=False,  # later issues add members; nothing here changes its meaning
    )


def _decision_schema() -> Json:
    via: Json = {"type": "string", "enum": ["slack", "teams", "console", "cli"]}
    by: Json = {"type": "array", "items": an_object({"person": TEXT, "via": via})}
    final: list[JsonValue] = [status for status in STATUSES if status != "pending"]
    return an_object(
        {
            "outcome": {"type": "string", "enum": final},
            "at": TIME,
            "by": by,
            "reason": TEXT_OR_NULL,
            "rule": TEXT_OR_NULL,
        }
    )


def _grant_schema() -> Json:
    return an_object(_grant_members(), closed=False)


def _grant_answer_schema() -> Json:
    """A grant by itself. What a redeem adds to it is there after a redeem alone."""
    members = {**_grant_members(), "request_id": TEXT}
    ignored: Json = {
        "type": "array",
        "items": TEXT,
        "description": "After a redeem: the context attributes that the service may not assert",
    }
    told = an_object(members, closed=False)
    return {**told, "properties": {**members, "context_ignored": ignored}}


def _grant_members() -> Json:
    statuses: list[JsonValue] = list(get_args(GrantStatus))
    outcomes: list[JsonValue] = list(get_args(ReceiptOutcome))
    receipt = an_object(
        {"records": COUNT, "outcome": {"type": "string", "enum": outcomes}, "at": TIME}
    )
    return {
        "id": TEXT,
        "status": {"type": "string", "enum": statuses},
        "expires_at": TIME,
        "uses_left": COUNT,
        "receipt_due_at": {
            **TIME_OR_NULL,
            "description": "Null where none is due, or it was given",
        },
        "receipt": {"anyOf": [receipt, {"type": "null"}]},
        "token": {
            **TEXT_OR_NULL,
            "description": "A JWT (ES256) while the grant is active, and in the answer to a redeem",
        },
    }


def _problem_schema() -> Json:
    members: Json = {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
    }
    errors: Json = {
        "type": "array",
        "items": an_object({"pointer": TEXT, "message": TEXT}),
        "description": "Where it is fields that are wrong: each, by its JSON pointer",
    }
    decision: Json = {"$ref": REF + "Decision", "description": "Of already-final: who was first"}
    limit: Json = {
        "type": "string",
        "enum": ["per_minute", "per_requester"],
        "description": "Of rate-limited: which limit was reached",
    }
    others: Json = {
        "errors": errors,
        "decision": decision,
        "limit": limit,
        "most": {**COUNT, "description": "Of rate-limited and too-many-pending: the limit itself"},
        "grant": {
            "type": "object",
            "description": "Of a grant that opens nothing any more: as it stands, without a token",
        },
        "changed": {
            "type": "array",
            "items": TEXT,
            "description": "Of context-changed: the attributes that no longer hold",
        },
        "pending": {**COUNT, "description": "Of too-many-pending: how many wait"},
    }
    return {**an_object(members, closed=False), "properties": {**members, **others}}


def _state_of_readiness() -> Json:
    choice: list[JsonValue] = list(get_args(Durability))
    return {
        "policy": an_object({"version": TEXT}),
        "durability": {"type": "string", "enum": choice},
    }


def _ready_schema() -> Json:
    members: Json = {"status": {"const": "ready"}, **_state_of_readiness()}
    return {
        **an_object(members, closed=False),
        "properties": {**members, "warnings": SENTENCES},
    }


def _not_ready_schema() -> Json:
    members = {**_state_of_readiness(), "faults": SENTENCES, "warnings": SENTENCES}
    return {"allOf": [{"$ref": REF + "Problem"}, {"properties": members}]}

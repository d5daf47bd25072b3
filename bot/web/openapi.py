"""The OpenAPI 3.1 document, written by hand where the framework does not see our raw bodies.

The body's schema is the model's own, so that the two cannot differ. Each call names the problems
that it may answer; a test provokes every one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import get_args

from pydantic import JsonValue

from approvals.answer import Json
from approvals.ask import Ask
from approvals.errors import (
    ActionNotAllowed,
    AlreadyFinal,
    BodyTooLarge,
    CallbackNotAllowed,
    IdempotencyConflict,
    InvalidRequest,
    MalformedJson,
    NoApproverReachable,
    NotConfirmed,
    NotFound,
    NotJson,
    PlacetError,
    RateLimited,
    StoreFull,
    StoreUnavailable,
    TooManyPending,
    Unauthorized,
    UnknownAction,
    UnknownRequester,
)
from approvals.model import Status
from approvals.store.health import Durability
from bot.web import problems
from bot.web.problems import KINDS, slug
from bot.web.quotas import DESCRIBED

_REF = "#/components/schemas/"
_TEXT: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_TIME: Json = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
_SENTENCES: Json = {"type": "array", "items": _TEXT}
_COUNT: Json = {"type": "integer", "minimum": 0}
_STATUSES: list[JsonValue] = list(get_args(Status))
_STATUS: Json = {"type": "string", "enum": _STATUSES}

Problem = tuple[int, str]  # status and code
# What comes before a call's own rules, or in spite of them.
ANYWHERE: tuple[Problem, ...] = (
    (400, "malformed_request"),
    (413, "body_too_large"),
    (431, "request_header_fields_too_large"),
    (500, "internal_error"),
    (503, "too_many_connections"),
)
_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    429: {
        "Retry-After": {
            "description": "Seconds after which it may be taken",
            "schema": {"type": "integer", "minimum": 1},
        },
        **DESCRIBED,
    },
    503: {
        "Retry-After": {
            "description": "Seconds, where trying again may help",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
# A full store takes no new requests, and all else.
_AGAIN = "the one that this key and body opened, or with `reuse_pending` one that asks the same"
_KEYED = (Unauthorized, StoreUnavailable, NotConfirmed)


def document(version: str) -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Placet",
            "version": version,
            "description": "Ask for permission before an action on personal data.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"apiKey": []}],
        "paths": {
            "/v1/requests": {"post": _open(), "get": _list()},
            "/v1/requests/{request_id}": {
                "parameters": [_path_parameter()],
                "get": _show(),
                "delete": _cancel(),
            },
            "/healthz": {"get": _healthz()},
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _metrics()},
            "/.well-known/jwks.json": {"get": _jwks()},
        },
        "components": {
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`plc_<key id>_<secret>`; a key belongs to one service",
                }
            },
            "schemas": _schemas(),
        },
    }


def _open() -> Json:
    key = _parameter("Idempotency-Key", "header", {**_TEXT, "minLength": 1, "maxLength": 255})
    key["description"] = "Printable ASCII. The same key and body answer the same request again"
    path: Json = {"description": "The request's path", "schema": _TEXT}
    place: Json = {"Location": path, **DESCRIBED}
    return {
        "operationId": "openRequest",
        "summary": "Ask for an approval",
        "parameters": [key],
        "requestBody": {"required": True, "content": _content({"$ref": _REF + "Ask"})},
        "responses": {
            "201": {
                **_request_answer("The request, pending or decided by a rule at once"),
                "headers": place,
            },
            "200": {**_request_answer("A request of before: " + _AGAIN), "headers": place},
            **_problems(
                *_told(*_KEYED, StoreFull, MalformedJson, NotJson, BodyTooLarge, InvalidRequest),
                *_told(UnknownAction, ActionNotAllowed, UnknownRequester, CallbackNotAllowed),
                *_told(NoApproverReachable, IdempotencyConflict, RateLimited, TooManyPending),
                (408, "request_timeout"),
            ),
        },
    }


def _list() -> Json:
    limit: Json = {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
    page: Json = {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": _REF + "Request"}},
            "next_cursor": _TEXT_OR_NULL,
        },
    }
    return {
        "operationId": "listRequests",
        "summary": "The caller's requests, newest first",
        "parameters": [
            _parameter("status", "query", _STATUS),
            _parameter("action", "query", _TEXT),
            _parameter("limit", "query", limit),
            _parameter("cursor", "query", _TEXT),
        ],
        "responses": {
            "200": {"description": "One page", "content": _content(page)},
            **_problems(*_told(*_KEYED, InvalidRequest)),
        },
    }


def _show() -> Json:
    wait = _parameter("wait", "query", {"type": "integer", "minimum": 1, "maximum": 60})
    wait["description"] = "Answer when the request is final or undeliverable, at last after so long"
    return {
        "operationId": "showRequest",
        "summary": "One request",
        "parameters": [wait],
        "responses": {
            "200": _request_answer("The request"),
            **_problems(*_told(*_KEYED, NotFound, InvalidRequest)),
        },
    }


def _cancel() -> Json:
    return {
        "operationId": "cancelRequest",
        "summary": "Take a pending request back",
        "responses": {
            "200": _request_answer("The request, now cancelled"),
            **_problems(*_told(*_KEYED, NotFound, AlreadyFinal)),
        },
    }


def _healthz() -> Json:
    alive = _object({"status": {"const": "alive"}})
    return _open_to_all(
        "healthz",
        "Whether the process is alive, whatever the store does",
        {"200": {"description": "Alive", "content": _content(alive)}, **_problems()},
    )


def _readyz() -> Json:
    ready: Json = {"description": "Ready", "content": _content({"$ref": _REF + "Ready"})}
    responses = _problems((503, "not_ready"), shape="NotReady")
    return _open_to_all("readyz", "Whether decisions can be taken", {"200": ready, **responses})


def _metrics() -> Json:
    figures: Json = {"description": "Figures", "content": {"text/plain": {"schema": _TEXT}}}
    return _open_to_all("metrics", "Figures for Prometheus", {"200": figures, **_problems()})


def _jwks() -> Json:
    key = dict.fromkeys(("x", "y", "kid"), _TEXT)
    fixed: Json = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig"}
    constants: Json = {name: {"const": value} for name, value in fixed.items()}
    keys: Json = {"type": "array", "items": _object({**constants, **key})}
    published: Json = {
        "description": "The key set (RFC 7517); the first key signs",
        "headers": {"Cache-Control": {"schema": {"const": "public, max-age=300"}}},
        "content": {"application/jwk-set+json": {"schema": _object({"keys": keys})}},
    }
    summary = "Public keys of grant tokens"
    return _open_to_all("jwks", summary, {"200": published, **_problems()})


def _open_to_all(name: str, summary: str, responses: Json) -> Json:
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _parameter(name: str, place: str, schema: Json) -> Json:
    return {"name": name, "in": place, "required": False, "schema": schema}


def _path_parameter() -> Json:
    return {"name": "request_id", "in": "path", "required": True, "schema": _TEXT}


def _request_answer(description: str) -> Json:
    return {"description": description, "content": _content({"$ref": _REF + "Request"})}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _told(*kinds: type[PlacetError]) -> Iterable[Problem]:
    return ((KINDS[kind].status, kind.code) for kind in kinds)


def _problems(*own: Problem, shape: str = "Problem") -> Json:
    """The answers of a call that has these problems of its `own`, of this `shape`."""
    codes: defaultdict[int, list[str]] = defaultdict(list)
    for status, code in own:
        codes[status].append(code)
    for status, code in ANYWHERE:
        # Where a status is listed, `default` does not speak of it.
        if status in codes and code not in codes[status]:
            codes[status].append(code)
    told = {str(status): _problem(status, codes[status], shape) for status in sorted(codes)}
    others = _problem(503, [code for _, code in ANYWHERE], "Problem")
    return {**told, "default": {**others, "description": f"Of any call: {others['description']}"}}


def _problem(status: int, codes: Sequence[str], shape: str) -> Json:
    slugs = [slug(code) for code in codes]
    types: list[JsonValue] = [problems.TYPE_PREFIX + each for each in slugs]
    schema: Json = {
        "allOf": [{"$ref": _REF + shape}, {"properties": {"type": {"enum": types}}}],
    }
    told: Json = {
        "description": ", ".join(slugs),
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }
    return {**told, "headers": _HEADERS[status]} if status in _HEADERS else told


def _schemas() -> Json:
    ask: Json = Ask.model_json_schema(ref_template=_REF + "{model}")
    parts = ask.pop("$defs", {})
    inner = parts if isinstance(parts, dict) else {}
    return {
        "Ask": ask,
        **inner,
        "Request": _request_schema(),
        "Decision": _decision_schema(),
        "Grant": _grant_schema(),
        "Problem": _problem_schema(),
        "Ready": _ready_schema(),
        "NotReady": _not_ready_schema(),
    }


def _object(properties: Json, *, closed: bool = True) -> Json:
    required: list[JsonValue] = list(properties)
    told: Json = {"type": "object", "required": required, "properties": properties}
    return {**told, "additionalProperties": False} if closed else told


def _request_schema() -> Json:
    finding = _object({"pointer": _TEXT, "kind": _TEXT})
    return _object(
        {
            "id": _TEXT,
            "status": {**_STATUS, "description": "pending, then exactly one of the others"},
            "delivery": {"type": "string", "enum": ["queued", "presented", "undeliverable"]},
            "revision": {"type": "integer", "minimum": 1},
            "service": _TEXT,
            "action": _TEXT,
            "requester": _object({"id": _TEXT}),
            "digest": _TEXT,
            "salt": _TEXT_OR_NULL,
            "created_at": _TIME,
            "expires_at": _TIME,
            "presented_at": _TIME_OR_NULL,
            "policy": _object({"version": _TEXT, "rule": _TEXT, "why": _TEXT}),
            "approvals": _object({"needed": _COUNT, "given": _COUNT}),
            "context_ignored": {"type": "array", "items": _TEXT},
            "text_findings": {"type": "array", "items": finding},
            "decision": {"anyOf": [{"$ref": _REF + "Decision"}, {"type": "null"}]},
            "grant": {"anyOf": [{"$ref": _REF + "Grant"}, {"type": "null"}]},
        },
        closed=False,  # later issues add members; nothing here changes its meaning
    )


def _decision_schema() -> Json:
    via: Json = {"type": "string", "enum": ["slack", "teams", "console", "cli"]}
    by: Json = {"type": "array", "items": _object({"person": _TEXT, "via": via})}
    final: list[JsonValue] = [status for status in _STATUSES if status != "pending"]
    return _object(
        {
            "outcome": {"type": "string", "enum": final},
            "at": _TIME,
            "by": by,
            "reason": _TEXT_OR_NULL,
            "rule": _TEXT_OR_NULL,
        }
    )


def _grant_schema() -> Json:
    status: Json = {"type": "string", "enum": ["active", "used", "ended", "revoked"]}
    return _object(
        {"id": _TEXT, "status": status, "expires_at": _TIME, "uses_left": _COUNT}, closed=False
    )


def _problem_schema() -> Json:
    members: Json = {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
    }
    errors: Json = {
        "type": "array",
        "items": _object({"pointer": _TEXT, "message": _TEXT}),
        "description": "Where it is fields that are wrong: each, by its JSON pointer",
    }
    decision: Json = {"$ref": _REF + "Decision", "description": "Of already-final: who was first"}
    limit: Json = {
        "type": "string",
        "enum": ["per_minute", "per_requester"],
        "description": "Of rate-limited: which limit was reached",
    }
    others: Json = {
        "errors": errors,
        "decision": decision,
        "limit": limit,
        "most": {**_COUNT, "description": "Of rate-limited and too-many-pending: the limit itself"},
        "pending": {**_COUNT, "description": "Of too-many-pending: how many wait"},
    }
    return {**_object(members, closed=False), "properties": {**members, **others}}


def _state_of_readiness() -> Json:
    choice: list[JsonValue] = list(get_args(Durability))
    return {
        "policy": _object({"version": _TEXT}),
        "durability": {"type": "string", "enum": choice},
    }


def _ready_schema() -> Json:
    members: Json = {"status": {"const": "ready"}, **_state_of_readiness()}
    return {**_object(members, closed=False), "properties": {**members, "warnings": _SENTENCES}}


def _not_ready_schema() -> Json:
    members = {**_state_of_readiness(), "faults": _SENTENCES, "warnings": _SENTENCES}
    return {"allOf": [{"$ref": _REF + "Problem"}, {"properties": members}]}

"""The OpenAPI 3.1 document, written by hand where the framework does not see our raw bodies.

The body's schema is the model's own, so that the two cannot differ. Each call names the problems
that it may answer; a test provokes every one of them.
"""

from __future__ import annotations

from approvals.answer import Json
from approvals.errors import (
    ActionNotAllowed,
    AlreadyFinal,
    BodyTooLarge,
    CallbackNotAllowed,
    IdempotencyConflict,
    InvalidRequest,
    MalformedJson,
    NoApproverReachable,
    NotFound,
    NotJson,
    PersonalDataFound,
    RateLimited,
    SecretFound,
    StoreFull,
    TooManyPending,
    UnknownAction,
    UnknownRequester,
)
from bot.web.openapi_grants import grant_paths
from bot.web.openapi_parts import (
    KEYED,
    REF,
    STATUS,
    TEXT,
    TEXT_OR_NULL,
    an_object,
    content,
    described,
    open_to_all,
    parameter,
    told,
)
from bot.web.openapi_schemas import schemas
from bot.web.quotas import DESCRIBED

# A full store takes no new requests, and all else.
_AGAIN = "the one that this key and body opened, or with `reuse_pending` one that asks the same"


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
            **grant_paths(),
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
            "schemas": schemas(),
        },
    }


def _open() -> Json:
    key = parameter("Idempotency-Key", "header", {**TEXT, "minLength": 1, "maxLength": 255})
    key["description"] = "Printable ASCII. The same key and body answer the same request again"
    path: Json = {"description": "The request's path", "schema": TEXT}
    place: Json = {"Location": path, **DESCRIBED}
    return {
        "operationId": "openRequest",
        "summary": "Ask for an approval",
        "parameters": [key],
        "requestBody": {"required": True, "content": content({"$ref": REF + "Ask"})},
        "responses": {
            "201": {
                **_request_answer("The request, pending or decided by a rule at once"),
                "headers": place,
            },
            "200": {**_request_answer("A request of before: " + _AGAIN), "headers": place},
            **described(
                *told(*KEYED, StoreFull, MalformedJson, NotJson, BodyTooLarge, InvalidRequest),
                *told(UnknownAction, ActionNotAllowed, UnknownRequester, CallbackNotAllowed),
                *told(SecretFound, PersonalDataFound),
                *told(NoApproverReachable, IdempotencyConflict, RateLimited, TooManyPending),
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
            "items": {"type": "array", "items": {"$ref": REF + "Request"}},
            "next_cursor": TEXT_OR_NULL,
        },
    }
    return {
        "operationId": "listRequests",
        "summary": "The caller's requests, newest first",
        "parameters": [
            parameter("status", "query", STATUS),
            parameter("action", "query", TEXT),
            parameter("limit", "query", limit),
            parameter("cursor", "query", TEXT),
        ],
        "responses": {
            "200": {"description": "One page", "content": content(page)},
            **described(*told(*KEYED, InvalidRequest)),
        },
    }


def _show() -> Json:
    wait = parameter("wait", "query", {"type": "integer", "minimum": 1, "maximum": 60})
    wait["description"] = "Answer when the request is final or undeliverable, at last after so long"
    return {
        "operationId": "showRequest",
        "summary": "One request",
        "parameters": [wait],
        "responses": {
            "200": _request_answer("The request"),
            **described(*told(*KEYED, NotFound, InvalidRequest)),
        },
    }


def _cancel() -> Json:
    return {
        "operationId": "cancelRequest",
        "summary": "Take a pending request back",
        "responses": {
            "200": _request_answer("The request, now cancelled"),
            **described(*told(*KEYED, NotFound, AlreadyFinal)),
        },
    }


def _healthz() -> Json:
    alive = an_object({"status": {"const": "alive"}})
    return open_to_all(
        "healthz",
        "Whether the process is alive, whatever the store does",
        {"200": {"description": "Alive", "content": content(alive)}, **described()},
    )


def _readyz() -> Json:
    ready: Json = {"description": "Ready", "content": content({"$ref": REF + "Ready"})}
    responses = described((503, "not_ready"), shape="NotReady")
    return open_to_all("readyz", "Whether decisions can be taken", {"200": ready, **responses})


def _metrics() -> Json:
    figures: Json = {"description": "Figures", "content": {"text/plain": {"schema": TEXT}}}
    return open_to_all("metrics", "Figures for Prometheus", {"200": figures, **described()})


def _jwks() -> Json:
    key = dict.fromkeys(("x", "y", "kid"), TEXT)
    fixed: Json = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig"}
    constants: Json = {name: {"const": value} for name, value in fixed.items()}
    keys: Json = {"type": "array", "items": an_object({**constants, **key})}
    published: Json = {
        "description": "The key set (RFC 7517); the first key signs",
        "headers": {"Cache-Control": {"schema": {"const": "public, max-age=300"}}},
        "content": {"application/jwk-set+json": {"schema": an_object({"keys": keys})}},
    }
    summary = "Public keys of grant tokens"
    return open_to_all("jwks", summary, {"200": published, **described()})


def _path_parameter() -> Json:
    return {"name": "request_id", "in": "path", "required": True, "schema": TEXT}


def _request_answer(description: str) -> Json:
    return {"description": description, "content": content({"$ref": REF + "Request"})}

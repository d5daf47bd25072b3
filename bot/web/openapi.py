"""The OpenAPI 3.1 document, written by hand where the framework does not see our raw bodies.

The body's schema is the model's own, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from approvals.answer import Json
from approvals.ask import Ask
from approvals.errors import PlacetError
from bot.web import problems
from bot.web.problems import KINDS, slug

_REF = "#/components/schemas/"
_TEXT: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_TIME: Json = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_STATUS: Json = {
    "type": "string",
    "enum": ["pending", "approved", "denied", "expired", "cancelled"],
    "description": "pending, then exactly one of the others",
}
_COMMON = (400, 401, 503)


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
            "/healthz": {"get": _open_to_all("healthz", "Whether the process is alive")},
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _metrics()},
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
    key["description"] = "The same key and body answer the same request again"
    return {
        "operationId": "openRequest",
        "summary": "Ask for an approval",
        "parameters": [key],
        "requestBody": {"required": True, "content": _content({"$ref": _REF + "Ask"})},
        "responses": {
            "201": {
                **_request_answer("The request, pending or decided by a rule at once"),
                "headers": {"Location": {"schema": _TEXT}},
            },
            "200": _request_answer("The same request again"),
            **_problems(*_COMMON, 403, 408, 409, 413, 415, 422),
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
            **_problems(401, 422, 503),
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
            **_problems(401, 404, 422, 503),
        },
    }


def _cancel() -> Json:
    return {
        "operationId": "cancelRequest",
        "summary": "Take a pending request back",
        "responses": {
            "200": _request_answer("The request, now cancelled"),
            **_problems(401, 404, 409, 503),
        },
    }


def _readyz() -> Json:
    told = _open_to_all("readyz", "Whether decisions can be taken")
    told["responses"] = {
        "200": {"description": "Ready"},
        "503": _problem(["not_ready"]),
    }
    return told


def _metrics() -> Json:
    told = _open_to_all("metrics", "Figures for Prometheus")
    told["responses"] = {
        "200": {"description": "Figures", "content": {"text/plain": {"schema": _TEXT}}}
    }
    return told


def _open_to_all(name: str, summary: str) -> Json:
    responses: Json = {"200": {"description": "Yes"}}
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _parameter(name: str, place: str, schema: Json) -> Json:
    return {"name": name, "in": place, "required": False, "schema": schema}


def _path_parameter() -> Json:
    return {"name": "request_id", "in": "path", "required": True, "schema": _TEXT}


def _request_answer(description: str) -> Json:
    return {"description": description, "content": _content({"$ref": _REF + "Request"})}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _problems(*statuses: int) -> Json:
    return {str(status): _problem(_codes(status)) for status in statuses}


def _codes(status: int) -> list[str]:
    kinds: list[type[PlacetError]] = [each for each in KINDS if KINDS[each].status == status]
    return [each.code for each in kinds] or ["request_timeout"]


def _problem(codes: Sequence[str]) -> Json:
    schema: Json = {"$ref": _REF + "Problem"}
    return {
        "description": "One of " + ", ".join(slug(code) for code in codes),
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }


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
            "status": _STATUS,
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
    return _object(
        {
            "outcome": _STATUS,
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
    errors: Json = {"type": "array", "items": _object({"pointer": _TEXT, "message": _TEXT})}
    members: Json = {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
    }
    return {**_object(members, closed=False), "properties": {**members, "errors": errors}}

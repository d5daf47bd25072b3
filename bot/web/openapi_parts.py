"""What the OpenAPI document is built of: types, parameters, problems. Knows no call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import get_args

from pydantic import JsonValue

from approvals.answer import Json
from approvals.errors import NotConfirmed, PlacetError, StoreUnavailable, Unauthorized
from approvals.model import Status
from bot.web import problems
from bot.web.problems import KINDS, slug
from bot.web.quotas import DESCRIBED

REF = "#/components/schemas/"
TEXT: Json = {"type": "string"}
TEXT_OR_NULL: Json = {"type": ["string", "null"]}
TIME: Json = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
SENTENCES: Json = {"type": "array", "items": TEXT}
COUNT: Json = {"type": "integer", "minimum": 0}
STATUSES: list[JsonValue] = list(get_args(Status))
STATUS: Json = {"type": "string", "enum": STATUSES}

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
# What every call with an API key may be answered.
KEYED = (Unauthorized, StoreUnavailable, NotConfirmed)


def an_object(properties: Json, *, closed: bool = True) -> Json:
    """An object that has all of `properties`, and unless it may grow nothing besides."""
    required: list[JsonValue] = list(properties)
    told: Json = {"type": "object", "required": required, "properties": properties}
    return {**told, "additionalProperties": False} if closed else told


def open_to_all(name: str, summary: str, responses: Json) -> Json:
    """A call that needs no API key."""
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def parameter(name: str, place: str, schema: Json) -> Json:
    """A parameter that may be left out."""
    return {"name": name, "in": place, "required": False, "schema": schema}


def content(schema: Json) -> Json:
    """JSON of this schema."""
    return {"application/json": {"schema": schema}}


def told(*kinds: type[PlacetError]) -> Iterable[Problem]:
    """Status and code of these errors."""
    return ((KINDS[kind].status, kind.code) for kind in kinds)


def described(*own: Problem, shape: str = "Problem") -> Json:
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
        "allOf": [{"$ref": REF + shape}, {"properties": {"type": {"enum": types}}}],
    }
    told: Json = {
        "description": ", ".join(slugs),
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }
    return {**told, "headers": _HEADERS[status]} if status in _HEADERS else told

"""The calls about grants, as the OpenAPI document tells them."""

from __future__ import annotations

from approvals.answer import Json
from approvals.errors import (
    BodyTooLarge,
    ContextChanged,
    DigestMismatch,
    GrantDenied,
    GrantEnded,
    GrantExpired,
    GrantRevoked,
    GrantUsed,
    InvalidRequest,
    MalformedJson,
    NotFound,
    NotJson,
    NotRedeemed,
    PersonalDataFound,
    ReceiptExists,
    SecretFound,
)
from bot.web.openapi_parts import KEYED, REF, TEXT, content, described, told

_TEXT = (SecretFound, PersonalDataFound)
_BODY = (MalformedJson, NotJson, BodyTooLarge, InvalidRequest, NotFound)
_OVER = (GrantUsed, GrantExpired, GrantEnded, GrantRevoked)
_SLOW = (408, "request_timeout")
_GRANT: Json = {"name": "grant_id", "in": "path", "required": True, "schema": TEXT}


def grant_paths() -> Json:
    """The paths below `/v1/grants`."""
    within: Json = {"parameters": [_GRANT]}
    return {
        "/v1/grants/{grant_id}": {**within, "delete": _end()},
        "/v1/grants/{grant_id}/redeem": {**within, "post": _redeem()},
        "/v1/grants/{grant_id}/receipt": {**within, "post": _receipt()},
    }


def _redeem() -> Json:
    return {
        "operationId": "redeemGrant",
        "summary": "Act now: one use, for exactly what was approved",
        "requestBody": _body("Redeem"),
        "responses": {
            "200": _answer("The grant after this use; for a nonce sent before, its first result"),
            **described(
                *told(*KEYED, *_BODY, *_OVER, DigestMismatch, ContextChanged, GrantDenied), _SLOW
            ),
        },
    }


def _receipt() -> Json:
    return {
        "operationId": "giveReceipt",
        "summary": "Say what was really done; an active grant is over then",
        "requestBody": _body("Receipt"),
        "responses": {
            "200": _answer("The grant with its receipt"),
            **described(*told(*KEYED, *_BODY, *_TEXT, NotRedeemed, ReceiptExists), _SLOW),
        },
    }


def _end() -> Json:
    return {
        "operationId": "endGrant",
        "summary": "Give an active grant back before its time",
        "responses": {
            "200": _answer("The grant, now ended"),
            **described(*told(*KEYED, NotFound, *_OVER)),
        },
    }


def _body(name: str) -> Json:
    return {"required": True, "content": content({"$ref": REF + name})}


def _answer(description: str) -> Json:
    return {"description": description, "content": content({"$ref": REF + "GrantAnswer"})}

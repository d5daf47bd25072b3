"""Every error as an RFC 9457 answer: one table from the error's class to status and title.

What is told comes from our own words alone; nothing of the input is echoed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from approvals import errors
from approvals.errors import PlacetError, Refusal, StoreFailure
from bot.telemetry import Metrics
from bot.web.quotas import quota_headers

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:placet:problem:"
_NO_STORE = {"Cache-Control": "no-store"}

Handler = Callable[[Request, Exception], Coroutine[object, object, Response]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one class of errors is answered."""

    status: int
    title: str


KINDS: Mapping[type[PlacetError], Kind] = {
    errors.MalformedJson: Kind(400, "The body is not the JSON we accept"),
    errors.NotJson: Kind(415, "The body is not announced as JSON"),
    errors.BodyTooLarge: Kind(413, "The body is too large"),
    errors.InvalidRequest: Kind(422, "Some fields are wrong"),
    errors.SecretFound: Kind(422, "A text holds a secret"),
    errors.PersonalDataFound: Kind(422, "A text holds personal data"),
    errors.Unauthorized: Kind(401, "No valid API key"),
    errors.UnknownPerson: Kind(401, "Nobody known"),
    errors.NotAllowed: Kind(403, "A right is missing"),
    errors.NotFound: Kind(404, "Not found"),
    errors.NotYours: Kind(404, "Not found"),
    errors.ActionNotAllowed: Kind(403, "The service may not ask for this action"),
    errors.UnknownAction: Kind(422, "The action is not in the catalogue"),
    errors.UnknownRequester: Kind(422, "The requester is not known"),
    errors.NoApproverReachable: Kind(422, "Too few people may decide this"),
    errors.CallbackNotAllowed: Kind(422, "The callback URL is not the service's"),
    errors.IdempotencyConflict: Kind(409, "The idempotency key was used for another body"),
    errors.RateLimited: Kind(429, "Too many requests in a minute"),
    errors.TooManyPending: Kind(429, "Too many requests are pending"),
    errors.NotApprover: Kind(403, "Not an approver of this request"),
    errors.OwnRequest: Kind(403, "Nobody decides their own request"),
    errors.AlreadyFinal: Kind(409, "The request is final"),
    errors.AlreadyReviewed: Kind(409, "Already reviewed by this person"),
    errors.NotReviewed: Kind(409, "Not viewed before approving"),
    errors.StaleRevision: Kind(409, "What was viewed has changed"),
    errors.DeniedByPolicy: Kind(409, "Policy denies this"),
    errors.GrantDenied: Kind(403, "Policy denies this now"),
    errors.ReasonRequired: Kind(422, "A reason is required"),
    errors.GrantUsed: Kind(409, "The grant is used"),
    errors.GrantExpired: Kind(409, "The grant's time is up"),
    errors.GrantEnded: Kind(409, "The grant was ended early"),
    errors.GrantRevoked: Kind(409, "The grant was revoked"),
    errors.DigestMismatch: Kind(422, "This is not what was approved"),
    errors.ContextChanged: Kind(403, "The context has changed"),
    errors.NotRedeemed: Kind(409, "The grant was never redeemed"),
    errors.ReceiptExists: Kind(409, "The grant has its receipt"),
    errors.StoreUnavailable: Kind(503, "The store is unavailable"),
    errors.StoreFull: Kind(503, "The store is full"),
    errors.NotConfirmed: Kind(503, "Recorded, but not confirmed"),
}
_RETRY_AFTER_S = {errors.StoreUnavailable: 1, errors.StoreFull: 30, errors.NotConfirmed: 1}
_REMEDIES = {
    404: "There is nothing at this path; /openapi.json lists what there is.",
    405: "This path does not know the method; the Allow header lists those it knows.",
    408: "The body did not arrive in time; send it at once.",
}


def slug(code: str) -> str:
    """An error's code as its problem type ends: with hyphens."""
    return code.replace("_", "-")


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    facts: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer in problem+json; `facts` join it and never replace a standard member."""
    told = {
        **(facts or {}),
        "type": TYPE_PREFIX + slug(code),
        "title": title,
        "status": status,
        "detail": detail,
    }
    return Response(to_json(told), status, {**_NO_STORE, **(headers or {})}, MEDIA_TYPE)


def from_error(error: PlacetError) -> Response:
    """The answer to one of our own errors; what the table does not list is our own fault."""
    kind = next((KINDS[each] for each in type(error).__mro__ if each in KINDS), None)
    if kind is None:
        return internal_error()
    facts: dict[str, object] = dict(error.facts) if isinstance(error, Refusal) else {}
    if isinstance(error, Refusal) and error.findings:
        facts["errors"] = [
            {"pointer": finding.pointer, "message": finding.message} for finding in error.findings
        ]
    return problem(
        kind.status, error.code, kind.title, error.detail, facts=facts, headers=_headers(error)
    )


def internal_error() -> Response:
    """The answer when the fault is ours; the log has more."""
    detail = "Placet made a mistake; nothing can be said about the outcome. Ask again."
    return problem(500, "internal_error", "An error inside Placet", detail)


def handlers(metrics: Metrics) -> dict[int | type[Exception], Handler]:
    """What the framework must call for every kind of exception."""

    async def on_placet_error(_: Request, error: Exception) -> Response:
        if isinstance(error, StoreFailure):
            metrics.store_failed(error.code)
        return from_error(error) if isinstance(error, PlacetError) else internal_error()

    return {
        PlacetError: on_placet_error,
        HTTPException: _on_http_exception,
        ClientDisconnect: _on_disconnect,
        Exception: _on_exception,
    }


async def _on_http_exception(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return internal_error()
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    # The framework's own detail may quote the input.
    detail = _REMEDIES.get(error.status_code, f"{phrase}.")
    return problem(error.status_code, code, phrase, detail, headers=error.headers)


async def _on_disconnect(_: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody is left to read it


async def _on_exception(_: Request, _error: Exception) -> Response:
    return internal_error()


def _headers(error: PlacetError) -> dict[str, str]:
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.UnknownPerson):
        return {"WWW-Authenticate": "Placet-Person"}
    if isinstance(error, errors.Throttled):
        return {"Retry-After": str(error.retry_after), **quota_headers(error.quotas)}
    seconds = next((s for kind, s in _RETRY_AFTER_S.items() if isinstance(error, kind)), None)
    return {} if seconds is None else {"Retry-After": str(seconds)}

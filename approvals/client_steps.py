"""The calls that a service makes, as steps for a driver: ask, wait, redeem, account for it.

Each is a generator over the tries of one call (`client_exchange`). Says what is sent and what
answer is sound; knows no socket.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict, TypeVar

from approvals.client_answers import GRANT_ID, REQUEST_ID, Grant, Json, Request, WrongShape
from approvals.client_errors import (
    About,
    BadAnswer,
    ClientError,
    GrantRefused,
    NotDecided,
    NotSendable,
    Refused,
    Undeliverable,
    Unreachable,
    no_approval,
)
from approvals.client_exchange import BRIEF, Call, Exchange, Patience, Pause, Steps, encoded

LONGEST_HOLD_S = 60  # for which Placet holds a question
GRACE_S = 60.0  # so long after its end Placet has surely said so
_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")  # an Idempotency-Key
_NONCE = re.compile(r"[!-~]{1,64}")

T = TypeVar("T")
WhenUndeliverable = Literal["raise", "wait"]


class Details(TypedDict, total=False):
    """The optional fields of a request; docs/for-services.md says what each means."""

    ticket: str
    purpose: str
    record_count: int
    data_classes: Sequence[str]
    expires_in: int
    grant_ttl: int
    callback_url: str
    reuse_pending: bool
    requester_name: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What a service asks for. Its repr holds nothing personal."""

    action: str
    requester: str
    justification: str = field(repr=False)
    subject: str | None = field(repr=False)
    params: Mapping[str, Any] | None = field(repr=False)
    details: Details = field(repr=False, default_factory=Details)


class Conversation:
    """The calls of CONTRACT section 1, each with safe retries: the same bytes, asked once."""

    def __init__(
        self, patience: Patience, clock: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._exchange = Exchange(patience, clock, jitter)

    def open(
        self, wish: Wish, context: Mapping[str, Any] | None, idempotency_key: str | None
    ) -> Steps[Request]:
        """Asks; every try sends the same bytes under the same key, so people are asked once."""
        about = About(action=wish.action)
        key = idempotency_key or secrets.token_urlsafe(24)
        _check(_KEY, key, about, "the idempotency key is not 1 to 255 printable ASCII letters")
        call = self._call("POST", "/v1/requests", about, _asked(wish, context), key)
        try:
            return _read(Request.read, (yield from self._exchange.carry_out(call, about)), about)
        except Unreachable as error:
            error.idempotency_key = key
            raise

    def show(
        self, request_id: str, hold_s: int = 0, patience: Patience | None = None
    ) -> Steps[Request]:
        """The request as it stands; with `hold_s`, as soon as it is final, at the latest then."""
        about = _about_request(request_id)
        path = f"/v1/requests/{request_id}" + (f"?wait={hold_s}" if hold_s else "")
        call = self._call("GET", path, about)
        patience = patience or self._patience
        longer = replace(patience, total_s=patience.total_s + hold_s)
        call = replace(call, timeout_s=call.timeout_s + hold_s)
        request = _read(
            Request.read, (yield from self._exchange.carry_out(call, about, longer)), about
        )
        if request.id != request_id:
            raise BadAnswer(about, "the answer is another request")
        return request

    def wait(
        self, request: Request, timeout: float | None, undeliverable: WhenUndeliverable
    ) -> Steps[Request]:
        """Waits for the approval and answers it; any other outcome, and none, is an error.

        Without `timeout` it waits until Placet has surely ended the request. An outage of Placet
        is waited out as long as there is time.
        """
        about = _about(request)
        until = self._clock() + (_lifetime(request) if timeout is None else timeout)
        failure: ClientError = NotDecided(
            about, "not decided in time", "Do not act; wait once more, or cancel it"
        )
        while request.is_pending:
            if request.delivery == "undeliverable" and undeliverable == "raise":
                step = "Do not act; cancel it, or wait it out; tell an admin"
                raise Undeliverable(about, "no channel took it to an approver", step)
            before = self._clock()
            if (left := until - before) <= 0:
                raise failure
            hold = max(1, math.ceil(min(LONGEST_HOLD_S, left)))
            # A try that hangs must not outlive by much who waits here.
            total_s = min(self._patience.total_s, max(left, BRIEF.total_s))
            try:
                request = yield from self.show(
                    request.id, hold, replace(self._patience, total_s=total_s)
                )
            except Unreachable as error:
                failure = error
            if request.is_pending and self._clock() - before < hold:  # answered, or failed, early
                yield Pause(max(0.0, min(1.0, until - self._clock())))
        if request.status != "approved":
            raise no_approval(about, request)
        return request

    def cancel(self, request_id: str, patience: Patience | None = None) -> Steps[Request]:
        """Takes a pending request back. One that is cancelled already is no error."""
        about = _about_request(request_id)
        call = self._call("DELETE", f"/v1/requests/{request_id}", about)
        try:
            answer = yield from self._exchange.carry_out(call, about, patience)
        except Refused as error:
            if error.slug == "already-final" and error.outcome == "cancelled":
                return (
                    yield from self.show(request_id, 0, patience)
                )  # a first try whose answer was lost
            raise
        return _read(Request.read, answer, about)

    def redeem(
        self,
        grant: str | Request,
        *,
        action: str,
        subject: str | None,
        params: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        nonce: str | None = None,
    ) -> Steps[Grant]:
        """Takes one use of the grant for what will be done now. Nothing else permits to act."""
        grant_id, about = _grant_of(grant)
        nonce = nonce or secrets.token_hex(16)
        _check(_NONCE, nonce, about, "the nonce is not 1 to 64 printable ASCII letters")
        act = {"subject": subject, "params": params, "context": context}
        sent = {"action": action, "nonce": nonce, **_given(act)}
        call = self._call("POST", f"/v1/grants/{grant_id}/redeem", about, sent)
        try:
            answer = yield from self._exchange.carry_out(call, about)
        except Unreachable as error:
            error.nonce = nonce
            raise
        redeemed = _own_grant(grant_id, answer, about)
        if redeemed.status not in ("active", "used"):
            raise BadAnswer(about, "the answer to redeem is a grant that is over")
        return redeemed

    def receipt(
        self,
        grant: str | Request,
        *,
        records: int,
        outcome: str,
        note: str | None,
        patience: Patience | None = None,
    ) -> Steps[Grant]:
        """Says what was really done. The same receipt twice is one."""
        grant_id, about = _grant_of(grant)
        sent = {"records": records, "outcome": outcome, **_given({"note": note})}
        call = self._call("POST", f"/v1/grants/{grant_id}/receipt", about, sent)
        try:
            answer = yield from self._exchange.carry_out(call, about, patience)
        except Refused as error:
            if error.slug != "receipt-exists" or not _is_given(sent, error.facts):
                raise
            answer = error.facts["grant"]  # a first try whose answer was lost
        return _own_grant(grant_id, answer, about)

    def end(self, grant: str | Request, patience: Patience | None = None) -> Steps[Grant]:
        """Ends a grant early. One that is ended already is no error."""
        grant_id, about = _grant_of(grant)
        call = self._call("DELETE", f"/v1/grants/{grant_id}", about)
        try:
            answer = yield from self._exchange.carry_out(call, about, patience)
        except GrantRefused as error:
            if error.slug != "grant-ended" or not isinstance(error.facts.get("grant"), dict):
                raise
            answer = error.facts["grant"]
        return _own_grant(grant_id, answer, about)

    def _call(
        self, method: str, path: str, about: About, sent: object = None, key: str | None = None
    ) -> Call:
        body = None if sent is None else encoded(sent, about)
        return Call(method, path, self._patience.timeout_s, body, key)


def _asked(wish: Wish, context: Mapping[str, Any] | None) -> dict[str, Any]:
    """The body of a request, without what was not given."""
    details = dict(wish.details)
    requester = _given({"id": wish.requester, "name": details.pop("requester_name", None)})
    return _given(
        {
            "action": wish.action,
            "requester": requester,
            "justification": wish.justification,
            "subject": wish.subject,
            "params": wish.params,
            "context": context,
            **details,
        }
    )


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _about(request: Request) -> About:
    return About(action=request.action, request_id=request.id)


def _about_request(request_id: str) -> About:
    _check(REQUEST_ID, request_id, About(), "the request's id is none")
    return About(request_id=request_id)


def _grant_of(given: str | Request) -> tuple[str, About]:
    """A grant by its id, or by the approved request: then errors name the request."""
    if isinstance(given, Request):
        if given.grant is None:
            raise NotSendable(_about(given), f"it is {given.status}, so there is no grant")
        return given.grant.id, _about(given)
    _check(GRANT_ID, given, About(), "the grant's id is none")
    return given, About(grant_id=given)


def _check(pattern: re.Pattern[str], value: str, about: About, fault: str) -> None:
    if not pattern.fullmatch(value):
        raise NotSendable(about, fault)


def _lifetime(request: Request) -> float:
    """Until it has surely ended, by the difference of two of Placet's times: no clock is shared."""
    return (request.expires_at - request.created_at).total_seconds() + GRACE_S


def _read(reader: Callable[[object], T], data: Json, about: About) -> T:
    fault = ""
    try:
        return reader(data)
    except WrongShape as error:
        fault = str(error)
    raise BadAnswer(about, f"the answer has no sound `{fault}`")


def _own_grant(grant_id: str, data: Json, about: About) -> Grant:
    grant = _read(Grant.read, data, about)
    if grant.id != grant_id:
        raise BadAnswer(about, "the answer is another grant")
    if about.request_id and data.get("request_id", about.request_id) != about.request_id:
        raise BadAnswer(about, "the answer is a grant of another request")
    return grant


def _is_given(sent: Mapping[str, object], facts: Json) -> bool:
    """Whether the receipt that Placet has is the one that was sent."""
    grant = facts.get("grant")
    receipt = grant.get("receipt") if isinstance(grant, dict) else None
    if not isinstance(receipt, dict):
        return False
    return all(receipt.get(name) == sent[name] for name in ("records", "outcome"))

"""Why a service may not act: every failure of the client, each with what to do next.

ClientError                  about which request, the cause, the next step; no personal data
├── NotApproved              there is an outcome, and it is no approval; see `request`
│   ├── Denied
│   ├── Expired
│   └── Cancelled
├── NotDecided               the caller's time is up, the request is still pending
├── Undeliverable            pending, and no approver could be told
├── Refused                  Placet refuses the call; `slug`, `status`, `findings`, `facts`
│   └── GrantRefused         the grant does not open this, or nothing any more
├── Unreachable              no answer after all tries; the outcome is unknown
│   └── Unavailable          answers, but cannot do it now; `status`, `slug` and `facts`
├── BadAnswer                an answer that is not Placet's, or not of the shape agreed
├── ReceiptFailed            the action is done, and its receipt is not recorded
└── NotSendable              what the calling code gave cannot be sent, or not safely
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from approvals.client_answers import Json, Problem, Request
from approvals.errors import PlacetError

ANEW = "Do not act; ask anew if it is still needed"
CODE = "Do not act; mend the calling code"
ADMIN = "Do not act; ask an admin of Placet"
AGAIN = "Do not act; make the same call again"
LATER = "Do not act; make the same call again later"
NEXT_STEPS: Mapping[str, str] = {
    "malformed-json": CODE,
    "not-json": CODE,
    "body-too-large": "Do not act; send less",
    "invalid-request": "Do not act; mend the fields that `findings` name",
    "unauthorized": "Do not act; check the API key, which may have run out",
    "not-allowed": ADMIN,
    "not-found": "Do not act; check the id and that the API key is of the same service",
    "action-not-allowed": "Do not act; ask an admin to add the action to the service's entry",
    "unknown-action": "Do not act; mend the action, or ask an admin to add it to the catalogue",
    "unknown-requester": "Do not act; ask an admin to add the requester",
    "no-approver-reachable": "Do not act; ask an admin to name more approvers",
    "callback-not-allowed": "Do not act; mend `callback_url`, or ask an admin to admit it",
    "secret-found": "Do not act; take the secret out of the text",
    "personal-data-found": "Do not act; take the personal data out of the text",
    "idempotency-conflict": "Do not act; take a new idempotency key for a new wish",
    "already-final": "Go by the decision that there is",
    "denied-by-policy": "Do not act; a rule now in force forbids it, and the grant is revoked",
    "grant-used": "Do not act again; ask anew for another time",
    "grant-expired": ANEW,
    "grant-ended": ANEW,
    "grant-revoked": "Do not act; somebody took the permission back",
    "digest-mismatch": "Do not act; redeem with the action, subject and params that were approved",
    "context-changed": "Do not act; ask anew in the context as it is now",
    "not-redeemed": "Redeem before you act; a receipt follows a redeem",
    "receipt-exists": "Nothing; the receipt that was given first stands",
    "rate-limited": "Do not act; ask less often",
    "too-many-pending": "Do not act; wait for requests that are open, or cancel some",
    "store-unavailable": AGAIN,
    "store-full": LATER,
    "not-confirmed": AGAIN,
    "too-many-connections": LATER,
    "internal-error": LATER,
}  # of what services' calls may be answered; what is not listed goes by its class
GRANT_SLUGS = frozenset(
    {
        "grant-used",
        "grant-expired",
        "grant-ended",
        "grant-revoked",
        "digest-mismatch",
        "context-changed",
        "denied-by-policy",
    }
)


@dataclass(frozen=True, slots=True)
class About:
    """What a call is about, for messages: the request, else the grant, else the action."""

    otherwise: str = "Placet's client"
    action: str | None = None
    request_id: str | None = None
    grant_id: str | None = None

    def __str__(self) -> str:
        if self.request_id:
            return f"Request {self.request_id}"
        if self.grant_id:
            return f"Grant {self.grant_id}"
        return f"Action {self.action}" if self.action else self.otherwise


class ClientError(PlacetError):
    """Base of all the client's errors: do not act. Holds no subject, params or justification."""

    code = "client_error"

    def __init__(self, about: About, cause: str, next_step: str) -> None:
        super().__init__(f"{about}: {cause}. {next_step}.")
        self.about = about
        self.cause = cause
        self.next_step = next_step

    @property
    def request_id(self) -> str | None:
        """The request's id, once it has one."""
        return self.about.request_id

    def __reduce__(self) -> tuple[Callable[..., ClientError], tuple[object, ...]]:
        """For task queues and process pools, which wait for ever on an error they cannot copy."""
        return _copied, (type(self), str(self), vars(self))


def _copied(kind: type[ClientError], message: str, members: dict[str, object]) -> ClientError:
    """As it was: each kind is made from other things than its message."""
    error = kind.__new__(kind, message)
    vars(error).update(members)
    return error


class NotApproved(ClientError):
    """There is an outcome, and it is no approval. `request.decision` has the reason."""

    code = "not_approved"

    def __init__(self, about: About, cause: str, next_step: str, request: Request) -> None:
        super().__init__(about, cause, next_step)
        self.request = request


class Denied(NotApproved):
    code = "denied"


class Expired(NotApproved):
    code = "expired"


class Cancelled(NotApproved):
    code = "cancelled"


class NotDecided(ClientError):
    """Nobody has decided in the caller's time. A time-out is never an approval."""

    code = "not_decided"


class Undeliverable(ClientError):
    """No channel took the request; approvers may still find it on the page or command line."""

    code = "undeliverable"


class Refused(ClientError):
    """Placet refuses the call, and the same call again will not help."""

    code = "refused_by_placet"

    def __init__(self, about: About, problem: Problem) -> None:
        super().__init__(about, problem.told, NEXT_STEPS.get(problem.slug, CODE))
        self.slug = problem.slug
        self.status = problem.status
        self.findings = problem.findings
        self.facts = problem.facts

    @property
    def outcome(self) -> str | None:
        """Of `already-final`, what the request has ended as."""
        decision = self.facts.get("decision")
        outcome = decision.get("outcome") if isinstance(decision, dict) else None
        return outcome if isinstance(outcome, str) else None


class GrantRefused(Refused):
    """The grant does not open this, or nothing any more; `slug` says why."""

    code = "grant_refused"


class Unreachable(ClientError):
    """No answer after all tries: whether Placet did it is unknown.

    `idempotency_key` (of `request`) and `nonce` (of `redeem`) make a later call the same call.
    """

    code = "unreachable"

    def __init__(self, about: About, cause: str, next_step: str = AGAIN) -> None:
        super().__init__(about, cause, next_step)
        self.idempotency_key: str | None = None
        self.nonce: str | None = None


class Unavailable(Unreachable):
    """Placet, or what stands in front of it, answers that it cannot do it now.

    `slug` and `facts` are Placet's own: of `rate-limited` which `limit`, for one.
    """

    code = "unavailable"

    def __init__(self, about: About, cause: str, status: int, problem: Problem | None) -> None:
        self.status = status
        self.slug = problem.slug if problem else None
        self.facts: Json = problem.facts if problem else {}
        super().__init__(about, cause, NEXT_STEPS.get(self.slug or "", LATER))


class BadAnswer(ClientError):
    """What answers is not Placet, or does not keep to the contract. Nothing of it is told."""

    code = "bad_answer"

    def __init__(self, about: About, cause: str) -> None:
        step = "Do not act; check Placet's address and what stands between"
        super().__init__(about, cause, step)


class ReceiptFailed(ClientError):
    """The action is done, and its receipt is not recorded: Placet counts it as missing."""

    code = "receipt_failed"

    def __init__(self, error: ClientError) -> None:
        step = "The action is done, so do not do it again; call `receipt` once more"
        super().__init__(error.about, f"its receipt is not recorded ({error.cause})", step)
        self.error = error


class NotSendable(ClientError):
    """What the calling code gave cannot be sent, or not safely. The value is not told."""

    code = "not_sendable"

    def __init__(self, about: About, cause: str) -> None:
        super().__init__(about, cause, CODE)


def refusal(about: About, problem: Problem) -> Refused:
    """The error for Placet's own refusal."""
    kind = GrantRefused if problem.slug in GRANT_SLUGS else Refused
    return kind(about, problem)


def no_approval(about: About, request: Request) -> NotApproved:
    """The error for a final request that is not approved. Its words may name people: not told."""
    reason = request.reason_code
    if request.status == "denied":
        by = "by policy" if request.is_by_policy else "by an approver"
        step = "Do not act; tell the requester, `request.decision` has the reason"
        return Denied(about, f"denied {by}", step, request)
    if request.status == "expired":
        return Expired(about, f"expired undecided ({reason})", ANEW, request)
    return Cancelled(about, f"cancelled ({reason})", ANEW, request)

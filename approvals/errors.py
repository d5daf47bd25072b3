"""Every refusal and failure of Placet, each with a stable code.

PlacetError
├── Refusal                    the caller, or the person, can mend it
│   ├── MalformedJson          the body is not the JSON we accept
│   ├── NotJson                the body is announced as something else
│   ├── BodyTooLarge           more than 32 KiB
│   ├── InvalidRequest         fields are wrong; `findings` name each
│   │   └── FoundInText         a text holds what it may not
│   │       ├── SecretFound         a secret, whatever policy says
│   │       └── PersonalDataFound   personal data, where policy refuses it
│   ├── WrongField             the configuration does not admit what one field holds
│   │   ├── ActionNotAllowed   the service's entry lacks the action
│   │   ├── UnknownAction      policy does not list the action
│   │   ├── UnknownRequester   the requester maps to no person
│   │   └── CallbackNotAllowed the callback URL is not the service's
│   ├── Unauthorized           no valid API key
│   ├── UnknownPerson          nobody known, where a person has to say who they are
│   ├── NotAllowed             a right is missing
│   ├── NotFound               no such thing, or not the caller's
│   │   └── NotYours           another service's, which the audit learns and the caller does not
│   ├── NoApproverReachable    who may decide cannot give what is needed
│   ├── IdempotencyConflict    the key was used for another body
│   ├── Throttled              too much was asked; later it is taken
│   │   ├── RateLimited        in a minute
│   │   └── TooManyPending     for one requester, and not decided yet
│   ├── NotApprover            this person may not decide this request
│   ├── OwnRequest             nobody decides their own request
│   ├── AlreadyFinal           somebody, or time, was first
│   ├── AlreadyReviewed        this person has voted
│   ├── NotReviewed            an approval without a view
│   ├── StaleRevision          what was viewed has changed
│   ├── DeniedByPolicy         a deny rule now in force
│   │   └── GrantDenied        the same, found at redeem: the grant is revoked
│   ├── ReasonRequired         a denial without a reason
│   ├── GrantOver              the grant opens nothing any more
│   │   ├── GrantUsed          all its uses are made
│   │   ├── GrantExpired       its time is up
│   │   ├── GrantEnded         its service ended it early
│   │   └── GrantRevoked       a person, or a new deny rule, took it back
│   ├── DigestMismatch         what will be done is not what was approved
│   ├── ContextChanged         what had to hold since the opening does not
│   ├── NotRedeemed            a receipt for what was never begun
│   └── ReceiptExists          the grant has its receipt
├── StoreFailure               the store could not do it; nothing counts as done
│   ├── StoreUnavailable       unreachable, busy, or the outcome is unknown
│   ├── StoreFull              no memory left for new requests
│   └── NotConfirmed           recorded, but the replicas have not confirmed it
├── StoreRefused               the store is not fit to start with; the message names the remedy
├── OtherKey                   this process holds another key than its deployment
└── ConfigurationInvalid       the files hold faults; `issues` name each
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from approvals.quota import Limit, Quota

MOST_FINDINGS = 20  # a body of thousands of faults must not cost an answer of thousands


class PlacetError(Exception):
    """Base of all our errors: a stable `code` and a `detail` for people, free of personal data."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one field. `pointer` is a JSON pointer (RFC 6901); the value never appears."""

    pointer: str
    message: str


class Refusal(PlacetError):
    """The caller, or the person, can mend it. `facts` join the answer as members of their own.

    `findings` name the fields that are wrong, where it is fields.
    """

    code = "refused"

    def __init__(
        self,
        detail: str,
        *,
        facts: Mapping[str, object] | None = None,
        findings: Sequence[Finding] = (),
    ) -> None:
        super().__init__(detail)
        self.facts: Mapping[str, object] = facts or {}
        self.findings = tuple(findings)


class MalformedJson(Refusal):
    code = "malformed_json"


class NotJson(Refusal):
    code = "not_json"


class BodyTooLarge(Refusal):
    code = "body_too_large"


class InvalidRequest(Refusal):
    """Fields are wrong. `findings` name the first 20 faults; the last of them counts the rest.

    `more` are faults that were counted, but not made into findings.
    """

    code = "invalid_request"

    def __init__(self, findings: Sequence[Finding], *, more: int = 0) -> None:
        count = len(findings) + more
        told, rest = list(findings[:MOST_FINDINGS]), count - MOST_FINDINGS
        detail = f"{count} fields are wrong; see errors." if count > 1 else _said(told[0])
        if rest > 0:
            told[-1] = Finding(told[-1].pointer, f"{told[-1].message} (and {rest} more faults)")
        super().__init__(detail, findings=told)


def _said(finding: Finding) -> str:
    return f"{finding.pointer}: {finding.message}." if finding.pointer else f"{finding.message}."


class FoundInText(InvalidRequest):
    """A text holds what it may not. `found` are the kinds; what was found stands nowhere."""

    def __init__(self, findings: Sequence[Finding], found: Sequence[str]) -> None:
        super().__init__(findings)
        self.found = tuple(found)


class SecretFound(FoundInText):
    code = "secret_found"


class PersonalDataFound(FoundInText):
    code = "personal_data_found"


class WrongField(Refusal):
    """One field holds what the configuration does not admit: which one, what, and the remedy."""

    def __init__(self, pointer: str, message: str, remedy: str) -> None:
        super().__init__(f"{pointer} {message}. {remedy}.", findings=[Finding(pointer, message)])
        self.message = message


class Unauthorized(Refusal):
    code = "unauthorized"


class UnknownPerson(Refusal):
    code = "unauthorized"


class NotAllowed(Refusal):
    code = "not_allowed"


class NotFound(Refusal):
    code = "not_found"


class NotYours(NotFound):
    """Another service's. Told like what does not exist; only the audit tells them apart."""


class ActionNotAllowed(WrongField):
    code = "action_not_allowed"


class UnknownAction(WrongField):
    code = "unknown_action"


class UnknownRequester(WrongField):
    code = "unknown_requester"


class NoApproverReachable(Refusal):
    code = "no_approver_reachable"


class CallbackNotAllowed(WrongField):
    code = "callback_not_allowed"


class IdempotencyConflict(Refusal):
    code = "idempotency_conflict"


class Throttled(Refusal):
    """Too much was asked; after `retry_after` seconds it may be taken. Nothing was opened."""

    code = "throttled"

    def __init__(
        self,
        detail: str,
        *,
        limit: Limit,
        retry_after: int,
        quotas: Sequence[Quota] = (),
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, facts=facts)
        self.limit: Limit = limit
        self.retry_after = retry_after
        self.quotas = tuple(quotas)


class RateLimited(Throttled):
    """`facts` hold `limit`, by its key in services.yaml, and `most`."""

    code = "rate_limited"


class TooManyPending(Throttled):
    """`facts` hold how many are `pending`, and `most`."""

    code = "too_many_pending"


class NotApprover(Refusal):
    code = "not_approver"


class OwnRequest(Refusal):
    code = "own_request"


class AlreadyFinal(Refusal):
    """Somebody, or time, was first. `facts` hold `status` and `decision`."""

    code = "already_final"


class AlreadyReviewed(Refusal):
    code = "already_reviewed"


class NotReviewed(Refusal):
    code = "not_reviewed"


class StaleRevision(Refusal):
    code = "stale_revision"


class DeniedByPolicy(Refusal):
    code = "denied_by_policy"


class GrantDenied(DeniedByPolicy):
    """A deny rule now in force forbids what was approved; the grant is revoked."""


class ReasonRequired(Refusal):
    code = "reason_required"


class GrantOver(Refusal):
    """The grant opens nothing any more. `facts` hold `grant`, as it stands."""

    code = "grant_over"


class GrantUsed(GrantOver):
    code = "grant_used"


class GrantExpired(GrantOver):
    code = "grant_expired"


class GrantEnded(GrantOver):
    code = "grant_ended"


class GrantRevoked(GrantOver):
    code = "grant_revoked"


class DigestMismatch(Refusal):
    code = "digest_mismatch"


class ContextChanged(Refusal):
    """`facts` hold `changed`: the attributes that no longer hold, by name."""

    code = "context_changed"


class NotRedeemed(Refusal):
    code = "not_redeemed"


class ReceiptExists(Refusal):
    """`facts` hold `grant` with the receipt that was given."""

    code = "receipt_exists"


class StoreFailure(PlacetError):
    """The store could not do it. Whoever waits is told so, and nothing counts as done."""

    code = "store_unavailable"


class StoreUnavailable(StoreFailure):
    code = "store_unavailable"


class StoreFull(StoreFailure):
    code = "store_full"


class NotConfirmed(StoreFailure):
    code = "not_confirmed"


class StoreRefused(PlacetError):
    """The store is not fit to start with. The message names setting, value and remedy."""

    code = "store_refused"


class OtherKey(PlacetError):
    """Entries and marks made with this key would fit nothing that is there."""

    code = "other_key"


class Place(Protocol):
    """A fault with its place in a file; `policy/issues.py` has the real one."""

    def __str__(self) -> str: ...


class ConfigurationInvalid(PlacetError):
    """The configuration holds faults. `issues` name every one with file, line and remedy."""

    code = "configuration_invalid"

    def __init__(self, issues: Sequence[Place]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = tuple(issues)

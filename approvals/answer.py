"""A request as others see it: the shape of CONTRACT section 1, for answers and for callbacks.

Pure: the record in, plain JSON data out. The two shapes differ in what a callback may not carry.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from pydantic import JsonValue

from approvals.model import ApprovalRequest, Decision, Grant, Receipt

Json = dict[str, JsonValue]


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as every time we tell."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def answer(request: ApprovalRequest, token: str | None = None, said: str | None = None) -> Json:
    """The request for its own service: with the digest's salt, the token, and what its denier said.

    `said` is None where nobody is heard.
    """
    decision = own_decision(request, said)
    told = {**callback_data(request), "salt": request.salt, "decision": decision}
    if request.grant:
        told["grant"] = {**grant_data(request, request.grant), "token": token}
    return told


def grant_answer(request: ApprovalRequest, grant: Grant, token: str | None) -> Json:
    """A grant by itself for its own service; `token` is None where it opens nothing."""
    return {**grant_data(request, grant), "request_id": request.id, "token": token}


def callback_data(request: ApprovalRequest) -> Json:
    """The request as a callback carries it: no salt, no token, nobody's words."""
    asked, policy = request.asked, request.policy
    return {
        "id": request.id,
        "status": request.status,
        "delivery": request.delivery,
        "revision": request.revision,
        "service": request.service,
        "action": asked.action,
        "requester": {"id": asked.requester.id},
        "digest": request.digest,
        "created_at": moment(request.created_at),
        "expires_at": moment(request.expires_at),
        "presented_at": moment(request.presented_at) if request.presented_at else None,
        "policy": {"version": policy.version, "rule": policy.rule, "why": policy.why},
        "approvals": {"needed": _needed(request), "given": len(request.approvals)},
        "context_ignored": list(asked.context_ignored),
        "text_findings": [{"pointer": f.pointer, "kind": f.kind} for f in asked.findings],
        "decision": public_decision(request),
        "grant": grant_data(request, request.grant) if request.grant else None,
    }


def own_decision(request: ApprovalRequest, said: str | None) -> Json | None:
    """The decision as its own service hears it: where a person denied it, in their words."""
    decision = request.decision
    return decision_data(decision, words=said or decision.reason) if decision else None


def is_denied_by_person(request: ApprovalRequest) -> bool:
    """Whether somebody denied it in their own words, and no rule did."""
    decision = request.decision
    return decision is not None and decision.outcome == "denied" and bool(decision.by)


def public_decision(request: ApprovalRequest) -> Json | None:
    """The decision without a person's words: a denial by a person reads `denied_by_approver`."""
    decision = request.decision
    return decision_data(decision, words=decision.reason) if decision else None


def decision_data(decision: Decision, *, words: str | None) -> Json:
    """`{outcome, at, by, reason, rule}` with `words` as the reason."""
    return {
        "outcome": decision.outcome,
        "at": moment(decision.at),
        "by": [{"person": who.person, "via": who.via} for who in decision.by],
        "reason": words,
        "rule": decision.rule,
    }


def _needed(request: ApprovalRequest) -> int:
    """How many approvals it takes: none where policy decided, be it at once or by a later rule."""
    decision = request.decision
    is_denied_by_rule = decision is not None and decision.outcome == "denied" and not decision.by
    is_review = request.policy.decision == "review" and not is_denied_by_rule
    return request.policy.threshold if is_review else 0


def grant_data(request: ApprovalRequest, grant: Grant) -> Json:
    """The grant as others see it, without its token. `receipt` is null until one is given."""
    receipt, due_at = grant.receipt, receipt_due_at(request, grant)
    return {
        "id": grant.id,
        "status": grant.status,
        "expires_at": moment(grant.expires_at),
        "uses_left": grant.uses_left,
        "receipt_due_at": moment(due_at) if due_at else None,
        "receipt": _receipt(receipt) if receipt else None,
    }


def grant_story(request: ApprovalRequest, grant: Grant) -> Json:
    """`grant_data` with what became of it: when it was redeemed, and how and by whom it was closed.

    Nobody's words: a receipt's note, and what a revoker said, are the full view's alone.
    """
    closing = grant.closing
    closed: Json | None = None
    if closing:
        closed = {"at": moment(closing.at), "reason": closing.reason, "person": closing.person}
    return {
        **grant_data(request, grant),
        "redeemed_at": [moment(use.at) for use in grant.redemptions],
        "receipt_missed": grant.receipt_missed,
        "closed": closed,
    }


def receipt_due_at(request: ApprovalRequest, grant: Grant) -> datetime | None:
    """Until when the service is to say what it has done; None where it need not, or has."""
    within = request.policy.receipt_within
    if within is None or not grant.redemptions or grant.receipt:
        return None
    return grant.redemptions[-1].at + within


def receipt_missed_at(request: ApprovalRequest, grant: Grant) -> datetime | None:
    """When the first deadline for a receipt passed without one; None where none did.

    A further use gives its service more time, but only one that comes before the deadline.
    """
    within = request.policy.receipt_within
    if within is None or not grant.receipt_missed:
        return None
    times = [use.at for use in grant.redemptions]
    passed = (at + within for at, after in pairwise(times) if at + within <= after)
    return next(passed, times[-1] + within)


def _receipt(receipt: Receipt) -> Json:
    return {
        "records": receipt.records,
        "outcome": receipt.outcome,
        "at": moment(receipt.at),
    }

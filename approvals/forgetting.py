"""A request without anybody's words. Pure.

What remains of it is who decided what, and when: ids, states, times, and keyed hashes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from approvals.change import Change
from approvals.events import RequestErased
from approvals.model import (
    ERASED_WORDS,
    ApprovalRequest,
    Decision,
    Encrypted,
    Grant,
    Review,
)


def without_words(request: ApprovalRequest, now: datetime) -> ApprovalRequest:
    """`request` as it is kept from now on: no words, no salt, nothing that tells who asks alike.

    Without the salt nobody can find out by trying what the digest was made of.
    """
    asked = request.asked.model_copy(update={"personal": ERASED_WORDS, "likeness": ""})
    return request.model_copy(
        update={
            "asked": asked,
            "salt": None,
            "reviews": tuple(map(_review, request.reviews)),
            "decision": _decision(request.decision) if request.decision else None,
            "grant": _grant(request.grant) if request.grant else None,
            "erased_at": now,
        }
    )


def forget_at(request: ApprovalRequest) -> datetime | None:
    """When time itself takes the words away; None where policy keeps them, or they are gone."""
    kept, decision = request.policy.personal_retention, request.decision
    if kept is None or decision is None or request.erased_at:
        return None
    grant = request.grant
    if grant is None:
        return decision.at + kept
    if grant.status == "active":
        return None
    uses = [use.at for use in grant.redemptions]
    closed = [grant.closing.at] if grant.closing else []
    return max((decision.at, *uses, *closed)) + kept


def forget(request: ApprovalRequest, now: datetime) -> Change | None:
    """What policy's retention does; None when its time is not up."""
    due = forget_at(request)
    if due is None or now < due:
        return None
    return forgotten(Change(request, ()), RequestErased(reason="retention"), now)


def forgotten(before: Change, event: RequestErased, now: datetime) -> Change:
    """`before` with all words taken away. A decision's entry stays last: its receipt names it."""
    after = without_words(before.request, now)
    return replace(before, request=after, events=(event, *before.events), forgets=True)


def _review(review: Review) -> Review:
    return review.model_copy(update={"reason": _gone(review.reason)})


def _decision(decision: Decision) -> Decision:
    return decision.model_copy(update={"note": _gone(decision.note)})


def _grant(grant: Grant) -> Grant:
    after = grant
    if closing := grant.closing:
        closed = closing.model_copy(update={"note": _gone(closing.note)})
        after = after.model_copy(update={"closing": closed})
    if receipt := grant.receipt:
        given = receipt.model_copy(update={"note": _gone(receipt.note)})
        after = after.model_copy(update={"receipt": given})
    return after


def _gone(words: Encrypted | None) -> Encrypted | None:
    return ERASED_WORDS if words else None

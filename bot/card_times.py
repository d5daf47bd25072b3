"""When a request's card last changed its face, and when it is to be blanked. Pure.

Always from the whole record: late, repeated and reordered work comes to the same times.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from approvals.answer import receipt_missed_at
from approvals.model import ApprovalRequest, Grant


def changed_at(request: ApprovalRequest) -> datetime:
    """Since when the card is to look as it does now."""
    if request.decision is None:
        escalated = (request.created_at + step.after for step in request.escalations)
        approved = (approval.at for approval in request.approvals)
        return max((request.created_at, *approved, *escalated, *request.reminders))
    grant = request.grant
    erased = [request.erased_at] if request.erased_at else []
    used = [use.at for use in grant.redemptions] if grant else []
    closed = [grant.closing.at] if grant and grant.closing else []
    return max((request.decision.at, *used, *closed, *_receipts(request), *erased))


def blank_at(request: ApprovalRequest, retention: timedelta) -> datetime | None:
    """When the card of a final request is to be blanked; None while it is pending.

    What comes only after that, such as a late receipt, does not put it off: a blank card stays so.
    """
    if request.decision is None:
        return None
    settled = _over_at(request.grant) if request.grant else request.decision.at
    for at in sorted(_receipts(request)):
        if at < settled + retention:
            settled = max(settled, at)
    return settled + retention


def _over_at(grant: Grant) -> datetime:
    """When the access is over, or will be: of what is open nobody loses sight."""
    if grant.closing:
        # Time's end may be noticed late, which must not move what was known before.
        return min(grant.closing.at, grant.expires_at)
    return grant.redemptions[-1].at if grant.status == "used" else grant.expires_at


def _receipts(request: ApprovalRequest) -> Iterator[datetime]:
    grant = request.grant
    if grant is None:
        return
    if grant.receipt:
        yield grant.receipt.at
    if missed_at := receipt_missed_at(request, grant):
        yield missed_at

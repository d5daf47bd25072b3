"""What time does to a pending request before its deadline: reminders and escalations. Pure.

Both count from the opening. A step that would come at the deadline or after it never comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from approvals.change import Change
from approvals.events import RequestEscalated, RequestReminded
from approvals.model import ApprovalRequest

Step = tuple[datetime, RequestEscalated | RequestReminded]


def next_step(request: ApprovalRequest) -> datetime | None:
    """When the next step is due; None when none is left."""
    return min((at for at, _ in _steps_left(request)), default=None)


def take_steps(request: ApprovalRequest, now: datetime) -> Change:
    """Every step that is due by now, in one change. Who counts them finds each once."""
    due = sorted((step for step in _steps_left(request) if step[0] <= now), key=lambda one: one[0])
    events = tuple(event for _, event in due)
    escalated = sum(event.type == "request.escalated" for event in events)
    counts = {
        "escalated": request.escalated + escalated,
        "reminded": request.reminded + len(events) - escalated,
    }
    # A step that would be committed at the deadline gives way to the expiry.
    return Change(request.model_copy(update=counts), events, valid_before=request.expires_at)


def _steps_left(request: ApprovalRequest) -> Iterator[Step]:
    for at, step in _all_steps(request):
        done = request.escalated if step.type == "request.escalated" else request.reminded
        if at < request.expires_at and step.step > done:
            yield at, step


def _all_steps(request: ApprovalRequest) -> Iterator[Step]:
    opened, policy = request.created_at, request.policy
    for number, escalation in enumerate(policy.escalations, start=1):
        escalated = RequestEscalated(
            step=number, groups=escalation.groups, notify=escalation.notify
        )
        yield opened + escalation.after, escalated
    for number, after in enumerate(policy.reminders, start=1):
        yield opened + after, RequestReminded(step=number)

"""The lists of the page for one person. Each request stands in exactly one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from approvals.inbox import Inbox
from approvals.model import ApprovalRequest, Person
from approvals.standing import may_approve

Section = Literal["waiting", "open", "granted", "reviewed", "settled"]
SECTIONS: tuple[Section, ...] = ("waiting", "open", "granted", "reviewed", "settled")
MOST_PENDING = 1000
MOST_GRANTED = 200
MOST_FINAL = 50


@dataclass(frozen=True, slots=True)
class Board:
    """Requests by section: pending ones the next to expire first, final ones the newest first."""

    sections: dict[Section, list[ApprovalRequest]]


def section_of(request: ApprovalRequest, person: Person) -> Section:
    """Where a request stands for one person who may see it."""
    if not request.is_final:
        return "waiting" if may_approve(request, person) else "open"
    if request.grant and request.grant.status == "active":
        return "granted"
    is_mine = any(review.person == person.id for review in request.reviews)
    return "reviewed" if is_mine else "settled"


def order_of(request: ApprovalRequest) -> int:
    """A request's place in its section, in milliseconds; the smallest comes first."""
    return -_millis(request.decision.at) if request.decision else _millis(request.expires_at)


async def board_of(inbox: Inbox, person: Person) -> Board:
    """All lists of one person."""
    pending, granted, reviewed, recent = await asyncio.gather(
        inbox.pending(person.id, MOST_PENDING),
        inbox.granted(person.id, MOST_GRANTED),
        inbox.reviewed(person.id, MOST_FINAL),
        inbox.recent(person.id, MOST_FINAL),
    )
    found = {request.id: request for request in (*pending, *granted, *reviewed, *recent)}
    sections: dict[Section, list[ApprovalRequest]] = {section: [] for section in SECTIONS}
    for request in sorted(found.values(), key=order_of):
        sections[section_of(request, person)].append(request)
    return Board(sections)


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)

"""Which card of which request is to be drawn anew: the members of the cards queue.

Knows no card and no chat: who works a member off draws it from the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from approvals.model import ApprovalRequest, Grant, RequestId
from approvals.store.keys import Keys
from approvals.store.scripts import Write
from approvals.store.times import millis


@dataclass(frozen=True, slots=True)
class CardPlace:
    """One request's card in one place: a channel name of its frozen policy, escalations too."""

    request: RequestId
    place: str

    @property
    def member(self) -> str:
        """`<request id>|<place>`, as the queue holds it."""
        return f"{self.request}|{self.place}"


def card_place(member: str) -> CardPlace | None:
    """What a member of the queue means; None for what is none."""
    request, _, place = member.partition("|")
    return CardPlace(RequestId(request), place) if request and place else None


def writes_of_face(
    keys: Keys, before: ApprovalRequest | None, after: ApprovalRequest, at: datetime
) -> list[Write]:
    """The writes that let every card of a request be drawn anew where its face has changed.

    A request final at its opening has no card in a channel, and never gets one.
    """
    is_new = after.status == "pending" if before is None else _face(before) != _face(after)
    if not is_new or not after.places:
        return []
    places = (CardPlace(after.id, place) for place in after.places)
    due = str(millis(at))
    writes: list[Write] = [("schedule", "cards", place.member, due) for place in places]
    return [*writes, ("publish", keys.wake_channel, "cards")]


def _face(request: ApprovalRequest) -> tuple[object, ...]:
    steps = request.escalated, request.reminded  # the open stage follows from the approvals
    face = request.status, request.revision, len(request.approvals), request.erased_at
    return *face, *steps, _use(request.grant)


def _use(grant: Grant | None) -> tuple[object, ...]:
    """What became of the access. Not that time ended it: the card has told until when it holds."""
    if grant is None:
        return ()
    is_over_by_time = grant.closing is not None and grant.closing.reason == "time"
    status = "active" if is_over_by_time else grant.status
    return status, grant.receipt, grant.receipt_missed

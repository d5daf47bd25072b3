"""The pending requests of one requester of a service: how many, and which asks the same.

A sorted set each, whose members say what is asked and which request it is. A request enters it in
the commit that opens it and leaves it in the one that ends it, so that it is exact under races.
"""

from __future__ import annotations

from dataclasses import dataclass

from approvals.model import ApprovalRequest
from approvals.signing import Marks
from approvals.store.keys import Keys
from approvals.store.scripts import Room, Write


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a request joins its requester's pending ones.

    `most` there may be, None for a request that is not pending itself; with `reuses` one that asks
    the same is answered in its place.
    """

    most: int | None
    reuses: bool = False


UNLIMITED = Terms(most=None)


def room(keys: Keys, marks: Marks, request: ApprovalRequest, terms: Terms) -> Room:
    """What commit.lua has to look at before it opens the request."""
    likeness = request.asked.likeness if terms.reuses else None
    return Room(_crowd(keys, marks, request), keys.pending, terms.most, likeness)


def write_of_opened(keys: Keys, marks: Marks, request: ApprovalRequest) -> list[Write]:
    """Lets a new pending request join."""
    return [("zadd", _crowd(keys, marks, request), "0", _member(request))]


def write_of_settled(keys: Keys, marks: Marks, request: ApprovalRequest) -> list[Write]:
    """Lets a request leave that was pending until now; `request` is as it was."""
    return [("zrem", _crowd(keys, marks, request), _member(request))]


def _crowd(keys: Keys, marks: Marks, request: ApprovalRequest) -> str:
    return keys.pending_of(request.service, marks.requester(request.asked.requester.id))


def _member(request: ApprovalRequest) -> str:
    return f"{request.asked.likeness}:{request.id}"

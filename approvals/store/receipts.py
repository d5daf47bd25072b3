"""What a requester's earlier grants say of them: receipts that are missing, and those too large.

Kept per requester by a keyed hash, as lists of requests. Decides nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from approvals.model import ApprovalRequest, PersonId
from approvals.signing import Marks
from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline
from approvals.store.scripts import UnreadableRecord, Write
from approvals.store.times import from_millis, millis

MOST_COUNTED = 100
OVERUSE_COUNTS = timedelta(days=30)  # one larger receipt does not follow a person for ever


@dataclass(frozen=True, slots=True)
class Conduct:
    """What policy may ask of a requester. `unreceipted`: grants whose receipt is overdue now.

    `overuse`: receipts of the last 30 days that told of more records than were asked for; at most
    the newest hundred are counted.
    """

    unreceipted: int = 0
    overuse: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What is noted of a requester. `overuse` are the newest larger receipts, by when they came."""

    unreceipted: int
    overuse: tuple[datetime, ...]

    def conduct(self, now: datetime) -> Conduct:
        """What of it counts at `now`."""
        since = now - OVERUSE_COUNTS
        return Conduct(self.unreceipted, sum(at >= since for at in self.overuse))


class ReceiptBook:
    """Reads what the commits have noted."""

    def __init__(self, pipeline: Pipeline, keys: Keys, marks: Marks) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._marks = marks

    async def history(self, requester: str, person: PersonId | None) -> History:
        """What is noted of a requester: over all services that ask, and all of their ids.

        Raises `UnreadableRecord` where somebody else wrote what is no time: nothing opens on a
        guess of how a requester has behaved.
        """
        mark = _mark(self._marks, requester, person)
        newest = ("ZREVRANGE", self._keys.overuse(mark), 0, MOST_COUNTED - 1, "WITHSCORES")
        unreceipted, overuse = await asyncio.gather(
            self._pipeline.run("ZCARD", self._keys.unreceipted(mark)),
            self._pipeline.run(*newest),
        )
        times = cast("list[bytes]", overuse or [])[1::2]
        return History(cast("int", unreceipted or 0), tuple(map(_time, times)))


def writes_of_receipt(
    keys: Keys, marks: Marks, before: ApprovalRequest | None, after: ApprovalRequest, at: datetime
) -> list[Write]:
    """The writes that note a receipt missed, given late, or larger than asked."""
    if before is None:
        return []
    requester = after.asked.requester
    mark = _mark(marks, requester.id, requester.person)
    writes: list[Write] = []
    if after.is_unreceipted and not before.is_unreceipted:
        writes.append(("zadd", keys.unreceipted(mark), str(millis(at)), after.id))
    if before.is_unreceipted and not after.is_unreceipted:
        writes.append(("zrem", keys.unreceipted(mark), after.id))
    if after.is_overused and not before.is_overused:
        writes.append(("zadd", keys.overuse(mark), str(millis(at)), after.id))
    return writes


def _time(score: bytes) -> datetime:
    try:
        return from_millis(score)
    except (ValueError, OverflowError):
        raise UnreadableRecord("A note of a receipt in the store cannot be read.") from None


def _mark(marks: Marks, requester: str, person: PersonId | None) -> str:
    """A person is one requester, however many ids they have."""
    return marks.conduct(f"person {person}" if person else f"machine {requester}")

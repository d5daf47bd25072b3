"""The due queue: members with a time, leased to one worker at a time.

Late, repeated and reordered work is normal here; who handles a member computes from its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvals.store.keys import Queue
from approvals.store.scripts import Claimed, Scripts

# Callbacks: longer than the longest outside call, so that no second worker starts the same work.
# Cards: longer than two such calls, a post and the edit that takes it back.
# Deadlines call nobody; a dead worker's expiries are to be visible within 5 s.
LEASES: dict[Queue, timedelta] = {
    "deadlines": timedelta(seconds=4),
    "callbacks": timedelta(seconds=15),
    "cards": timedelta(seconds=30),
}
MOST = 200


@dataclass(frozen=True, slots=True)
class DueQueue:
    """One queue. `lease` bounds how long a dead worker holds up its members."""

    scripts: Scripts
    name: Queue
    own_lease: timedelta | None = None

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts."""
        return self.own_lease or LEASES[self.name]

    async def claim(self, most: int = MOST) -> Claimed:
        """Up to `most` members that are due now, and how long until the next."""
        return await self.scripts.claim_due(self.name, most, self.lease)

    async def finish(self, member: str, lease_end: str, next_try: datetime | None = None) -> bool:
        """Gives a member back; due again at `next_try` or at the wish made meanwhile."""
        return await self.scripts.finish_due(self.name, member, lease_end, next_try)

    async def schedule(self, member: str) -> None:
        """Makes a member due now, whoever holds it; for what a commit does not schedule."""
        await self.scripts.schedule_due(self.name, member)

    async def finish_all(self, lease_end: str, next_tries: Mapping[str, datetime | None]) -> None:
        """As `finish` for several members of one claim, in one round trip."""
        await self.scripts.finish_all(self.name, lease_end, next_tries)

"""Load, decide, commit: how every use case changes a request, whoever else is at it.

Knows no rule: what follows from a record is what `decide` says.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from approvals import lifecycle
from approvals.change import Change
from approvals.errors import NotFound, NotYours, PlacetError, StoreUnavailable
from approvals.model import ApprovalRequest, Caller, RequestId
from approvals.store.records import Lease, Records, Stored
from approvals.store.scripts import Answer

MOST_TRIES = 20
_BEHIND = "The store's clock stands behind the time it has seen; nothing is opened or approved."

# None: nothing is to be changed, and the request answers for itself as it was loaded.
Decide = Callable[[Stored], Change | None]


class NothingDue(PlacetError):
    """Nothing changes; by time alone it may at `next_deadline`."""

    code = "nothing_due"

    def __init__(self, next_deadline: datetime | None = None) -> None:
        super().__init__("Nothing is due.")
        self.next_deadline = next_deadline


class Commits:
    """The one way to change a request."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def load(self, request: RequestId) -> Stored:
        """One request and the time a decision on it may use. Raises `NotFound`."""
        stored = await self._records.load(request)
        if stored is None:
            raise not_found()
        return stored

    async def change(
        self, request: RequestId, decide: Decide, lease: Lease | None = None
    ) -> ApprovalRequest:
        """Applies what `decide` says; again when somebody else was faster. Refusals pass through.

        Answers the request as it is stored then. A lease is given back in the same commit.
        """
        op = secrets.token_hex(8)
        for attempt in range(MOST_TRIES):
            stored = await self.load(request)
            change = decide(stored)
            if change is None:
                return stored.request
            answer = await self._records.commit(stored, change, op, lease)
            if answer.code == "OK":
                return answer.request
            if answer.code == "DUP":
                return (await self.load(request)).request
            if answer.code == "LATE":
                await self._let_time_pass(request)
            else:
                await before_next_try(answer, attempt)
        raise too_busy()

    async def _let_time_pass(self, request: RequestId) -> None:
        with suppress(NothingDue):  # somebody else has made visible what time did
            await self.change(request, by_time)


async def before_next_try(answer: Answer, attempt: int) -> None:
    """Waits a little, or raises `StoreUnavailable` where trying again is of no use."""
    if answer.code == "BEHIND":
        raise StoreUnavailable(_BEHIND)
    if attempt:
        await asyncio.sleep(random.uniform(0, 0.01 * attempt))  # noqa: S311 - jitter


def by_time(stored: Stored) -> Change:
    """What time alone does. Raises `NothingDue`."""
    change = lifecycle.on_deadline(stored.request, stored.now)
    if change is None:
        raise NothingDue(lifecycle.next_deadline(stored.request))
    return change


def not_found() -> NotFound:
    """There is none, or none of the caller's: nobody learns which."""
    return NotFound("There is no such request.")


def check_own(caller: Caller, request: ApprovalRequest) -> None:
    """Raises `NotYours` for another service's request: to the caller `not_found`, word for word."""
    if request.service != caller.service:
        raise NotYours(not_found().detail)


def too_busy() -> StoreUnavailable:
    """So many changes at once that none of the tries came through."""
    return StoreUnavailable("Too many changes of this request at once. Try again.")

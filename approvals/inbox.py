"""What one person may see of whose requests: the row "card facts, pending" of CONTRACT section 6.

Reads only. Who may see the details, and what they hold, is the service's matter.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import islice

from approvals.errors import NotFound
from approvals.model import ApprovalRequest, Person, PersonId, RequestId, Status
from approvals.policy.loader import Configuration
from approvals.standing import may_decide
from approvals.store.records import LOADED_AT_ONCE
from approvals.store.store import Store

Pages = AsyncGenerator[Sequence[RequestId], None]
IDS_AT_ONCE = 10_000  # of pending requests; some 300 KB
RECENT_SCAN = 1000  # records read for one list of recent requests at most


class Inbox:
    """Requests as one person may see them. `configuration` answers today's.

    Every method raises `NotAllowed` for a person of no file, and a `StoreFailure`.
    """

    def __init__(self, store: Store, configuration: Callable[[], Configuration]) -> None:
        self._records = store.records
        self._configuration = configuration

    def may_see(self, person: PersonId, request: ApprovalRequest) -> bool:
        """Whether the card facts of `request` are for this person."""
        return _may_see(self._known(person), request)

    async def one(self, person: PersonId, request: RequestId) -> ApprovalRequest:
        """One request. Raises `NotFound`, also for what this person may not see."""
        viewer = self._known(person)
        stored = await self._records.load(request)
        if stored is None or not _may_see(viewer, stored.request):
            raise NotFound("There is no such request for you to see.")
        return stored.request

    async def some(
        self, person: PersonId, wanted: Sequence[RequestId]
    ) -> dict[RequestId, ApprovalRequest]:
        """Those of several requests that this person may see."""
        viewer = self._known(person)
        found = [stored.request for stored in await self._records.load_all(wanted)]
        return {request.id: request for request in found if _may_see(viewer, request)}

    async def pending(self, person: PersonId, limit: int) -> tuple[ApprovalRequest, ...]:
        """What waits for a decision, the next to expire first."""
        viewer = self._known(person)
        return await self._first(
            limit,
            self._pages_of_pending(),
            lambda request: not request.is_final and _may_see(viewer, request),
        )

    async def reviewed(self, person: PersonId, limit: int) -> tuple[ApprovalRequest, ...]:
        """What this person has voted on, newest first."""
        self._known(person)
        return await self._first(limit, self._pages_of_reviewed(person), lambda _: True)

    async def recent(
        self, person: PersonId, limit: int, status: Status | None = None
    ) -> tuple[ApprovalRequest, ...]:
        """What has ended, as `status` or in any way, newest first, among the newest thousand of
        all services.
        """
        viewer = self._known(person)

        def is_wanted(request: ApprovalRequest) -> bool:
            has_ended = request.is_final and status in (None, request.status)
            return has_ended and _may_see(viewer, request)

        return await self._first(limit, self._pages_of_recent(), is_wanted)

    async def granted(self, person: PersonId, limit: int) -> tuple[ApprovalRequest, ...]:
        """What may still be done under an approval, newest first, among as many as `recent`."""
        viewer = self._known(person)

        def is_wanted(request: ApprovalRequest) -> bool:
            is_open = request.grant is not None and request.grant.status == "active"
            return is_open and _may_see(viewer, request)

        return await self._first(limit, self._pages_of_recent(), is_wanted)

    def _known(self, person: PersonId) -> Person:
        return self._configuration().people.listed(person)

    async def _first(
        self,
        limit: int,
        pages: Pages,
        is_wanted: Callable[[ApprovalRequest], bool],
    ) -> tuple[ApprovalRequest, ...]:
        """The first `limit` wanted ones; no page is read once they are found."""
        found: dict[RequestId, ApprovalRequest] = {}  # a list that moves may show one twice
        async with aclosing(pages):
            async for page in pages:
                requests = [stored.request for stored in await self._records.load_all(page)]
                found |= {request.id: request for request in requests if is_wanted(request)}
                if len(found) >= limit:
                    break
        return tuple(islice(found.values(), limit))

    async def _pages_of_pending(self) -> Pages:
        # All ids at once: what is decided while records are loaded would move those behind it up,
        # into a page that was read before, and hide them.
        skip = 0
        while ids := await self._records.pending(IDS_AT_ONCE, skip):
            for start in range(0, len(ids), LOADED_AT_ONCE):
                yield ids[start : start + LOADED_AT_ONCE]
            skip += len(ids)

    async def _pages_of_reviewed(self, person: PersonId) -> Pages:
        before = ""
        while page := await self._records.of_approver(person, before, LOADED_AT_ONCE):
            yield page
            before = page[-1]

    async def _pages_of_recent(self) -> Pages:
        services = self._configuration().services.all()
        lists = await asyncio.gather(
            *(self._records.of_service(service.id, "", RECENT_SCAN) for service in services)
        )
        newest = islice(
            heapq.merge(*lists, reverse=True), RECENT_SCAN
        )  # an id begins with its time
        while page := list(islice(newest, LOADED_AT_ONCE)):
            yield page


def _may_see(person: Person, request: ApprovalRequest) -> bool:
    if not person.roles.isdisjoint({"admin", "auditor"}):
        return True
    is_own = person.id in (request.asked.requester.person, request.asked.requester.owner)
    has_voted = any(review.person == person.id for review in request.reviews)
    return is_own or has_voted or may_decide(request, person)

"""A service's requests page by page, newest first, past whatever cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.model import ApprovalRequest, ServiceId, Status
from approvals.store.records import Records

PAGE_SCAN = 1000  # records read for one page at most; a page may hold fewer than asked
_LEAST_READ = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Requests, newest first. `next_cursor` is None at the end."""

    items: tuple[ApprovalRequest, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests a page holds; None leaves the matter open."""

    status: Status | None = None
    action: str | None = None

    def matches(self, request: ApprovalRequest) -> bool:
        """Whether the page holds `request`."""
        return self.status in (None, request.status) and self.action in (None, request.asked.action)


async def page_of(
    records: Records, service: ServiceId, wanted: Filter, limit: int, cursor: str | None
) -> Page:
    """At most `limit` requests that match; `cursor` is the `next_cursor` of the page before."""
    items: list[ApprovalRequest] = []
    before, scanned = cursor or "", 0
    while len(items) < limit and scanned < PAGE_SCAN:
        count = min(max(limit, _LEAST_READ), PAGE_SCAN - scanned)
        ids = await records.of_service(service, before, count)
        for stored in await records.load_all(ids):
            if wanted.matches(stored.request):
                items.append(stored.request)
            if len(items) == limit:
                return Page(tuple(items), stored.request.id)
        scanned += len(ids)
        if len(ids) < count:
            return Page(tuple(items), None)
        before = ids[-1]  # of what was asked for: the last of them may be unreadable
    return Page(tuple(items), before)

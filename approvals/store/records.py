"""Requests in the store: load one, and commit a Change as one script call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar, cast

from pydantic import ValidationError

from approvals.change import Change
from approvals.errors import NotConfirmed, StoreUnavailable
from approvals.lifecycle import next_deadline
from approvals.model import (
    ApprovalRequest,
    EntryReceipt,
    EventId,
    PersonId,
    RequestId,
    ServiceId,
    event_id,
)
from approvals.signing import Marks
from approvals.store.cards import writes_of_face
from approvals.store.crowd import UNLIMITED, Terms, room, write_of_opened, write_of_settled
from approvals.store.keys import Keys
from approvals.store.log import EntryPlace, SealedEntry, seal_entry
from approvals.store.outbox import freeze, writes_of_new
from approvals.store.pipeline import CommandRefused, Pipeline
from approvals.store.receipts import writes_of_receipt
from approvals.store.scripts import Answer, Commit, Keyed, Loaded, Scripts, UnreadableRecord, Write
from approvals.store.seals import with_seal, without_seal
from approvals.store.times import millis

_log = logging.getLogger(__name__)

Writes = list[Write]
T = TypeVar("T")
# After an unknown outcome the same operation is asked again: it counts once.
RETRY_PAUSES_S = (0.05, 0.3)
LOADED_AT_ONCE = 200
WAKE_WITHIN = timedelta(seconds=2)  # a worker sleeps at most 1 s, so later times need no wake-up


@dataclass(frozen=True, slots=True)
class Stored:
    """A request with its place in the store and the time a decision on it may use."""

    request: ApprovalRequest
    version: int
    entries: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A claimed member of the deadlines queue, given back in the same commit."""

    member: RequestId
    end: str


@dataclass(frozen=True, slots=True)
class Tried(Answer):
    """What became of a commit, and the request as it is stored where the code is OK."""

    request: ApprovalRequest


Leased = tuple[Stored, Change, Lease]


class Records:
    """Every request of one deployment."""

    def __init__(
        self, pipeline: Pipeline, scripts: Scripts, keys: Keys, audit_key: bytes, marks: Marks
    ) -> None:
        self._pipeline = pipeline
        self._scripts = scripts
        self._keys = keys
        self._audit_key = audit_key
        self._marks = marks
        self._clock_read: asyncio.Task[Loaded] | None = None

    async def now(self) -> datetime:
        """The store's time."""
        return (await self.read_clock()).now

    def read_clock(self) -> Awaitable[Loaded]:
        """Begins to read the store's time. Callers that come together share one read."""
        if self._clock_read is None or self._clock_read.done():
            self._clock_read = asyncio.create_task(self._scripts.load(self._keys.system))
        clock = asyncio.shield(self._clock_read)
        clock.add_done_callback(_mark_as_seen)
        return clock

    async def load(self, request: RequestId) -> Stored | None:
        """One request and the time, or None."""
        return self._stored(request, await self._scripts.load(self._keys.request(request)))

    async def load_all(self, requests: Sequence[RequestId]) -> list[Stored]:
        """Those of several requests that exist and can be read, in order."""
        found: list[Stored | None] = []
        for start in range(0, len(requests), LOADED_AT_ONCE):
            page = requests[start : start + LOADED_AT_ONCE]
            keys = [self._keys.request(request) for request in page]
            found += map(self._readable, page, await self._scripts.load_all(keys))
        return [stored for stored in found if stored]

    async def open(
        self,
        change: Change,
        now: datetime,
        idempotency: tuple[str, str] | None,
        terms: Terms = UNLIMITED,
        keyed: Keyed | None = None,
    ) -> Tried:
        """Commits a new request. `idempotency` is the key's mark and the body's mark.

        `keyed` is the key of the words in it.
        """
        request = change.request
        place = EntryPlace(request.id, 1, request.id, 1, now)
        commit, after = self._commit(None, change, place)
        at = room(self._keys, self._marks, request, terms)
        commit = replace(commit, room=at, keyed=keyed)
        if idempotency:
            key = self._keys.idempotency(request.service, idempotency[0])
            commit = replace(commit, idempotency=(key, f"{request.id} {idempotency[1]}"))
        return _tried(await insist(lambda: self._scripts.commit(commit)), after)

    async def commit(
        self, before: Stored, change: Change, op: str, lease: Lease | None = None
    ) -> Tried:
        """Commits a change of a loaded request."""
        commit, after = self._commit_of(before, change, op, lease)
        return _tried(await insist(lambda: self._scripts.commit(commit)), after)

    async def commit_all(self, leased: Sequence[Leased], op: str) -> list[Answer | Exception]:
        """Commits what time changes of several leased requests, in one round trip.

        Nothing is asked again here: who was not committed is still leased, and comes back.
        """
        made = [self._commit_of(before, change, op, lease) for before, change, lease in leased]
        return await self._scripts.commit_all([commit for commit, _ in made])

    async def of_service(self, service: ServiceId, before: str, limit: int) -> list[RequestId]:
        """A service's requests, newest first, older than the id `before` ('' = from the newest)."""
        return await self._newest(self._keys.by_service(service), before, limit)

    async def of_approver(self, person: PersonId, before: str, limit: int) -> list[RequestId]:
        """Requests a person has voted on, newest first, older than the id `before` as above."""
        key = self._keys.by_approver(self._marks.approver(person))
        return await self._newest(key, before, limit)

    async def of_subject(self, mark: str, before: str, limit: int) -> list[RequestId]:
        """The requests about a data subject, newest first, older than the id `before` as above."""
        return await self._newest(self._keys.by_subject(mark), before, limit)

    async def pending(self, limit: int, skip: int = 0) -> list[RequestId]:
        """Pending requests, the next to expire first, without the first `skip`."""
        reply = await self._pipeline.run("ZRANGE", self._keys.pending, skip, skip + limit - 1)
        return _ids(reply)

    async def overdue(self, by: timedelta, skip: int, limit: int) -> list[RequestId]:
        """Pending requests whose deadline passed more than `by` ago, without the first `skip`."""
        until = str(millis(await self.now() - by))
        key = self._keys.pending
        reply = await self._pipeline.run("ZRANGEBYSCORE", key, "-inf", until, "LIMIT", skip, limit)
        return _ids(reply)

    async def _newest(self, key: str, before: str, limit: int) -> list[RequestId]:
        start = f"({before}" if before else "+"
        reply = await self._pipeline.run("ZREVRANGEBYLEX", key, start, "-", "LIMIT", 0, limit)
        return _ids(reply)

    def _commit_of(
        self, before: Stored, change: Change, op: str, lease: Lease | None
    ) -> tuple[Commit, ApprovalRequest]:
        number = before.entries + 1
        place = EntryPlace(change.request.id, before.version + 1, op, number, before.now)
        return self._commit(before, change, place, lease)

    def _commit(
        self, before: Stored | None, change: Change, place: EntryPlace, lease: Lease | None = None
    ) -> tuple[Commit, ApprovalRequest]:
        event = self._event(change)
        request = change.request
        if event:
            request = request.model_copy(update={"callbacks": request.callbacks + 1})
        entries = self._seal(change, place)
        if request.is_final and not (before and before.request.is_final):
            receipt = EntryReceipt(entry=place.number + len(entries) - 1, mac=entries[-1].mac)
            request = _with_receipt(request, receipt)
        frozen = b""
        writes = self._writes(before.request if before else None, request, place.at, lease)
        if change.forgets and not request.asked.subject_mark:
            writes.append(("forget", self._keys.vault(self._marks.alone(request.id))))
        if event and change.callback:
            last = place.number + len(entries) - 1
            frozen = freeze(request, change.callback, place.at, last, entries[-1].mac)
            writes += writes_of_new(self._keys, request, event, place.at)
        commit = Commit(
            op=place.op,
            record=self._keys.request(request.id),
            expect=before.version if before else None,
            now=place.at,
            result=request.status,
            entry=place.number,
            entries=tuple(entry.text for entry in entries),
            body=self._body(request, place.version),
            frozen=frozen,
            valid_before=change.valid_before,
            guarded=change.guarded,
            writes=tuple(writes),
        )
        return commit, request

    def _stored(self, request: RequestId, loaded: Loaded) -> Stored | None:
        if not loaded.version:
            return None
        if min(loaded.version, loaded.entries) < 0:
            raise _unreadable()
        body = without_seal(self._audit_key, request, loaded.version, loaded.body)
        try:
            record = ApprovalRequest.model_validate_json(body)
        except ValidationError:
            raise _unreadable() from None
        if record.id != request:
            raise _unreadable()
        return Stored(record, loaded.version, loaded.entries, loaded.now)

    def _readable(self, request: RequestId, loaded: Loaded) -> Stored | None:
        try:
            return self._stored(request, loaded)
        except UnreadableRecord as error:
            _log.error("record cannot be read", extra={"request": request, "reason": error.detail})
            return None

    def _body(self, request: ApprovalRequest, version: int) -> bytes:
        body = request.model_dump_json(exclude_defaults=True).encode()
        return with_seal(self._audit_key, request.id, version, body)

    def _event(self, change: Change) -> EventId | None:
        if change.callback is None or change.request.asked.callback_url is None:
            return None
        return event_id(change.request.id, change.request.callbacks + 1)

    def _seal(self, change: Change, place: EntryPlace) -> list[SealedEntry]:
        return [
            seal_entry(
                self._audit_key,
                event,
                EntryPlace(place.record, place.version, place.op, place.number + i, place.at),
            )
            for i, event in enumerate(change.events)
        ]

    def _writes(
        self,
        before: ApprovalRequest | None,
        after: ApprovalRequest,
        at: datetime,
        lease: Lease | None,
    ) -> Writes:
        writes = self._lists(before, after)
        writes += self._deadline(before, after, at, lease)
        if _outlook(after) not in (None, before and _outlook(before)):
            writes.append(("publish", self._keys.settled_channel, after.id))
        writes += writes_of_receipt(self._keys, self._marks, before, after, at)
        return [*writes, *writes_of_face(self._keys, before, after, at)]

    def _lists(self, before: ApprovalRequest | None, after: ApprovalRequest) -> Writes:
        if before is not None:
            settled = after.is_final and not before.is_final
            gone: Writes = [("zrem", self._keys.pending, after.id)] if settled else []
            gone += write_of_settled(self._keys, self._marks, before) if settled else []
            return [*gone, *self._voted(before, after)]
        requester = self._marks.requester(after.asked.requester.id)
        writes: Writes = [
            ("zadd", self._keys.by_service(after.service), "0", after.id),
            ("zadd", self._keys.by_requester(requester), "0", after.id),
        ]
        if subject := after.asked.subject_mark:
            writes.append(("zadd", self._keys.by_subject(subject), "0", after.id))
        if not after.is_final:
            due = str(millis(after.expires_at))
            writes.append(("zadd", self._keys.pending, due, after.id))
            writes += write_of_opened(self._keys, self._marks, after)
        return writes

    def _voted(self, before: ApprovalRequest, after: ApprovalRequest) -> Writes:
        new = after.reviews[len(before.reviews) :]
        marks = (self._marks.approver(review.person) for review in new)
        return [("zadd", self._keys.by_approver(mark), "0", after.id) for mark in marks]

    def _deadline(
        self,
        before: ApprovalRequest | None,
        after: ApprovalRequest,
        at: datetime,
        lease: Lease | None,
    ) -> Writes:
        due = next_deadline(after)
        due_at = str(millis(due)) if due else None
        if lease:
            return [("finish", "deadlines", lease.member, lease.end, due_at)]
        if before and next_deadline(before) == due:
            return []
        if due is None or due_at is None:
            return [("unschedule", "deadlines", after.id)] if before else []
        writes: Writes = [("schedule", "deadlines", after.id, due_at)]
        if due - at < WAKE_WITHIN:
            writes.append(("publish", self._keys.wake_channel, "deadlines"))
        return writes


def _outlook(request: ApprovalRequest) -> str | None:
    """What a long-poll waits for: the end, or that nobody hears of the request; None before."""
    if request.is_final:
        return request.status
    return "undeliverable" if request.delivery == "undeliverable" else None


def _with_receipt(request: ApprovalRequest, receipt: EntryReceipt) -> ApprovalRequest:
    """A request that is final by this commit, naming the entry that tells of it."""
    if request.decision is None:
        return request
    decision = request.decision.model_copy(update={"receipt": receipt})
    return request.model_copy(update={"decision": decision})


def _tried(answer: Answer, request: ApprovalRequest) -> Tried:
    possible = answer.possible()
    return Tried(possible.code, possible.value, possible.at, request)


def _unreadable() -> UnreadableRecord:
    return UnreadableRecord("A record of the store cannot be read by this version.")


def used_key(value: str) -> tuple[RequestId, str]:
    """The request id and body mark that an idempotency record holds."""
    request, _, mark = value.partition(" ")
    if not mark:
        raise _unreadable()
    return RequestId(request), mark


def _mark_as_seen(clock: asyncio.Future[Loaded]) -> None:
    # Who began to read may have failed before it came to wait; its own error is what counts.
    if not clock.cancelled():
        clock.exception()


def _ids(reply: object) -> list[RequestId]:
    return [RequestId(member.decode()) for member in cast("list[bytes]", reply)]


async def insist(commit: Callable[[], Awaitable[T]]) -> T:
    """What `commit` answers, asked again under the same operation id after an unknown outcome."""
    for pause in RETRY_PAUSES_S:
        try:
            return await commit()
        except CommandRefused:
            # An answer, and not an unknown outcome: a repeat could find the operation half-done
            # and take it for its own.
            raise
        except (StoreUnavailable, NotConfirmed):
            await asyncio.sleep(pause)
    return await commit()

"""Callbacks as the store keeps them: bytes frozen at the decision, and what became of them.

A callback is a record of its own, so that an attempt never races a vote on its request.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from approvals.answer import callback_data, moment
from approvals.errors import NotFound
from approvals.events import CallbackAttempted, CallbackReplayed, Event
from approvals.model import (
    ApprovalRequest,
    Encrypted,
    EventId,
    Origin,
    PersonId,
    RequestId,
    ServiceId,
)
from approvals.store.keys import Keys
from approvals.store.log import EntryPlace, seal_entry
from approvals.store.pipeline import CommandRefused, Pipeline
from approvals.store.scripts import Commit, Scripts, UnreadableRecord, Write
from approvals.store.times import from_millis, millis

_log = logging.getLogger(__name__)

CallbackStatus = Literal["queued", "delivered", "refused", "dead"]
AttemptWord = Literal["delivered", "failed", "refused", "dead"]
_FIELDS = ("version", "entries", "status", "attempts", "service", "request", "url", "at", "body")


@dataclass(frozen=True, slots=True)
class Callback:
    """One event for one receiver. `body` never changes; `attempts` counts tries made."""

    id: EventId
    version: int
    entries: int
    status: CallbackStatus
    attempts: int
    service: ServiceId
    request: RequestId
    url: str
    created_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: the callback's new status, and the wait before the next one.

    The wait begins with the failure, which may be long after the claim.
    """

    word: AttemptWord
    event: CallbackAttempted
    status: CallbackStatus
    again_in: timedelta | None = None


def _callback(event: EventId, values: Sequence[bytes], body: bytes) -> Callback:
    version, entries, status, attempts, service, request, url, at = (
        value.decode() for value in values
    )
    return Callback(
        id=event,
        version=int(version or 0),
        entries=int(entries or 0),
        status=cast("CallbackStatus", status),
        attempts=int(attempts),
        service=ServiceId(service),
        request=RequestId(request),
        url=url,
        created_at=from_millis(at),
        body=body,
    )


def freeze(request: ApprovalRequest, event_type: str, at: datetime, entry: int, mac: str) -> bytes:
    """The body of CONTRACT section 1 for the request's newest callback."""
    body = {
        "type": event_type,
        "timestamp": moment(at),
        "seq": request.callbacks,
        "data": callback_data(request),
        "receipt": {"entry": entry, "mac": mac},
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def writes_of_new(
    keys: Keys, request: ApprovalRequest, event: EventId, at: datetime
) -> list[Write]:
    """The writes that put a frozen callback into its record and the queue."""
    record = keys.callback(event)
    fields = {
        "status": "queued",
        "attempts": "0",
        "service": request.service,
        "request": request.id,
        "url": request.asked.callback_url,
        "at": str(millis(at)),
        "body": None,
    }
    return [
        *(("hset", record, name, value) for name, value in fields.items()),
        ("schedule", "callbacks", event, str(millis(at))),
        ("publish", keys.wake_channel, "callbacks"),
    ]


class Outbox:
    """Reads callbacks and records what became of them."""

    def __init__(self, pipeline: Pipeline, scripts: Scripts, keys: Keys, audit_key: bytes) -> None:
        self._pipeline = pipeline
        self._scripts = scripts
        self._keys = keys
        self._audit_key = audit_key

    async def callback(self, event: EventId) -> Callback:
        """One callback. Raises `NotFound`, and `UnreadableRecord` for what is none."""
        record = self._keys.callback(event)
        reply = await self._pipeline.run("HMGET", record, *_FIELDS)
        await self._scripts.confirm(record)
        values = cast("list[bytes | None]", reply)
        body = values.pop()
        if body is None:
            raise NotFound("There is no callback with this id.")
        try:
            return _callback(event, [value or b"" for value in values], body)
        except (ValueError, OverflowError):
            raise UnreadableRecord("A callback's record cannot be read.") from None

    async def callbacks(self, events: Sequence[EventId]) -> list[Callback]:
        """Those of several that are there and can be read, in order; the others are logged."""
        found = await asyncio.gather(
            *(self.callback(event) for event in events), return_exceptions=True
        )
        callbacks = []
        for event, callback in zip(events, found, strict=True):
            if isinstance(callback, Callback):
                callbacks.append(callback)
            elif isinstance(callback, NotFound | UnreadableRecord | CommandRefused):
                _log.error("callback cannot be read", extra={"event_id": event})
            else:
                raise callback
        return callbacks

    async def record_attempt(self, callback: Callback, lease_end: str, outcome: Outcome) -> bool:
        """Writes an attempt's outcome and gives the lease back; False when another was first."""
        now = await self._now(callback.id)
        next_try = str(millis(now + outcome.again_in)) if outcome.again_in else None
        return await self._record(
            callback,
            outcome.event,
            now,
            op=f"{outcome.word}-{lease_end}",  # an overlapping worker has a lease of its own
            status=outcome.status,
            attempts=callback.attempts + 1,
            writes=(("finish", "callbacks", callback.id, lease_end, next_try),),
        )

    async def replay(
        self, callback: Callback, person: PersonId, origin: Origin, words: Encrypted
    ) -> bool:
        """Queues the same bytes again, with the whole retry schedule ahead.

        `words`, why it was asked for, stay in the record: no entry holds anybody's words.
        """
        now = await self._now(callback.id)
        writes = (
            ("hset", self._keys.callback(callback.id), "replayed_because", words),
            ("schedule", "callbacks", callback.id, str(millis(now))),
            ("publish", self._keys.wake_channel, "callbacks"),
        )
        event = CallbackReplayed(person=person, origin=origin)
        op = f"replay-{callback.version}"
        return await self._record(
            callback, event, now, op=op, status="queued", attempts=0, writes=writes
        )

    async def _now(self, event: EventId) -> datetime:
        return (await self._scripts.load(self._keys.callback(event))).now

    async def dead(self, since: datetime | None = None) -> list[EventId]:
        """The dead letters, in the order they were given up: after the last attempt, or by 410.

        Of those given up at `since` or later, where that is named.
        """
        first = str(millis(since)) if since else "-inf"
        reply = await self._pipeline.run("ZRANGEBYSCORE", self._keys.dead_callbacks, first, "+inf")
        return [EventId(event.decode()) for event in cast("list[bytes]", reply)]

    async def _record(
        self,
        callback: Callback,
        event: Event,
        now: datetime,
        *,
        op: str,
        status: CallbackStatus,
        attempts: int,
        writes: tuple[Write, ...],
    ) -> bool:
        record = self._keys.callback(callback.id)
        place = EntryPlace(callback.id, callback.version + 1, op, callback.entries + 1, now)
        list_of_dead = self._keys.dead_callbacks
        dead: tuple[str, ...] = ("zrem", list_of_dead, callback.id)
        if status in ("dead", "refused"):  # in either case the service was not told
            dead = ("zadd", list_of_dead, str(millis(now)), callback.id)
        commit = Commit(
            op=op,
            record=record,
            expect=callback.version,
            now=now,
            result=status,
            entry=place.number,
            entries=(seal_entry(self._audit_key, event, place).text,),
            writes=(
                ("hset", record, "status", status),
                ("hset", record, "attempts", str(attempts)),
                dead,
                *writes,
            ),
        )
        answer = (await self._scripts.commit(commit)).possible()
        return answer.code in ("OK", "DUP")

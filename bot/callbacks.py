"""Due callbacks become signed POSTs: retry schedule, dead letter, and no receiver delays another.

The bytes were frozen with the decision; only timestamp and signature are of the attempt.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from yarl import URL

from approvals.destinations import Destinations
from approvals.errors import NotFound
from approvals.events import CallbackAttempted
from approvals.model import EventId, ServiceId
from approvals.signing import callback_signature
from approvals.store.due import DueQueue
from approvals.store.outbox import AttemptWord, Callback, CallbackStatus, Outbox, Outcome
from bot.egress import DeliveryFailed, Egress
from bot.telemetry import Metrics

_log = logging.getLogger(__name__)

# The wait before each attempt, after the failure before it (CONTRACT section 1): 43 h in all.
_WAITS_S = (0, 2, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 36000, 86400)
SCHEDULE = tuple(timedelta(seconds=wait) for wait in _WAITS_S)
JITTER = 0.2
AT_ONCE_PER_RECEIVER = 2
WAITING_PER_RECEIVER = 100
WAIT_IN_LINE_S = 0.5  # with the attempt's own 10 s shorter than the queue's lease
SLOW = timedelta(milliseconds=500)
ASK_FOR_REST = (429, 502, 504)  # Standard Webhooks: statuses that ask for a slower pace
DEFER_BY = timedelta(milliseconds=100)
CLOSEST, FARTHEST = timedelta(milliseconds=2), timedelta(milliseconds=20)  # of those put off
LONGEST_LINE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where one service may be called back, and the live secrets that sign."""

    destinations: Destinations
    secrets: tuple[bytes, ...]


ReceiverPlace = tuple[ServiceId, str | None, int | None]
Receivers = Callable[[], Mapping[ServiceId, Receiver]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt met: a status, or the kind of failure."""

    status: int | None
    kind: str | None
    retry_after: timedelta | None
    milliseconds: int


class Line:
    """The callbacks of one receiver: two at once, some waiting a moment, the rest put off.

    Nothing waits behind a receiver that was slow or failed, and nothing waits long: so it holds
    two places of the worker's, and others for half a second at most.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE_PER_RECEIVER)
        self._waiting = 0
        self._is_slow = False
        self._apart = FARTHEST
        self._last_put_off: datetime | None = None

    async def enter(self) -> bool:
        """Takes a place, or tells that the callback is to be put off."""
        if self._places.locked() and (self._is_slow or self._waiting >= WAITING_PER_RECEIVER):
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_IN_LINE_S):
                await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def leave(self) -> None:
        """Gives the place back."""
        self._places.release()

    def learn(self, attempt: Attempt) -> None:
        """Remembers whether the receiver keeps up."""
        took = timedelta(milliseconds=attempt.milliseconds)
        self._is_slow = attempt.status in (None, *ASK_FOR_REST) or took > SLOW
        pace = FARTHEST if self._is_slow else took / AT_ONCE_PER_RECEIVER
        self._apart = min(max(pace, CLOSEST), FARTHEST)

    def later(self, now: datetime) -> datetime:
        """When a callback put off comes up again: spread at the receiver's own pace."""
        earliest = now + DEFER_BY
        last = self._last_put_off or earliest
        if last > now + LONGEST_LINE:  # made by a clock that has been put right since
            last = earliest
        self._last_put_off = max(last, earliest) + self._apart
        return self._last_put_off


class CallbackSender:
    """Delivers claimed callbacks. `receivers` answers today's configuration."""

    def __init__(
        self,
        outbox: Outbox,
        queue: DueQueue,
        egress: Egress,
        receivers: Receivers,
        metrics: Metrics,
    ) -> None:
        self._outbox = outbox
        self._queue = queue
        self._egress = egress
        self._receivers = receivers
        self._metrics = metrics
        self._lines: defaultdict[ReceiverPlace, Line] = defaultdict(Line)

    async def deliver(self, event: EventId, lease_end: str, now: datetime) -> None:
        """Makes one attempt, writes what became of it, and gives the lease back."""
        began = time.monotonic()
        try:
            callback = await self._outbox.callback(event)
        except NotFound:
            await self._queue.finish(event, lease_end)
            return
        if callback.status != "queued":
            await self._queue.finish(event, lease_end)
            return
        line = self._lines[receiver_of(callback)]
        if not await line.enter():
            waited = timedelta(seconds=time.monotonic() - began)
            await self._queue.finish(event, lease_end, line.later(now + waited))
            return
        try:
            await self._attempt(callback, lease_end, line)
        finally:
            line.leave()

    async def _attempt(self, callback: Callback, lease_end: str, line: Line) -> None:
        attempt = await self._send(callback)
        line.learn(attempt)
        outcome = judge(attempt, callback.attempts + 1)
        self._metrics.callback_attempted(outcome.word)
        _log.info(
            outcome.event.type,
            extra={
                "event_id": callback.id,
                "attempt": callback.attempts + 1,
                "status": attempt.status,
                "kind": attempt.kind,
                "milliseconds": attempt.milliseconds,
            },
        )
        await self._outbox.record_attempt(callback, lease_end, outcome)

    async def _send(self, callback: Callback) -> Attempt:
        receiver = self._receivers().get(callback.service)
        if receiver is None or not receiver.secrets:  # nothing goes out unsigned
            return Attempt(None, "no-receiver", None, 0)
        timestamp = int(time.time())
        signature = callback_signature(receiver.secrets, callback.id, timestamp, callback.body)
        headers = {
            "content-type": "application/json",
            "user-agent": "placet",
            "webhook-id": callback.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        }
        began = time.monotonic()
        try:
            reply = await self._egress.post(
                callback.service, receiver.destinations, callback.url, callback.body, headers
            )
        except DeliveryFailed as failure:
            milliseconds = round((time.monotonic() - began) * 1000)
            return Attempt(None, failure.kind, None, milliseconds)
        return Attempt(reply.status, None, reply.retry_after, reply.milliseconds)


def receiver_of(callback: Callback) -> ReceiverPlace:
    """What counts as one receiver: of one service, the place its connections go to."""
    url = URL(callback.url)  # as the egress reads it, not as it is spelt
    return callback.service, url.raw_host, url.port


def judge(attempt: Attempt, number: int) -> Outcome:
    """What attempt `number` (from 1) means: delivered, refused (410), again later, or dead."""
    status = attempt.status
    if status is not None and 200 <= status < 300:
        return _outcome(attempt, number, "delivered", "delivered")
    if status == 410:
        return _outcome(attempt, number, "refused", "refused")
    if number >= len(SCHEDULE):
        return _outcome(attempt, number, "dead", "dead")
    wait = SCHEDULE[number] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter
    wait = max(wait, attempt.retry_after or wait)
    return _outcome(attempt, number, "failed", "queued", wait)


def _outcome(
    attempt: Attempt,
    number: int,
    word: AttemptWord,
    status: CallbackStatus,
    again_in: timedelta | None = None,
) -> Outcome:
    event = CallbackAttempted(
        type=f"callback.{word}",
        attempt=number,
        status=attempt.status,
        kind=attempt.kind,
        milliseconds=attempt.milliseconds,
    )
    return Outcome(word, event, status, again_in)

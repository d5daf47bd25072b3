"""The worker half: due queues by sleeping until due or woken, and a metronome for what recurs.

Any number may run. Work may come twice or late; what is handled is computed from its record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from redis.asyncio import BlockingConnectionPool

from approvals.change import Change
from approvals.errors import PlacetError
from approvals.events import ReceiptMissed
from approvals.model import EventId, RequestId
from approvals.service import ApprovalService
from approvals.store.due import MOST, DueQueue
from approvals.store.records import Lease
from approvals.store.store import Store
from approvals.store.subscription import Subscription
from bot.callbacks import CallbackSender
from bot.notifier import Notifier
from bot.telemetry import Metrics

_log = logging.getLogger(__name__)

TOGETHER = 100  # deadlines worked off in one go, while the next ones are on their way

Handle = Callable[[Sequence[str], str, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """What a lost wake-up may cost, the pause after a failed claim, and the grace of a stop.

    What the grace cuts off comes back when its lease runs out.
    """

    longest_sleep: timedelta = timedelta(seconds=1)
    after_failure: timedelta = timedelta(milliseconds=500)
    grace: timedelta = timedelta(milliseconds=1500)


PACE = Pace()


class QueueLoop:
    """Works off one due queue: claims what is due, handles it, sleeps until the next.

    `handle` gets up to `together` members, their lease end and the claim's time, and gives the
    leases back itself. At most `at_once` calls of it are in hand.
    """

    def __init__(
        self,
        queue: DueQueue,
        handle: Handle,
        at_once: int,
        pace: Pace = PACE,
        *,
        together: int = 1,
    ) -> None:
        self._queue = queue
        self._handle = handle
        self._at_once = at_once
        self._pace = pace
        self._together = together
        # A claim a group: while one is worked on, the store is busy with the one before it.
        self._claimed_at_once = together if together > 1 else MOST
        self._in_hand: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    @property
    def name(self) -> str:
        """The queue's name, as wake-ups carry it."""
        return self._queue.name

    def wake(self) -> None:
        """Something may be due earlier than thought."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; then gives work in hand a moment to end."""
        try:
            while True:
                await self._turn()
        finally:
            await self._end_work()

    async def _turn(self) -> None:
        free = self._at_once - len(self._in_hand)
        if free == 0:
            await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
            return
        self._woken.clear()
        try:
            claimed = await self._queue.claim(min(free * self._together, self._claimed_at_once))
        except Exception as error:  # noqa: BLE001 - what one claim meets must not end the worker
            code = error.code if isinstance(error, PlacetError) else type(error).__name__
            _log.warning("claim failed", extra={"queue": self.name, "code": code})
            await asyncio.sleep(self._pace.after_failure.total_seconds())
            return
        for start in range(0, len(claimed.members), self._together):
            members = claimed.members[start : start + self._together]
            self._begin(members, claimed.lease_end, claimed.now)
        await self._sleep(claimed.wait)

    def _begin(self, members: Sequence[str], lease_end: str, now: datetime) -> None:
        task = asyncio.create_task(self._handled(members, lease_end, now))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _handled(self, members: Sequence[str], lease_end: str, now: datetime) -> None:
        try:
            await self._handle(members, lease_end, now)
        except PlacetError as error:
            # The lease runs out and the member comes back: nothing is lost by giving up here.
            first = {"code": error.code, "member": members[0]}
            _log.warning("work failed", extra={"queue": self.name, **first})
        except Exception:  # noqa: BLE001 - one member's fault must not stop the queue
            _log.exception("work failed", extra={"queue": self.name})

    async def _sleep(self, wait: timedelta | None) -> None:
        longest = self._pace.longest_sleep
        pause = longest if wait is None else min(wait, longest)
        if pause <= timedelta(0):
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._woken.wait()

    async def _end_work(self) -> None:
        if not self._in_hand:
            return
        _, late = await asyncio.wait(self._in_hand, timeout=self._pace.grace.total_seconds())
        for task in late:
            task.cancel()
        if late:  # the session it sends with is closed next
            await asyncio.wait(late)


class Worker:
    """All that happens later: expiry, grants' ends, callbacks, cards, and the safety sweep.

    Without a notifier, when no chat platform is configured, cards wait in their queue.
    """

    def __init__(
        self,
        store: Store,
        service: ApprovalService,
        sender: CallbackSender,
        wake_pool: BlockingConnectionPool,
        metrics: Metrics,
        *,
        notifier: Notifier | None = None,
    ) -> None:
        self._store = store
        self._service = service
        self._metrics = metrics

        async def deliver(members: Sequence[str], lease_end: str, now: datetime) -> None:
            for member in members:
                await sender.deliver(EventId(member), lease_end, now)

        self._loops = [
            QueueLoop(store.deadlines, self._on_deadlines, at_once=8, together=TOGETHER),
            QueueLoop(store.callbacks, deliver, at_once=512),
        ]
        if notifier:
            self._loops.append(QueueLoop(store.cards, _drawing(notifier), at_once=32))
        self._wake = Subscription(
            wake_pool, store.keys.wake_channel, heard=self._heard, gap=self._wake_all
        )

    async def run(self) -> None:
        """Works until cancelled."""
        metronome = self._metronome()
        metronome.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._wake.run())
                for loop in self._loops:
                    tasks.create_task(loop.run())
        finally:
            metronome.shutdown(wait=False)

    def _metronome(self) -> AsyncIOScheduler:
        # Its defaults drop what is late by a second: 19,716 of 20,000 jobs due at once, measured.
        metronome = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        metronome.add_job(self._check_health, "interval", seconds=5)
        # Soon: what was lost while nobody worked; not at once: what is merely late the queue has.
        soon = datetime.now(UTC) + timedelta(seconds=10)
        metronome.add_job(self._sweep, "interval", seconds=30, next_run_time=soon)
        return metronome

    async def _check_health(self) -> None:
        with suppress(asyncio.CancelledError):  # when we stop; the metronome logs it as an error
            for fault in await self._store.health.check():
                _log.error("store not fit", extra={"fault": fault})

    async def _sweep(self) -> None:
        """Makes visible each expiry that the queue has lost; normally there is none."""
        with suppress(PlacetError, asyncio.CancelledError):  # as above
            for request in await self._service.sweep():
                _log.warning("swept", extra={"request": request})

    async def _on_deadlines(self, members: Sequence[str], lease_end: str, _now: datetime) -> None:
        leases = [Lease(RequestId(member), lease_end) for member in members]
        for change in await self._service.on_deadlines(leases):
            self._count(change)

    def _count(self, change: Change) -> None:
        """What time did. Each change is answered to one worker, so each is counted once."""
        request = change.request
        if request.status == "expired" and request.decision:
            lateness = request.decision.at - request.expires_at
            self._metrics.expired(lateness.total_seconds())
        if any(isinstance(event, ReceiptMissed) for event in change.events):
            self._metrics.receipt_missed()
            _log.warning("receipt missed", extra={"request": request.id})

    def _heard(self, queue: str) -> None:
        for loop in self._loops:
            if loop.name == queue:
                loop.wake()

    def _wake_all(self) -> None:
        for loop in self._loops:
            loop.wake()


def _drawing(notifier: Notifier) -> Handle:
    async def draw(members: Sequence[str], lease_end: str, now: datetime) -> None:
        for member in members:
            await notifier.draw_member(member, lease_end, now)

    return draw

"""The worker: loops that sleep until due or woken, a stop that always stops, and the metronome."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from apscheduler.jobstores.memory import MemoryJobStore

from approvals.act import Redeem
from approvals.errors import PlacetError, StoreUnavailable
from approvals.model import Escalation
from approvals.policy.loader import Configuration
from approvals.store.due import DueQueue
from approvals.store.keys import Queue
from approvals.store.pipeline import connection_pool
from approvals.store.scripts import Claimed
from approvals.store.subscription import Subscription
from bot.telemetry import Metrics
from bot.worker import Pace, QueueLoop, Worker
from tests.approvals.samples import policy
from tests.calling_back import Postman, calling, due_callbacks, postman, working
from tests.conftest import ANNA, CRM, Engine, Placet, RealServer
from tests.servers.callback_receiver import CallbackReceiver, callback_receiver, hangs_until
from tests.stories.telling import asks, history, looks_and_votes, opens, passes, set_store_time

NOW = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)
EVER, MOMENT = timedelta(hours=1), timedelta(milliseconds=10)
SLEEPS_FOR_EVER = Pace(longest_sleep=EVER)


async def until(happened: asyncio.Event, what: str) -> None:
    try:
        async with asyncio.timeout(10):
            await happened.wait()
    except TimeoutError:
        raise AssertionError(f"it never came about that {what}") from None


def nothing(wait: timedelta | None = None) -> Claimed:
    return Claimed(NOW, wait, "1", ())


def work(*members: str, wait: timedelta | None = None) -> Claimed:
    return Claimed(NOW, wait, "1", members)


@dataclass
class PlannedQueue:
    """Answers claims as planned, and after that with nothing; remembers how much was asked for."""

    plan: deque[Claimed | PlacetError]
    name: Queue = "deadlines"
    asked: list[int] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def claim(self, most: int) -> Claimed:
        async with self._changed:
            self.asked.append(most)
            self._changed.notify_all()
        answer = self.plan.popleft() if self.plan else nothing()
        if isinstance(answer, PlacetError):
            raise answer
        return answer

    async def claimed(self, times: int) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= times)


@dataclass
class Hands:
    """Handles members: each begins, waits until it may end, and has ended."""

    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, members: Sequence[str], lease_end: str, now: datetime) -> None:
        (member,) = members
        self.begun.append(member)
        self.has_begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled.append(member)
            raise
        self.ended.append(member)


def planned(*plan: Claimed | PlacetError) -> PlannedQueue:
    return PlannedQueue(deque(plan))


def loop_over(
    queue: PlannedQueue, hands: Hands, pace: Pace = SLEEPS_FOR_EVER, at_once: int = 10
) -> QueueLoop:
    return QueueLoop(cast("DueQueue", queue), hands.handle, at_once, pace)


async def test_a_loop_sleeps_until_it_is_woken() -> None:
    queue, hands = planned(nothing(), work("a")), Hands()
    loop = loop_over(queue, hands)
    async with working(loop.run()):
        await queue.claimed(1)
        assert hands.begun == []

        loop.wake()
        await until(hands.has_begun, "work was begun")
        hands.may_end.set()

    assert hands.ended == ["a"]


async def test_a_loop_sleeps_until_the_next_member_is_due() -> None:
    queue = planned(nothing(wait=MOMENT), work("a"))
    hands = Hands()
    hands.may_end.set()
    async with working(loop_over(queue, hands).run()):
        await until(hands.has_begun, "work was begun")

    assert hands.begun == ["a"]


async def test_what_is_due_now_is_claimed_at_once_again() -> None:
    full = [work(str(number), wait=timedelta(0)) for number in range(3)]
    queue, hands = planned(*full, nothing()), Hands()
    hands.may_end.set()
    async with working(loop_over(queue, hands).run()):
        await queue.claimed(4)

    assert hands.ended == ["0", "1", "2"]


async def test_a_lost_wake_up_costs_one_sleep_and_nothing_else() -> None:
    queue, hands = planned(nothing(wait=EVER), work("a")), Hands()
    hands.may_end.set()
    async with working(loop_over(queue, hands, Pace(longest_sleep=MOMENT)).run()):
        await until(hands.has_begun, "work was begun")

    assert hands.begun == ["a"]


async def test_a_wake_up_during_a_claim_is_not_lost() -> None:
    class WokenWhileClaiming(PlannedQueue):
        async def claim(self, most: int) -> Claimed:
            answer = await super().claim(most)
            if len(self.asked) == 1:
                loop.wake()
            return answer

    queue, hands = WokenWhileClaiming(deque([nothing(), work("a")])), Hands()
    hands.may_end.set()
    loop = loop_over(queue, hands)
    async with working(loop.run()):
        await until(hands.has_begun, "work was begun")


async def test_a_store_that_cannot_be_claimed_from_is_asked_again() -> None:
    down = [StoreUnavailable("gone"), StoreUnavailable("still gone")]
    queue, hands = planned(*down, work("a")), Hands()
    hands.may_end.set()
    pace = Pace(longest_sleep=EVER, after_failure=timedelta(milliseconds=1))
    async with working(loop_over(queue, hands, pace).run()):
        await until(hands.has_begun, "work was begun")

    assert hands.begun == ["a"]


async def test_no_more_is_in_hand_than_allowed() -> None:
    queue, hands = planned(work("a", "b"), work("c")), Hands()
    loop = loop_over(queue, hands, at_once=2)
    async with working(loop.run()):
        await until(hands.has_begun, "work was begun")
        loop.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert queue.asked == [2]

        hands.may_end.set()
        await queue.claimed(2)

    assert hands.ended == ["a", "b", "c"]


@pytest.mark.parametrize("fault", [StoreUnavailable("gone"), ValueError("a bug")])
async def test_one_members_fault_stops_nothing_else(fault: Exception) -> None:
    done = asyncio.Event()

    async def handle(members: Sequence[str], lease_end: str, now: datetime) -> None:
        if members[0] == "bad":
            raise fault
        done.set()

    queue = planned(work("bad", wait=timedelta(0)), work("good"))
    async with working(QueueLoop(cast("DueQueue", queue), handle, 10, SLEEPS_FOR_EVER).run()):
        await until(done, "the good one was handled")


async def test_a_stop_lets_work_in_hand_end() -> None:
    queue, hands = planned(work("a")), Hands()
    running = asyncio.create_task(loop_over(queue, hands).run())
    await until(hands.has_begun, "work was begun")

    running.cancel()
    hands.may_end.set()
    with suppress(asyncio.CancelledError):
        await running

    assert (hands.ended, hands.cancelled) == (["a"], [])
    assert len(queue.asked) == 1


async def test_a_stop_cuts_off_what_does_not_end_in_time() -> None:
    queue, hands = planned(work("a", "b")), Hands()
    running = asyncio.create_task(loop_over(queue, hands, Pace(EVER, grace=MOMENT)).run())
    await until(hands.has_begun, "work was begun")

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert (hands.ended, sorted(hands.cancelled)) == ([], ["a", "b"])


# From here on with stores, receivers and whole workers.


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with callback_receiver() as receiver:
        yield receiver


@pytest.fixture
def configuration(tmp_path: Path, receiver: CallbackReceiver) -> Configuration:
    return calling(tmp_path / "config", receiver.port)


@pytest.fixture
async def post(placet: Placet) -> AsyncIterator[Postman]:
    async with postman(placet) as post:
        yield post


def worker_of(post: Postman, metrics: Metrics | None = None) -> Worker:
    placet = post.placet
    pool = placet.engine.pool()
    return Worker(placet.store, placet.service, post.sender, pool, metrics or Metrics())


async def test_a_decision_is_told_and_an_undecided_request_expires(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    async with working(worker_of(post).run()):
        approved = await asks(placet)
        await looks_and_votes(placet, ANNA, approved.id)
        await receiver.got(1)
        undecided = await asks(placet, expires_in=2)
        await passes(placet, undecided, timedelta(0))
        await placet.store.pipeline.run("PUBLISH", placet.store.keys.wake_channel, "deadlines")
        await receiver.got(2)

    told = [delivery.told() for delivery in receiver.deliveries]
    assert [(event["data"]["id"], event["type"]) for event in told] == [
        (approved.id, "request.approved"),
        (undecided.id, "request.expired"),
    ]


async def test_a_worker_reminds_and_escalates_each_once(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    minute = timedelta(minutes=1)
    steps = (Escalation(after=2 * minute, groups=("duty",)),)
    under = policy(remind=(minute,), escalate=steps, quick_approve=True)
    request = await opens(placet, under, ago=3 * minute)
    for _ in range(2):  # the second time nothing is due any more
        claimed = await placet.store.deadlines.claim()
        work = claimed.members, claimed.lease_end, claimed.now
        await worker_of(post)._on_deadlines(*work)

    types = [entry["type"] for entry in await history(placet, request.id)]
    assert types == ["request.opened", "request.reminded", "request.escalated"]
    assert receiver.deliveries == []


async def test_a_receipt_that_does_not_come_is_counted_once(
    placet: Placet, post: Postman, caplog: pytest.LogCaptureFixture
) -> None:
    within = timedelta(minutes=1)
    request = await opens(placet, policy(receipt_within=within))
    await looks_and_votes(placet, ANNA, request.id)
    sent = Redeem.parse({"nonce": "n1", "digest": request.digest})
    used = (await placet.service.grants.redeem(CRM, request.id, sent)).grant
    await set_store_time(placet, used.redemptions[0].at + within)
    another, figures = placet.another(), Metrics()
    async with postman(another) as second:
        for worker in (worker_of(post, figures), worker_of(second, figures)) * 2:
            claimed = await placet.store.deadlines.claim()
            await worker._on_deadlines(claimed.members, claimed.lease_end, claimed.now)

    assert 'placet_receipts_wrong_total{fault="missed"} 1.0' in figures.text().decode()
    (line,) = [record for record in caplog.records if record.getMessage() == "receipt missed"]
    assert vars(line)["request"] == request.id
    await another.store.close()


async def test_two_workers_tell_each_decision_once(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    another = placet.another()
    async with (
        postman(another) as second,
        working(worker_of(post).run()),
        working(worker_of(second).run()),
    ):
        requests = [await asks(placet, action="report.read") for _ in range(25)]
        await receiver.got(25)

    assert sorted(event.told()["data"]["id"] for event in receiver.deliveries) == sorted(
        request.id for request in requests
    )
    await another.store.close()


async def test_a_worker_that_stops_leaves_what_it_could_not_send_to_the_next(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    released = asyncio.Event()
    receiver.script.append(hangs_until(released))
    await asks(placet, action="report.read")
    async with working(worker_of(post).run()):
        await receiver.got(1)
        released.set()  # within the stop's grace

    assert await due_callbacks(placet) == []
    assert (await placet.store.callbacks.claim()).members == ()
    assert len(receiver.deliveries) == 1


def test_the_metronome_loses_no_beat_and_keeps_nothing_outside_memory() -> None:
    async def look() -> None:
        metronome = Worker._metronome(cast("Worker", _Jobs()))
        metronome.start(paused=True)
        try:
            jobs = metronome.get_jobs()
            assert len(jobs) == 2
            for job in jobs:
                assert job.coalesce is True
                assert job.max_instances == 1
                assert job.misfire_grace_time is None
            stores = metronome._jobstores
            assert [type(store) for store in stores.values()] == [MemoryJobStore]
        finally:
            metronome.shutdown(wait=False)

    asyncio.run(look())


class _Jobs:
    async def _check_health(self) -> None: ...
    async def _sweep(self) -> None: ...


# Listening: nothing that is lost stays lost, and a stop always stops.


@dataclass
class Listener:
    """What a subscription was told."""

    heard: list[str] = field(default_factory=list)
    gaps: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, message: str) -> None:
        self.heard.append(message)
        self._changed.set()

    def miss(self) -> None:
        self.gaps += 1
        self._changed.set()

    async def has(self, *, gaps: int, heard: int) -> None:
        async with asyncio.timeout(10):
            while self.gaps < gaps or len(self.heard) < heard:
                self._changed.clear()
                await self._changed.wait()


def subscription_over(engine: Engine, listener: Listener) -> Subscription:
    return Subscription(engine.pool(), engine.namespace, heard=listener.hear, gap=listener.miss)


async def test_a_subscription_hears_and_tells_of_its_first_gap(engine: Engine) -> None:
    listener = Listener()
    async with engine.client() as client, working(subscription_over(engine, listener).run()):
        await listener.has(gaps=1, heard=0)
        await client.publish(engine.namespace, "deadlines")
        await listener.has(gaps=1, heard=1)

    assert (listener.gaps, listener.heard) == (1, ["deadlines"])


async def test_a_subscription_whose_connection_is_killed_comes_back_and_tells_of_the_gap(
    real_server: RealServer,
) -> None:
    listener = Listener()
    engine = Engine("valkey", "killed-listeners", None, real_server.url)
    async with engine.client() as client, working(subscription_over(engine, listener).run()):
        for times in range(1, 4):
            await listener.has(gaps=times, heard=times - 1)
            await client.publish(engine.namespace, str(times))
            await listener.has(gaps=times, heard=times)
            await client.client_kill_filter(_type="pubsub")
        await listener.has(gaps=4, heard=3)

    assert listener.heard == ["1", "2", "3"]


async def stops(run: asyncio.Task[None]) -> bool:
    """Whether one cancellation ends it; if not, as many as are needed."""
    run.cancel()
    is_stopped = bool((await asyncio.wait({run}, timeout=2))[0])
    while not run.done():
        run.cancel()
        await asyncio.wait({run}, timeout=0.1)
    return is_stopped


async def test_a_subscription_stops_whenever_it_is_told_to(real_server: RealServer) -> None:
    """redis-py under Python 3.11 swallowed one cancellation in six while it connected."""
    deaf = []
    for steps in range(50):
        pool = connection_pool(real_server.url)
        listener = Listener()
        subscription = Subscription(pool, "stops", heard=listener.hear, gap=listener.miss)
        running = asyncio.create_task(subscription.run())
        for _ in range(steps):
            await asyncio.sleep(0)
        if not await stops(running):
            deaf.append(steps)
        await pool.aclose()

    assert deaf == []


async def test_a_subscription_stops_under_a_storm_of_messages(real_server: RealServer) -> None:
    engine = Engine("valkey", "storm", None, real_server.url)
    is_calm, chance = asyncio.Event(), random.Random(7)
    async with engine.client() as client:

        async def storms() -> None:  # ended by a flag: redis-py could swallow its cancellation
            while not is_calm.is_set():
                async with client.pipeline(transaction=False) as burst:
                    for _ in range(50):
                        burst.publish(engine.namespace, "x")
                    await burst.execute()

        storm = asyncio.create_task(storms())
        try:
            for _ in range(30):
                listener = Listener()
                running = asyncio.create_task(subscription_over(engine, listener).run())
                await listener.has(gaps=1, heard=chance.randrange(100))
                assert await stops(running)
        finally:
            is_calm.set()
            await storm


async def test_a_worker_stops_whenever_it_is_told_to(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    deaf = []
    for steps in range(0, 60, 2):
        running = asyncio.create_task(worker_of(post).run())
        for _ in range(steps):
            await asyncio.sleep(0)
        if not await stops(running):
            deaf.append(steps)

    assert deaf == []

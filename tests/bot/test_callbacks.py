"""Due callbacks: what an attempt means, when the next one comes, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from approvals.destinations import Destinations
from approvals.errors import StoreUnavailable
from approvals.model import ApprovalRequest, EventId, RequestId, event_id
from approvals.policy.loader import Configuration
from approvals.store.outbox import Callback, Outbox, Outcome
from approvals.store.times import from_millis
from bot.callbacks import (
    AT_ONCE_PER_RECEIVER,
    JITTER,
    SCHEDULE,
    Attempt,
    Line,
    Receiver,
    judge,
)
from bot.worker import Pace, QueueLoop
from tests.calling_back import (
    BILLING_SECRET,
    SECRETS_OF_CRM,
    Postman,
    calling,
    due_callbacks,
    leases_run_out,
    postman,
    working,
)
from tests.conftest import BILLING, SECRETS, Placet
from tests.servers.callback_receiver import (
    Behaviour,
    CallbackReceiver,
    answers,
    callback_receiver,
    closes_without_a_word,
    hangs_until,
    trickles_until,
)
from tests.stories.telling import asks, history

NOW = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)
# CONTRACT section 1, as people read it: the wait after the failure of each attempt.
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
WAITS = {
    1: 2 * SECOND, 2: 5 * SECOND, 3: 15 * SECOND, 4: 30 * SECOND, 5: MINUTE, 6: 2 * MINUTE,
    7: 5 * MINUTE, 8: 10 * MINUTE, 9: 30 * MINUTE, 10: HOUR, 11: 2 * HOUR, 12: 5 * HOUR,
    13: 10 * HOUR, 14: 24 * HOUR,
}  # fmt: skip
LAST = 15


def failed(status: int | None = 500, retry_after: timedelta | None = None) -> Attempt:
    return Attempt(status, None if status else "connect", retry_after, 3)


@pytest.mark.parametrize(("number", "wait"), WAITS.items())
def test_after_each_failure_the_next_try_is_due_within_a_fifth_of_its_wait(
    number: int, wait: timedelta
) -> None:
    outcomes = [judge(failed(), number) for _ in range(300)]

    waits = [outcome.again_in for outcome in outcomes if outcome.again_in]
    assert len(waits) == 300
    assert 0.8 * wait <= min(waits) < max(waits) <= 1.2 * wait
    assert {(outcome.word, outcome.status) for outcome in outcomes} == {("failed", "queued")}


def test_the_schedule_has_fifteen_attempts_within_43_hours() -> None:
    assert (timedelta(0), *WAITS.values()) == SCHEDULE
    assert 42 * HOUR < sum(SCHEDULE, timedelta(0)) < 43 * HOUR
    assert JITTER == 0.2


@pytest.mark.parametrize("status", [None, 302, 500, 429])
def test_the_failure_of_the_last_attempt_is_the_end(status: int | None) -> None:
    outcome = judge(failed(status, retry_after=MINUTE), LAST)

    assert (outcome.word, outcome.status, outcome.again_in) == ("dead", "dead", None)


@pytest.mark.parametrize("number", [1, LAST])
@pytest.mark.parametrize(
    ("status", "word"),
    [(200, "delivered"), (201, "delivered"), (204, "delivered"), (299, "delivered"),
     (410, "refused")],
)  # fmt: skip
def test_some_answers_end_it_at_once(number: int, status: int, word: str) -> None:
    outcome = judge(failed(status), number)

    assert (outcome.word, outcome.status, outcome.again_in) == (word, word, None)
    assert outcome.event.type == f"callback.{word}"


@pytest.mark.parametrize(
    "status", [None, 100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 503, 504, 599]
)
def test_every_other_answer_is_a_failure(status: int | None) -> None:
    assert judge(failed(status), 1).word == "failed"


@pytest.mark.parametrize("status", [302, 429, 503])
def test_a_longer_retry_after_replaces_the_wait_and_a_shorter_one_does_not(status: int) -> None:
    longer = judge(failed(status, retry_after=HOUR), 1)
    shorter = judge(failed(status, retry_after=timedelta(0)), 6)

    assert longer.again_in == HOUR
    assert shorter.again_in is not None
    assert shorter.again_in >= 0.8 * WAITS[6]


# From here on with real receivers.


@pytest.fixture
async def crm() -> AsyncIterator[CallbackReceiver]:
    async with callback_receiver() as receiver:
        yield receiver


@pytest.fixture
async def billing() -> AsyncIterator[CallbackReceiver]:
    async with callback_receiver() as receiver:
        yield receiver


@pytest.fixture
def configuration(
    tmp_path: Path, crm: CallbackReceiver, billing: CallbackReceiver
) -> Configuration:
    return calling(tmp_path / "config", crm.port, billing.port)


@pytest.fixture
async def post(placet: Placet) -> AsyncIterator[Postman]:
    async with postman(placet) as post:
        yield post


async def approved(placet: Placet, count: int = 1) -> list[ApprovalRequest]:
    """Requests that a rule approves: each has a callback due at once."""
    return [await asks(placet, action="report.read") for _ in range(count)]


async def callback_of(placet: Placet, request: RequestId) -> Callback:
    return await placet.store.outbox.callback(event_id(request, 1))


@pytest.mark.parametrize(
    ("header", "wait"),
    [("100", timedelta(seconds=100)), ("7200", HOUR), ("999999999", HOUR)],
)
async def test_the_receivers_retry_after_is_honoured_up_to_an_hour(
    placet: Placet, post: Postman, crm: CallbackReceiver, header: str, wait: timedelta
) -> None:
    crm.script.append(answers(503, Retry_After=header))
    (request,) = await approved(placet)

    await post.goes_round()

    ((_, due),) = await due_callbacks(placet)
    (failed,) = await history(placet, event_id(request.id, 1))
    # From the failure on, and not from the claim, which may be long before it.
    assert from_millis(due) == datetime.fromisoformat(str(failed["at"])) + wait


@pytest.mark.parametrize("header", ["0", "1", "-5", "soon", ""])
async def test_a_shorter_or_senseless_retry_after_leaves_the_schedule_as_it_is(
    placet: Placet, post: Postman, crm: CallbackReceiver, header: str
) -> None:
    crm.script.append(answers(503, Retry_After=header))
    await approved(placet)
    claimed = await placet.store.callbacks.claim()

    await post.sender.deliver(EventId(claimed.members[0]), claimed.lease_end, claimed.now)

    ((_, due),) = await due_callbacks(placet)
    (failed,) = await history(placet, EventId(claimed.members[0]))
    # From the failure on: a busy machine may take its time between the claim and it.
    wait = from_millis(due) - datetime.fromisoformat(str(failed["at"]))
    assert 0.8 * WAITS[1] <= wait <= 1.2 * WAITS[1]


async def test_each_attempt_has_its_entry_and_no_entry_holds_body_or_url(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    crm.script.extend([answers(500), closes_without_a_word, answers(200)])
    (request,) = await approved(placet)
    for _ in range(2):
        await post.goes_round()
        await post.waits_for_the_next_try()
    await post.goes_round()

    entries = await history(placet, event_id(request.id, 1))

    assert [entry["type"] for entry in entries] == [
        "callback.failed",
        "callback.failed",
        "callback.delivered",
    ]
    assert [entry["n"] for entry in entries] == [1, 2, 3]
    facts = [entry["data"] for entry in entries]
    told = [{k: v for k, v in f.items() if k != "milliseconds"} for f in facts if type(f) is dict]
    assert told == [
        {"attempt": 1, "status": 500},
        {"attempt": 2, "kind": "protocol"},
        {"attempt": 3, "status": 200},
    ]
    assert (await callback_of(placet, request.id)).attempts == 3


async def test_a_receiver_that_does_not_answer_in_time_has_failed(
    placet: Placet, crm: CallbackReceiver
) -> None:
    released = asyncio.Event()
    crm.script.append(hangs_until(released))
    (request,) = await approved(placet)

    async with postman(placet, total=timedelta(milliseconds=100)) as post:
        await post.goes_round()
    released.set()

    (entry,) = await history(placet, event_id(request.id, 1))
    data = cast("dict[str, object]", entry["data"])
    assert (data["attempt"], data["kind"]) == (1, "timeout")
    assert cast("int", data["milliseconds"]) >= 100


async def test_a_body_that_only_trickles_is_cut_off_and_the_status_counts(
    placet: Placet, crm: CallbackReceiver
) -> None:
    stopped = asyncio.Event()
    crm.script.append(trickles_until(stopped))
    (request,) = await approved(placet)

    async with postman(placet, total=timedelta(milliseconds=200)) as post:
        await post.goes_round()
    stopped.set()

    assert (await callback_of(placet, request.id)).status == "delivered"


async def test_a_service_no_longer_in_services_yaml_is_retried_until_it_is_back(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    (request,) = await approved(placet)
    gone = {**post.sender._receivers()}
    back = gone.pop(request.service)
    post.sender._receivers = lambda: gone

    await post.goes_round()

    (entry,) = await history(placet, event_id(request.id, 1))
    assert entry["data"] == {"attempt": 1, "kind": "no-receiver"}
    gone[request.service] = back
    await post.waits_for_the_next_try()
    await post.goes_round()
    assert (await callback_of(placet, request.id)).status == "delivered"


async def test_nothing_goes_out_unsigned(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    (request,) = await approved(placet)
    bare = Receiver(Destinations((crm.origin,), loopback=True), secrets=())
    post.sender._receivers = lambda: {request.service: bare}

    await post.goes_round()

    assert crm.deliveries == []
    assert (await callback_of(placet, request.id)).status == "queued"


async def test_each_service_is_signed_to_with_its_own_secrets(
    placet: Placet, post: Postman, crm: CallbackReceiver, billing: CallbackReceiver
) -> None:
    await asks(placet, action="report.read")
    await asks(placet, caller=BILLING, action="report.read")

    await post.goes_round()

    assert crm.deliveries[0].verified(SECRETS_OF_CRM[0])["data"]["service"] == "crm"
    assert billing.deliveries[0].verified(BILLING_SECRET)["data"]["service"] == "billing"
    assert billing.deliveries[0].path == "/billing"


class Forgetful(Outbox):
    """An outbox of a worker that dies between the receiver's answer and its own record."""

    async def record_attempt(self, callback: Callback, lease_end: str, outcome: Outcome) -> bool:
        raise StoreUnavailable("the worker is gone")


async def test_a_crash_between_a_good_answer_and_our_record_means_one_more_delivery_of_the_same(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    (request,) = await approved(placet)
    store = placet.store
    outbox = Forgetful(store.pipeline, store.callbacks.scripts, store.keys, SECRETS.audit)
    async with postman(placet, outbox=outbox) as dying:
        with pytest.raises(StoreUnavailable):
            await dying.goes_round()
    assert await post.goes_round() == 0  # the dead worker's lease still holds it

    await leases_run_out(placet)
    await post.goes_round()

    first, second = crm.deliveries
    assert first.id == second.id == event_id(request.id, 1)
    assert first.body == second.body
    assert (await callback_of(placet, request.id)).status == "delivered"
    await leases_run_out(placet)
    assert await post.goes_round() == 0


async def test_two_workers_with_the_same_callback_in_hand_record_it_once(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    released = asyncio.Event()
    crm.otherwise = hangs_until(released)
    (request,) = await approved(placet)
    another = placet.another()
    async with postman(another) as late:
        slow = asyncio.create_task(post.goes_round())
        await crm.got(1)
        await leases_run_out(placet)
        successor = asyncio.create_task(late.goes_round())
        await crm.got(2)
        released.set()
        await asyncio.gather(slow, successor)

    assert (await callback_of(placet, request.id)).status == "delivered"
    entries = await history(placet, event_id(request.id, 1))
    assert [entry["type"] for entry in entries] == ["callback.delivered"]
    await leases_run_out(placet)
    await post.goes_round()
    assert len(crm.deliveries) == 2
    await another.store.close()


def queue_loop(post: Postman) -> QueueLoop:
    async def deliver(members: Sequence[str], lease_end: str, now: datetime) -> None:
        (member,) = members
        await post.sender.deliver(EventId(member), lease_end, now)

    # Nobody listens for wake-ups here.
    pace = Pace(longest_sleep=timedelta(milliseconds=20))
    return QueueLoop(post.placet.store.callbacks, deliver, at_once=256, pace=pace)


async def test_a_hanging_receiver_of_one_service_delays_no_other_services_callback(
    placet: Placet, post: Postman, crm: CallbackReceiver, billing: CallbackReceiver
) -> None:
    released = asyncio.Event()
    crm.otherwise = hangs_until(released)
    await approved(placet, 5)
    async with working(queue_loop(post).run()):
        await crm.got(AT_ONCE_PER_RECEIVER)
        for count in range(1, 4):
            await asks(placet, caller=BILLING, action="report.read")
            await billing.got(count)

        assert len(crm.deliveries) == crm.at_once == AT_ONCE_PER_RECEIVER
        released.set()
        await crm.got(5)

    assert crm.most_at_once == AT_ONCE_PER_RECEIVER


async def test_however_its_url_is_spelt_a_receiver_is_one(
    placet: Placet, post: Postman, crm: CallbackReceiver, billing: CallbackReceiver
) -> None:
    released = asyncio.Event()
    crm.otherwise = hangs_until(released)
    for number in range(20):
        url = f"http://127.0.0.1:{crm.port}?{number}"
        await asks(placet, action="report.read", callback_url=url)
    async with working(queue_loop(post).run()):
        await crm.got(AT_ONCE_PER_RECEIVER)
        await asks(placet, caller=BILLING, action="report.read")
        await billing.got(1)
        assert crm.at_once == AT_ONCE_PER_RECEIVER
        crm.otherwise = answers(204)
        released.set()
        await crm.got(20)

    assert crm.most_at_once == AT_ONCE_PER_RECEIVER


@pytest.mark.parametrize("status", [429, 502, 504])
def test_who_asks_for_rest_is_given_it(status: int) -> None:
    line = Line()
    line.learn(failed(status))
    first, second = line.later(NOW), line.later(NOW)
    assert second - first == timedelta(milliseconds=20)


@pytest.mark.parametrize("dead_how", ["it hangs", "it drops every connection"])
async def test_a_backlog_of_200_callbacks_to_a_dead_receiver_delays_nobody_else(
    placet: Placet, post: Postman, crm: CallbackReceiver, billing: CallbackReceiver, dead_how: str
) -> None:
    released = asyncio.Event()
    hangs: Behaviour = hangs_until(released)
    crm.otherwise = hangs if dead_how == "it hangs" else closes_without_a_word
    await approved(placet, 200)
    async with working(queue_loop(post).run()):
        await crm.got(AT_ONCE_PER_RECEIVER)
        for count in range(1, 11):
            await asks(placet, caller=BILLING, action="report.read")
            await billing.got(count)
        crm.otherwise = answers(204)
        released.set()

    assert crm.most_at_once <= AT_ONCE_PER_RECEIVER


async def test_a_callback_put_off_is_neither_lost_nor_counted_as_an_attempt(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    released = asyncio.Event()
    crm.otherwise = hangs_until(released)
    requests = await approved(placet, 40)
    async with working(queue_loop(post).run()):
        await crm.got(AT_ONCE_PER_RECEIVER)
        crm.otherwise = answers(204)
        released.set()
        await crm.got(40)

    assert len({delivery.id for delivery in crm.deliveries}) == 40
    attempts = {(await callback_of(placet, request.id)).attempts for request in requests}
    assert attempts == {1}


async def test_what_is_no_longer_wanted_is_taken_from_the_queue(
    placet: Placet, post: Postman, crm: CallbackReceiver
) -> None:
    (request,) = await approved(placet)
    await post.goes_round()
    pipeline, queue = placet.store.pipeline, placet.store.keys.queue("callbacks")
    await pipeline.run("ZADD", queue.due, 1, event_id(request.id, 1))  # already delivered
    await pipeline.run("ZADD", queue.due, 1, "evt_of_nothing_1")

    assert await post.goes_round() == 2

    assert await due_callbacks(placet) == []
    assert await pipeline.run("ZCARD", queue.leased) == 0
    assert len(crm.deliveries) == 1

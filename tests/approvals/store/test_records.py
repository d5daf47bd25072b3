"""Requests through the store and back, on both engines: each commit keeps every list in step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from approvals import lifecycle
from approvals.answer import callback_data, moment
from approvals.change import Change, Voting
from approvals.model import (
    ApprovalRequest,
    Encrypted,
    MatchedPolicy,
    RequestId,
    ServiceId,
    event_id,
)
from approvals.store.keys import Keys
from approvals.store.listing import Filter
from approvals.store.records import Lease, Stored, used_key
from approvals.store.store import Store
from approvals.store.times import from_millis, millis
from tests.approvals.samples import (
    ANNA,
    BEN,
    CLI,
    EXPIRES_IN,
    GRANT_TTL,
    asked,
    opening,
    pending,
    policy,
)
from tests.approvals.store.support import dump, log_of
from tests.conftest import SECRETS, Engine

QUICK = policy(quick_approve=True)
Heard = Callable[[], Awaitable[tuple[str, str]]]


async def open_request(
    store: Store,
    request: str = "req_1",
    *,
    under: MatchedPolicy = QUICK,
    expires_in: timedelta = EXPIRES_IN,
    service: str = "crm",
    **said: object,
) -> Stored:
    now = await store.records.now()
    change = lifecycle.open_request(
        opening(request, under=under, expires_in=expires_in, service=service,
                asked_for=asked(**said)), now,
    )  # fmt: skip
    assert (await store.records.open(change, now, None)).code == "OK"
    return await load(store, request)


async def load(store: Store, request: str = "req_1") -> Stored:
    stored = await store.records.load(RequestId(request))
    assert stored is not None
    return stored


async def commit(store: Store, before: Stored, change: Change, op: str = "op") -> Stored:
    assert (await store.records.commit(before, change, op)).code == "OK"
    return await load(store, before.request.id)


def approval(stored: Stored) -> Change:
    return lifecycle.review(stored.request, Voting(ANNA, CLI, "approve"), stored.now)


def denial(stored: Stored) -> Change:
    return lifecycle.review(
        stored.request, Voting(ANNA, CLI, "deny", reason=Encrypted("No")), stored.now
    )


async def test_a_request_comes_back_as_it_was_opened(store: Store) -> None:
    rule = policy(threshold=2, groups=("privacy", "duty"), notify=("slack:C1",), say="Größe 🧑‍⚖️")
    said = asked(
        params={"email": "dana@example.com", "deep": {"list": [1, 2.5, None, True]}},
        context={"geo.country": "DE"},
        record_count=2**53 - 1,
    )
    now = await store.records.now()
    change = lifecycle.open_request(opening(under=rule, asked_for=said, uses=3), now)
    answer = await store.records.open(change, now, None)
    assert (answer.code, answer.value) == ("OK", "1")
    stored = await load(store)
    assert stored.request == change.request
    assert (stored.version, stored.entries) == (1, 1)
    assert stored.now >= now


async def test_there_is_nothing_where_nothing_was_opened(store: Store) -> None:
    assert await store.records.load(RequestId("req_none")) is None


def without_proof(request: ApprovalRequest) -> ApprovalRequest:
    """The request without what the commit adds to a decision: the entry that tells of it."""
    assert request.decision
    assert request.decision.receipt
    decision = request.decision.model_copy(update={"receipt": None})
    return request.model_copy(update={"decision": decision})


async def test_each_change_comes_back_as_it_was_decided(store: Store) -> None:
    opened = await open_request(store, under=policy(threshold=2))
    for who in (ANNA, BEN):
        opened = await commit(
            store, opened, lifecycle.view(opened.request, who, CLI, "f" * 64, opened.now),
            f"view-{who.id}",
        )  # fmt: skip
    first = approval(opened)
    once = await commit(store, opened, first, "first")
    assert once.request == first.request
    second = lifecycle.review(once.request, Voting(BEN, CLI, "approve"), once.now)
    twice = await commit(store, once, second, "second")
    decided = without_proof(twice.request)
    assert decided == second.request.model_copy(update={"callbacks": 1})
    assert (twice.version, twice.entries) == (5, 6)


async def test_the_time_of_the_store_is_read_once_for_callers_that_come_together(
    store: Store,
) -> None:
    times = await asyncio.gather(*(store.records.now() for _ in range(10)))
    assert len(set(times)) == 1
    assert times[0].tzinfo is UTC
    assert times[0].microsecond % 1000 == 0
    assert await store.records.now() >= times[0]


async def test_a_pending_request_stands_on_every_list(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    lists = await dump(client, keys)
    requester, subject = store.marks.requester("okta:00u1"), "5" * 32
    member, due = opened.request.id.encode(), millis(opened.request.expires_at)
    assert lists["by_service:crm"] == [(member, 0)]
    assert lists[f"by_requester:{requester}"] == [(member, 0)]
    assert lists[f"by_subject:{subject}"] == [(member, 0)]
    assert lists["pending"] == [(member, due)]
    assert lists["deadlines:due"] == [(member, due)]
    assert "customer:48213" not in "".join(lists)


async def test_a_request_without_subject_is_on_no_subject_s_list(
    store: Store, client: Redis, keys: Keys
) -> None:
    await open_request(store, subject_mark=None)
    assert not [name for name in await dump(client, keys) if name.startswith("by_subject")]


@pytest.mark.parametrize("decide", [approval, denial])
async def test_a_final_request_is_pending_no_more_and_stays_on_its_service_s_list(
    store: Store, client: Redis, keys: Keys, decide: Callable[[Stored], Change]
) -> None:
    opened = await open_request(store)
    after = await commit(store, opened, decide(opened))
    lists = await dump(client, keys)
    member = opened.request.id.encode()
    assert "pending" not in lists
    assert lists["by_service:crm"] == [(member, 0)]
    deadline = lifecycle.next_deadline(after.request)
    expected = [(member, millis(deadline))] if deadline else None
    assert lists.get("deadlines:due") == expected


async def test_an_approval_waits_for_the_grant_s_end_in_place_of_the_deadline(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    await commit(store, opened, approval(opened))
    end = millis(opened.now + GRANT_TTL)
    assert (await dump(client, keys))["deadlines:due"] == [(b"req_1", end)]


@pytest.mark.parametrize(("decision", "is_timed"), [("approve", True), ("deny", False)])
async def test_a_request_final_at_once_was_never_pending(
    store: Store, client: Redis, keys: Keys, decision: str, is_timed: bool
) -> None:
    await open_request(store, under=policy(decision=decision, threshold=0))
    lists = await dump(client, keys)
    assert "pending" not in lists
    assert ("deadlines:due" in lists) == is_timed
    assert lists["callbacks:due"] is not None


async def test_a_view_moves_no_deadline_and_calls_nobody(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    before = await dump(client, keys)
    change = lifecycle.view(opened.request, ANNA, CLI, "f" * 64, opened.now)
    await commit(store, opened, change)
    after = await dump(client, keys)
    for name in before.keys() - {"log", "clock:seen", "request:req_1"}:
        assert after[name] == before[name]
    assert after.keys() == before.keys()


async def test_a_decision_freezes_one_callback_that_names_its_audit_entry(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    change = approval(opened)
    after = await commit(store, opened, change)
    event = event_id(opened.request.id, 1)
    callback = await store.outbox.callback(event)
    body = json.loads(callback.body)
    entry = json.loads((await log_of(client, keys))[-1])
    assert body["type"] == "request.approved"
    assert body["timestamp"] == moment(opened.now)
    assert body["seq"] == after.request.callbacks == 1
    assert body["data"] == callback_data(after.request)
    assert body["receipt"] == {"entry": after.entries, "mac": entry["mac"]}
    assert entry["n"] == after.entries == 3
    assert "salt" not in body["data"]
    assert (callback.status, callback.attempts, callback.url) == (
        "queued", 0, "http://127.0.0.1:9/placet",
    )  # fmt: skip
    assert callback.created_at == opened.now
    assert (await dump(client, keys))["callbacks:due"] == [(event.encode(), millis(opened.now))]


async def test_the_grant_s_end_is_a_second_callback(store: Store) -> None:
    opened = await open_request(store)
    approved = await commit(store, opened, approval(opened), "approve")
    end = lifecycle.on_deadline(approved.request, approved.now + GRANT_TTL)
    assert end is not None
    after = await commit(store, approved, end, "end")
    assert after.request.callbacks == 2
    body = json.loads((await store.outbox.callback(event_id(after.request.id, 2))).body)
    assert (body["type"], body["seq"]) == ("grant.ended", 2)
    assert body["data"]["grant"]["status"] == "ended"


async def test_a_service_without_a_receiver_is_not_called_back(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store, callback_url=None)
    after = await commit(store, opened, denial(opened))
    assert after.request.callbacks == 0
    assert not [name for name in await dump(client, keys) if name.startswith("callback")]


async def test_time_gives_its_lease_back_in_the_commit(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    await client.zadd(keys.queue("deadlines").due, {opened.request.id: 1})
    claimed = await store.deadlines.claim()
    assert claimed.members == (opened.request.id,)
    expiry = lifecycle.on_deadline(opened.request, opened.request.expires_at)
    assert expiry is not None
    lease = Lease(opened.request.id, claimed.lease_end)
    assert (await store.records.commit(opened, expiry, "expire", lease)).code == "OK"
    assert not [name for name in await dump(client, keys) if name.startswith("deadlines")]


async def test_a_change_under_a_lease_comes_back_at_the_next_deadline(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    await client.zadd(keys.queue("deadlines").due, {opened.request.id: 1})
    claimed = await store.deadlines.claim()
    change = approval(opened)
    lease = Lease(opened.request.id, claimed.lease_end)
    assert (await store.records.commit(opened, change, "op", lease)).code == "OK"
    lists = await dump(client, keys)
    assert lists["deadlines:due"] == [(b"req_1", millis(opened.now + GRANT_TTL))]
    assert "deadlines:leased" not in lists


async def test_an_idempotency_key_leads_to_its_request_and_body(store: Store) -> None:
    key = store.marks.idempotency("order 7, ä\n")
    now = await store.records.now()
    first = lifecycle.open_request(opening("req_1"), now)
    other = lifecycle.open_request(opening("req_2"), now)
    assert (await store.records.open(first, now, (key, "mark1"))).code == "OK"
    answer = await store.records.open(other, now, (key, "mark2"))
    assert answer.code == "EXISTS"
    assert used_key(answer.value) == ("req_1", "mark1")
    assert await store.records.load(RequestId("req_2")) is None


async def test_a_service_s_requests_are_listed_newest_first_and_page_by_page(
    store: Store,
) -> None:
    for n in range(5):
        await open_request(store, f"req_{n}")
    await open_request(store, "req_9", service="billing")
    newest = await store.records.of_service(ServiceId("crm"), "", 2)
    assert newest == ["req_4", "req_3"]
    assert await store.records.of_service(ServiceId("crm"), newest[-1], 9) == [
        "req_2", "req_1", "req_0",
    ]  # fmt: skip
    assert await store.records.of_service(ServiceId("nobody"), "", 9) == []


async def test_pending_requests_are_listed_by_their_deadline(store: Store) -> None:
    for n, minutes in enumerate((30, 10, 20)):
        await open_request(store, f"req_{n}", expires_in=timedelta(minutes=minutes))
    assert await store.records.pending(2) == ["req_1", "req_2"]
    assert await store.records.pending(9) == ["req_1", "req_2", "req_0"]


async def test_overdue_requests_are_those_whose_deadline_passed_long_enough_ago(
    store: Store, client: Redis, keys: Keys
) -> None:
    for n in range(3):
        await open_request(store, f"req_{n}")
    now = await store.records.now()
    for n, seconds in enumerate((-60, -5, 60)):
        due = millis(now + timedelta(seconds=seconds))
        await client.zadd(keys.pending, {f"req_{n}": due})
    assert await store.records.overdue(timedelta(seconds=30), 0, 9) == ["req_0"]
    assert await store.records.overdue(timedelta(), 0, 9) == ["req_0", "req_1"]
    assert await store.records.overdue(timedelta(), 0, 1) == ["req_0"]


def test_a_filter_matches_status_and_action() -> None:
    request = pending()
    assert Filter().matches(request)
    assert Filter("pending", "customer.view").matches(request)
    assert not Filter("denied").matches(request)
    assert not Filter("pending", "users.export").matches(request)


@pytest.fixture
async def heard(client: Redis, keys: Keys) -> AsyncIterator[Heard]:
    """All that is published, in order."""
    async with client.pubsub() as listener:
        await listener.subscribe(keys.wake_channel, keys.settled_channel)
        for _ in range(2):
            await listener.get_message(timeout=5)

        async def next_heard() -> tuple[str, str]:
            message = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
            assert message is not None
            channel = message["channel"].decode().rpartition(":")[2]
            return channel, message["data"].decode()

        yield next_heard


async def test_workers_are_woken_for_what_is_due_soon_and_waiters_for_what_is_settled(
    store: Store, heard: Heard
) -> None:
    opened = await open_request(store, "req_1")  # due in a quarter of an hour: wakes nobody
    await open_request(store, "req_2", expires_in=timedelta(seconds=1))
    assert await heard() == ("wake", "deadlines")
    await commit(store, opened, denial(opened))
    assert await heard() == ("settled", "req_1")
    assert await heard() == ("wake", "callbacks")


async def test_waiters_are_woken_once_nobody_can_be_told_and_again_at_the_end(
    store: Store, heard: Heard
) -> None:
    opened = await open_request(store, under=policy(notify=("desk",)))
    assert await heard() == ("wake", "cards")
    undeliverable = lifecycle.on_undeliverable(opened.request)
    assert undeliverable is not None
    opened = await commit(store, opened, undeliverable)
    assert await heard() == ("settled", "req_1")
    await commit(store, opened, denial(opened), "end")
    assert await heard() == ("settled", "req_1")


async def test_two_who_decide_at_once_give_one_decision_and_a_clear_loser(
    store: Store, engine: Engine
) -> None:
    opened = await open_request(store)
    other = engine.store()
    answers = await asyncio.gather(
        store.records.commit(opened, approval(opened), "anna"),
        other.records.commit(opened, denial(opened), "ben"),
    )
    await other.close()
    assert sorted(answer.code for answer in answers) == ["OK", "RACE"]
    after = await load(store)
    assert (after.version, after.request.callbacks) == (2, 1)


async def test_a_repeated_change_is_answered_and_made_once(store: Store, client: Redis) -> None:
    opened = await open_request(store)
    after = await commit(store, opened, denial(opened))
    repeated = await store.records.commit(opened, denial(opened), "op")
    assert (repeated.code, repeated.value) == ("DUP", "denied")
    assert (await load(store)).entries == after.entries == 3


async def test_nothing_but_keyed_marks_of_subject_and_key_is_named_in_redis(
    store: Store, client: Redis, keys: Keys
) -> None:
    now = await store.records.now()
    change = lifecycle.open_request(opening(), now)
    await store.records.open(change, now, (store.marks.idempotency("dana@example.com"), "m"))
    names = "\n".join(await dump(client, keys))
    assert "dana" not in names
    assert "customer:48213" not in names
    assert b"customer:48213" not in b"".join(await log_of(client, keys))


async def test_secrets_of_a_store_are_not_in_what_it_stores(
    store: Store, client: Redis, keys: Keys
) -> None:
    opened = await open_request(store)
    await commit(store, opened, denial(opened))
    stored = repr(await dump(client, keys))
    assert SECRETS.audit.decode() not in stored
    assert SECRETS.pseudonym.decode() not in stored


def test_milliseconds_survive_both_ways() -> None:
    at = datetime(2026, 11, 23, 14, 17, 0, 123000, tzinfo=UTC)
    assert from_millis(millis(at)) == at
    assert from_millis(str(millis(at)).encode()) == at
    assert millis(at + timedelta(microseconds=999)) == millis(at)
    before_epoch = datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    assert millis(before_epoch) == -1

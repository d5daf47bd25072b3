"""Callbacks in the store, on both engines: bytes never change, each attempt is recorded once."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from approvals import lifecycle
from approvals.errors import NotFound
from approvals.events import CallbackAttempted
from approvals.model import Encrypted, EventId, PersonId, event_id
from approvals.store.keys import Keys
from approvals.store.log import is_genuine
from approvals.store.outbox import AttemptWord, Callback, CallbackStatus, Outcome
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.samples import CLI, opening, policy
from tests.approvals.store.support import STANDS_AT, dump, log_of, stop_the_clock
from tests.conftest import SECRETS

EVENT = event_id(opening().id, 1)


@pytest.fixture
async def callback(store: Store) -> Callback:
    """The one callback of a request that a rule denied."""
    now = await store.records.now()
    change = lifecycle.open_request(opening(under=policy(decision="deny")), now)
    assert (await store.records.open(change, now, None)).code == "OK"
    return await store.outbox.callback(EVENT)


async def claimed(store: Store) -> str:
    claim = await store.callbacks.claim()
    assert claim.members == (EVENT,)
    return claim.lease_end


def outcome(
    word: AttemptWord, status: CallbackStatus, next_in: timedelta | None, callback: Callback
) -> Outcome:
    event = CallbackAttempted(
        type=f"callback.{word}", attempt=callback.attempts + 1, status=503, milliseconds=12
    )
    return Outcome(word, event, status, next_in)


async def test_a_new_callback_is_queued_untried(callback: Callback) -> None:
    assert (callback.status, callback.attempts) == ("queued", 0)
    assert (callback.version, callback.entries) == (0, 0)
    assert (callback.service, callback.request) == ("crm", "req_1")


async def test_there_is_no_callback_that_was_never_frozen(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.outbox.callback(EventId("evt_req_9_1"))


async def test_a_delivered_callback_leaves_the_queue(
    store: Store, client: Redis, keys: Keys, callback: Callback
) -> None:
    lease_end = await claimed(store)
    assert await store.outbox.record_attempt(
        callback, lease_end, outcome("delivered", "delivered", None, callback)
    )
    after = await store.outbox.callback(EVENT)
    assert (after.status, after.attempts, after.body) == ("delivered", 1, callback.body)
    assert not [name for name in await dump(client, keys) if name.startswith("callbacks:")]


async def test_a_failed_attempt_is_tried_again_when_it_says(
    store: Store, client: Redis, keys: Keys, callback: Callback
) -> None:
    lease_end = await claimed(store)
    await stop_the_clock(client, keys)  # long after the claim: the wait begins with the failure
    later = timedelta(minutes=2)
    failed = outcome("failed", "queued", later, callback)
    assert await store.outbox.record_attempt(callback, lease_end, failed)
    after = await store.outbox.callback(EVENT)
    assert (after.status, after.attempts, after.body) == ("queued", 1, callback.body)
    due = millis(STANDS_AT + later)
    assert (await dump(client, keys))["callbacks:due"] == [(EVENT.encode(), due)]


async def test_each_attempt_is_an_audit_entry_of_the_callback_s_own_record(
    store: Store, client: Redis, keys: Keys, callback: Callback
) -> None:
    lease_end = await claimed(store)
    await store.outbox.record_attempt(
        callback, lease_end, outcome("failed", "queued", None, callback)
    )
    second = await store.outbox.callback(EVENT)
    await store.outbox.record_attempt(second, "1", outcome("dead", "dead", None, second))
    entries = [json.loads(text) for text in await log_of(client, keys)]
    assert [(e["record"], e["n"], e["type"]) for e in entries[2:]] == [
        (EVENT, 1, "callback.failed"),
        (EVENT, 2, "callback.dead"),
    ]
    assert all(is_genuine(SECRETS.audit, text) for text in await log_of(client, keys))


async def test_a_dead_letter_is_listed_until_it_is_replayed(
    store: Store, client: Redis, keys: Keys, callback: Callback
) -> None:
    assert await store.outbox.dead() == []
    lease_end = await claimed(store)
    await store.outbox.record_attempt(callback, lease_end, outcome("dead", "dead", None, callback))
    assert await store.outbox.dead() == [EVENT]
    dead = await store.outbox.callback(EVENT)
    assert await store.outbox.replay(dead, PersonId("ben"), CLI, Encrypted("Mended"))
    again = await store.outbox.callback(EVENT)
    assert (again.status, again.attempts, again.body) == ("queued", 0, callback.body)
    assert await store.outbox.dead() == []
    assert (await store.callbacks.claim()).members == (EVENT,)
    entry = json.loads((await log_of(client, keys))[-1])
    assert (entry["type"], entry["data"]["person"]) == ("callback.replayed", "ben")


async def test_an_attempt_recorded_twice_counts_once(
    store: Store, client: Redis, keys: Keys, callback: Callback
) -> None:
    lease_end = await claimed(store)
    failed = outcome("failed", "queued", timedelta(minutes=2), callback)
    assert await store.outbox.record_attempt(callback, lease_end, failed)
    assert await store.outbox.record_attempt(callback, lease_end, failed)
    assert (await store.outbox.callback(EVENT)).attempts == 1
    assert len(await log_of(client, keys)) == 3


async def test_of_two_workers_that_met_different_ends_the_first_is_believed(
    store: Store, callback: Callback
) -> None:
    lease_end = await claimed(store)
    delivered = outcome("delivered", "delivered", None, callback)
    failed = outcome("failed", "queued", timedelta(minutes=2), callback)
    assert await store.outbox.record_attempt(callback, lease_end, delivered)
    assert not await store.outbox.record_attempt(callback, lease_end, failed)
    after = await store.outbox.callback(EVENT)
    assert (after.status, after.attempts) == ("delivered", 1)


async def test_an_attempt_never_races_a_vote_on_its_request(
    store: Store, callback: Callback
) -> None:
    before = await store.records.load(callback.request)
    await store.outbox.record_attempt(
        callback, await claimed(store), outcome("delivered", "delivered", None, callback)
    )
    after = await store.records.load(callback.request)
    assert before is not None
    assert after is not None
    assert (after.version, after.entries) == (before.version, before.entries)

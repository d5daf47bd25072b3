"""Key names: one hash tag for all, and nothing that ends before its record does."""

from __future__ import annotations

import inspect
from typing import cast

import pytest
from redis.asyncio import Redis

from approvals import lifecycle
from approvals.change import Voting
from approvals.events import CallbackAttempted
from approvals.model import EventId, RequestId, ServiceId, event_id
from approvals.store.cards import CardPlace
from approvals.store.keys import QUEUES, Keys
from approvals.store.message_refs import StoredRef
from approvals.store.outbox import Outcome
from approvals.store.store import Store
from tests.approvals.samples import ANNA, CLI, opening, policy

TAG = "{placet:acme-1}:"


def every_name(keys: Keys) -> list[str]:
    queues = [keys.queue(queue) for queue in QUEUES]
    fixed = [value for name, value in vars(keys).items() if not name.startswith("_")]
    return [
        *fixed,
        keys.request(RequestId("req_1")),
        keys.by_service(ServiceId("crm")),
        keys.by_requester("a" * 32),
        keys.by_subject("a" * 32),
        keys.by_approver("a" * 32),
        keys.vault("a" * 32),
        keys.unreceipted("a" * 32),
        keys.overuse("a" * 32),
        keys.idempotency(ServiceId("crm"), "a" * 32),
        keys.pending_of(ServiceId("crm"), "a" * 32),
        keys.budget_of_service(ServiceId("crm")),
        keys.budget_of_requester(ServiceId("crm"), "a" * 32),
        keys.callback(EventId("evt_req_1_1")),
        keys.refs(RequestId("req_1")),
        keys.policy("3f9a0c1d27ab"),
        *(name for queue in queues for name in (queue.due, queue.leased, queue.again)),
    ]


def test_every_name_carries_the_one_hash_tag() -> None:
    names = every_name(Keys("acme-1"))
    assert all(name.startswith(TAG) and len(name) > len(TAG) for name in names)
    assert all(name.count("{") == name.count("}") == 1 for name in names)


def test_this_test_knows_every_method_that_makes_a_name() -> None:
    methods = {name for name, _ in inspect.getmembers(Keys, inspect.isfunction)}
    assert methods == {
        "__init__", "request", "by_service", "by_requester", "by_subject", "by_approver", "vault",
        "unreceipted", "overuse", "pending_of", "idempotency", "budget_of_service",
        "budget_of_requester", "callback", "refs", "policy", "queue",
    }  # fmt: skip


def test_no_two_names_are_the_same() -> None:
    names = every_name(Keys("acme-1"))
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("namespace", ["a", "0", "acme-1", "x" * 40])
def test_a_namespace_is_a_plain_word(namespace: str) -> None:
    assert Keys(namespace).log == "{placet:" + namespace + "}:log"


@pytest.mark.parametrize("namespace", ["", "-a", "A", "a b", "a}", "a:b", "ä", "x" * 41, "a\n"])
def test_no_other_namespace_is_taken(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Keys(namespace)


async def test_no_key_a_journey_writes_has_an_end_or_another_tag(
    store: Store, client: Redis
) -> None:
    before = set(cast("list[bytes]", await client.keys("*")))
    now = await store.records.now()
    change = lifecycle.open_request(
        opening(under=policy(quick_approve=True, notify=("desk",))), now
    )
    await store.records.open(change, now, ("key", "body"))
    stored = await store.records.load(change.request.id)
    assert stored is not None
    approval = lifecycle.review(stored.request, Voting(ANNA, CLI, "approve"), stored.now)
    await store.records.commit(stored, approval, "op")
    claimed = await store.callbacks.claim()
    callback = await store.outbox.callback(event_id(stored.request.id, 1))
    event = CallbackAttempted(type="callback.dead", attempt=1)
    await store.outbox.record_attempt(callback, claimed.lease_end, Outcome("dead", event, "dead"))
    await store.deadlines.claim()
    await store.refs.put(CardPlace(stored.request.id, "desk"), "slack", StoredRef("C1", "1.0"))
    await store.policies.keep("3f9a0c1d27ab", "version: 1\n")
    await store.system.activate(store.policies, "3f9a0c1d27ab")

    written = set(cast("list[bytes]", await client.keys("*"))) - before
    tag = store.keys.log.removesuffix("log").encode()
    assert len(written) >= 15
    for name in written:
        assert name.startswith(tag)
        assert await client.ttl(name) == -1, name

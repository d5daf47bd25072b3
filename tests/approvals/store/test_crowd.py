"""commit.lua where an opening finds others: the same already asked, or no room for one more."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from approvals.model import RequestId, ServiceId
from approvals.store.keys import Keys
from approvals.store.scripts import Commit, Room, Script, Scripts
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.store.support import REQUEST, STANDS_AT, commit_of, dump, stop_the_clock

CRM = ServiceId("crm")
LIKE = "0123456789ab"
LATER = str(millis(STANDS_AT + timedelta(minutes=5)))


@pytest.fixture(autouse=True)
async def standing_clock(client: Redis, keys: Keys) -> None:
    await stop_the_clock(client, keys)


def crowd(keys: Keys) -> str:
    return keys.pending_of(CRM, "a" * 32)


def room(keys: Keys, most: int | None = None, likeness: str | None = None) -> Room:
    return Room(crowd(keys), keys.pending, most, likeness)


def joining(keys: Keys, name: str, likeness: str = LIKE, due: str = LATER) -> Commit:
    """An opening that joins the pending requests of one requester."""
    writes = (
        ("zadd", keys.pending, due, name),
        ("zadd", crowd(keys), "0", f"{likeness}:{name}"),
    )
    return commit_of(keys, op=name, record=keys.request(RequestId(name)), writes=writes)


async def test_one_that_asks_the_same_is_named_and_nothing_else_happens(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    assert (await scripts.commit(joining(keys, "req_1"))).code == "OK"
    before = await dump(client, keys)
    second = replace(joining(keys, "req_2"), room=room(keys, 1, LIKE))
    answer = await scripts.commit(second)
    assert (answer.code, answer.value) == ("SAME", "req_1")
    assert await dump(client, keys) == before


async def test_an_idempotency_key_is_bound_to_the_one_named(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await scripts.commit(joining(keys, "req_1"))
    idem = (keys.idempotency(CRM, "k"), "req_2 bodymark")
    second = replace(joining(keys, "req_2"), room=room(keys, 1, LIKE), idempotency=idem)
    assert (await scripts.commit(second)).code == "SAME"
    assert await client.get(idem[0]) == b"req_1 bodymark"
    again = await scripts.commit(replace(second, op="req_3", record=keys.request(RequestId("r"))))
    assert (again.code, again.value) == ("EXISTS", "req_1 bodymark")


@pytest.mark.parametrize(
    ("likeness", "due"),
    [
        ("0123456789ac", LATER),
        ("0123456789a", LATER),
        ("0123456789ab0", LATER),
        ("", LATER),
        (LIKE, str(millis(STANDS_AT))),
    ],
)
async def test_one_that_asks_something_else_or_is_over_is_not_named(
    scripts: Scripts, keys: Keys, likeness: str, due: str
) -> None:
    await scripts.commit(joining(keys, "req_1", likeness, due))
    second = replace(joining(keys, "req_2"), room=room(keys, 2, LIKE))
    assert (await scripts.commit(second)).code == "OK"


async def test_one_that_is_pending_nowhere_else_is_not_named(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await client.zadd(crowd(keys), {f"{LIKE}:req_1": 0})
    second = replace(joining(keys, "req_2"), room=room(keys, 2, LIKE))
    assert (await scripts.commit(second)).code == "OK"


async def test_without_room_the_number_there_is_told_and_nothing_happens(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    for name in ("req_1", "req_2"):
        first = replace(joining(keys, name), room=room(keys, 2))
        assert (await scripts.commit(replace(first, entries=(), entry=0))).code == "OK"
    before = await dump(client, keys)
    answer = await scripts.commit(replace(joining(keys, "req_3"), room=room(keys, 2)))
    assert (answer.code, answer.value) == ("CROWDED", "2")
    assert await dump(client, keys) == before
    assert (await scripts.commit(replace(joining(keys, "req_3"), room=room(keys)))).code == "OK"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [4],
        ["4", 5, 1, LIKE],
        [9, 5, 1, LIKE],
        [4, 9, 1, LIKE],
        [None, 5, 1, LIKE],
        [4, 5, "1", LIKE],
        [4, 5, True, None],
        [4, 5, 1, 7],
        [4, 5, None, ["a"]],
    ],
    ids=str,
)
async def test_a_room_that_is_none_is_told_and_changes_nothing(
    store: Store, keys: Keys, client: Redis, wrong: list[object]
) -> None:
    head = {
        "op": REQUEST, "expect": None, "now": millis(STANDS_AT), "valid_before": None,
        "guarded": False, "entry": 1, "idem": None, "room": wrong, "result": "pending",
        "writes": [],
    }  # fmt: skip
    before = await dump(client, keys)
    names = (keys.request(REQUEST), keys.log, keys.clock, crowd(keys), keys.pending)
    arguments = (json.dumps(head), "body", "", "entry")
    answer = await Script(store.pipeline, "commit").run(names, arguments)
    assert answer[:2] == [b"INVALID", b"room"]
    assert await dump(client, keys) == before


@pytest.mark.parametrize("which", ["crowd", "deadlines"])
async def test_a_list_of_another_kind_is_told_and_changes_nothing(
    scripts: Scripts, keys: Keys, client: Redis, which: str
) -> None:
    await client.set(crowd(keys) if which == "crowd" else keys.pending, "somebody else's")
    before = await dump(client, keys)
    answer = await scripts.commit(replace(commit_of(keys), room=room(keys, 2, LIKE)))
    assert answer.code == "INVALID"
    assert answer.value.startswith("key ")
    assert await dump(client, keys) == before

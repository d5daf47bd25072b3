"""Kept policies, on both engines: their texts for good, and one entry when the policy changes."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import cast

import pytest
from redis.asyncio import Redis

from approvals.errors import StoreFull, StoreUnavailable
from approvals.store.keys import Keys
from approvals.store.policies import Policies
from approvals.store.scripts import Loaded, Scripts
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.store.support import STANDS_AT, Servers, log_of, stop_the_clock
from tests.conftest import Engine

ONE, TWO = "3f9a0c1d27ab", "b85e2a7742c1"


async def activations(client: Redis, keys: Keys) -> list[object]:
    entries = [json.loads(text) for text in await log_of(client, keys)]
    return [entry["data"] for entry in entries if entry["type"] == "policy.activated"]


async def test_a_text_is_found_again_by_its_version(store: Store) -> None:
    assert await store.policies.text(ONE) is None
    await store.policies.keep(ONE, "version: 1  # ä\n")
    assert await store.policies.text(ONE) == "version: 1  # ä\n"


async def test_the_first_text_of_a_version_stays(store: Store) -> None:
    await store.policies.keep(ONE, "version: 1\n")
    await store.policies.keep(ONE, "version: 1  # with a comment\n")
    assert await store.policies.text(ONE) == "version: 1\n"


class Overtaken(Scripts):
    """Lets somebody else keep a text, and time go on, after it was asked whether there is one."""

    def __init__(self, store: Store, client: Redis) -> None:
        super().__init__(store.pipeline, store.keys)
        self._store = store
        self._client = client

    async def load(self, record: str) -> Loaded:
        await self._store.policies.keep(ONE, "version: 1\n")
        await stop_the_clock(self._client, self._store.keys)
        return await super().load(record)


async def test_of_two_racing_writers_the_later_changes_neither_text_nor_time(
    store: Store, client: Redis, keys: Keys
) -> None:
    overtaken = Policies(store.pipeline, Overtaken(store, client), keys)
    await overtaken.keep(ONE, "version: 1  # later\n")
    first = await store.policies.first_used(ONE)
    assert await store.policies.text(ONE) == "version: 1\n"
    assert first is not None
    assert first < STANDS_AT


async def test_it_is_known_when_a_version_was_first_used(store: Store) -> None:
    assert await store.policies.first_used(ONE) is None
    await store.policies.keep(ONE, "version: 1\n")
    first = await store.policies.first_used(ONE)
    await store.policies.keep(ONE, "version: 1\n")
    assert first is not None
    assert await store.policies.first_used(ONE) == first
    assert abs(await store.records.now() - first) < timedelta(minutes=1)


async def test_what_is_kept_says_since_when(store: Store, client: Redis, keys: Keys) -> None:
    await store.policies.keep(ONE, "version: 1\n")
    held = json.loads(cast("bytes", await client.get(keys.policy(ONE))))
    assert {**held, "first_used": ""} == {"text": "version: 1\n", "version": ONE, "first_used": ""}
    assert held["first_used"].endswith("Z")


async def test_versions_come_in_the_order_of_their_first_use(
    store: Store, client: Redis, keys: Keys
) -> None:
    assert await store.policies.versions() == ()
    await store.policies.keep(TWO, "version: 1\n")
    first = await store.records.now()
    await client.set(keys.clock, str(millis(first + timedelta(seconds=1))))  # time goes on
    for version in (ONE, TWO):
        await store.policies.keep(version, "version: 1\n")
    assert await store.policies.versions() == (TWO, ONE)


async def test_a_damaged_text_is_told_as_that(store: Store, client: Redis, keys: Keys) -> None:
    await client.set(keys.policy(ONE), b"[]")
    with pytest.raises(StoreUnavailable):
        await store.policies.text(ONE)


async def test_a_change_of_the_policy_is_one_entry_however_many_processes_run_it(
    engine: Engine, store: Store, client: Redis, keys: Keys
) -> None:
    others = [engine.store() for _ in range(5)]
    for version in (ONE, TWO, TWO, ONE):
        await asyncio.gather(*(each.system.activate(each.policies, version) for each in others))
    for each in others:
        await each.close()
    assert await activations(client, keys) == [
        {"version": ONE},
        {"version": TWO, "previous": ONE},
        {"version": ONE, "previous": TWO},
    ]
    assert await store.policies.active() == ONE


async def test_a_full_store_takes_no_new_text_and_lets_a_known_one_be(servers: Servers) -> None:
    server = await servers.start()
    store = servers.store(server)
    await store.policies.keep(ONE, "version: 1\n")
    await servers.client(server).config_set("maxmemory", "1")
    await store.policies.keep(ONE, "version: 1\n")
    with pytest.raises(StoreFull):
        await store.policies.keep(TWO, "version: 1\n")
    assert await store.policies.text(TWO) is None

"""The list of running processes, on both engines: told anew, or soon forgotten."""

from __future__ import annotations

import json
from typing import cast

import pytest
from redis.asyncio import Redis

from approvals.errors import StoreUnavailable
from approvals.store.keys import Keys
from approvals.store.processes import Half, ProcessName, RunningProcess
from approvals.store.store import Store
from approvals.store.times import millis

WEB, WORKER = ProcessName("host-a", 7, "web"), ProcessName("host-b", 7, "worker")


async def told(store: Store) -> list[tuple[ProcessName, str, str | None]]:
    return [(each.name, each.version, each.fault) for each in await store.processes.alive()]


async def test_each_process_says_what_it_runs(store: Store) -> None:
    await store.processes.tell(WORKER, "b85e2a7742c1", "The files have faults.")
    await store.processes.tell(WEB, "3f9a0c1d27ab", None)
    assert await told(store) == [
        (WEB, "3f9a0c1d27ab", None),
        (WORKER, "b85e2a7742c1", "The files have faults."),
    ]


async def test_the_last_word_counts(store: Store) -> None:
    await store.processes.tell(WEB, "3f9a0c1d27ab", "A fault.")
    await store.processes.tell(WEB, "b85e2a7742c1", None)
    assert await told(store) == [(WEB, "b85e2a7742c1", None)]


async def test_who_leaves_is_gone(store: Store) -> None:
    await store.processes.tell(WEB, "3f9a0c1d27ab", None)
    await store.processes.leave(WEB)
    assert await store.processes.alive() == []


async def test_who_fell_silent_is_removed(store: Store, client: Redis, keys: Keys) -> None:
    await store.processes.tell(WEB, "3f9a0c1d27ab", None)
    await store.processes.tell(WORKER, "3f9a0c1d27ab", None)
    await make_older(client, keys, WEB, by_ms=21_000)
    await make_older(client, keys, WORKER, by_ms=15_000)
    assert [each.name for each in await store.processes.alive()] == [WORKER]
    assert await client.hkeys(keys.processes) == [str(WORKER).encode()]


async def make_older(client: Redis, keys: Keys, name: ProcessName, by_ms: int) -> None:
    held = json.loads(cast("bytes", await client.hget(keys.processes, str(name))))
    changed = json.dumps(held | {"at": held["at"] - by_ms})
    await client.hset(keys.processes, str(name), changed)


async def test_nobody_is_listed_for_ever(store: Store, client: Redis, keys: Keys) -> None:
    await store.processes.tell(WEB, "3f9a0c1d27ab", None)
    assert 0 < await client.pttl(keys.processes) <= 60_000


@pytest.mark.parametrize("half", ["web", "worker", "both"])
@pytest.mark.parametrize("host", ["host", "fe80::1", "ä"])
async def test_a_name_comes_back_as_it_was(store: Store, host: str, half: Half) -> None:
    name = ProcessName(host, 4711, half)
    await store.processes.tell(name, "3f9a0c1d27ab", None)
    (found,) = await store.processes.alive()
    assert found == RunningProcess(name, "3f9a0c1d27ab", found.at, None)
    assert abs(millis(found.at) - millis(await store.records.now())) < 60_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"nobody", b"{}"),
        (b"host:seven:web", b'{"version": "1", "at": 1, "fault": null}'),
        (b"host:7:cook", b'{"version": "1", "at": 1, "fault": null}'),
        (b"host:7:web", b"[]"),
        (b"host:7:web", b"\xff"),
        (b"host:7:web", b'{"version": "1", "at": 1e300, "fault": null}'),
        (b"host:7:web", b'{"version": "1", "at": 99999999999999999999, "fault": null}'),
    ],
)
async def test_what_nobody_of_us_wrote_is_removed(
    store: Store, client: Redis, keys: Keys, field: bytes, value: bytes
) -> None:
    await client.hset(keys.processes, field, value)
    await store.processes.tell(WORKER, "3f9a0c1d27ab", None)
    assert [each.name for each in await store.processes.alive()] == [WORKER]
    assert await client.hkeys(keys.processes) == [str(WORKER).encode()]


async def test_a_key_of_another_kind_is_told(store: Store, client: Redis, keys: Keys) -> None:
    await client.set(keys.processes, "x")
    with pytest.raises(StoreUnavailable):
        await store.processes.alive()

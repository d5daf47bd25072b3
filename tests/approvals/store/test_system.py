"""The system record, on both engines: notes cost their caller nothing and lose no number."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from approvals.errors import StoreUnavailable
from approvals.events import ClockReset, RightRefused
from approvals.model import Encrypted, PersonId
from approvals.store.keys import Keys
from approvals.store.log import is_genuine
from approvals.store.scripts import Answer, Commit, Scripts
from approvals.store.store import Store
from approvals.store.system import ENTRIES_PER_COMMIT, SystemRecord
from approvals.store.times import millis
from tests.approvals.samples import CLI
from tests.approvals.store.support import (
    STANDS_AT,
    Servers,
    dump,
    log_of,
    schedule,
    stop_the_clock,
)
from tests.conftest import SECRETS, Engine

RESET = ClockReset(person=PersonId("ben"), origin=CLI, behind_ms=1)


def refusal(actor: str = "anna", wanted: str = "cancel") -> RightRefused:
    return RightRefused(actor=actor, code="not_allowed", wanted=wanted)


async def entries(client: Redis, keys: Keys) -> list[dict[str, object]]:
    texts = await log_of(client, keys)
    assert all(is_genuine(SECRETS.audit, text) for text in texts)
    return [json.loads(text) for text in texts]


def told(entry: dict[str, object]) -> object:
    data = entry["data"]
    assert isinstance(data, dict)
    return data.get("wanted", data.get("count"))


async def test_notes_become_numbered_entries_in_few_commits(
    store: Store, client: Redis, keys: Keys
) -> None:
    count = 2 * ENTRIES_PER_COMMIT + 1
    for n in range(count):
        store.system.note(refusal(wanted=str(n)))
    await store.system.close()
    written = await entries(client, keys)
    assert [told(entry) for entry in written] == [str(n) for n in range(count)]
    assert [entry["n"] for entry in written] == list(range(1, count + 1))
    assert {entry["record"] for entry in written} == {"system"}
    assert {entry["version"] for entry in written} == {1, 2, 3}


async def test_several_processes_write_without_gap(
    engine: Engine, store: Store, client: Redis, keys: Keys
) -> None:
    others = [engine.store() for _ in range(4)]
    for n in range(10):
        for other in others:
            other.system.note(refusal(wanted=str(n)))
        await asyncio.sleep(0)
    for other in others:
        await other.close()
    written = await entries(client, keys)
    assert [entry["n"] for entry in written] == list(range(1, 41))


async def test_after_ten_refusals_of_one_actor_the_others_are_counted(
    store: Store, client: Redis, keys: Keys
) -> None:
    for n in range(15):
        store.system.note_refusal(refusal("mallory", str(n)))
    store.system.note_refusal(refusal("anna", "once"))
    await store.system.close()
    written = [told(entry) for entry in await entries(client, keys)]
    assert written == [*(str(n) for n in range(10)), "once", 5]


async def test_a_new_minute_begins_with_the_count_of_the_last(
    store: Store, client: Redis, keys: Keys
) -> None:
    for n in range(12):
        store.system.note_refusal(refusal("mallory", str(n)))
    store.system._minutes["mallory"].began -= 60
    store.system.note_refusal(refusal("mallory", "again"))
    await store.system.close()
    written = [told(entry) for entry in await entries(client, keys)]
    assert written[10:] == [2, "again"]


async def test_notes_wait_while_the_store_is_away(servers: Servers) -> None:
    server = await servers.start()
    store = servers.store(server)
    await store.records.now()
    server.process.kill()
    server.process.wait()
    store.system.note(refusal(wanted="first"))
    await store.system.close()
    again = await servers.restart(server)
    store.system.note(refusal(wanted="second"))
    await store.system.close()
    written = await entries(servers.client(again), store.keys)
    assert [told(entry) for entry in written] == ["first", "second"]


class Busy(Scripts):
    """A record on which others are always faster."""

    async def commit(self, commit: Commit) -> Answer:
        return Answer("RACE", "1", commit.now)


async def test_a_record_too_busy_to_write_says_so(store: Store) -> None:
    busy = SystemRecord(Busy(store.pipeline, store.keys), store.keys, SECRETS.audit)
    with pytest.raises(StoreUnavailable):
        await busy.reset_clock(RESET, Encrypted("Mended"))


async def test_a_reset_puts_clock_leases_and_deadlines_right(
    store: Store, client: Redis, keys: Keys
) -> None:
    scripts = Scripts(store.pipeline, keys)
    await stop_the_clock(client, keys)
    for member in ("req_held", "req_free"):
        await schedule(scripts, keys, member, STANDS_AT)
    held = await store.deadlines.claim(1)
    await store.system.reset_clock(RESET, Encrypted("Mended"))

    loaded = await scripts.load(keys.system)
    assert loaded.behind == timedelta()
    assert loaded.now < STANDS_AT
    assert "deadlines:leased" not in await dump(client, keys)
    assert not await store.deadlines.finish("req_held", held.lease_end)
    assert set((await store.deadlines.claim()).members) == {"req_held", "req_free"}
    assert (await entries(client, keys))[0]["type"] == "clock.reset"


async def test_a_callback_put_off_by_a_clock_gone_wrong_is_due_after_the_reset(
    store: Store, client: Redis, keys: Keys
) -> None:
    scripts = Scripts(store.pipeline, keys)
    await stop_the_clock(client, keys)
    await client.zadd(keys.queue("callbacks").due, {"evt_1": millis(STANDS_AT) + 86_400_000})

    await store.system.reset_clock(RESET, Encrypted("Mended"))

    assert (await store.callbacks.claim()).members == ("evt_1",)
    assert (await scripts.load(keys.system)).behind == timedelta()


@pytest.mark.parametrize("nonsense", ["1e15", "nonsense", "9" * 30])
async def test_a_time_seen_that_is_no_time_stops_no_worker(
    store: Store, client: Redis, keys: Keys, nonsense: str
) -> None:
    await client.set(keys.clock, nonsense)

    assert (await store.deadlines.claim()).members == ()

"""When an API key was last used: written seldom, beside the requests, and hindering nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from approvals.model import KeyId
from approvals.store.key_uses import SELDOM
from approvals.store.keys import Keys
from approvals.store.store import Store
from tests.approvals.store.support import dump
from tests.conftest import Engine

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CRM, NEXT = KeyId("crm-1"), KeyId("crm-2")


async def uses(store: Store) -> dict[KeyId, datetime]:
    await store.key_uses.close()
    return await store.key_uses.all()


async def test_each_key_has_the_time_of_its_last_use(store: Store, engine: Engine) -> None:
    assert await uses(store) == {}
    store.key_uses.note(CRM, NOON)
    assert await uses(store) == {CRM: NOON}
    other = engine.store()
    other.key_uses.note(NEXT, NOON + SECOND)
    assert await uses(other) == {CRM: NOON, NEXT: NOON + SECOND}
    await other.close()


async def test_a_process_writes_at_most_once_a_minute_for_a_key(store: Store) -> None:
    for passed, kept in ((0, 0), (1, 0), (59, 0), (60, 60), (119, 60), (120, 120)):
        store.key_uses.note(CRM, NOON + passed * SECOND)
        assert await uses(store) == {CRM: NOON + kept * SECOND}


async def test_a_clock_set_back_silences_no_key(store: Store) -> None:
    store.key_uses.note(CRM, NOON)
    store.key_uses.note(CRM, NOON - SELDOM)
    store.key_uses.note(CRM, NOON - SELDOM - SECOND)
    assert CRM in await uses(store)


async def test_a_store_that_does_not_take_it_hinders_nobody(
    store: Store, client: Redis, keys: Keys
) -> None:
    await client.set(keys.keys_used, "somebody else's")
    before = await dump(client, keys)
    store.key_uses.note(CRM, NOON)
    await store.key_uses.close()
    assert await dump(client, keys) == before


async def test_what_is_no_time_says_nothing(store: Store, client: Redis, keys: Keys) -> None:
    written = {"crm-1": "soon", "crm-2": "-5", "crm-3": "9" * 40, "crm-4": "", "crm-5": "0"}
    for key, at in written.items():
        await client.hset(keys.keys_used, key, at)
    assert list(await uses(store)) == ["crm-5"]

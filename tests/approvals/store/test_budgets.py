"""take_budget.lua on both engines: what a minute gives, all or none, by the store's time alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from fractions import Fraction
from typing import cast

import pytest
from fakeredis import FakeServer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from approvals.model import ServiceId
from approvals.store.health import Demands
from approvals.store.keys import Keys
from approvals.store.pipeline import CommandRefused
from approvals.store.scripts import Scripts, Taken
from approvals.store.store import Store
from tests.approvals.store.support import STANDS_AT, dump, stop_the_clock
from tests.conftest import SECRETS, Engine, fake_pool

CRM, BILLING = ServiceId("crm"), ServiceId("billing")
JONAS = "okta:jonas@example.com"
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture(autouse=True)
async def standing_clock(client: Redis, keys: Keys) -> None:
    await stop_the_clock(client, keys)


async def take(
    store: Store,
    service: ServiceId = CRM,
    requester: str = JONAS,
    key: str | None = None,
    *,
    per_minute: int = 20,
    per_requester: int = 10,
) -> Taken:
    # So few that no budget ends while a test runs: the store's time stands still, and that by
    # which the server forgets does not.
    return await store.budgets.take(
        service,
        requester,
        per_minute=per_minute,
        per_requester=per_requester,
        idempotency=key,
    )


def left(taken: Taken) -> list[int]:
    return [level.left for level in taken.levels]


async def test_a_minute_s_worth_may_be_asked_at_once_and_then_it_comes_back_evenly(
    store: Store, client: Redis, keys: Keys
) -> None:
    for so_many in (2, 1, 0):
        assert left(await take(store, per_requester=3)) == [17 + so_many, so_many]
    refused = await take(store, per_requester=3)
    assert not refused.is_enough
    assert [level.wait for level in refused.levels] == [timedelta(0), 20 * SECOND]
    assert refused.levels[1].full_in == MINUTE
    await stop_the_clock(client, keys, STANDS_AT + 20 * SECOND - MILLISECOND)
    assert (await take(store, per_requester=3)).levels[1].wait == MILLISECOND
    await stop_the_clock(client, keys, STANDS_AT + 20 * SECOND)
    assert (await take(store, per_requester=3)).is_enough
    assert not (await take(store, per_requester=3)).is_enough


async def test_the_time_told_is_the_store_s(store: Store) -> None:
    assert (await take(store)).now == STANDS_AT


async def test_what_is_refused_takes_from_no_budget(store: Store) -> None:
    await take(store, per_requester=1)
    for _ in range(3):
        assert left(await take(store, per_requester=1)) == [19, 0]
    assert left(await take(store, requester="okta:other", per_requester=1)) == [18, 0]


async def test_services_and_requesters_share_nothing(store: Store) -> None:
    await take(store, per_minute=1, per_requester=1)
    assert (await take(store, BILLING, per_minute=1, per_requester=1)).is_enough
    assert (await take(store, requester="okta:other", per_minute=2, per_requester=1)).is_enough


async def test_a_used_idempotency_key_costs_the_service_alone(store: Store, client: Redis) -> None:
    mark = store.marks.idempotency("order-7")
    assert (await take(store, key=mark)).used is None
    await client.set(store.keys.idempotency(CRM, mark), "req_1 bodymark")
    taken = await take(store, key=mark, per_requester=1)
    assert (taken.is_enough, taken.used, left(taken)) == (True, "req_1 bodymark", [18, 0])
    assert (await take(store, BILLING, key=mark)).used is None
    assert not (await take(store, key=mark, per_minute=1)).is_enough


@pytest.mark.parametrize("most", [1, 7, 60])
async def test_of_many_at_once_exactly_as_many_are_taken_as_there_are(
    store: Store, engine: Engine, most: int
) -> None:
    other = engine.store()

    async def takes(each: Store) -> Taken:
        return await take(each, per_minute=2 * most + 10, per_requester=most)

    tries = [takes(each) for each in (store, other) for _ in range(most + 5)]
    answers = await asyncio.gather(*tries)
    assert sum(answer.is_enough for answer in answers) == most
    assert left(await takes(store)) == [most + 10, 0]
    await other.close()


async def test_budgets_end_by_themselves_and_name_nobody(
    store: Store, client: Redis, keys: Keys
) -> None:
    await take(store)
    names = [name for name in await dump(client, keys) if name.startswith("budget:")]
    assert len(names) == 2
    assert "jonas" not in "".join(names)
    tag = keys.log.removesuffix("log")
    for name in names:
        assert 0 < await client.pttl(tag + name) <= 62_000


async def test_what_somebody_else_wrote_counts_as_spent_and_heals(
    store: Store, client: Redis, keys: Keys
) -> None:
    for text in ("", "much", "-5 1", "1e9 0", "0", "9" * 400 + " 0"):
        await client.set(keys.budget_of_service(CRM), text)
        found = await take(store)
        is_old = text.startswith("999")  # a debt without end, but long ago: it is paid
        assert found.is_enough == is_old, text
    await client.set(keys.budget_of_service(CRM), "0 " + "9" * 400)
    assert (await take(store)).is_enough  # a time that is yet to come pays nothing back


async def test_a_budget_of_another_kind_is_refused_and_changes_nothing(
    store: Store, client: Redis, keys: Keys
) -> None:
    mark = store.marks.requester(JONAS)
    places = [
        keys.budget_of_service(CRM),
        keys.budget_of_requester(CRM, mark),
        keys.idempotency(CRM, "mark"),
        keys.clock,
    ]
    for name in places:
        kept = await client.get(name)
        await client.delete(name)
        await client.rpush(name, "somebody else's")
        before = await dump(client, keys)
        with pytest.raises(CommandRefused):
            await take(store, key="mark")
        assert await dump(client, keys) == before
        await client.delete(name)
        if kept:
            await client.set(name, cast("bytes", kept))


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "x", "", "10000000", "0x10", "nan"])
async def test_a_limit_that_is_none_is_refused(scripts: Scripts, keys: Keys, limit: str) -> None:
    limits = {keys.budget_of_service(CRM): cast("int", limit)}
    with pytest.raises(CommandRefused, match="limit 1"):
        await scripts.take_budgets(limits, None)


async def test_after_a_reset_of_the_clock_nobody_waits_longer_than_a_minute(
    store: Store, client: Redis, keys: Keys
) -> None:
    await take(store, per_requester=1)
    await stop_the_clock(client, keys, STANDS_AT - timedelta(hours=1))
    assert (await take(store, per_requester=1)).levels[1].wait == MINUTE


async def test_a_lower_limit_counts_at_once(store: Store) -> None:
    for _ in range(10):
        await take(store)
    lower = await take(store, per_requester=5)
    assert (lower.is_enough, left(lower)) == (False, [10, 0])
    assert lower.levels[1].wait == 12 * SECOND


STEPS = st.lists(st.integers(0, 70_000), max_size=40)


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(1, 1_000_000) | st.integers(1, 60), steps=STEPS)
@example(limit=7, steps=[0] * 10)
@example(limit=1_000_000, steps=[0, 1, 0])
def test_it_gives_what_an_exact_bucket_gives(limit: int, steps: list[int]) -> None:
    with asyncio.Runner() as runner:
        runner.run(_as_an_exact_bucket(limit, steps))


async def _as_an_exact_bucket(limit: int, steps: list[int]) -> None:
    server = FakeServer()
    store = Store.over(fake_pool(server), "model", SECRETS, Demands(durability="none"))
    client = Redis.from_pool(fake_pool(server))
    per_millisecond = Fraction(limit, 60_000)
    tokens, at = Fraction(limit), STANDS_AT
    for step in steps:
        at += step * MILLISECOND
        tokens = min(Fraction(limit), tokens + step * per_millisecond)
        await stop_the_clock(client, store.keys, at)
        taken = await take(store, per_minute=1_000_000, per_requester=limit)
        assert taken.is_enough == (tokens >= 1)
        tokens -= taken.is_enough
        level = taken.levels[1]
        assert level.left == int(tokens)
        if not taken.is_enough:
            assert level.wait == -(-(1 - tokens) // per_millisecond) * MILLISECOND
        # The store's time stands still here, and the server's own does not.
        await client.persist(store.keys.budget_of_requester(CRM, store.marks.requester(JONAS)))
        await client.persist(store.keys.budget_of_service(CRM))
    await client.aclose()
    await store.close()

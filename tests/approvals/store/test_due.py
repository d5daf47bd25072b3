"""The due queue on both engines: no wish is lost, and one member has one holder at a time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import cast

import pytest
from redis.asyncio import Redis

from approvals.store.due import LEASES
from approvals.store.keys import Keys
from approvals.store.scripts import Claimed, Commit, Scripts
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.store.support import STANDS_AT, dump, schedule, stop_the_clock, wait_until
from tests.conftest import Engine

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SHORT = timedelta(milliseconds=1)
PAST = STANDS_AT - MINUTE


@pytest.fixture(autouse=True)
async def standing_clock(client: Redis, keys: Keys) -> None:
    await stop_the_clock(client, keys)


async def claim(scripts: Scripts, most: int = 100, lease: timedelta = MINUTE) -> Claimed:
    return await scripts.claim_due("deadlines", most, lease)


async def finish(
    scripts: Scripts, member: str, claimed: Claimed, next_try: datetime | None = None
) -> bool:
    return await scripts.finish_due("deadlines", member, claimed.lease_end, next_try)


async def test_what_is_due_is_claimed_once_and_what_is_not_waits(
    scripts: Scripts, keys: Keys
) -> None:
    await schedule(scripts, keys, "late", PAST)
    await schedule(scripts, keys, "now", STANDS_AT)
    await schedule(scripts, keys, "soon", STANDS_AT + SECOND)
    claimed = await claim(scripts)
    assert claimed.members == ("late", "now")
    assert claimed.now == STANDS_AT
    assert (await claim(scripts)).members == ()


async def test_a_claim_tells_how_long_to_wait_for_the_next(scripts: Scripts, keys: Keys) -> None:
    assert (await claim(scripts)).wait is None
    await schedule(scripts, keys, "soon", STANDS_AT + 30 * SECOND)
    assert (await claim(scripts)).wait == 30 * SECOND
    await schedule(scripts, keys, "sooner", STANDS_AT + 2 * SECOND)
    assert (await claim(scripts)).wait == 2 * SECOND


async def test_a_lease_is_waited_for_too(scripts: Scripts, keys: Keys) -> None:
    await schedule(scripts, keys, "member", PAST)
    assert (await claim(scripts)).wait == MINUTE
    wait = (await claim(scripts)).wait
    assert wait is not None
    assert timedelta() < wait <= MINUTE


async def test_a_full_batch_leaves_the_rest_due_at_once(scripts: Scripts, keys: Keys) -> None:
    for n in range(5):
        await schedule(scripts, keys, f"m{n}", PAST + n * SECOND)
    first, second, third = [await claim(scripts, most=2) for _ in range(3)]
    assert first.members == ("m0", "m1")
    assert first.wait == timedelta()
    assert second.members == ("m2", "m3")
    assert third.members == ("m4",)


async def test_a_finished_member_is_gone(scripts: Scripts, keys: Keys, client: Redis) -> None:
    await schedule(scripts, keys, "member", PAST)
    claimed = await claim(scripts)
    assert await finish(scripts, "member", claimed)
    assert not [name for name in await dump(client, keys) if name.startswith("deadlines")]


async def test_a_repeated_finish_is_harmless(scripts: Scripts, keys: Keys, client: Redis) -> None:
    await schedule(scripts, keys, "member", PAST)
    claimed = await claim(scripts)
    assert await finish(scripts, "member", claimed, STANDS_AT + SECOND)
    before = await dump(client, keys)
    assert not await finish(scripts, "member", claimed, STANDS_AT + MINUTE)
    assert not await finish(scripts, "stranger", claimed)
    assert await dump(client, keys) == before


async def test_a_member_comes_back_at_its_next_try(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await schedule(scripts, keys, "member", PAST)
    await finish(scripts, "member", await claim(scripts), STANDS_AT + SECOND)
    assert (await claim(scripts)).wait == SECOND
    await stop_the_clock(client, keys, STANDS_AT + SECOND)
    assert (await claim(scripts)).members == ("member",)


async def test_a_schedule_replaces_the_earlier_wish(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await schedule(scripts, keys, "member", PAST)
    await schedule(scripts, keys, "member", STANDS_AT + MINUTE)
    assert (await claim(scripts)).members == ()
    await schedule(scripts, keys, "member", STANDS_AT)
    assert (await claim(scripts)).members == ("member",)


@pytest.mark.parametrize(
    ("next_try", "comes_back"),
    [(None, 5), (STANDS_AT + 9 * SECOND, 5), (STANDS_AT + 2 * SECOND, 2)],
    ids=["no next try", "a later try", "an earlier try"],
)
async def test_a_wish_made_while_leased_survives_the_finish(
    scripts: Scripts, keys: Keys, next_try: datetime | None, comes_back: int
) -> None:
    await schedule(scripts, keys, "member", PAST)
    claimed = await claim(scripts)
    await schedule(scripts, keys, "member", STANDS_AT + 5 * SECOND)
    assert (await claim(scripts)).members == ()
    assert await finish(scripts, "member", claimed, next_try)
    assert (await claim(scripts)).wait == comes_back * SECOND


async def test_the_last_wish_made_while_leased_holds(scripts: Scripts, keys: Keys) -> None:
    await schedule(scripts, keys, "member", PAST)
    claimed = await claim(scripts)
    await schedule(scripts, keys, "member", STANDS_AT)
    await schedule(scripts, keys, "member", STANDS_AT + 5 * SECOND)
    await finish(scripts, "member", claimed)
    assert (await claim(scripts)).wait == 5 * SECOND


async def test_a_dead_worker_s_member_comes_back_when_its_lease_has_run_out(
    scripts: Scripts, keys: Keys
) -> None:
    await schedule(scripts, keys, "member", PAST)
    dead = await claim(scripts, lease=SHORT)
    again: list[Claimed] = []

    async def came_back() -> bool:
        again.append(await claim(scripts, lease=SHORT))
        return again[-1].members == ("member",)

    await wait_until(came_back, "the lease ran out")
    assert again[-1].lease_end != dead.lease_end


async def test_leases_end_by_the_server_s_clock_though_the_store_s_time_stands(
    scripts: Scripts, keys: Keys
) -> None:
    await schedule(scripts, keys, "member", PAST)
    claimed = await claim(scripts, lease=MINUTE)
    assert int(claimed.lease_end) < millis(STANDS_AT) * 1000
    assert claimed.lease_end.isdigit()
    assert len(claimed.lease_end) == 16


async def test_the_finish_of_a_lost_lease_leaves_its_new_holder_alone(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await schedule(scripts, keys, "member", PAST)
    slow = await claim(scripts)
    await client.zadd(keys.queue("deadlines").leased, {"member": 1})
    holder = await claim(scripts)
    assert holder.members == ("member",)
    before = await dump(client, keys)
    assert not await finish(scripts, "member", slow, STANDS_AT)
    assert await dump(client, keys) == before
    assert await finish(scripts, "member", holder)


async def test_no_two_claims_share_a_lease_end(scripts: Scripts, keys: Keys) -> None:
    ends = []
    for n in range(50):
        await schedule(scripts, keys, f"m{n}", PAST)
        ends.append((await claim(scripts)).lease_end)
    assert len(set(ends)) == 50


async def test_a_wish_made_while_leased_survives_the_death_of_its_worker(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await schedule(scripts, keys, "member", PAST)
    await claim(scripts)
    await schedule(scripts, keys, "member", STANDS_AT + MINUTE)
    await client.zadd(keys.queue("deadlines").leased, {"member": 1})
    second = await claim(scripts)
    assert second.members == ("member",)
    await finish(scripts, "member", second)
    assert await _due(client, keys) == {"member": STANDS_AT + MINUTE}


async def _due(client: Redis, keys: Keys) -> dict[str, datetime]:
    reply = await client.zrange(keys.queue("deadlines").due, 0, -1, withscores=True)
    due = cast("list[tuple[bytes, float]]", reply)
    return {
        member.decode(): STANDS_AT + timedelta(milliseconds=score - millis(STANDS_AT))
        for member, score in due
    }


async def test_a_lease_far_ahead_of_a_clock_set_back_counts_as_run_out(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await schedule(scripts, keys, "member", PAST)
    lost = await claim(scripts)
    far = int(lost.lease_end) + MINUTE // timedelta(microseconds=1)
    await client.zadd(keys.queue("deadlines").leased, {"member": far})
    assert (await claim(scripts)).members == ("member",)


async def test_the_time_never_goes_back_with_the_server_s_clock(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await schedule(scripts, keys, "member", STANDS_AT - SHORT)
    claimed = await claim(scripts)
    assert (claimed.now, claimed.members) == (STANDS_AT, ("member",))
    assert await client.get(keys.clock) == str(millis(STANDS_AT)).encode()


async def test_a_claim_stores_the_time_it_was_made_at(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await client.delete(keys.clock)
    claimed = await claim(scripts)
    assert await client.get(keys.clock) == str(millis(claimed.now)).encode()


async def test_an_unscheduled_member_is_forgotten_unless_it_is_in_work(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    for member in ("idle", "busy"):
        await schedule(scripts, keys, member, PAST)
        if member == "idle":
            await _unschedule(scripts, keys, member)
    claimed = await claim(scripts)
    assert claimed.members == ("busy",)
    await schedule(scripts, keys, "busy", PAST)
    await _unschedule(scripts, keys, "busy")
    assert await finish(scripts, "busy", claimed)
    assert await _due(client, keys) == {}


async def _unschedule(scripts: Scripts, keys: Keys, member: str) -> None:
    loaded = await scripts.load(keys.system)
    commit = Commit(
        op=f"unschedule-{loaded.version}",
        record=keys.system,
        expect=loaded.version,
        now=loaded.now,
        result="unscheduled",
        entry=0,
        writes=(("unschedule", "deadlines", member),),
    )
    assert (await scripts.commit(commit)).code == "OK"


async def test_eight_workers_share_five_hundred_members_and_none_twice(
    engine: Engine, scripts: Scripts, keys: Keys, client: Redis
) -> None:
    due = {f"m{n}": millis(PAST) for n in range(500)}
    await client.zadd(keys.queue("deadlines").due, due)
    workers = [engine.store() for _ in range(8)]

    async def work(worker: Store) -> list[str]:
        own, mine = Scripts(worker.pipeline, keys), []
        while (claimed := await claim(own, most=7)).members:
            for member in claimed.members:
                mine.append(member)
                assert await finish(own, member, claimed)
        return mine

    done = await asyncio.gather(*(work(worker) for worker in workers))
    handled = [member for mine in done for member in mine]
    assert sorted(handled) == sorted(due)
    for worker in workers:
        await worker.close()


async def test_each_queue_has_its_lease_and_its_own_members(store: Store, client: Redis) -> None:
    await client.zadd(store.keys.queue("callbacks").due, {"evt_1": 1})
    assert (await store.deadlines.claim()).members == ()
    claimed = await store.callbacks.claim()
    assert claimed.members == ("evt_1",)
    assert store.callbacks.lease == LEASES["callbacks"] > store.deadlines.lease
    assert not await store.deadlines.finish("evt_1", claimed.lease_end)
    assert await store.callbacks.finish("evt_1", claimed.lease_end, STANDS_AT + SECOND)
    assert (await store.callbacks.claim()).wait == SECOND

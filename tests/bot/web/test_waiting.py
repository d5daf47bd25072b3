"""Waiting for a decision without asking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis

from approvals.model import RequestId
from approvals.store.keys import Keys
from bot.web.waiting import Waiting, Watch
from tests.bot.web.conftest import wait_until
from tests.conftest import Engine

REQUEST = RequestId("req_" + "0" * 26)
OTHER = RequestId("req_" + "1" * 26)


@asynccontextmanager
async def running(waiting: Waiting) -> AsyncIterator[None]:
    task = asyncio.create_task(waiting.run())
    await waiting.is_listening.wait()
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def keys(engine: Engine) -> Keys:
    return Keys(engine.namespace)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Redis]:
    client = engine.client()
    yield client
    await client.aclose()


@pytest.fixture
async def waiting(client: Redis, keys: Keys) -> AsyncIterator[Waiting]:
    waiting = Waiting(client, keys)
    async with running(waiting):
        yield waiting


def within(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_only_who_waits_for_this_request_is_woken(
    waiting: Waiting, client: Redis, keys: Keys
) -> None:
    with waiting.watch(REQUEST) as watch, waiting.watch(OTHER) as other:
        await client.publish(keys.settled_channel, REQUEST)
        assert await watch.woken(within(10))
        assert not await other.woken(within(0))


async def test_a_wake_up_before_the_wait_is_not_missed(
    waiting: Waiting, client: Redis, keys: Keys
) -> None:
    with waiting.watch(OTHER) as marker, waiting.watch(REQUEST) as watch:
        await client.publish(keys.settled_channel, REQUEST)
        await client.publish(keys.settled_channel, OTHER)
        assert await marker.woken(within(10))  # so the earlier one has arrived too
        assert await watch.woken(within(0.001))


async def test_one_wake_up_wakes_once(waiting: Waiting, client: Redis, keys: Keys) -> None:
    with waiting.watch(REQUEST) as watch:
        await client.publish(keys.settled_channel, REQUEST)
        assert await watch.woken(within(10))
        assert not await watch.woken(within(0))


async def test_a_crowd_is_woken_as_one_and_forgotten(
    waiting: Waiting, client: Redis, keys: Keys
) -> None:
    woken: list[bool] = []

    async def wait() -> None:
        with waiting.watch(REQUEST) as watch:
            woken.append(await watch.woken(within(60)))

    crowd = [asyncio.create_task(wait()) for _ in range(10_000)]
    await wait_until(lambda: len(waiting) == len(crowd))
    await client.publish(keys.settled_channel, REQUEST)
    await asyncio.gather(*crowd)
    assert all(woken)
    assert len(waiting) == 0


async def test_at_a_stop_everyone_is_let_go_and_nobody_waits_any_more(waiting: Waiting) -> None:
    with waiting.watch(REQUEST) as early:
        await waiting.close()
        assert not await early.woken(within(60))
    with waiting.watch(REQUEST) as late:
        assert not await late.woken(within(60))
        assert late.is_over


async def test_who_waited_before_anyone_listened_looks_again(client: Redis, keys: Keys) -> None:
    waiting = Waiting(client, keys)
    with waiting.watch(REQUEST) as watch:
        async with running(waiting):
            assert await watch.woken(within(10))


async def drop_listeners(client: Redis, keys: Keys) -> None:
    """Ends every connection that is subscribed, as a restart of the server does."""
    for each in await client.client_list("pubsub"):
        if int(each["sub"]):
            await client.client_kill_filter(_id=each["id"])


async def test_after_a_lost_subscription_everyone_looks_again(
    real_server: object, engine: Engine, client: Redis, keys: Keys
) -> None:
    if engine.name == "fakeredis":
        pytest.skip("has no connections to lose")
    waiting = Waiting(client, keys)
    async with running(waiting):
        with waiting.watch(REQUEST) as watch:
            await drop_listeners(client, keys)
            assert await watch.woken(within(10))
            # And the new subscription hears what comes next.
            await wait_until(waiting.is_listening.is_set)
            assert await hears(watch, client, keys)


async def hears(watch: Watch, client: Redis, keys: Keys) -> bool:
    with suppress(TimeoutError):
        await watch.woken(within(0))
    await client.publish(keys.settled_channel, REQUEST)
    return await watch.woken(within(10))

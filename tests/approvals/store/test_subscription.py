"""A listener hears what is published, looks for itself after each gap, and ends when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from approvals.store.subscription import Subscription
from tests.approvals.store.support import Servers
from tests.conftest import Engine


@asynccontextmanager
async def listening(
    pool: BlockingConnectionPool, channel: str
) -> AsyncIterator[asyncio.Queue[str | None]]:
    """What a listener hears, in order; None stands for a gap."""
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    subscription = Subscription(
        pool, channel, heard=heard.put_nowait, gap=lambda: heard.put_nowait(None)
    )
    running = asyncio.create_task(subscription.run())
    async with asyncio.timeout(20):
        await subscription.is_listening.wait()
        yield heard
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_what_is_published_is_heard(engine: Engine, client: Redis) -> None:
    pool = engine.pool()
    async with listening(pool, engine.namespace) as heard:
        assert await heard.get() is None
        for text in ("one", "zwei \U0001f389"):
            await client.publish(engine.namespace, text)
            assert await heard.get() == text
        await client.publish(engine.namespace, b"\xff")
        assert await heard.get() == "\ufffd"
    await pool.aclose()


async def test_after_a_lost_connection_there_is_a_gap_and_hearing_goes_on(
    servers: Servers,
) -> None:
    server = await servers.start()
    async with listening(servers.pool(server), "channel") as heard:
        assert await heard.get() is None
        server.process.kill()
        again = await servers.restart(server)
        assert await heard.get() is None
        await servers.client(again).publish("channel", "back")
        assert await heard.get() == "back"

"""What open pages of the console hear."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from approvals.store.keys import Keys
from bot.chat.console.live import Live
from tests.conftest import Engine

REQUEST = "req_01M87AD0RFFK4A3F01XC6VCQK5"


async def test_pages_hear_of_requests_and_not_of_what_else_the_channels_carry(
    engine: Engine,
) -> None:
    pool, keys = engine.pool(), Keys(engine.namespace)
    live = Live(pool, keys)
    listening = asyncio.create_task(live.run())
    await live.wait_until_listening()
    events = live.stream()
    async with engine.client() as client:
        assert b"event: beat" in await anext(events)
        for channel in (keys.settled_channel, keys.console_channel):
            for word in ("probe", REQUEST):  # the health check publishes the first every 5 s
                await client.publish(channel, word)
            assert await anext(events) == f"event: changed\ndata: {REQUEST}\n\n".encode()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    await pool.aclose()

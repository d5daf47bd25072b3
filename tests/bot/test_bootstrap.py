"""What joins the parts."""

from __future__ import annotations

import asyncio

import pytest

from approvals.store.health import Health
from approvals.store.store import Store
from bot.bootstrap import watch_health


class Stumbling(Health):
    """Fails in a way nobody foresaw, then works again."""

    def __init__(self, of: Store) -> None:
        super().__init__(of.pipeline, of.keys, {})
        self.looks = 0
        self.faults = ()
        self.at_second_look: tuple[str, ...] = ()
        self.worked = asyncio.Event()

    async def check(self) -> tuple[str, ...]:
        self.looks += 1
        if self.looks == 1:
            raise ZeroDivisionError
        self.at_second_look = self.faults
        self.worked.set()
        return ()


async def test_what_one_look_at_the_store_meets_ends_no_watch(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    health = Stumbling(store)
    watching = asyncio.create_task(watch_health(health, pause_s=0))
    async with asyncio.timeout(5):
        await health.worked.wait()
    watching.cancel()
    assert [record.message for record in caplog.records] == ["health check failed"]
    assert health.at_second_look, "a store that nobody could look at counts as unfit"

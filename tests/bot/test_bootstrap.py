"""What joins the parts: a start that a signal cuts short, a watch that goes on, and listening."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from approvals.store.health import Health
from approvals.store.store import Store
from bot.bootstrap import cut_short_by, listen, own_address, watch_health
from bot.deployment import HostUnfit
from bot.settings import Settings

Begun = Callable[[], None]


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


async def test_a_stop_during_the_start_cuts_it_short_and_lets_it_clean_up(
    stop: asyncio.Event,
) -> None:
    cleaned = asyncio.Event()

    async def start(begun: Begun) -> None:
        try:
            stop.set()
            await asyncio.Event().wait()
            begun()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    assert not await cut_short_by(stop, start)
    assert cleaned.is_set()


async def test_a_stop_after_the_start_is_left_to_what_runs(stop: asyncio.Event) -> None:
    async def serve(begun: Begun) -> None:
        begun()
        stop.set()
        await stop.wait()
        await asyncio.sleep(0)

    assert await cut_short_by(stop, serve)


async def test_a_fault_at_the_start_is_raised(stop: asyncio.Event) -> None:
    async def fail(_begun: Begun) -> None:
        raise HostUnfit("There is no such host.")

    with pytest.raises(HostUnfit):
        await cut_short_by(stop, fail)


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


@pytest.mark.parametrize("host", ["203.0.113.7", "x" * 70])
def test_a_host_that_is_not_ours_is_named_and_not_its_port(host: str) -> None:
    with pytest.raises(HostUnfit, match="PLACET_HOST") as refused:
        listen(host, 0)
    assert "PLACET_PORT" not in refused.value.detail


def test_its_own_address_is_not_the_one_that_others_use() -> None:
    settings = Settings(base_url="https://placet.example", host="127.0.0.1")
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert own_address(listener, settings) == f"http://127.0.0.1:{port}"

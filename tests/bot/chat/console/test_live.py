"""Open pages hear which requests changed: an id, never more; and when it is over, it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis

from approvals.model import RequestId
from bot.chat.card import Card
from bot.chat.console.adapter import ConsolePort
from bot.chat.console.live import MOST_AT_ONCE, Stream
from bot.chat.port import ChatBusy, MessageRef
from tests.bot.chat.console.conftest import Console, Heard, listening, stream
from tests.bot.web.conftest import wait_until
from tests.conftest import ANNA, Placet
from tests.stories.telling import asks, looks_and_votes

ANNAS = {"X-Placet-Person": "anna"}
SEVEN, EIGHT = (RequestId(f"req_{number}" + 25 * "0") for number in "78")
CARD = Card(state="pending", title="canary title", text="canary text", request=SEVEN)


async def next_change(heard: Heard) -> tuple[str, str]:
    """The next event that tells of a change; a new subscription tells all to look again."""
    while (event := await heard.event()) and event[0] != "changed":
        assert event[0] in {"beat", "resync"}
    assert event is not None
    return event


async def test_a_stream_begins_with_a_beat_that_tells_the_time(console: Console) -> None:
    async with stream(console, ANNAS) as heard:
        assert heard.status == 200
        assert heard.headers["content-type"].startswith("text/event-stream")
        assert heard.headers["cache-control"] == "no-store"
        assert "content-security-policy" in heard.headers
        event = await heard.event()
        assert event is not None
        name, data = event
        assert name == "beat"
        assert data.isdigit()
        assert len(data) == 13


async def test_a_posted_and_an_updated_card_are_heard_by_id_alone(console: Console) -> None:
    async with listening(console), stream(console, ANNAS) as heard:
        await wait_until(lambda: len(console.live) == 1)
        ref = await console.port.post("desk", CARD)
        assert (ref.platform, ref.channel, ref.id) == ("console", "desk", SEVEN)
        assert await next_change(heard) == ("changed", SEVEN)
        await console.port.update(ref.model_copy(update={"id": EIGHT}), CARD)
        assert await next_change(heard) == ("changed", EIGHT)


async def test_a_decision_is_heard(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    async with listening(console), stream(console, ANNAS) as heard:
        await wait_until(lambda: len(console.live) == 1)
        await looks_and_votes(placet, ANNA, request.id)
        assert await next_change(heard) == ("changed", request.id)


async def test_every_open_page_hears_it(console: Console) -> None:
    bens = {"X-Placet-Person": "ben"}
    async with (
        listening(console),
        stream(console, ANNAS) as one,
        stream(console, bens) as other,
    ):
        await wait_until(lambda: len(console.live) == 2)
        await console.port.post("desk", CARD)
        assert await next_change(one) == await next_change(other) == ("changed", SEVEN)


async def test_a_page_that_leaves_is_forgotten(console: Console) -> None:
    async with stream(console, ANNAS):
        await wait_until(lambda: len(console.live) == 1)
    assert len(console.live) == 0


async def test_closing_ends_every_stream_and_those_to_come(console: Console) -> None:
    async with stream(console, ANNAS) as early:
        assert (await early.event() or ("",))[0] == "beat"
        console.live.close()
        assert await early.event() is None
    async with stream(console, ANNAS) as late:
        assert (await late.event() or ("",))[0] == "beat"
        assert await late.event() is None
    assert len(console.live) == 0


async def test_nobody_known_hears_nothing(console: Console) -> None:
    assert (await console.call("GET", "/console/events")).status == 401
    assert (await console.get_as("nobody", "/console/events")).status == 401
    assert len(console.live) == 0


async def test_a_lost_store_is_a_busy_platform() -> None:
    port = ConsolePort(cast("Redis", _Gone()), "channel")
    with pytest.raises(ChatBusy, match="OSError"):
        await port.update(MessageRef(platform="console", channel="desk", id=SEVEN), CARD)


class _Gone:
    """A client whose store is out of reach."""

    async def publish(self, channel: str, message: str) -> int:
        raise OSError("gone")


# -- one stream by itself -------------------------------------------------------------------------


async def told_next(events: AsyncIterator[bytes]) -> str:
    async with asyncio.timeout(10):
        return (await anext(events)).decode()


async def test_many_changes_are_told_in_one_event_and_each_once() -> None:
    page = Stream()
    events = page.events()
    await told_next(events)
    for number in (1, 2, 1):
        page.tell(f"req_{number}")
    assert await told_next(events) == "event: changed\ndata: req_1 req_2\n\n"


@pytest.mark.parametrize(("count", "name"), [(MOST_AT_ONCE, "changed"), (51, "resync")])
async def test_more_than_fifty_changes_are_one_resync(count: int, name: str) -> None:
    page = Stream()
    events = page.events()
    await told_next(events)
    for number in range(count):
        page.tell(f"req_{number}")
    assert (await told_next(events)).startswith(f"event: {name}\n")
    page.tell("req_later")
    assert await told_next(events) == "event: changed\ndata: req_later\n\n"


async def test_a_gap_is_told_as_a_resync_whatever_else_changed() -> None:
    page = Stream()
    events = page.events()
    await told_next(events)
    page.tell("req_1")
    page.tell("")
    assert (await told_next(events)).startswith("event: resync\n")


async def test_a_page_that_does_not_read_costs_a_bounded_memory() -> None:
    page = Stream()
    events = page.events()
    await told_next(events)
    for number in range(1000):
        page.tell(f"req_{number}")
    assert len(page._changed) == MOST_AT_ONCE + 1
    page.tell("")
    assert (await told_next(events)).startswith("event: resync\n")

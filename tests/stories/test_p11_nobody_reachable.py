"""P11: where nobody can be told, the service knows in seconds, and people may still decide."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.model import ApprovalRequest
from approvals.policy.loader import Configuration
from tests.bot.web.conftest import make_web, wait_until
from tests.calling_back import working
from tests.conftest import ANNA, CLEO, Placet
from tests.notifying import DESK, DUTY, Cards, notifying
from tests.servers.recording_port import RecordingPort, busy
from tests.stories.telling import asks, history, looks_and_votes, passes, time_works


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return notifying(tmp_path / "config")


@pytest.fixture
def port() -> RecordingPort:
    return RecordingPort()


@pytest.fixture
def cards(placet: Placet, port: RecordingPort) -> Cards:
    return Cards(placet, port)


async def export(placet: Placet) -> ApprovalRequest:
    """A request that is told to two channels."""
    return await asks(placet, action="users.export", params=None)


async def facts(placet: Placet, request: ApprovalRequest) -> ApprovalRequest:
    return await placet.service.card_facts(request.id)


async def test_when_every_channel_refuses_who_waits_is_told_at_once(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found", DUTY: "not_in_channel"}
    web = make_web(placet, placet.engine)
    async with working(web.waiting.run()):
        request = await export(placet)
        waits = asyncio.create_task(web.get(f"/v1/requests/{request.id}?wait=60"))
        await wait_until(lambda: len(web.waiting) == 1)
        await web.waiting.is_listening.wait()

        await cards.goes_round()

        async with asyncio.timeout(10):
            answered = (await waits).json()
        await web.waiting.close()
    assert (answered["status"], answered["delivery"]) == ("pending", "undeliverable")
    assert answered["presented_at"] is None
    types = [entry["type"] for entry in await history(placet, request.id)]
    assert types == ["request.opened", "request.undeliverable"]


async def test_one_channel_that_takes_the_card_is_enough(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found"}
    request = await export(placet)
    await cards.goes_round()

    assert (await facts(placet, request)).delivery == "presented"
    assert len(port.live(DUTY)) == 1


async def test_a_channel_that_is_only_busy_has_not_refused(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found"}
    port.faults["post"].extend([busy(), busy()])
    request = await export(placet)
    await cards.goes_round()

    assert (await facts(placet, request)).delivery == "queued"


async def test_people_may_still_decide_what_reaches_no_channel(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found", DUTY: "channel_not_found"}
    request = await export(placet)
    await cards.goes_round()

    await looks_and_votes(placet, ANNA, request.id)
    after = await looks_and_votes(placet, CLEO, request.id)
    await cards.goes_round()

    assert after.status == "approved"
    assert port.cards(DESK) == port.cards(DUTY) == []
    assert await cards.due() == {}


async def test_a_channel_that_is_mended_presents_the_request(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found", DUTY: "channel_not_found"}
    request = await export(placet)
    await cards.goes_round()
    assert (await facts(placet, request)).delivery == "undeliverable"

    del port.closed[DESK]
    await cards.waits_for_the_next_try()
    await cards.goes_round()

    after = await facts(placet, request)
    assert after.delivery == "presented"
    assert after.presented_at is not None
    assert len(port.live(DESK)) == 1


async def test_at_the_deadline_it_is_the_reason(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found", DUTY: "channel_not_found"}
    request = await export(placet)
    await cards.goes_round()
    await passes(placet, request, timedelta(0))
    (expired,) = await time_works(placet)
    await cards.goes_round()

    assert expired.decision is not None
    assert expired.decision.reason == "undeliverable"
    assert await cards.due() == {}


async def test_a_card_that_comes_after_the_deadline_has_presented_nothing(
    placet: Placet, cards: Cards
) -> None:
    request = await export(placet)
    await passes(placet, request, timedelta(0))
    await cards.goes_round()  # nobody has made the expiry visible yet

    after = await facts(placet, request)
    assert after.decision is not None
    assert (after.decision.reason, after.presented_at) == ("not_presented", None)
    await cards.goes_round()

"""An escalation's channels get cards of their own; nothing else about cards changes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals.model import ApprovalRequest, Escalation, MatchedPolicy
from tests.approvals.samples import policy
from tests.conftest import ANNA, Placet
from tests.notifying import DESK, DUTY, Cards
from tests.servers.recording_port import RecordingPort
from tests.stories.telling import looks_and_votes, opens, time_works

MINUTE = timedelta(minutes=1)
ADDS_DUTY = (Escalation(after=5 * MINUTE, notify=("duty", "desk")),)
LOUD = policy(notify=("desk",), escalate=ADDS_DUTY)
QUIET = policy(escalate=ADDS_DUTY)


@pytest.fixture
def port() -> RecordingPort:
    return RecordingPort()


@pytest.fixture
def cards(placet: Placet, port: RecordingPort) -> Cards:
    return Cards(placet, port)


async def escalates(placet: Placet, under: MatchedPolicy) -> ApprovalRequest:
    """A request opened before its escalation was due, and then the worker's round."""
    await opens(placet, under, ago=6 * MINUTE)
    (request,) = await time_works(placet)
    return request


async def test_a_channel_that_is_added_gets_a_card_and_each_has_one(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    await opens(placet, LOUD, ago=6 * MINUTE)
    await cards.goes_round()
    assert (len(port.cards(DESK)), len(port.cards(DUTY))) == (1, 0)

    await time_works(placet)
    await cards.goes_round()

    assert (len(port.live(DESK)), len(port.live(DUTY))) == (1, 1)


async def test_both_show_the_end(placet: Placet, cards: Cards, port: RecordingPort) -> None:
    request = await escalates(placet, LOUD)
    await cards.goes_round()

    await looks_and_votes(placet, ANNA, request.id)
    await cards.goes_round()

    assert [card.state for card in (*port.cards(DESK), *port.cards(DUTY))] == ["approved"] * 2
    assert await cards.due() == {}


async def test_it_is_undeliverable_only_when_the_added_channels_refuse_too(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    port.closed = {DESK: "channel_not_found"}
    request = await escalates(placet, LOUD)

    await cards.goes_round()

    facts = await placet.service.card_facts(request.id)
    assert facts.delivery == "presented"
    assert facts.first_shown_at is not None


async def test_a_rule_that_notified_nobody_was_presented_at_once_and_stays_so(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await escalates(placet, QUIET)
    port.closed = {DESK: "channel_not_found"}

    await cards.goes_round()

    assert len(port.live(DUTY)) == 1
    facts = await placet.service.card_facts(request.id)
    assert (facts.delivery, facts.presented_at) == ("presented", request.created_at)

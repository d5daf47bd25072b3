"""P7: after quiet every card shows the final state, without a live button; one card a channel."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.act import Redeem
from approvals.errors import Refusal
from approvals.model import ApprovalRequest, Vote
from approvals.policy.loader import Configuration
from bot.chat.messages import Messages
from bot.notifier import Faces
from tests.conftest import ANNA, BEN, CLEO, CLI, CRM, JONAS, Placet
from tests.notifying import DESK, DUTY, Cards, notifying
from tests.servers.recording_port import Fault, RecordingPort, breaks, busy, loses_the_reply
from tests.stories.telling import asks, looks_and_votes, passes, set_store_time, time_works


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return notifying(tmp_path / "config")


@pytest.fixture
def port() -> RecordingPort:
    return RecordingPort()


@pytest.fixture
def cards(placet: Placet, port: RecordingPort) -> Cards:
    return Cards(placet, port)


async def falls_quiet(cards: Cards) -> None:
    """Workers go on, and time with them, until no card waits to be drawn."""
    for _ in range(50):
        await cards.goes_round()
        if not await cards.due():
            return
        await cards.waits_for_the_next_try()
    raise AssertionError("the cards never came to rest")


async def test_late_work_costs_one_edit(placet: Placet, cards: Cards, port: RecordingPort) -> None:
    request = await asks(placet)
    await cards.goes_round()

    approved = await looks_and_votes(placet, ANNA, request.id)
    assert approved.grant is not None
    await set_store_time(placet, approved.grant.expires_at)
    await time_works(placet)  # and only now a worker comes to the card
    await falls_quiet(cards)

    assert [card.state for card in port.cards(DESK)] == ["approved"]
    assert port.calls == [("post", DESK), ("update", DESK)]


async def test_what_ends_before_its_card_is_posted_stays_out_of_the_channel(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    withdrawn = await asks(placet)
    await placet.service.cancel_by_service(CRM, withdrawn.id)
    expired = await asks(placet)
    await passes(placet, expired, timedelta(0))
    (ended,) = await time_works(placet)
    await falls_quiet(cards)

    assert port.calls == []
    assert ended.decision is not None
    assert ended.decision.reason == "not_presented"


@pytest.mark.parametrize("ending", ["approve", "deny", "cancel", "expire"])
async def test_however_a_request_ends_its_cards_say_so(
    placet: Placet, cards: Cards, port: RecordingPort, ending: str
) -> None:
    request = await asks(placet, action="users.export", params=None)
    await cards.goes_round()
    assert len(port.live(DESK)) == len(port.live(DUTY)) == 1

    after = await _ends(placet, request, ending)
    await falls_quiet(cards)

    for channel in (DESK, DUTY):
        assert [card.state for card in port.cards(channel)] == [after.status]
        assert port.live(channel) == []


async def _ends(placet: Placet, request: ApprovalRequest, ending: str) -> ApprovalRequest:
    if ending == "approve":
        await looks_and_votes(placet, ANNA, request.id)
        return await looks_and_votes(placet, CLEO, request.id)
    if ending == "deny":
        return await looks_and_votes(placet, BEN, request.id, "deny", "Wrong ticket")
    if ending == "cancel":
        return await placet.service.cancel_by_service(CRM, request.id)
    await passes(placet, request, timedelta(0))
    (after,) = await time_works(placet)
    return after


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("redeem", "The access was used at "),
        ("end", "crm ended the access early at "),
        ("revoke", "Jonas Berg revoked the access at "),
    ],
)
async def test_what_became_of_the_access_stands_on_the_card_without_a_button(
    placet: Placet, cards: Cards, port: RecordingPort, way: str, told: str
) -> None:
    messages = Messages(lambda: placet.service.configuration.people)
    cards.faces = Faces(messages.channel_card, messages.blank, messages.superseded)
    request = await asks(placet)
    await cards.goes_round()
    approved = await looks_and_votes(placet, ANNA, request.id)
    await falls_quiet(cards)
    (card,) = port.cards(DESK)
    assert "Access may be used until " in card.text

    grants = placet.service.grants
    if way == "redeem":
        sent = Redeem.parse({"nonce": "n1", "digest": approved.digest})
        await grants.redeem(CRM, request.id, sent)
    elif way == "end":
        await grants.end(CRM, request.id)
    else:
        await grants.revoke(request.id, JONAS, CLI)
    await falls_quiet(cards)

    (card,) = port.cards(DESK)
    assert (card.state, told in card.text) == ("approved", True)
    assert port.live(DESK) == []


async def test_a_day_later_no_channel_names_the_request_or_anybody(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    messages = Messages(lambda: placet.service.configuration.people)
    cards.faces = Faces(messages.channel_card, messages.blank, messages.superseded)
    request = await asks(placet)
    await cards.goes_round()
    after = await looks_and_votes(placet, BEN, request.id, "deny", "Wrong ticket")
    await falls_quiet(cards)
    (card,) = port.cards(DESK)
    assert ("Ben Okafor" in card.text, request.asked.title in card.text) == (True, True)

    assert after.decision is not None
    await set_store_time(placet, after.decision.at + timedelta(hours=24))
    await falls_quiet(cards)

    (card,) = port.cards(DESK)
    assert card.text == f"Request {request.id} is closed. Its record is kept in the audit."
    assert (card.heading, card.buttons) == (f"Note: Request {request.id} is closed", ())
    shown = card.model_dump_json()
    assert not [word for word in ("Ben", "Jonas", "crm", request.asked.title) if word in shown]


async def test_after_a_restart_the_same_message_is_edited(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await cards.goes_round()

    restarted = placet.another()
    await looks_and_votes(placet, ANNA, request.id)
    await falls_quiet(Cards(restarted, port))

    assert [card.state for card in port.cards(DESK)] == ["approved"]
    await restarted.store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_weather_every_card_shows_the_end(
    placet: Placet, port: RecordingPort, seed: int
) -> None:
    """Two workers, votes and cancellations among their rounds, a platform that fails at random.

    Lost answers to a post are not among the faults: a platform that keeps a message and does not
    tell of it leaves one that nobody can find again. Its buttons are answered by the record.
    """
    chance = random.Random(seed)
    another = placet.another()
    workers = [Cards(placet, port), Cards(another, port)]
    requests = [await asks(placet, action="users.export", params=None) for _ in range(6)]
    for _ in range(30):
        port.faults["post"].append(chance.choice([busy(), breaks(), Fault()]))
        port.faults["update"].append(chance.choice([busy(), breaks(), loses_the_reply()]))

    rounds = [worker.goes_round() for worker in workers for _ in range(3)]
    await asyncio.gather(_people(placet, requests, chance), _stalls(workers[0]), *rounds)
    for request in requests:
        with suppress(Refusal):
            await placet.service.cancel_by_service(CRM, request.id)
    for worker in workers:
        await worker.leases_run_out()
        await falls_quiet(worker)

    finals = {one.id: (await placet.service.card_facts(one.id)).status for one in requests}
    for channel in (DESK, DUTY):
        assert port.live(channel) == []
        standing = [card for card in port.cards(channel) if card.state != "info"]
        shown = {card.request: card.state for card in standing}
        assert len(shown) == len(standing)
        assert shown.items() <= finals.items()
    await another.store.close()


async def _people(placet: Placet, requests: list[ApprovalRequest], chance: random.Random) -> None:
    """Whoever comes by looks and votes on whatever they see."""
    for _ in range(20):
        request, person = chance.choice(requests), chance.choice([ANNA, BEN, CLEO])
        vote: Vote = chance.choice(["approve", "approve", "deny"])
        with suppress(Refusal):
            await looks_and_votes(placet, person, request.id, vote, "Wrong ticket")


async def _stalls(cards: Cards) -> None:
    """Now and then a worker stands still for longer than a lease."""
    for _ in range(6):
        await cards.leases_run_out()
        await cards.goes_round()

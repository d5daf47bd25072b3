"""Two workers at one card, one of them late, cut off or dead: what stands in the end is true."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from approvals.policy.loader import Configuration
from approvals.store.cards import CardPlace
from approvals.store.message_refs import StoredRef
from bot.chat.card import Card
from bot.chat.port import MessageRef
from tests.conftest import ANNA, CRM, Placet
from tests.notifying import DESK, Cards, draw, notifying
from tests.servers.recording_port import RecordingPort, loses_the_reply, refused, stands_still
from tests.stories.telling import asks, looks_and_votes


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return notifying(tmp_path / "config")


@pytest.mark.parametrize("is_answered", [True, False])
async def test_an_old_card_that_lands_last_without_an_answer_is_drawn_over(
    placet: Placet, is_answered: bool
) -> None:
    port = RecordingPort()
    cards, another = Cards(placet, port), placet.another()
    request = await asks(placet)
    await cards.goes_round()
    await placet.store.refs.doubt(CardPlace(request.id, "desk"), "slack")
    await placet.store.cards.schedule(f"{request.id}|desk")
    go_on = asyncio.Event()
    late = stands_still(go_on)
    if not is_answered:
        lost = loses_the_reply()
        late.error, late.is_accepted = lost.error, lost.is_accepted
    port.faults["update"].append(late)
    stalled = asyncio.create_task(cards.goes_round())
    await late.began.wait()

    await cards.leases_run_out()
    await looks_and_votes(placet, ANNA, request.id)
    others = Cards(another, port)
    await others.goes_round()
    assert [card.state for card in port.cards(DESK)] == ["approved"]
    go_on.set()
    await stalled
    await others.goes_round()

    assert [card.state for card in port.cards(DESK)] == ["approved"]
    assert await cards.due() == {}
    await another.store.close()


async def test_an_old_card_of_a_worker_that_died_right_after_is_drawn_over(
    placet: Placet,
) -> None:
    request = await asks(placet)
    at = CardPlace(request.id, "desk")

    class Overtaken(RecordingPort):
        """Once, another worker's older card lands after ours, is noted, and that worker dies."""

        older: Card | None = None

        async def update(self, ref: MessageRef, card: Card) -> None:
            (held,) = (await placet.store.refs.of(request.id)).values()
            await super().update(ref, card)
            if self.older:
                self.channels[ref.channel][ref.id] = self.older
                noted = replace(held, drawn="of the older one")
                await placet.store.refs.put(at, "slack", noted, instead_of=held)
                self.older = None

    port = Overtaken()
    cards = Cards(placet, port)
    await cards.goes_round()
    (port.older,) = port.cards(DESK)
    await placet.service.cancel_by_service(CRM, request.id)
    await cards.goes_round()

    assert [card.state for card in port.cards(DESK)] == ["cancelled"]
    assert await cards.due() == {}


async def test_an_extra_card_that_may_not_be_edited_today_is_kept_in_mind(
    placet: Placet,
) -> None:
    port = RecordingPort()
    cards = Cards(placet, port)
    request = await asks(placet)
    at = CardPlace(request.id, "desk")
    await cards.goes_round()
    (first,) = (await placet.store.refs.of(request.id)).values()
    extra = await port.post(DESK, draw(request))
    owned_up = StoredRef(first.channel, first.message, first.drawn, "", ((DESK, extra.id),))
    await placet.store.refs.put(at, "slack", owned_up, instead_of=first)
    port.faults["update"].append(refused())

    await placet.store.cards.schedule(at.member)
    await cards.goes_round()
    await cards.waits_for_the_next_try()
    await cards.goes_round()

    assert len(port.live(DESK)) == 1
    assert (await placet.store.refs.of(request.id))["desk", "slack"] == first

"""A final card is blanked a day later, whatever happens meanwhile, and what is blank stays so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.act import ReceiptSent, Redeem
from approvals.lifecycle import open_request
from approvals.model import ApprovalRequest, RequestId
from approvals.policy.loader import Configuration
from approvals.privacy.personal import PLACE, Personal
from approvals.privacy.vault import locked
from tests.approvals.samples import asked, opening, policy
from tests.conftest import ANNA, BEN, CLI, CRM, Placet
from tests.notifying import DESK, DUTY, Cards, notifying
from tests.servers.recording_port import RecordingPort, busy
from tests.stories.telling import asks, looks_and_votes, opens, set_store_time, time_works
from tests.words import JUSTIFICATION

DAY, HOUR = timedelta(hours=24), timedelta(hours=1)
SLACK = timedelta(milliseconds=900)  # what a test's own work may take
SECOND = timedelta(seconds=1)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return notifying(tmp_path / "config")


@pytest.fixture
def port() -> RecordingPort:
    return RecordingPort()


@pytest.fixture
def cards(placet: Placet, port: RecordingPort) -> Cards:
    return Cards(placet, port)


async def denied(placet: Placet, cards: Cards) -> ApprovalRequest:
    """A request whose card stands and tells that it is denied."""
    request = await asks(placet)
    await cards.goes_round()
    after = await looks_and_votes(placet, ANNA, request.id, "deny", "Wrong ticket")
    await cards.goes_round()
    return after


async def approved(placet: Placet, cards: Cards) -> ApprovalRequest:
    """A request whose card stands and tells of an open access."""
    request = await asks(placet)
    await cards.goes_round()
    after = await looks_and_votes(placet, ANNA, request.id)
    await cards.goes_round()
    return after


def titles(port: RecordingPort, channel: str = DESK) -> list[str]:
    return [card.title for card in port.cards(channel)]


def keeps_cards_for(placet: Placet, retention: timedelta) -> None:
    """The configuration is reloaded with another retention of cards."""
    known = placet.service.configuration
    defaults = known.policy.defaults.model_copy(update={"chat_retention": retention})
    changed = known.policy.model_copy(update={"defaults": defaults})
    placet.service.configuration = replace(known, policy=changed)


async def test_a_day_after_the_decision_the_card_says_that_it_is_closed(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await denied(placet, cards)
    assert request.decision is not None
    assert await cards.waiting() == {f"{request.id}|desk": request.decision.at + DAY}

    await set_store_time(placet, request.decision.at + DAY - HOUR)
    assert await cards.goes_round() == 0
    await set_store_time(placet, request.decision.at + DAY)
    await cards.goes_round()

    assert titles(port) == ["Closed"]
    assert (port.count("update"), await cards.waiting()) == (2, {})


async def test_an_access_that_is_open_is_not_lost_sight_of(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    keeps_cards_for(placet, timedelta(minutes=1))
    request = await approved(placet, cards)
    assert request.grant is not None
    end = request.grant.expires_at
    assert await cards.waiting() == {f"{request.id}|desk": end + timedelta(minutes=1)}

    await set_store_time(placet, end)
    await time_works(placet)
    assert await cards.goes_round() == 0  # the card has told until when it holds
    await set_store_time(placet, end + timedelta(minutes=1))
    await cards.goes_round()
    assert titles(port) == ["Closed"]


async def test_a_use_puts_it_off_and_so_does_a_receipt_in_time(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await approved(placet, cards)
    grants = placet.service.grants
    sent = Redeem.parse({"nonce": "n1", "digest": request.digest})
    used = (await grants.redeem(CRM, request.id, sent)).grant.redemptions[-1].at
    await cards.goes_round()
    assert list((await cards.waiting()).values()) == [used + DAY]

    await set_store_time(placet, used + DAY - HOUR)
    receipt = ReceiptSent.parse({"records": 1, "outcome": "succeeded"})
    after = await grants.give_receipt(CRM, request.id, receipt)
    await cards.goes_round()
    assert after.grant is not None
    assert after.grant.receipt is not None
    assert list((await cards.waiting()).values()) == [after.grant.receipt.at + DAY]
    assert [card.state for card in port.cards(DESK)] == ["approved"]


async def test_what_is_blank_stays_so_when_a_late_receipt_comes(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await approved(placet, cards)
    grants = placet.service.grants
    sent = Redeem.parse({"nonce": "n1", "digest": request.digest})
    used = (await grants.redeem(CRM, request.id, sent)).grant.redemptions[-1].at
    await cards.goes_round()
    await set_store_time(placet, used + DAY + HOUR)
    await cards.goes_round()
    calls = len(port.calls)

    await grants.give_receipt(
        CRM, request.id, ReceiptSent.parse({"records": 1, "outcome": "succeeded"})
    )
    await cards.goes_round()

    assert (titles(port), len(port.calls)) == (["Closed"], calls)
    assert await cards.waiting() == {}


@pytest.mark.parametrize("is_drawn_before", [True, False])
async def test_so_does_it_when_its_words_are_erased_or_nobody_came_by_in_time(
    placet: Placet, cards: Cards, port: RecordingPort, is_drawn_before: bool
) -> None:
    request = await denied(placet, cards)
    assert request.decision is not None
    await set_store_time(placet, request.decision.at + DAY)
    if is_drawn_before:
        await cards.goes_round()
    await placet.service.erasure.erase_subject("customer:48213", BEN, CLI, reason="They asked")
    await cards.goes_round()

    assert titles(port) == ["Closed"]
    assert (port.count("update"), await cards.waiting()) == (2, {})


async def test_it_stays_blank_when_policy_keeps_cards_longer_from_now_on(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    keeps_cards_for(placet, HOUR)
    request = await denied(placet, cards)
    assert request.decision is not None
    await set_store_time(placet, request.decision.at + HOUR)
    await cards.goes_round()

    keeps_cards_for(placet, 7 * DAY)
    await placet.store.cards.schedule(f"{request.id}|desk")
    await cards.goes_round()
    assert titles(port) == ["Closed"]
    assert await cards.waiting() == {}


async def test_a_failed_blanking_is_tried_again_soon_and_not_a_day_later(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await denied(placet, cards)
    assert request.decision is not None
    at = request.decision.at + DAY
    await set_store_time(placet, at)
    port.faults["update"].append(busy())
    await cards.goes_round()
    (due,) = (await cards.waiting()).values()
    assert SECOND <= due - at < SECOND + SLACK
    port.closed[DESK] = "not_in_channel"
    await cards.waits_for_the_next_try()
    await cards.goes_round()
    await cards.waits_for_the_next_try()
    await cards.goes_round()
    (due,) = (await cards.waiting()).values()
    assert due - at < timedelta(minutes=3)

    del port.closed[DESK]
    await cards.waits_for_the_next_try()
    await cards.goes_round()
    assert (titles(port), await cards.waiting()) == (["Closed"], {})


async def test_what_fails_before_is_tried_before_and_blanked_at_its_time(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await cards.goes_round()
    after = await looks_and_votes(placet, ANNA, request.id, "deny", "Wrong ticket")
    port.faults["update"].append(busy())
    await cards.goes_round()
    assert list(await cards.due()) == [f"{request.id}|desk"]
    await cards.waits_for_the_next_try()
    await cards.goes_round()
    assert after.decision is not None
    assert list((await cards.waiting()).values()) == [after.decision.at + DAY]


async def test_the_time_of_blanking_cuts_no_pause_short_that_a_platform_names(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    keeps_cards_for(placet, SECOND)
    request = await asks(placet)
    await cards.goes_round()
    await looks_and_votes(placet, ANNA, request.id, "deny", "Wrong ticket")
    port.faults["update"].append(busy(timedelta(seconds=50)))
    claimed = await placet.store.records.now()
    await cards.goes_round()
    (due,) = (await cards.waiting()).values()
    assert due - claimed >= timedelta(seconds=50)


async def test_a_message_that_is_gone_counts_as_blanked(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await denied(placet, cards)
    assert request.decision is not None
    port.channels[DESK].clear()
    await set_store_time(placet, request.decision.at + DAY)
    await cards.goes_round()
    assert (titles(port), await cards.waiting()) == ([], {})


async def test_what_was_never_posted_is_not_posted_to_be_blanked(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await placet.service.cancel_by_service(CRM, request.id)
    await cards.goes_round()
    assert (port.calls, await cards.waiting()) == ([], {})


async def test_a_restart_and_every_channel_are_remembered(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet, action="users.export", params=None)
    await cards.goes_round()
    after = await placet.service.cancel_by_service(CRM, request.id)
    await cards.goes_round()
    assert after.decision is not None

    restarted = placet.another()
    await set_store_time(placet, after.decision.at + 3 * DAY)
    await Cards(restarted, port).goes_round()
    assert (titles(port), titles(port, DUTY)) == (["Closed"], ["Closed"])
    await restarted.store.close()


async def test_a_channel_that_is_nowhere_today_is_blanked_once_it_is_somewhere(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await denied(placet, cards)
    assert request.decision is not None
    cards.places = {}
    await set_store_time(placet, request.decision.at + DAY)
    await cards.goes_round()
    (again,) = (await cards.waiting()).values()

    cards.places = {"desk": [DESK]}
    await set_store_time(placet, again)
    await cards.goes_round()
    assert (titles(port), await cards.waiting()) == (["Closed"], {})


# -- the justification on a card ------------------------------------------------------------------


async def test_the_justification_stands_on_a_pending_card_where_policy_shows_it(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await shown_openly(placet)
    await cards.goes_round()
    (card,) = port.cards(DESK)
    assert [quote.text for quote in card.quotes] == [JUSTIFICATION]

    await placet.service.cancel_by_service(CRM, request.id)
    await cards.goes_round()
    (card,) = port.cards(DESK)
    assert card.quotes == ()


async def test_elsewhere_it_does_not_and_no_key_is_asked_for(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    name = request.asked.subject_mark
    assert name is not None
    key = placet.store.keys.vault(name)
    await placet.store.pipeline.run("SET", key, "no key at all")
    await cards.goes_round()
    (card,) = port.cards(DESK)
    assert card.quotes == ()


async def test_of_words_that_are_erased_nothing_stands_there(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    # Its words are under no key that is held: as between the key's end and the record's.
    await opens(placet, policy(notify=("desk",), show_justification=True))
    await cards.goes_round()
    (card,) = port.cards(DESK)
    assert (card.state, card.quotes) == ("pending", ())


async def test_erasing_takes_it_off_the_card(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    await shown_openly(placet)
    await cards.goes_round()
    await placet.service.erasure.erase_subject("customer:48213", BEN, CLI, reason="They asked")
    await cards.goes_round()
    (card,) = port.cards(DESK)
    assert (card.state, card.quotes) == ("cancelled", ())


async def shown_openly(placet: Placet) -> ApprovalRequest:
    """A request under a rule that shows the justification in the channel."""
    store = placet.store
    mark, now = store.marks.subject("customer:48213"), await store.records.now()
    ready = await store.subject_keys.ready(mark)
    said = Personal(justification=JUSTIFICATION).model_dump_json(exclude_defaults=True)
    personal = locked(ready.key, RequestId("req_1"), PLACE, said)
    under = policy(notify=("desk",), show_justification=True)
    opens = opening(asked_for=asked(personal=personal, subject_mark=mark), under=under)
    change = open_request(opens, now)
    assert (await store.records.open(change, now, None, keyed=ready.keyed)).code == "OK"
    return change.request

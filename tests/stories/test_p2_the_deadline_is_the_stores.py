"""P2: no decision takes effect at or after the deadline by Redis time, whoever's clock is wrong."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from approvals import lifecycle
from approvals.change import Voting
from approvals.errors import AlreadyFinal, NotAllowed, StoreUnavailable
from approvals.model import Vote
from approvals.store.records import Stored
from tests.conftest import ANNA, BEN, CLI, CRM, Placet
from tests.stories.telling import asks, history, looks_and_votes, passes, told

SHORT = 3  # seconds: the store's time may be set that far ahead without its clock counting as wrong


@pytest.mark.parametrize("vote", ["approve", "deny"])
async def test_a_vote_at_the_very_deadline_is_late(placet: Placet, vote: Vote) -> None:
    request = await asks(placet, expires_in=SHORT)
    await placet.service.view(request.id, ANNA, CLI)
    await passes(placet, request, timedelta(0))

    with pytest.raises(AlreadyFinal) as refusal:
        await placet.service.review(request.id, ANNA, CLI, vote, reason="Just in time?")

    assert refusal.value.facts["status"] == "expired"


async def test_cancelling_after_the_deadline_is_late_too(placet: Placet) -> None:
    request = await asks(placet, expires_in=SHORT)
    await passes(placet, request, timedelta(milliseconds=1))

    with pytest.raises(AlreadyFinal) as refusal:
        await placet.service.cancel_by_service(CRM, request.id)

    assert refusal.value.facts["status"] == "expired"


async def test_a_vote_just_before_the_deadline_counts(placet: Placet) -> None:
    request = await asks(placet, expires_in=SHORT)
    await placet.service.view(request.id, ANNA, CLI)
    await passes(placet, request, timedelta(milliseconds=-900))

    approved = await placet.service.review(request.id, ANNA, CLI, "approve")

    assert approved.status == "approved"


@pytest.mark.parametrize(
    "wrong_by", [timedelta(hours=-1), timedelta(hours=1), timedelta(seconds=-3)]
)
async def test_a_process_with_a_wrong_or_stalled_clock_writes_no_false_time(
    placet: Placet, wrong_by: timedelta
) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)
    stored = await placet.store.records.load(request.id)
    assert stored is not None
    false = _at(stored, stored.now + wrong_by)

    answer = await placet.store.records.commit(
        false, lifecycle.review(false.request, _approval(placet), false.now), "op"
    )

    assert answer.code == "STALE"
    assert not (await placet.service.card_facts(request.id)).is_final
    assert len(await history(placet, request.id)) == 2  # opened, viewed


async def test_while_the_stores_clock_is_in_doubt_nothing_is_approved_but_denials_go_on(
    placet: Placet,
) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)
    await passes(placet, request, timedelta(seconds=-30))

    with pytest.raises(StoreUnavailable):
        await placet.service.review(request.id, ANNA, CLI, "approve")
    with pytest.raises(StoreUnavailable):
        await asks(placet)

    denied = await placet.service.review(request.id, ANNA, CLI, "deny", reason="In doubt")
    assert denied.status == "denied"


async def test_the_time_told_is_the_stores_in_record_entry_and_callback(placet: Placet) -> None:
    request = await asks(placet)
    approved = await looks_and_votes(placet, ANNA, request.id)

    assert approved.decision is not None
    (callback,) = await told(placet, request.id)
    entry = (await history(placet, request.id))[-1]
    assert callback["timestamp"] == entry["at"]
    assert datetime.fromisoformat(str(entry["at"])) == approved.decision.at


def _at(stored: Stored, now: datetime) -> Stored:
    return Stored(stored.request, stored.version, stored.entries, now)


def _approval(placet: Placet) -> Voting:
    anna = placet.configuration.people.person(ANNA)
    assert anna is not None
    return Voting(person=anna, origin=CLI, vote="approve")


async def test_an_admin_lets_time_follow_the_clock_again(placet: Placet) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)
    await passes(placet, request, timedelta(days=30))
    claimed = await placet.store.deadlines.claim()
    assert claimed.members == (request.id,)

    with pytest.raises(NotAllowed):
        await placet.service.reset_clock(ANNA, CLI, reason="Mended")
    behind = await placet.service.reset_clock(BEN, CLI, reason="Mended")

    assert behind > timedelta(days=30)
    approved = await placet.service.review(request.id, ANNA, CLI, "approve")
    assert approved.status == "approved"
    assert (await placet.store.deadlines.claim()).members == ()


async def test_windows_opened_by_a_clock_that_ran_ahead_close_when_it_is_put_right(
    placet: Placet,
) -> None:
    # The clock itself runs ahead (and is not behind anything), so approvals are given.
    made_ahead = await asks(placet)
    approved = await looks_and_votes(placet, ANNA, made_ahead.id)
    assert approved.grant is not None
    before = approved.created_at - timedelta(days=1)

    pending = made_ahead.model_copy(update={"status": "pending", "decision": None, "grant": None})
    expired = lifecycle.on_deadline(pending, before)
    ended = lifecycle.on_deadline(approved, before)

    assert expired is not None
    assert expired.request.status == "expired"
    assert ended is not None
    assert ended.request.grant is not None
    assert ended.request.grant.status == "ended"

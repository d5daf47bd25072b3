"""P1: every acknowledged request ends in exactly one final state, which never changes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from approvals.errors import AlreadyFinal, PlacetError, Refusal, StoreUnavailable
from approvals.model import ApprovalRequest, PersonId
from tests.conftest import ANNA, BEN, CLI, CRM, Placet
from tests.rewriting import body_of, rewrite
from tests.stories.telling import asks, history, looks_and_votes, passes, time_works, told

FINAL_ENTRIES = {"request.approved", "request.denied", "request.expired", "request.cancelled"}


async def test_an_undecided_request_expires_when_its_time_is_up(placet: Placet) -> None:
    request = await asks(placet)
    await passes(placet, request, timedelta(0))

    (expired,) = await time_works(placet)

    assert expired.status == "expired"
    assert expired.decision is not None
    assert expired.decision.reason == "no_decision"


async def test_nothing_expires_before_its_time(placet: Placet) -> None:
    request = await asks(placet)
    await passes(placet, request, timedelta(milliseconds=-1))

    assert await time_works(placet) == []


@pytest.mark.parametrize("vote", ["approve", "deny"])
async def test_a_decided_request_cannot_be_decided_again(placet: Placet, vote: str) -> None:
    request = await asks(placet)
    await looks_and_votes(placet, ANNA, request.id, "deny", "Wrong ticket")

    with pytest.raises(AlreadyFinal) as refusal:
        await placet.service.review(
            request.id, BEN, CLI, "approve" if vote == "approve" else "deny", reason="Late"
        )

    assert refusal.value.facts["status"] == "denied"
    with pytest.raises(AlreadyFinal):
        await placet.service.cancel_by_service(CRM, request.id)


async def test_eight_racing_reviews_give_one_decision_and_clear_answers_to_the_losers(
    placet: Placet,
) -> None:
    request = await asks(placet)
    others = [placet.another() for _ in range(7)]
    await placet.service.view(request.id, ANNA, CLI)
    await placet.service.view(request.id, BEN, CLI)

    async def race(one: Placet, person: PersonId, number: int) -> ApprovalRequest | PlacetError:
        vote, reason = ("approve", None) if number % 2 else ("deny", "Not needed")
        try:
            return await one.service.review(
                request.id, person, CLI, "deny" if vote == "deny" else "approve", reason=reason
            )
        except Refusal as refusal:
            return refusal

    answers = await asyncio.gather(
        *(race(one, (ANNA, BEN)[i % 2], i // 2) for i, one in enumerate([placet, *others]))
    )

    won = [answer for answer in answers if isinstance(answer, ApprovalRequest)]
    lost = [answer for answer in answers if isinstance(answer, AlreadyFinal)]
    assert len(won) == 1
    assert len(lost) == 7
    for loser in lost:
        assert loser.facts["status"] == won[0].status
        assert loser.facts["decision"] is not None
    finals = [e for e in await history(placet, request.id) if e["type"] in FINAL_ENTRIES]
    assert len(finals) == 1
    assert len(await told(placet, request.id)) == 1
    for other in others:
        await other.store.close()


async def test_the_sweep_finds_an_expiry_that_the_queue_has_lost(placet: Placet) -> None:
    request = await asks(placet)
    async with placet.engine.client() as client:
        await client.delete(placet.store.keys.queue("deadlines").due)
    await passes(placet, request, timedelta(seconds=6))

    assert await placet.service.sweep() == (request.id,)
    assert (await placet.service.card_facts(request.id)).status == "expired"
    assert await placet.service.sweep() == ()


async def test_a_record_that_cannot_be_read_hides_no_other(placet: Placet) -> None:
    broken = await asks(placet, expires_in=1)
    sound = await asks(placet)
    async with placet.engine.client() as client:
        await client.hset(placet.store.keys.request(broken.id), "body", "{}")
        await client.delete(placet.store.keys.queue("deadlines").due)
    await passes(placet, sound, timedelta(seconds=6))

    assert [request.id for request in await placet.service.pending()] == [sound.id]
    assert await placet.service.sweep() == (sound.id,)
    with pytest.raises(StoreUnavailable):
        await placet.service.card_facts(broken.id)


async def test_what_a_newer_version_wrote_into_a_record_is_kept(placet: Placet) -> None:
    request = await asks(placet)
    key = placet.store.keys.request(request.id)
    async with placet.engine.client() as client:
        await rewrite(client, key, of_tomorrow=[1, 2])

        await looks_and_votes(placet, ANNA, request.id)

        assert (await body_of(client, key))["of_tomorrow"] == [1, 2]

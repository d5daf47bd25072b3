"""Two webs, two workers and many reviewers at once: one decision, told once."""

from __future__ import annotations

import asyncio

from approvals.errors import AlreadyFinal
from approvals.model import PersonId, RequestId
from tests.conftest import ANNA, BEN
from tests.faults.deployment import AUDIT_KEY, Deployment, Reviewer, drained, request_id
from tests.faults.invariants import Told, assert_invariants
from tests.servers.callback_receiver import CallbackReceiver

ROUNDS = 5


async def vote(
    reviewer: Reviewer, person: PersonId, request: RequestId, number: int
) -> str | AlreadyFinal:
    """The status a winner is told, or what a loser is told."""
    try:
        return await reviewer.votes(person, request, "approve" if number % 2 else "deny")
    except AlreadyFinal as refusal:
        return refusal


async def test_two_webs_two_workers_and_eight_racing_reviews_make_one_decision_told_once(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told = Told()
    one, two, _, _ = await asyncio.gather(
        deployed.web(), deployed.web(), deployed.worker(), deployed.worker()
    )
    reviewers = [deployed.reviewer() for _ in range(8)]
    for turn in range(ROUNDS):
        request = request_id(await one.asks(f"race-{turn}", action="customer.view"))
        told.acknowledged(f"race-{turn}", request)
        waiting = [asyncio.create_task(web.shows(request, wait=20)) for web in (one, two)]

        answers = await asyncio.gather(
            *(vote(each, (ANNA, BEN)[i // 2 % 2], request, i) for i, each in enumerate(reviewers))
        )

        won = [answer for answer in answers if isinstance(answer, str)]
        lost = [answer for answer in answers if isinstance(answer, AlreadyFinal)]
        assert (len(won), len(lost)) == (1, 7)
        assert {loser.facts["status"] for loser in lost} == {*won}
        told.shown(request, won[0])
        for shown in await asyncio.gather(*waiting):
            told.shown(request, shown.body["status"])

    store = deployed.store()
    await drained(store)
    assert len(receiver.deliveries) == ROUNDS
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())


async def test_the_same_key_at_two_webs_at_once_opens_one_request(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told = Told()
    one, two = await asyncio.gather(deployed.web(), deployed.web())
    for turn in range(ROUNDS):
        key = f"same-{turn}"
        answers = await asyncio.gather(
            *(web.asks(key, action="report.read") for web in (one, two) * 3)
        )
        assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
        for answer in answers:
            told.acknowledged(key, request_id(answer))
    await deployed.worker()

    store = deployed.store()
    await drained(store)
    assert len(receiver.deliveries) == ROUNDS
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())

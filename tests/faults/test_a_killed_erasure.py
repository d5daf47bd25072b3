"""An erasure killed at any point, while people decide, the service acts and callbacks are retried.

Run again it comes to its end: nobody's words are left, and what it stopped was told once.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress

import pytest

from approvals.errors import Refusal
from approvals.model import ERASED_WORDS, ApprovalRequest, RequestId
from tests.canaries import Canaries
from tests.conftest import ANNA, BEN, CLI
from tests.faults.deployment import (
    AUDIT_KEY,
    Answer,
    Deployment,
    Reviewer,
    Web,
    drained,
    kill,
    request_id,
)
from tests.faults.invariants import ENDS, Told, assert_invariants
from tests.servers.callback_receiver import CallbackReceiver, answers

ROUNDS = 4
STEPS = range(1, 24)  # replies of the store; an erasure of so many requests takes fewer
ASKED = ("customer.view", "customer.view", "report.read", "report.read")


async def asks(web: Web, told: Told, canaries: Canaries, subject: str) -> list[Answer]:
    """A service asks about one subject: two requests wait, two are granted."""
    asked: list[Answer] = []
    for action in ASKED:
        key = f"{subject}-{len(asked)}"
        answer = await web.asks(
            key,
            action=action,
            subject=subject,
            requester={"id": "okta:00u1", "name": canaries.word("name")},
            justification=f"Customer {canaries.word('justification')} asked for a copy of it",
            ticket=canaries.word("ticket"),
            params={"email": canaries.email("email"), canaries.word("field"): "x"},
        )
        told.acknowledged(key, request_id(answer))
        asked.append(answer)
    return asked


async def votes(reviewer: Reviewer, request: RequestId, reason: str) -> None:
    with suppress(Refusal):  # it is erased, or decided
        await reviewer.votes(ANNA, request, "deny", reason)


async def everybody_acts(
    web: Web, reviewers: list[Reviewer], asked: list[Answer], canaries: Canaries
) -> None:
    """People decide, and the service redeems."""
    waiting = request_id(asked[0])
    voting = asyncio.gather(*(votes(each, waiting, canaries.word("reason")) for each in reviewers))
    redeemed = await web.redeems(asked[2], canaries.word("nonce"))
    await voting
    assert redeemed.status in (200, 409, 422), redeemed


async def test_an_erasure_killed_at_any_point_is_ended_by_the_next(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told, canaries = Told(), Canaries()
    web, _ = await asyncio.gather(deployed.web(), deployed.worker())
    reviewers = [deployed.reviewer() for _ in range(2)]
    asked: list[Answer] = []
    halted = 0
    for steps in random.sample(STEPS, ROUNDS):
        subject = canaries.word("subject")
        receiver.script.extend([answers(503)] * 2)  # callbacks are on their second try meanwhile
        asked += (these := await asks(web, told, canaries, subject))

        (erasing, line), _ = await asyncio.gather(
            deployed.start(f"erase {steps} {subject}"),
            everybody_acts(web, reviewers, these, canaries),
        )
        halted += line == "halted"
        await kill(erasing)
        await reviewers[0].service.erasure.erase_subject(subject, BEN, CLI, reason="Once more")

    store = deployed.store()
    await drained(store)
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode(), canaries=canaries)
    assert halted, "no erasure was killed half-way"
    told_of = [delivery.told() for delivery in {d.id: d for d in receiver.deliveries}.values()]
    types = Counter((event["data"]["id"], event["type"]) for event in told_of)
    for answer in asked:
        stored = await store.records.load(request_id(answer))
        assert stored is not None
        assert_forgotten(stored.request)
        assert sum(types[stored.request.id, end] for end in ENDS) == 1
        is_revoked = stored.request.grant is not None and stored.request.grant.status == "revoked"
        assert types[stored.request.id, "grant.revoked"] == is_revoked
        mark = stored.request.asked.subject_mark
        assert mark is not None
        assert await store.pipeline.run("EXISTS", store.keys.vault(mark)) == 0


def assert_forgotten(request: ApprovalRequest) -> None:
    assert request.is_final
    assert request.erased_at is not None
    assert (request.salt, request.asked.personal) == (None, ERASED_WORDS)
    assert {review.reason for review in request.reviews} <= {ERASED_WORDS, None}
    assert request.grant is None or request.grant.status != "active"


async def test_a_word_in_the_clear_is_found(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    canaries, store = Canaries(), deployed.store()
    word = canaries.word("subject")
    await store.pipeline.run("HSET", store.keys.active_policy, "note", json.dumps({"of": word}))

    with pytest.raises(AssertionError, match="P9: subject stands in the clear in a policy"):
        await assert_invariants(
            store, Told(), receiver, audit_key=AUDIT_KEY.encode(), canaries=canaries
        )

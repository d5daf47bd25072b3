"""P6: a person told "approved" stays approved, whatever is killed or restarted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from approvals.errors import AlreadyFinal
from approvals.model import Vote
from tests.conftest import ANNA, BEN, CLI, CRM, Placet
from tests.faults.deployment import AUDIT_KEY, Deployment, deployment, drained, kill, request_id
from tests.faults.invariants import Told, assert_invariants
from tests.servers.callback_receiver import CallbackReceiver, callback_receiver
from tests.stories.telling import asks, history, looks_and_votes, passes, set_store_time, time_works


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with callback_receiver() as receiver:
        yield receiver


@pytest.fixture
async def deployed(receiver: CallbackReceiver) -> AsyncIterator[Deployment]:
    async with deployment(receiver) as deployed:
        yield deployed


async def kill_everything(deployed: Deployment) -> None:
    """As when the machine's power goes, one process after the other."""
    for process in deployed.processes:
        if process.returncode is None:
            await kill(process)
    await deployed.kill_store()


async def test_approved_stays_approved_over_the_death_of_everything(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told = Told()
    web = await deployed.web()  # no worker yet: nobody has called the service back
    by_anna = request_id(await web.asks("by-anna", action="customer.view"))
    denied = request_id(await web.asks("denied", action="customer.view"))
    by_rule = await web.asks("by-rule", action="report.read")
    told.acknowledged("by-anna", by_anna)
    told.acknowledged("denied", denied)
    told.acknowledged("by-rule", request_id(by_rule))
    reviewer = deployed.reviewer()
    assert await reviewer.votes(ANNA, by_anna) == "approved"  # what Anna was told
    assert await reviewer.votes(BEN, denied, "deny") == "denied"
    before = await web.shows(by_anna)  # what the service was told when it asked
    assert before.body["status"] == by_rule.body["status"] == "approved"

    await kill_everything(deployed)
    await deployed.restart_store()
    web, _ = await asyncio.gather(deployed.web(), deployed.worker())

    after = await web.shows(by_anna)
    assert before.body["grant"].pop("token") != after.body["grant"].pop("token")  # made anew
    assert after.body == before.body
    told.shown(by_anna, "approved")
    told.shown(denied, "denied")
    told.shown(request_id(by_rule), "approved")
    await receiver.got(3)
    store = deployed.store()
    await drained(store)
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())


async def test_approved_stays_approved_after_the_deadline_and_after_the_grant(
    placet: Placet,
) -> None:
    request = await asks(placet)
    approved = await looks_and_votes(placet, ANNA, request.id)
    assert approved.grant is not None

    await passes(placet, request, timedelta(seconds=1))
    await time_works(placet)
    await set_store_time(placet, approved.grant.expires_at + timedelta(days=1))
    await time_works(placet)

    now = await placet.service.card_facts(request.id)
    assert (now.status, now.decision) == ("approved", approved.decision)


@pytest.mark.parametrize("vote", ["approve", "deny"])
async def test_nobody_can_take_an_approval_back_by_deciding_again(
    placet: Placet, vote: Vote
) -> None:
    request = await asks(placet)
    approved = await looks_and_votes(placet, ANNA, request.id)

    for again in (
        placet.service.review(request.id, BEN, CLI, vote, reason="On second thoughts"),
        placet.service.cancel_by_service(CRM, request.id),
        placet.service.cancel_by_person(request.id, BEN, CLI, reason="On second thoughts"),
    ):
        with pytest.raises(AlreadyFinal) as refusal:
            await again
        assert refusal.value.facts["status"] == "approved"

    assert (await placet.service.card_facts(request.id)).decision == approved.decision
    ends = [entry for entry in await history(placet, request.id) if "approved" in str(entry)]
    assert len(ends) == 1

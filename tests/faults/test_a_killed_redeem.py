"""A web process killed between redeem and answer, and many that redeem at once: one use."""

from __future__ import annotations

import asyncio
import json

from approvals.errors import GrantUsed
from approvals.model import RequestId
from tests.conftest import BEN, CLI
from tests.faults.deployment import AUDIT_KEY, Deployment, drained, kill, request_id, said
from tests.faults.invariants import Told, assert_invariants
from tests.servers.callback_receiver import CallbackReceiver


async def uses(deployed: Deployment, request: RequestId) -> int:
    """How often the audit says that the door was opened."""
    log = deployed.store().log
    entries = [json.loads(text) async for text in log.entries()]
    return sum(e["record"] == request and e["type"] == "grant.redeemed" for e in entries)


async def test_killed_between_redeem_and_answer_the_same_nonce_answers_and_no_other(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told = Told()
    dying, other, _ = await asyncio.gather(deployed.web("mute"), deployed.web(), deployed.worker())
    granted = await other.asks("one", action="report.read")
    request = request_id(granted)
    told.acknowledged("one", request)
    unheard = asyncio.create_task(dying.redeems(granted, "mine"))
    assert await said(dying.process) == request  # committed, and nobody was told

    await kill(dying.process)

    assert (await unheard).status == 0
    again, more = await other.redeems(granted, "mine"), await other.redeems(granted, "yours")
    assert (again.status, again.body["status"], again.body["uses_left"]) == (200, "used", 0)
    assert (more.status, more.body["type"]) == (409, "urn:placet:problem:grant-used")
    assert await uses(deployed, request) == 1
    store = deployed.store()
    await drained(store)
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())


async def test_after_the_death_of_everything_what_was_redeemed_stays_redeemed(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    web = await deployed.web()
    granted = await web.asks("one", action="report.read")
    assert (await web.redeems(granted, "mine")).status == 200

    await asyncio.gather(kill(web.process), deployed.kill_store())
    await deployed.restart_store()
    web = await deployed.web()

    assert (await web.redeems(granted, "mine")).status == 200
    assert (await web.redeems(granted, "yours")).status == 409
    assert await uses(deployed, request_id(granted)) == 1


async def test_fifty_redeems_at_two_webs_open_it_once(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    webs = await asyncio.gather(deployed.web(), deployed.web())
    granted = await webs[0].asks("one", action="report.read")

    answers = await asyncio.gather(*(webs[i % 2].redeems(granted, f"nonce {i}") for i in range(50)))

    assert sorted(answer.status for answer in answers) == [200] + [409] * 49
    assert await uses(deployed, request_id(granted)) == 1


async def test_redeems_at_two_webs_that_race_a_revocation_agree_with_the_audit(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    webs = await asyncio.gather(deployed.web(), deployed.web())
    admin = deployed.reviewer().service.grants
    for turn in range(5):
        granted = await webs[0].asks(f"turn-{turn}", action="report.read")
        request = request_id(granted)

        revoking = asyncio.create_task(admin.revoke(request, BEN, CLI))
        answers = await asyncio.gather(
            *(webs[i % 2].redeems(granted, f"nonce {i}") for i in range(8))
        )
        await asyncio.wait((revoking,))

        opened = sum(answer.status == 200 for answer in answers)
        assert opened == await uses(deployed, request) <= 1
        assert isinstance(revoking.exception(), GrantUsed if opened else type(None))

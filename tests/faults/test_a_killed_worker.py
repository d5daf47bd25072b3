"""A worker killed at any moment of a callback: another one sends it, under the same id."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from approvals.model import event_id
from tests.faults.deployment import AUDIT_KEY, Deployment, drained, kill, request_id, said
from tests.faults.invariants import Told, assert_invariants
from tests.servers.callback_receiver import CallbackReceiver, hangs_until

LEASE = timedelta(seconds=1)


async def test_a_worker_killed_between_claim_and_send_leads_to_a_resend_with_the_same_id(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told = Told()
    web, dying = await asyncio.gather(deployed.web(), deployed.worker("stalled", LEASE))
    request = request_id(await web.asks("one", action="report.read"))
    told.acknowledged("one", request)
    assert await said(dying) == event_id(request, 1)  # claimed, and nothing sent

    await kill(dying)
    assert receiver.deliveries == []
    await deployed.worker(lease=LEASE)
    await receiver.got(1)

    assert [delivery.id for delivery in receiver.deliveries] == [event_id(request, 1)]
    store = deployed.store()
    await drained(store)
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())


async def test_a_worker_killed_between_the_answer_and_its_record_sends_the_same_once_more(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    told, never = Told(), asyncio.Event()
    receiver.script.append(hangs_until(never))  # the service has it; the worker does not know
    web, dying = await asyncio.gather(deployed.web(), deployed.worker(lease=LEASE))
    request = request_id(await web.asks("one", action="report.read"))
    told.acknowledged("one", request)
    await receiver.got(1)

    await kill(dying)
    await deployed.worker(lease=LEASE)
    await receiver.got(2)

    first, second = receiver.deliveries
    assert first.id == second.id == event_id(request, 1)
    assert first.body == second.body
    store = deployed.store()
    await drained(store)
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())

"""Deadlines worked off together: all, each by itself, and without losing who lost a race."""

from __future__ import annotations

from datetime import timedelta

from approvals.model import RequestId
from approvals.store.records import Lease
from tests.conftest import ANNA, CLI, Placet
from tests.stories.telling import asks, passes


async def claimed(placet: Placet) -> list[Lease]:
    claim = await placet.store.deadlines.claim()
    return [Lease(RequestId(member), claim.lease_end) for member in claim.members]


async def test_all_that_is_due_expires_and_every_lease_is_given_back(placet: Placet) -> None:
    requests = [await asks(placet) for _ in range(5)]
    await passes(placet, requests[-1], timedelta(0))

    changed = await placet.service.on_deadlines(await claimed(placet))

    assert {request.id for request in changed} == {request.id for request in requests}
    assert {request.status for request in changed} == {"expired"}
    assert (
        await placet.store.pipeline.run("ZCARD", placet.store.keys.queue("deadlines").leased) == 0
    )


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(placet: Placet) -> None:
    request = await asks(placet)
    await passes(placet, request, timedelta(0))
    leases = await claimed(placet)
    await placet.store.pipeline.run("SCRIPT", "FLUSH")

    (changed,) = await placet.service.on_deadlines(leases)

    assert changed.status == "expired"


async def test_who_is_gone_decided_or_not_due_holds_up_nobody(placet: Placet) -> None:
    decided, waiting, due = [await asks(placet) for _ in range(3)]
    await passes(placet, due, timedelta(0))
    leases = await claimed(placet)
    await placet.service.view(decided.id, ANNA, CLI)
    async with placet.engine.client() as client:
        await client.hset(placet.store.keys.request(waiting.id), "body", "{}")
    unknown = Lease(RequestId("req_" + "0" * 26), leases[0].end)

    changed = await placet.service.on_deadlines([unknown, *leases])

    assert {request.id for request in changed} == {decided.id, due.id}


async def test_nothing_claimed_is_nothing_to_do(placet: Placet) -> None:
    assert await placet.service.on_deadlines([]) == []

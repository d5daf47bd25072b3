"""Deadlines worked off together: all, each by itself, and without losing who lost a race."""

from __future__ import annotations

from datetime import timedelta

from approvals.events import ClockReset
from approvals.model import Encrypted, PersonId, RequestId
from approvals.store.records import Lease
from approvals.store.times import millis
from tests.conftest import ANNA, CLI, Placet
from tests.stories.telling import asks, passes

RESET = ClockReset(person=PersonId("ben"), origin=CLI, behind_ms=1)


async def claimed(placet: Placet) -> list[Lease]:
    claim = await placet.store.deadlines.claim()
    return [Lease(RequestId(member), claim.lease_end) for member in claim.members]


async def test_all_that_is_due_expires_and_every_lease_is_given_back(placet: Placet) -> None:
    requests = [await asks(placet) for _ in range(5)]
    await passes(placet, requests[-1], timedelta(0))

    changed = await placet.service.on_deadlines(await claimed(placet))

    assert {one.request.id for one in changed} == {request.id for request in requests}
    assert {one.request.status for one in changed} == {"expired"}
    assert (
        await placet.store.pipeline.run("ZCARD", placet.store.keys.queue("deadlines").leased) == 0
    )


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(placet: Placet) -> None:
    request = await asks(placet)
    await passes(placet, request, timedelta(0))
    leases = await claimed(placet)
    await placet.store.pipeline.run("SCRIPT", "FLUSH")

    (changed,) = await placet.service.on_deadlines(leases)

    assert changed.request.status == "expired"


async def test_who_is_gone_decided_or_not_due_holds_up_nobody(placet: Placet) -> None:
    decided, waiting, due = [await asks(placet) for _ in range(3)]
    await passes(placet, due, timedelta(0))
    leases = await claimed(placet)
    await placet.service.view(decided.id, ANNA, CLI)
    async with placet.engine.client() as client:
        await client.hset(placet.store.keys.request(waiting.id), "body", "{}")
    unknown = Lease(RequestId("req_" + "0" * 26), leases[0].end)

    changed = await placet.service.on_deadlines([unknown, *leases])

    assert {one.request.id for one in changed} == {decided.id, due.id}


async def test_who_is_not_due_goes_back_to_its_own_deadline_in_few_commands(
    placet: Placet,
) -> None:
    requests = [await asks(placet) for _ in range(20)]
    await placet.store.system.reset_clock(
        RESET, Encrypted("Mended")
    )  # makes everything due, to be looked at
    leases = await claimed(placet)
    assert len(leases) == 20
    async with placet.engine.client() as client:
        queue = placet.store.keys.queue("deadlines")

        assert await placet.service.on_deadlines(leases) == []

        for request in requests:
            assert await client.zscore(queue.due, request.id) == millis(request.expires_at)
        assert await client.zcard(queue.leased) == 0


async def test_nothing_claimed_is_nothing_to_do(placet: Placet) -> None:
    assert await placet.service.on_deadlines([]) == []

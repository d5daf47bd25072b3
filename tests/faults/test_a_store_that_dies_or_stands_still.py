"""The store killed, or standing still, under load: what was acknowledged stays, nothing is half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from approvals.errors import Refusal, StoreFailure
from approvals.model import RequestId
from tests.conftest import ANNA, BEN
from tests.faults.deployment import (
    AUDIT_KEY,
    LONGEST_S,
    Deployment,
    Web,
    drained,
    request_id,
)
from tests.faults.invariants import Told, assert_invariants
from tests.servers.callback_receiver import CallbackReceiver

LEASE = timedelta(seconds=2)  # what was claimed when the store went comes back after it
# Every kind of end: by a rule at once, by people, and by time.
ASKED: tuple[dict[str, object], ...] = (
    {"action": "report.read"},
    {"action": "data.sell"},
    {"action": "customer.view", "expires_in": 1},
    {"action": "customer.view"},
)


@dataclass
class Load:
    """Clients that ask without a pause, each with its own key, until told to stop."""

    web: Web
    told: Told
    undecided: asyncio.Queue[RequestId] = field(default_factory=asyncio.Queue)
    failures: int = 0
    is_over: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def client(self, number: int) -> None:
        for turn in count():
            if self.is_over:
                return
            changes = ASKED[(number + turn) % len(ASKED)]
            await self._asks(f"client-{number}-{turn}", changes)

    async def _asks(self, key: str, changes: dict[str, object]) -> None:
        answer = await self.web.asks(key, **changes)
        if answer.status in (0, 503):
            await self._note(failed=True)
            answer = await self.web.insists(key, **changes)
        request = request_id(answer)
        self.told.acknowledged(key, request)
        self.told.shown(request, answer.body["status"])
        if changes == ASKED[-1]:
            self.undecided.put_nowait(request)
        await self._note()

    async def _note(self, *, failed: bool = False) -> None:
        async with self._changed:
            self.failures += failed
            self._changed.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONGEST_S), self._changed:
            await self._changed.wait_for(is_so)


async def reviews(deployed: Deployment, load: Load) -> None:
    """Two people decide what needs people, and insist while the store is away."""
    reviewer = deployed.reviewer()
    for turn in count():
        request = await load.undecided.get()
        while True:
            try:
                status = await reviewer.votes(
                    (ANNA, BEN)[turn % 2], request, "approve" if turn % 3 else "deny"
                )
                load.told.shown(request, status)
            except StoreFailure:
                await asyncio.sleep(0.02)
                continue
            except Refusal as refusal:  # the vote whose answer was lost had counted
                load.told.shown(request, str(refusal.facts["status"]))
            load.undecided.task_done()
            break


@asynccontextmanager
async def under_load(deployed: Deployment, web: Web, clients: int) -> AsyncIterator[Load]:
    """All clients have had their answer and all is decided when the context ends."""
    load = Load(web, Told())
    asking = [asyncio.create_task(load.client(number)) for number in range(clients)]
    deciding = asyncio.create_task(reviews(deployed, load))
    try:
        yield load
        load.is_over = True
        await asyncio.gather(*asking)
        async with asyncio.timeout(LONGEST_S):
            await load.undecided.join()
    finally:
        for task in (*asking, deciding):
            task.cancel()
        await asyncio.gather(*asking, deciding, return_exceptions=True)


async def shows_what_was_told(web: Web, told: Told) -> None:
    for request in list(told.finals)[:20]:
        told.shown(request, (await web.shows(request)).body["status"])


async def test_a_store_killed_under_load_loses_nothing_that_was_acknowledged(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    web, _, _ = await asyncio.gather(
        deployed.web(), deployed.worker(lease=LEASE), deployed.worker(lease=LEASE)
    )
    async with under_load(deployed, web, clients=6) as load:
        await load.until(lambda: len(load.told.requests) >= 60)
        await deployed.kill_store()
        await load.until(lambda: load.failures >= 6)
        before = len(load.told.requests)
        await deployed.restart_store()
        await load.until(lambda: len(load.told.requests) >= before + 60)

    store = deployed.store()
    await drained(store)
    await shows_what_was_told(web, load.told)
    await assert_invariants(store, load.told, receiver, audit_key=AUDIT_KEY.encode())


async def test_a_store_that_stands_still_means_503_and_nothing_half_done(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    web, _ = await asyncio.gather(deployed.web(), deployed.worker(lease=LEASE))
    undecided = request_id(await web.asks("undecided", action="customer.view"))
    reviewer = deployed.reviewer()
    with deployed.paused_store():
        refused, shown, voted = await asyncio.gather(
            web.asks("refused", action="report.read"),
            web.shows(undecided),
            asyncio.gather(reviewer.votes(ANNA, undecided), return_exceptions=True),
        )

    for answer in (refused, shown):
        assert answer.status == 503
        assert answer.body["type"] == "urn:placet:problem:store-unavailable"
        assert "grant" not in answer.body
    assert isinstance(voted[0], StoreFailure)

    told = Told()
    told.acknowledged("undecided", undecided)
    told.acknowledged("refused", request_id(await web.insists("refused", action="report.read")))
    told.shown(undecided, await reviewer.votes(ANNA, undecided))
    store = deployed.store()
    await drained(store)
    await assert_invariants(store, told, receiver, audit_key=AUDIT_KEY.encode())


async def test_every_process_stops_in_good_order_also_while_the_store_is_gone(
    deployed: Deployment,
) -> None:
    web, worker = await asyncio.gather(deployed.web(), deployed.worker())
    await deployed.kill_store()
    await web.asks("unreachable")

    for process in (web.process, worker):
        process.terminate()
    async with asyncio.timeout(LONGEST_S):
        assert (await web.process.wait(), await worker.wait()) == (0, 0)

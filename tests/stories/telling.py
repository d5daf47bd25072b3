"""The words stories are told in: a service asks, people look and decide, time passes."""

from __future__ import annotations

import itertools
import json
import os
from datetime import datetime, timedelta

from approvals.ask import Ask
from approvals.lifecycle import open_request
from approvals.model import (
    ApprovalRequest,
    Caller,
    MatchedPolicy,
    PersonId,
    RequestId,
    Vote,
    event_id,
)
from approvals.store.records import Lease
from approvals.store.times import millis
from tests.approvals.samples import opening
from tests.configurations import ask
from tests.conftest import CLI, CRM, Placet


async def asks(
    placet: Placet, *, caller: Caller = CRM, key: str | None = None, **changes: object
) -> ApprovalRequest:
    """A service asks; answers the request it gets."""
    sent = ask(**changes)
    body = json.dumps(sent).encode()
    opened = await placet.service.open(
        caller,
        Ask.parse(json.loads(body)),
        body=body,
        idempotency_key=key or os.urandom(8).hex(),
    )
    return opened.request


async def opens(
    placet: Placet, under: MatchedPolicy, *, ago: timedelta = timedelta(0)
) -> ApprovalRequest:
    """A request that policy has given `under`, as if it had been opened some time `ago`."""
    now = await placet.store.records.now()
    change = open_request(opening(under=under), now - ago)
    assert (await placet.store.records.open(change, now, None)).code == "OK"
    return change.request


async def looks_and_votes(
    placet: Placet,
    person: PersonId,
    request: RequestId,
    vote: Vote = "approve",
    reason: str | None = None,
) -> ApprovalRequest:
    """A person opens the full details and votes."""
    await placet.service.view(request, person, CLI)
    return await placet.service.review(request, person, CLI, vote, reason=reason)


async def set_store_time(placet: Placet, at: datetime) -> None:
    """Makes the store believe that it has seen `at`: its time never goes back behind that."""
    async with placet.engine.client() as client:
        await client.set(placet.store.keys.clock, str(millis(at)))


async def passes(placet: Placet, request: ApprovalRequest, by: timedelta) -> None:
    """Lets the store's time stand `by` after the request's deadline (before it, if negative)."""
    await set_store_time(placet, request.expires_at + by)


async def time_works(placet: Placet) -> list[ApprovalRequest]:
    """The worker's round: everything due is worked off."""
    changed: list[ApprovalRequest] = []
    while True:
        claimed = await placet.store.deadlines.claim()
        if not claimed.members:
            return changed
        for member in claimed.members:
            lease = Lease(RequestId(member), claimed.lease_end)
            if change := await placet.service.on_deadline(lease):
                changed.append(change.request)


async def told(placet: Placet, request: RequestId) -> list[dict[str, object]]:
    """The callbacks frozen for a request, oldest first."""
    bodies: list[dict[str, object]] = []
    async with placet.engine.client() as client:
        for seq in itertools.count(1):
            body = await client.hget(placet.store.keys.callback(event_id(request, seq)), "body")
            if body is None:
                break
            bodies.append(json.loads(body))
    return bodies


async def history(placet: Placet, record: str) -> list[dict[str, object]]:
    """The audit entries of a request or a callback, oldest first."""
    entries = [json.loads(text) async for text in placet.store.log.entries()]
    return [entry for entry in entries if entry["record"] == record]


async def stored_keys(placet: Placet) -> set[str]:
    """Every key of this deployment, but the budgets, which pass by themselves."""
    async with placet.engine.client() as client:
        found = {key.decode() async for key in client.scan_iter(f"*{placet.engine.namespace}*")}
    return {key for key in found if ":budget:" not in key}

"""The client against a real Placet: what the fake one claims, the real one does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import aiohttp
import pytest
import pytest_asyncio

from approvals.callback_receiver import CallbackEvent, CallbackWSGI
from approvals.client import (
    AsyncPlacet,
    Denied,
    GrantRefused,
    NotDecided,
    Placet,
    Refused,
    Request,
)
from tests.e2e.processes import Demo, demo, http

pytestmark = pytest.mark.asyncio(loop_scope="module")
WISH: dict[str, Any] = {
    "action": "customer.view",
    "subject": "customer:48213",
    "params": {"email": "dana@example.com", "note": "½ per cent"},
    "justification": "Customer asked for a copy of their data",
    "requester": "okta:00u1",
}
ACT = {name: WISH[name] for name in ("action", "subject", "params")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def placet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    async with demo(tmp_path_factory.mktemp("placet"), "--no-sample") as running_demo:
        yield running_demo


@pytest_asyncio.fixture(loop_scope="module")
async def client(placet: Demo) -> AsyncIterator[AsyncPlacet]:
    async with AsyncPlacet(placet.facts["base_url"], placet.facts["api_key"]) as made:
        yield made


async def review(placet: Demo, request_id: str, **words: str) -> None:
    """As a person does on the page."""
    headers = {"X-Placet-Person": placet.facts["approvers"][0]}
    async with aiohttp.ClientSession(placet.facts["base_url"], headers=headers) as people:
        path = f"/console/api/requests/{request_id}"
        for verb, body in (("view", {}), ("review", words)):
            async with people.post(f"{path}/{verb}", json=body) as reply:
                assert reply.status == 200, await reply.text()


async def pending_of(placet: Demo) -> str:
    """The id of the request that waits, once one does."""
    async with http(placet.facts) as service:
        items: list[dict[str, Any]] = []
        while not items:
            async with service.get("/v1/requests?status=pending") as reply:
                items = (await reply.json())["items"]
    return str(items[0]["id"])


async def decide(placet: Demo, **words: str) -> str:
    request_id = await pending_of(placet)
    await review(placet, request_id, **words)
    return request_id


async def approved(placet: Demo, client: AsyncPlacet, **changes: object) -> Request:
    request = await client.request(**(WISH | changes))
    await review(placet, request.id, decision="approve")
    return await client.wait(request, 20)


async def test_a_guard_opens_after_an_approval_and_accounts_for_it(
    placet: Demo, client: AsyncPlacet
) -> None:
    async def work() -> str:
        async with client.guard(**WISH, timeout=30) as access:
            access.records, access.note = 2, "Shown to the customer"
            return access.request.id

    request_id, decided = await asyncio.gather(work(), decide(placet, decision="approve"))
    assert request_id == decided
    after = await client.show(request_id)
    assert after.grant
    assert (after.grant.status, after.grant.data["receipt"]["records"]) == ("used", 2)


async def test_a_sync_guard_stays_shut_after_a_denial(placet: Demo) -> None:
    ran: list[str] = []

    def work(facts: Mapping[str, Any]) -> None:
        with (
            Placet(facts["base_url"], facts["api_key"]) as client,
            client.guard(**WISH, timeout=30),
        ):
            ran.append("the body")

    denial = decide(placet, decision="deny", reason="Not this customer")
    outcome, request_id = await asyncio.gather(
        asyncio.to_thread(work, placet.facts), denial, return_exceptions=True
    )
    assert isinstance(outcome, Denied)
    assert (ran, outcome.request_id) == ([], request_id)
    assert (outcome.request.decision or {})["reason"] == "Not this customer"


async def test_who_stops_waiting_takes_the_request_back(placet: Demo, client: AsyncPlacet) -> None:
    async def work() -> None:
        async with client.guard(**WISH):
            raise AssertionError("the body ran")

    task = asyncio.create_task(work())
    request_id = await pending_of(placet)
    await client.show(request_id)  # asked after it was opened, so that answer has arrived by now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.show(request_id)).status == "cancelled"
    with pytest.raises(NotDecided):
        async with client.guard(**WISH, timeout=0.1):
            raise AssertionError("the body ran")


async def test_the_same_again_is_the_same(placet: Demo, client: AsyncPlacet) -> None:
    first = await client.request(**WISH, idempotency_key="the-same")
    assert (await client.request(**WISH, idempotency_key="the-same")).id == first.id
    for _ in range(2):
        assert (await client.cancel(first.id)).status == "cancelled"
    assert (await client.request(**WISH, idempotency_key="the-same")).status == "cancelled"

    request = await approved(placet, client)
    once = await client.redeem(request, **ACT, nonce="n-1")
    assert await client.redeem(request, **ACT, nonce="n-1") == once
    with pytest.raises(GrantRefused) as caught:
        await client.redeem(request, **ACT, nonce="n-2")
    assert (caught.value.slug, caught.value.request_id) == ("grant-used", request.id)
    for _ in range(2):
        given = await client.receipt(request, records=1)
        assert given.data["receipt"]["outcome"] == "succeeded"
    with pytest.raises(Refused, match="receipt-exists"):
        await client.receipt(request, records=2)
    with pytest.raises(Refused, match="already-final"):
        await client.cancel(request.id)


async def test_a_grant_opens_what_was_approved_and_may_be_ended(
    placet: Demo, client: AsyncPlacet
) -> None:
    request = await approved(placet, client)
    for other in ({"subject": "customer:1"}, {"params": None}, {"action": "users.export"}):
        with pytest.raises(GrantRefused, match="digest-mismatch"):
            await client.redeem(request, **(ACT | other))
    with pytest.raises(Refused, match="not-redeemed"):
        await client.receipt(request, records=0)
    for _ in range(2):
        assert (await client.end(request)).status == "ended"
    with pytest.raises(GrantRefused, match="grant-ended"):
        await client.redeem(request, **ACT)


async def test_what_is_wrong_is_told_field_by_field(client: AsyncPlacet) -> None:
    with pytest.raises(Refused) as caught:
        await client.request(**(WISH | {"justification": "Short"}), record_count=-1)
    assert {each.pointer for each in caught.value.findings} == {"/justification", "/record_count"}
    with pytest.raises(Refused, match="unknown-action"):
        await client.request(**(WISH | {"action": "no.such"}))
    with pytest.raises(Refused, match="not-found"):
        await client.show("req_" + "0" * 26)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def receiver(secret: str, heard: list[CallbackEvent]) -> Iterator[str]:
    """A service's receiver in a thread."""
    with make_server(
        "127.0.0.1", 0, CallbackWSGI([secret], heard.append), handler_class=Quiet
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/placet"
        finally:
            server.shutdown()
            thread.join()


async def test_its_callbacks_are_verified_and_read(
    placet: Demo, client: AsyncPlacet, tmp_path: Path
) -> None:
    heard: list[CallbackEvent] = []
    with receiver(placet.facts["callback_secret"], heard) as url:
        request = await approved(placet, client, callback_url=url)
        await client.redeem(request, **ACT)
        async with asyncio.timeout(20):
            while len(heard) < 2:
                await client.show(request.id)
    events = sorted((event.seq, event.type, event.request.id) for event in heard)
    assert events == [(1, "request.approved", request.id), (2, "grant.redeemed", request.id)]
    assert all(event.request.salt is None for event in heard)

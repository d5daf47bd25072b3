"""How many requests of one requester wait at once, and that the same is not asked twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import pytest

from approvals.ask import Ask
from approvals.errors import IdempotencyConflict, TooManyPending, UnknownAction
from approvals.model import ApprovalRequest, Caller
from approvals.opening import Opened
from approvals.store.records import Lease
from tests.configurations import ask
from tests.conftest import ANNA, BILLING, CRM, Engine, Placet
from tests.limiting import limited
from tests.stories.telling import looks_and_votes, passes, time_works

MOST = 3
CUSTOMERS = itertools.count()


@pytest.fixture(autouse=True)
def few(placet: Placet) -> None:
    placet.configuration = placet.service.configuration = limited(
        f"{{pending_per_requester: {MOST}, per_requester: 1000}}"
    )


async def opened(
    placet: Placet, caller: Caller = CRM, *, key: str | None = None, **changes: object
) -> Opened:
    return await sends(placet, ask(**changes), caller, key)


async def sends(
    placet: Placet, sent: dict[str, object], caller: Caller = CRM, key: str | None = None
) -> Opened:
    body = json.dumps(sent).encode()
    parsed = Ask.parse(json.loads(body))
    return await placet.service.open(caller, parsed, body=body, idempotency_key=key)


async def another(placet: Placet, **changes: object) -> ApprovalRequest:
    """One more request of the same requester, which asks what none before it asked."""
    sent = ask(**{"subject": f"customer:{next(CUSTOMERS)}", **changes})
    return (await sends(placet, sent)).request


async def full(placet: Placet) -> list[ApprovalRequest]:
    return [await another(placet) for _ in range(MOST)]


async def pending_of_jonas(placet: Placet, engine: Engine) -> list[str]:
    keys, marks = placet.store.keys, placet.store.marks
    async with engine.client() as client:
        key = keys.pending_of(CRM.service, marks.requester("okta:00u1"))
        members = cast("list[bytes]", await client.zrange(key, 0, -1))
    return [member.decode().partition(":")[2] for member in members]


async def test_beyond_the_most_nothing_opens_and_the_refusal_says_how_many_wait(
    placet: Placet, engine: Engine
) -> None:
    waiting = await full(placet)
    with pytest.raises(TooManyPending) as refused:
        await another(placet)
    assert refused.value.facts == {"pending": MOST, "most": MOST}
    assert refused.value.retry_after == 30
    assert sorted(await pending_of_jonas(placet, engine)) == sorted(one.id for one in waiting)
    assert len(await placet.service.pending()) == MOST


async def test_of_many_at_once_exactly_as_many_wait_as_may(placet: Placet, engine: Engine) -> None:
    other = placet.another()
    tries = [another(each) for each in (placet, other) for _ in range(10)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    requests = [one for one in answers if isinstance(one, ApprovalRequest)]
    refused = [one for one in answers if isinstance(one, TooManyPending)]
    assert (len(requests), len(refused)) == (MOST, 20 - MOST)
    assert sorted(await pending_of_jonas(placet, engine)) == sorted(one.id for one in requests)
    await other.store.close()


async def test_other_requesters_and_services_have_room_of_their_own(placet: Placet) -> None:
    await full(placet)
    await another(placet, requester={"id": "okta:anna"})
    await another(placet, requester={"id": "job:nightly"})
    assert (await opened(placet, BILLING)).is_new


async def test_what_a_rule_decides_at_once_needs_no_room(placet: Placet, engine: Engine) -> None:
    await full(placet)
    assert (await another(placet, action="report.read")).status == "approved"
    assert (await another(placet, action="data.sell")).status == "denied"
    assert len(await pending_of_jonas(placet, engine)) == MOST


async def approved(placet: Placet, request: ApprovalRequest) -> None:
    await looks_and_votes(placet, ANNA, request.id)


async def denied(placet: Placet, request: ApprovalRequest) -> None:
    await looks_and_votes(placet, ANNA, request.id, "deny", "Not today")


async def cancelled(placet: Placet, request: ApprovalRequest) -> None:
    await placet.service.cancel_by_service(CRM, request.id)


async def expired(placet: Placet, request: ApprovalRequest) -> None:
    await _overdue(placet, request)
    assert [one.id for one in await time_works(placet)] == [request.id]


async def expired_with_others(placet: Placet, request: ApprovalRequest) -> None:
    await _overdue(placet, request)
    claimed = await placet.store.deadlines.claim()
    lease = Lease(request.id, claimed.lease_end)
    changes = await placet.service.on_deadlines([lease])
    assert [change.request.id for change in changes] == [request.id]


async def _overdue(placet: Placet, request: ApprovalRequest) -> None:
    # So little ahead of the server's clock that the store still opens requests.
    await passes(placet, request, timedelta(0))


@pytest.mark.parametrize(
    "end", [approved, denied, cancelled, expired, expired_with_others], ids=lambda end: end.__name__
)
async def test_whoever_ends_makes_room_for_one_more(
    placet: Placet, engine: Engine, end: Callable[[Placet, ApprovalRequest], Awaitable[None]]
) -> None:
    first = await another(placet, expires_in=1 if end.__name__.startswith("expired") else 900)
    for _ in range(MOST - 1):
        await another(placet)
    await end(placet, first)
    await another(placet)
    with pytest.raises(TooManyPending):
        await another(placet)
    assert first.id not in await pending_of_jonas(placet, engine)


async def test_a_refused_request_can_be_asked_again_with_the_same_key(placet: Placet) -> None:
    waiting = await full(placet)
    with pytest.raises(TooManyPending):
        await opened(placet, key="order-7")
    await cancelled(placet, waiting[0])
    assert (await opened(placet, key="order-7")).is_new


async def test_a_repeat_by_key_is_answered_however_many_wait(placet: Placet) -> None:
    first = await opened(placet, key="order-7")
    for _ in range(MOST - 1):
        await another(placet)
    again = await opened(placet, key="order-7")
    assert (again.request.id, again.is_new) == (first.request.id, False)


async def test_with_reuse_what_asks_the_same_is_answered_by_what_waits(placet: Placet) -> None:
    first = await opened(placet)
    again = await opened(
        placet,
        reuse_pending=True,
        justification="The customer has called again, same ticket",
        context={"geo.country": "FR"},
        expires_in=60,
        ticket="ZD-2",
    )
    assert (again.request, again.is_new) == (first.request, False)
    assert len(again.quotas) == 2
    assert (await opened(placet)).is_new  # without it a new one, as ever


DIFFERENT: list[dict[str, object]] = [
    {"requester": {"id": "okta:anna"}},
    {"action": "users.export"},
    {"subject": "customer:2"},
    {"subject": None},
    {"params": {"email": "other@example.com"}},
    {"params": {"email": "dana@example.com", "undeclared": 1}},
    {"params": {"email": "dana@example.com", "birth_date": "1970-01-01"}},
    {"params": {}},
    {"params": None},
]


@pytest.mark.parametrize("changes", DIFFERENT, ids=str)
async def test_with_reuse_what_asks_anything_else_is_new(
    placet: Placet, changes: dict[str, object]
) -> None:
    first = await opened(placet)
    other = await sends(placet, ask(reuse_pending=True, **changes))
    assert other.request.id != first.request.id


async def test_with_reuse_nothing_of_another_service_is_answered(placet: Placet) -> None:
    await opened(placet)
    assert (await opened(placet, BILLING, reuse_pending=True)).is_new


async def test_with_reuse_hidden_values_are_told_apart(placet: Placet) -> None:
    asked = [{"birth_date": "1970-01-01"}, {"birth_date": "1970-01-02"}]
    first, second = [await opened(placet, reuse_pending=True, params=each) for each in asked]
    again = await opened(placet, reuse_pending=True, params=asked[0])
    assert first.is_new
    assert second.is_new
    assert again.request.id == first.request.id


async def test_with_reuse_what_has_ended_is_not_answered(placet: Placet) -> None:
    first = await opened(placet, reuse_pending=True)
    await cancelled(placet, first.request)
    assert (await opened(placet, reuse_pending=True)).is_new


async def test_with_reuse_what_is_overdue_is_not_answered(placet: Placet) -> None:
    first = await opened(placet, reuse_pending=True, expires_in=1)
    await _overdue(placet, first.request)
    again = await opened(placet, reuse_pending=True)
    assert again.is_new
    assert again.request.id != first.request.id


async def test_of_several_that_ask_the_same_the_newest_is_answered(placet: Placet) -> None:
    await opened(placet)
    newest = await opened(placet)
    assert (await opened(placet, reuse_pending=True)).request.id == newest.request.id


async def test_with_reuse_of_many_at_once_one_opens(placet: Placet, engine: Engine) -> None:
    other = placet.another()
    tries = [opened(each, reuse_pending=True) for each in (placet, other) for _ in range(10)]
    answers = await asyncio.gather(*tries)
    assert [one.is_new for one in answers].count(True) == 1
    assert len({one.request.id for one in answers}) == 1
    assert await pending_of_jonas(placet, engine) == [answers[0].request.id]
    await other.store.close()


async def test_with_reuse_a_full_requester_is_answered_with_what_waits(placet: Placet) -> None:
    first = await opened(placet)
    for _ in range(MOST - 1):
        await another(placet)
    again = await opened(placet, reuse_pending=True)
    assert (again.request.id, again.is_new) == (first.request.id, False)
    with pytest.raises(TooManyPending):
        await opened(placet, reuse_pending=True, subject="customer:new")


async def test_with_reuse_the_key_leads_to_what_was_answered_for_good(placet: Placet) -> None:
    first = await opened(placet)
    for _ in range(2):
        again = await opened(placet, key="order-7", reuse_pending=True)
        assert (again.request.id, again.is_new) == (first.request.id, False)
    with pytest.raises(IdempotencyConflict):
        await opened(placet, key="order-7", reuse_pending=True, ticket="ZD-2")
    await cancelled(placet, first.request)
    repeated = await opened(placet, key="order-7", reuse_pending=True)
    assert (repeated.request.id, repeated.request.status) == (first.request.id, "cancelled")


async def test_with_reuse_rights_are_looked_at_first(placet: Placet) -> None:
    await opened(placet)
    with pytest.raises(UnknownAction):
        await opened(placet, reuse_pending=True, action="no.such")


async def test_what_waits_is_named_by_keyed_marks_alone(placet: Placet, engine: Engine) -> None:
    request = (await opened(placet)).request
    async with engine.client() as client:
        (name,) = cast(
            "list[bytes]", await client.keys(placet.store.keys.pending_of(CRM.service, "*"))
        )
        (member,) = cast("list[bytes]", await client.zrange(name, 0, -1))
    assert re.fullmatch(r".*pending_of:crm:[0-9a-f]{32}", name.decode())
    assert re.fullmatch(r"[0-9a-f]{12}:" + request.id, member.decode())

"""Somebody acts while a data subject is being forgotten: nothing of what was said is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from approvals.act import ReceiptSent, Redeem
from approvals.errors import Refusal
from approvals.model import ApprovalRequest
from tests.conftest import ANNA, BEN, CLI, CRM, Placet
from tests.erasing import (
    CANARY,
    approved,
    asks_about_them,
    assert_nowhere,
    entries,
    erases,
    now,
    used,
    waits,
    words_of,
)

ROUNDS = 20
Act = Callable[[Placet, ApprovalRequest], Awaitable[object]]
FINAL_OF = {"approved", "denied", "cancelled", "expired"}


async def views(placet: Placet, request: ApprovalRequest) -> None:
    await placet.service.view(request.id, BEN, CLI)


async def denies(placet: Placet, request: ApprovalRequest) -> None:
    said = f"{CANARY} is not at home"
    await placet.service.review(request.id, ANNA, CLI, "deny", reason=said)


async def approves(placet: Placet, request: ApprovalRequest) -> None:
    said = f"{CANARY} is at home"
    await placet.service.review(request.id, ANNA, CLI, "approve", reason=said)


async def cancels(placet: Placet, request: ApprovalRequest) -> None:
    said = f"{CANARY} does not mind"
    await placet.service.cancel_by_person(request.id, BEN, CLI, reason=said)


async def redeems(placet: Placet, request: ApprovalRequest) -> None:
    sent = Redeem.parse({"nonce": "n9", "digest": request.digest})
    await placet.service.grants.redeem(CRM, request.id, sent)


async def revokes(placet: Placet, request: ApprovalRequest) -> None:
    said = f"{CANARY} was here"
    await placet.service.grants.revoke(request.id, BEN, CLI, reason=said)


async def accounts(placet: Placet, request: ApprovalRequest) -> None:
    sent = ReceiptSent.parse({"records": 1, "outcome": "succeeded", "note": f"Told {CANARY}"})
    await placet.service.grants.give_receipt(CRM, request.id, sent)


async def opens(placet: Placet, request: ApprovalRequest) -> None:
    said = f"{CANARY} asked again after {request.id}"
    await asks_about_them(placet, justification=said)


ACTS: dict[str, tuple[Callable[[Placet], Awaitable[ApprovalRequest]], Act]] = {
    "view": (waits, views),
    "deny": (waits, denies),
    "approve": (waits, approves),
    "cancel": (waits, cancels),
    "redeem": (approved, redeems),
    "revoke": (approved, revokes),
    "receipt": (used, accounts),
    "open": (waits, opens),
}


@pytest.fixture
async def elsewhere(placet: Placet) -> AsyncIterator[Placet]:
    """Another process over the same data."""
    other = placet.another()
    yield other
    await other.store.close()


async def later(turns: int, act: Awaitable[object]) -> None:
    """Lets the others go on for so many turns; who comes too late is refused."""
    for _ in range(turns):
        await asyncio.sleep(0)
    with suppress(Refusal):
        await act


async def all_about_them(placet: Placet) -> list[ApprovalRequest]:
    page = await placet.service.list_own(CRM, status=None, action=None, limit=100, cursor=None)
    return list(page.items)


def assert_legal(request: ApprovalRequest) -> None:
    """Final or untouched; a grant follows an approval alone, and is over once it is erased."""
    assert request.status in FINAL_OF or request.erased_at is None
    assert (request.grant is not None) == (request.status == "approved")
    if request.erased_at:
        assert request.salt is None
        assert request.grant is None or request.grant.status != "active"


@pytest.mark.parametrize("act", ACTS)
async def test_whoever_is_first_no_words_are_left(
    placet: Placet, elsewhere: Placet, act: str
) -> None:
    prepare, race = ACTS[act]
    chance = random.Random(act)
    for _ in range(ROUNDS):
        request = await prepare(placet)
        before = {one.id for one in await all_about_them(placet)}
        await asyncio.gather(
            later(chance.randrange(12), erases(placet)),
            later(chance.randrange(12), race(elsewhere, request)),
        )
        assert (await now(placet, request)).erased_at is not None
        await assert_nowhere(placet)
        for one in await all_about_them(placet):
            assert_legal(one)
            words = await words_of(placet, one.id)
            assert not words or (one.id not in before and one.erased_at is None)
            assert words or one.erased_at
    await entries(placet)


async def test_of_two_who_erase_at_once_each_finds_it_done(
    placet: Placet, elsewhere: Placet
) -> None:
    for _ in range(ROUNDS):
        requests = [await waits(placet), await approved(placet)]
        one, other = await asyncio.gather(erases(placet), erases(elsewhere))
        assert one.cancelled + other.cancelled == 1
        assert one.revoked + other.revoked == 1
        assert one.requests + other.requests == 2
        for request in requests:
            assert await words_of(placet, request.id) == []
        async with placet.engine.client() as client:
            await client.delete(placet.store.keys.by_subject(request.asked.subject_mark or ""))
    types = [entry["type"] for entry in await entries(placet)]
    assert types.count("request.erased") == 2 * ROUNDS


async def test_a_view_shows_all_or_says_erased_and_its_entry_tells_which(
    placet: Placet, elsewhere: Placet
) -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        request = await waits(placet)
        view = asyncio.create_task(elsewhere.service.view(request.id, BEN, CLI))
        await later(chance.randrange(12), erases(placet))
        shown = await view
        assert shown.is_erased == (CANARY not in shown.model_dump_json())
        viewed = [
            entry["data"]["shown"]
            for entry in await entries(placet)
            if entry["record"] == request.id and entry["type"] == "request.viewed"
        ]
        assert viewed[-1] == shown.fingerprint()

"""The cards queue is told, in the commit itself, of each card whose face has changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from approvals import grants, lifecycle
from approvals.change import Change, DenyRule, Receipting, Redeeming, TakingBack, Voting
from approvals.model import Escalation, MatchedPolicy, RequestId
from approvals.store.cards import CardPlace, card_place
from approvals.store.keys import Keys
from approvals.store.records import Stored
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.samples import ANNA, BEN, CLI, EXPIRES_IN, GRANT_TTL, opening, policy

BOTH = policy(notify=("desk", "duty"), threshold=2, quick_approve=True)
MINUTE = timedelta(minutes=1)
MEMBERS = ["req_1|desk", "req_1|duty"]


async def load(store: Store) -> Stored:
    stored = await store.records.load(RequestId("req_1"))
    assert stored is not None
    return stored


async def opened(store: Store, under: MatchedPolicy = BOTH) -> Stored:
    now = await store.records.now()
    change = lifecycle.open_request(opening(under=under), now)
    assert (await store.records.open(change, now, None)).code == "OK"
    return await load(store)


async def commit(store: Store, before: Stored, change: Change | None) -> Stored:
    assert change is not None
    op = f"op-{before.version}"
    assert (await store.records.commit(before, change, op)).code == "OK"
    return await load(store)


async def drawn(store: Store) -> list[str]:
    """The members that wait, which then wait no more."""
    claimed = await store.cards.claim()
    for member in claimed.members:
        await store.cards.finish(member, claimed.lease_end)
    return sorted(claimed.members)


def vote(stored: Stored, *, by_ben: bool = False) -> Change:
    voting = Voting(BEN if by_ben else ANNA, CLI, "approve")
    return lifecycle.review(stored.request, voting, stored.now)


async def test_a_pending_request_is_drawn_in_every_place_that_is_notified(
    store: Store, client: Redis, keys: Keys
) -> None:
    stored = await opened(store)
    due = millis(stored.request.created_at)
    waiting = await client.zrange(keys.queue("cards").due, 0, -1, withscores=True)
    assert waiting == [(member.encode(), due) for member in MEMBERS]


async def test_each_counted_approval_and_each_outcome_is_drawn(store: Store) -> None:
    stored = await opened(store)
    assert await drawn(store) == MEMBERS
    stored = await commit(store, stored, vote(stored))
    assert await drawn(store) == MEMBERS
    stored = await commit(store, stored, vote(stored, by_ben=True))
    assert stored.request.status == "approved"
    assert await drawn(store) == MEMBERS


async def test_a_new_revision_is_drawn(store: Store) -> None:
    stored = await opened(store)
    await drawn(store)
    changed = stored.request.model_copy(update={"revision": 2})
    await commit(store, stored, Change(changed, ()))
    assert await drawn(store) == MEMBERS


async def test_an_expiry_is_drawn(store: Store) -> None:
    stored = await opened(store)
    await drawn(store)
    at = stored.now + EXPIRES_IN
    await commit(store, stored, lifecycle.on_deadline(stored.request, at))
    assert await drawn(store) == MEMBERS


async def test_a_reminder_is_drawn_and_an_escalation_in_its_own_places_too(store: Store) -> None:
    steps = (Escalation(after=2 * MINUTE, notify=("managers", "desk")),)
    under = policy(notify=("desk",), remind=(MINUTE,), escalate=steps)
    stored = await opened(store, under)
    await drawn(store)
    for minutes, places in ((1, ["req_1|desk"]), (2, ["req_1|desk", "req_1|managers"])):
        at = stored.request.created_at + minutes * MINUTE
        stored = await commit(store, stored, lifecycle.on_deadline(stored.request, at))
        assert await drawn(store) == places


async def test_that_a_card_stands_or_that_none_does_is_not_drawn(store: Store) -> None:
    stored = await opened(store)
    await drawn(store)
    stored = await commit(store, stored, lifecycle.on_undeliverable(stored.request))
    await commit(store, stored, lifecycle.on_presented(stored.request, "desk", stored.now))
    assert await drawn(store) == []


async def test_a_view_and_a_grants_natural_end_are_not_drawn(store: Store) -> None:
    stored = await opened(store)
    stored = await commit(
        store, stored, lifecycle.view(stored.request, ANNA, CLI, "f" * 64, stored.now)
    )
    stored = await commit(store, stored, vote(stored))
    stored = await commit(store, stored, vote(stored, by_ben=True))
    await drawn(store)
    at = stored.now + GRANT_TTL
    await commit(store, stored, lifecycle.on_deadline(stored.request, at))
    assert await drawn(store) == []


async def test_what_became_of_an_access_is_drawn_and_one_use_of_several_is_not(
    store: Store,
) -> None:
    stored = await opened(
        store, policy(notify=("desk",), receipt_within=MINUTE, quick_approve=True)
    )
    stored = await commit(store, stored, Change(stored.request.model_copy(update={"uses": 2}), ()))
    stored = await commit(store, stored, vote(stored))
    for change, is_drawn in (
        (_redeem("first"), False),
        (_redeem("second"), True),
        (lambda one: grants.on_deadline(one.request, one.now + MINUTE, is_wrong=False), True),
        (lambda one: grants.give_receipt(one.request, Receipting(3, "succeeded"), one.now), True),
    ):
        await drawn(store)
        stored = await commit(store, stored, change(stored))
        assert await drawn(store) == (["req_1|desk"] if is_drawn else [])


@pytest.mark.parametrize("way", ["by its service", "by a person", "by a rule"])
async def test_an_access_that_ends_before_its_time_is_drawn(store: Store, way: str) -> None:
    stored = await opened(store, policy(notify=("desk",), quick_approve=True))
    stored = await commit(store, stored, vote(stored))
    await drawn(store)
    request, now = stored.request, stored.now
    rule = DenyRule("freeze", None, "v2")
    denied = grants.redeem(request, _redeeming(stored, "n"), now, policy="v2", denied_by=rule)
    ways = {
        "by its service": grants.end(request, now),
        "by a person": grants.revoke(request, TakingBack(ANNA, CLI), now),
        "by a rule": denied,
    }
    await commit(store, stored, ways[way])
    assert await drawn(store) == ["req_1|desk"]


def _redeeming(stored: Stored, nonce: str) -> Redeeming:
    return Redeeming(stored.request.digest, nonce, {}, "127.0.0.1")


def _redeem(nonce: str) -> Callable[[Stored], Change | None]:
    return lambda one: grants.redeem(one.request, _redeeming(one, nonce), one.now, policy="v1")


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_a_request_final_at_once_is_drawn_in_no_channel(store: Store, decision: str) -> None:
    await opened(store, policy(decision=decision, threshold=0, notify=("desk",)))
    assert await drawn(store) == []


async def test_a_rule_that_notifies_nobody_draws_nothing(store: Store, keys: Keys) -> None:
    stored = await opened(store, policy())
    await commit(store, stored, lifecycle.cancel_by_service(stored.request, stored.now))
    assert await drawn(store) == []


async def test_the_worker_is_woken_once_a_commit(store: Store, client: Redis, keys: Keys) -> None:
    async with client.pubsub() as listener:
        await listener.subscribe(keys.wake_channel)
        await listener.get_message(timeout=5)
        await opened(store)
        await client.publish(keys.wake_channel, "that is all")
        heard = [await listener.get_message(timeout=5) for _ in range(2)]
    assert [message["data"] for message in heard if message] == [b"cards", b"that is all"]


def test_a_member_names_request_and_place() -> None:
    place = CardPlace(RequestId("req_1"), "desk")
    assert card_place(place.member) == place
    assert card_place("req_1|thread:desk") == CardPlace(RequestId("req_1"), "thread:desk")


@pytest.mark.parametrize("member", ["", "req_1", "req_1|", "|desk", "|"])
def test_what_is_no_member_means_nothing(member: str) -> None:
    assert card_place(member) is None

"""Message refs: put once, changed only by who knows what is held, and of two racers one wins."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from approvals.model import RequestId
from approvals.store.cards import CardPlace
from approvals.store.keys import Keys
from approvals.store.message_refs import MessageRefs, StoredRef
from approvals.store.scripts import Scripts, UnreadableRecord
from approvals.store.store import Store
from tests.approvals.store.support import STANDS_AT, stop_the_clock
from tests.conftest import Engine

REQUEST = RequestId("req_1")
DESK, DUTY = CardPlace(REQUEST, "desk"), CardPlace(REQUEST, "duty")
FIRST = StoredRef(channel="C1", message="1.0")
SECOND = StoredRef(channel="C1", message="2.0")
REFUSED = StoredRef(refused="not_in_channel")


@pytest.fixture
def refs(store: Store) -> MessageRefs:
    return store.refs


async def test_there_is_nothing_before_the_first_is_put(refs: MessageRefs) -> None:
    assert await refs.of(REQUEST) == {}


async def test_a_ref_is_kept_by_place_and_platform(refs: MessageRefs) -> None:
    for card, platform, ref in ((DESK, "slack", FIRST), (DESK, "teams", SECOND),
                                (DUTY, "slack", REFUSED)):  # fmt: skip
        assert await refs.put(card, platform, ref) == ref
    await refs.put(CardPlace(RequestId("req_2"), "desk"), "slack", SECOND)
    assert await refs.of(REQUEST) == {
        ("desk", "slack"): FIRST,
        ("desk", "teams"): SECOND,
        ("duty", "slack"): REFUSED,
    }
    assert [ref.stands for ref in (FIRST, REFUSED)] == [True, False]


async def test_the_second_learns_what_the_first_has_put(refs: MessageRefs) -> None:
    await refs.put(DESK, "slack", FIRST)
    assert await refs.put(DESK, "slack", SECOND) == FIRST
    assert (await refs.of(REQUEST))["desk", "slack"] == FIRST


async def test_a_repeat_after_a_lost_answer_finds_itself(refs: MessageRefs) -> None:
    for _ in range(2):
        assert await refs.put(DESK, "slack", FIRST) == FIRST
    drawn = replace(FIRST, drawn="f1")
    for _ in range(2):
        assert await refs.put(DESK, "slack", drawn, instead_of=FIRST) == drawn


async def test_of_many_who_put_at_once_one_wins_and_all_learn_which(engine: Engine) -> None:
    stores = [engine.store() for _ in range(8)]
    answers = await asyncio.gather(
        *(
            store.refs.put(DESK, "slack", StoredRef("C1", f"{number}.0"))
            for number, store in enumerate(stores)
        )
    )
    assert len(set(answers)) == 1
    assert answers[0] in [StoredRef("C1", f"{number}.0") for number in range(8)]
    for store in stores:
        await store.close()


async def test_messages_that_are_one_too_many_are_kept_beside_the_one_that_stands(
    refs: MessageRefs,
) -> None:
    await refs.put(DESK, "slack", FIRST)
    with_extra = replace(FIRST, extra=(("C1", "2.0"), ("C2", "3.0")))
    assert await refs.put(DESK, "slack", with_extra, instead_of=FIRST) == with_extra
    assert (await refs.of(REQUEST))["desk", "slack"] == with_extra


async def test_a_refused_place_is_taken_by_the_first_message_that_stands(
    refs: MessageRefs,
) -> None:
    await refs.put(DESK, "slack", REFUSED)
    assert await refs.put(DESK, "slack", FIRST, instead_of=REFUSED) == FIRST
    assert await refs.put(DESK, "slack", SECOND, instead_of=REFUSED) == FIRST


async def test_who_drew_on_old_knowledge_does_not_overwrite_what_another_has_drawn(
    refs: MessageRefs,
) -> None:
    await refs.put(DESK, "slack", FIRST)
    newer, older = replace(FIRST, drawn="newer"), replace(FIRST, drawn="older")
    await refs.put(DESK, "slack", newer, instead_of=FIRST)
    assert await refs.put(DESK, "slack", older, instead_of=FIRST) == newer


async def test_what_is_in_doubt_counts_as_drawn_by_nobody(refs: MessageRefs) -> None:
    drawn, other = replace(FIRST, drawn="f1"), replace(FIRST, drawn="f2")
    await refs.put(DESK, "slack", drawn)
    await refs.doubt(DESK, "slack")
    assert (await refs.of(REQUEST))["desk", "slack"] == FIRST
    await refs.put(DESK, "slack", other, instead_of=FIRST)
    await refs.doubt(DESK, "slack")  # whatever was known of it before
    assert (await refs.of(REQUEST))["desk", "slack"] == FIRST


@pytest.mark.parametrize("value", ["", "[]", "{", "{}", '{"what": 1}', '"text"'])
async def test_what_cannot_be_read_is_refused(
    refs: MessageRefs, client: Redis, keys: Keys, value: str
) -> None:
    await client.hset(keys.refs(REQUEST), "desk|slack", value)
    with pytest.raises(UnreadableRecord):
        await refs.of(REQUEST)


async def test_what_another_version_has_written_is_taken_over_as_it_is(
    store: Store, refs: MessageRefs
) -> None:
    # Another order, and no `refused` yet.
    written = '{"message": "1.0", "channel": "C1", "drawn": "f1", "extra": []}'
    await store.pipeline.run("HSET", store.keys.refs(REQUEST), "desk|slack", written)
    async with asyncio.timeout(5):
        await refs.doubt(DESK, "slack")
    held = (await refs.of(REQUEST))["desk", "slack"]
    assert held == FIRST
    drawn = replace(held, drawn="f2")
    assert await refs.put(DESK, "slack", drawn, instead_of=held) == drawn


async def test_a_member_scheduled_by_hand_is_due_now(
    store: Store, client: Redis, keys: Keys
) -> None:
    await stop_the_clock(client, keys)
    await store.cards.schedule(DESK.member)
    claimed = await store.cards.claim()
    assert (claimed.members, claimed.now) == ((DESK.member,), STANDS_AT)


async def test_a_member_that_is_leased_comes_back_when_its_holder_is_done(
    store: Store, scripts: Scripts
) -> None:
    await store.cards.schedule(DESK.member)
    claimed = await store.cards.claim()
    await scripts.schedule_due("cards", DESK.member)
    assert (await store.cards.claim()).members == ()
    assert await store.cards.finish(DESK.member, claimed.lease_end)
    assert (await store.cards.claim()).members == (DESK.member,)

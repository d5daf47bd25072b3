"""What somebody else wrote into the store: found before a commit, and no hindrance to the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from approvals.errors import StoreUnavailable
from approvals.model import RequestId
from approvals.store.keys import Keys
from approvals.store.pipeline import CommandRefused
from approvals.store.records import Lease
from approvals.store.scripts import Commit, Scripts, UnreadableRecord
from approvals.store.times import millis
from tests.approvals.store.support import REQUEST, commit_of, dump, stop_the_clock
from tests.conftest import CRM, Placet
from tests.rewriting import rewrite
from tests.stories.telling import asks

IDEMPOTENCY = "idem:crm:mark"
Changes = Callable[[str], dict[str, Any]]  # of a commit, by the name of the damaged key

DAMAGED: dict[str, tuple[str, Changes]] = {
    "the log": ("log", lambda _: {}),
    "the clock": ("clock:seen", lambda _: {}),
    "an idempotency key": (IDEMPOTENCY, lambda key: {"idempotency": (key, "req_9 mark")}),
    "a list": ("pending", lambda key: {"writes": (("zadd", key, "1", REQUEST),)}),
    "a list to leave": ("pending", lambda key: {"writes": (("zrem", key, REQUEST),)}),
    "a callback": ("callback:1", lambda key: {"writes": (("hset", key, "field", "value"),)}),
    "a queue": (
        "deadlines:due",
        lambda _: {"writes": (("schedule", "deadlines", REQUEST, "1"),)},
    ),
    "its leases": (
        "deadlines:leased",
        lambda _: {"writes": (("unschedule", "deadlines", REQUEST),)},
    ),
    "its wishes": (
        "deadlines:again",
        lambda _: {"writes": (("finish", "deadlines", REQUEST, "1", None),)},
    ),
}


async def opened(scripts: Scripts, keys: Keys) -> Commit:
    """A request, and a next commit of it that is in order."""
    assert (await scripts.commit(commit_of(keys))).code == "OK"
    return commit_of(keys, op="new", expect=1, entry=2)


async def make_a_list_of(client: Redis, name: str) -> None:
    await client.delete(name)
    await client.rpush(name, "somebody else's")


@pytest.mark.parametrize("what", DAMAGED)
async def test_a_key_of_another_kind_is_found_before_anything_is_written(
    scripts: Scripts, keys: Keys, client: Redis, what: str
) -> None:
    await stop_the_clock(client, keys)
    following = await opened(scripts, keys)
    name, changes = DAMAGED[what]
    key = keys.log.removesuffix("log") + name
    await make_a_list_of(client, key)
    before = await dump(client, keys)
    answer = await scripts.commit(replace(following, **changes(key)))
    assert (answer.code, answer.value[:4]) == ("INVALID", "key ")
    assert await dump(client, keys) == before
    with pytest.raises(CommandRefused, match=r"its key [0-9]+ is not what it must be"):
        answer.possible()


async def test_a_service_is_told_and_nothing_of_its_request_is_kept(
    placet: Placet, client: Redis
) -> None:
    await make_a_list_of(client, placet.store.keys.pending)
    before = await dump(client, placet.store.keys)
    with pytest.raises(StoreUnavailable, match="refused a commit"):
        await asks(placet)
    after = await dump(client, placet.store.keys)
    passing = [name for name in after if name.startswith(("clock:seen", "budget:"))]
    assert {name: after[name] for name in after if name not in passing} == before


async def as_text(client: Redis, record: str) -> None:
    await client.delete(record)
    await client.set(record, "text")


async def without_version(client: Redis, record: str) -> None:
    await client.hset(record, "version", "x")


async def without_count(client: Redis, record: str) -> None:
    await client.hset(record, "entries", "9" * 30)


async def with_no_body(client: Redis, record: str) -> None:
    await client.hset(record, "body", "{}")


async def of_another(client: Redis, record: str) -> None:
    await rewrite(client, record, id="req_" + "0" * 26)


async def without_zone(client: Redis, record: str) -> None:
    await rewrite(client, record, expires_at="2026-11-24T14:00:00")


async def of_a_newer_version(client: Redis, record: str) -> None:
    await rewrite(client, record, status="delegated")


WAYS = (
    as_text,
    without_version,
    without_count,
    with_no_body,
    of_another,
    without_zone,
    of_a_newer_version,
)
Way = Callable[[Redis, str], Awaitable[None]]


async def overdue_with_one_damaged(placet: Placet, client: Redis, way: Way) -> list[RequestId]:
    """Three overdue requests, the middle one damaged; answers the sound ones."""
    requests = [(await asks(placet, expires_in=60)).id for _ in range(3)]
    later = datetime.now(UTC) + timedelta(hours=1)
    await client.set(placet.store.keys.clock, millis(later))
    await way(client, placet.store.keys.request(requests[1]))
    return [requests[0], requests[2]]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_damaged_record_holds_up_no_other_deadline(
    placet: Placet, client: Redis, way: Way
) -> None:
    sound = await overdue_with_one_damaged(placet, client, way)
    claimed = await placet.store.deadlines.claim()
    leases = [Lease(RequestId(member), claimed.lease_end) for member in claimed.members]
    assert len(leases) == 3
    changed = await placet.service.on_deadlines(leases)
    assert {one.request.id for one in changed} == set(sound)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_damaged_record_hides_no_other_from_the_sweep_or_a_list(
    placet: Placet, client: Redis, way: Way
) -> None:
    sound = await overdue_with_one_damaged(placet, client, way)
    assert set(await placet.service.sweep(limit=1)) == set(sound)
    assert await placet.service.sweep(limit=1) == ()
    found = await placet.store.records.load_all([*sound, RequestId("req_none")])
    assert [stored.request.id for stored in found] == sound


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_nothing_is_decided_on_a_damaged_record(
    placet: Placet, client: Redis, way: Way
) -> None:
    request = (await asks(placet)).id
    await way(client, placet.store.keys.request(request))
    with pytest.raises(UnreadableRecord):
        await placet.service.card_facts(request)


async def test_a_list_goes_on_behind_any_number_of_damaged_records(
    placet: Placet, client: Redis
) -> None:
    older = [(await asks(placet)).id for _ in range(3)]
    for _ in range(60):
        await with_no_body(client, placet.store.keys.request((await asks(placet)).id))
    found: list[RequestId] = []
    cursor: str | None = None
    for _ in range(5):
        page = await placet.service.list_own(CRM, status=None, action=None, limit=50, cursor=cursor)
        found += [request.id for request in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert cursor is None
    assert found == older[::-1]


async def test_a_damaged_idempotency_key_opens_nothing(placet: Placet, client: Redis) -> None:
    mark = placet.store.marks.idempotency("mark")
    await client.set(placet.store.keys.idempotency(CRM.service, mark), b"\xff")
    with pytest.raises(UnreadableRecord):
        await asks(placet, key="mark")


@pytest.mark.parametrize("score", ["inf", "-inf", "1.5", "9e18"])
async def test_a_receipt_noted_at_no_time_opens_nothing_and_is_no_crash(
    placet: Placet, client: Redis, score: str
) -> None:
    who = placet.store.marks.conduct("person jonas")
    await client.zadd(placet.store.keys.overuse(who), {"req_1": score})
    with pytest.raises(UnreadableRecord):
        await asks(placet)

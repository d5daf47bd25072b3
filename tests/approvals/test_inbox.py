"""Who sees which request, in which order, and at what cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import cast

import pytest

from approvals import lifecycle
from approvals.errors import NotAllowed, NotFound
from approvals.inbox import RECENT_SCAN, Inbox
from approvals.model import ApprovalRequest, PersonId, RequestId
from approvals.policy.loader import load_configuration
from approvals.store.records import LOADED_AT_ONCE, Records, Stored
from approvals.store.store import Store
from tests.approvals.samples import opening
from tests.configurations import write_configuration
from tests.conftest import ANNA, BEN, BILLING, CLEO, CLI, CRM, JONAS, OLGA, Placet
from tests.stories.telling import asks, looks_and_votes

EVERYBODY = [ANNA, BEN, CLEO, JONAS, OLGA]
STRANGER = PersonId("nobody")


@pytest.fixture
def inbox(placet: Placet) -> Inbox:
    return Inbox(placet.store, lambda: placet.service.configuration)


def ids(requests: Sequence[ApprovalRequest]) -> list[RequestId]:
    return [request.id for request in requests]


async def seers(inbox: Inbox, request: ApprovalRequest) -> set[PersonId]:
    """Who may see it, by every way of asking alike."""
    seeing = {person for person in EVERYBODY if inbox.may_see(person, request)}
    for person in EVERYBODY:
        pending = await inbox.pending(person, 10)
        assert (request.id in ids(pending)) == (person in seeing and not request.is_final)
        if person in seeing:
            assert await inbox.one(person, request.id) == request
        else:
            with pytest.raises(NotFound):
                await inbox.one(person, request.id)
    return seeing


async def test_approvers_requester_admins_and_auditors_see_a_request(
    placet: Placet, inbox: Inbox
) -> None:
    assert await seers(inbox, await asks(placet)) == {ANNA, BEN, JONAS, OLGA}
    export = await asks(placet, action="users.export", params=None)
    assert await seers(inbox, export) == {ANNA, BEN, CLEO, JONAS, OLGA}


async def test_who_asks_sees_their_own_though_they_may_not_decide_it(
    placet: Placet, inbox: Inbox
) -> None:
    own = await asks(placet, requester={"id": "okta:anna"})
    assert await seers(inbox, own) == {ANNA, BEN, OLGA}


async def test_the_owner_of_a_machine_sees_what_it_asks(
    placet: Placet, inbox: Inbox, tmp_path: Path
) -> None:
    directory = tmp_path / "owned"
    write_configuration(directory)
    services = directory / "services.yaml"
    services.write_text(services.read_text().replace("owner: ben", "owner: jonas"))
    placet.service.configuration = load_configuration(directory)
    assert JONAS in await seers(inbox, await asks(placet, requester={"id": "job:nightly"}))


async def test_who_has_voted_goes_on_seeing_it_after_leaving_the_group(
    placet: Placet, inbox: Inbox, tmp_path: Path
) -> None:
    voted = await asks(placet, action="users.export", params=None)
    other = await asks(placet, action="users.export", params=None)
    after = await looks_and_votes(placet, CLEO, voted.id)
    directory = tmp_path / "later"
    write_configuration(directory)
    people = directory / "people.yaml"
    people.write_text(people.read_text().replace("members: [cleo]", "members: [anna]"))
    placet.service.configuration = load_configuration(directory)

    assert CLEO in await seers(inbox, after)
    assert CLEO not in await seers(inbox, other)


async def test_a_stranger_is_refused_whatever_they_ask(placet: Placet, inbox: Inbox) -> None:
    request = await asks(placet)
    with pytest.raises(NotAllowed):
        inbox.may_see(STRANGER, request)
    for asked in (
        inbox.one(STRANGER, request.id),
        inbox.some(STRANGER, [request.id]),
        inbox.pending(STRANGER, 9),
        inbox.reviewed(STRANGER, 9),
        inbox.recent(STRANGER, 9),
    ):
        with pytest.raises(NotAllowed):
            await asked


async def test_of_several_those_are_told_that_one_may_see(placet: Placet, inbox: Inbox) -> None:
    mine, foreign = await asks(placet), await asks(placet, action="users.export", params=None)
    wanted = [mine.id, foreign.id, RequestId("req_" + "0" * 26)]
    assert await inbox.some(ANNA, wanted) == {mine.id: mine, foreign.id: foreign}
    assert await inbox.some(CLEO, wanted) == {foreign.id: foreign}


async def test_what_does_not_exist_is_not_found(inbox: Inbox) -> None:
    with pytest.raises(NotFound):
        await inbox.one(OLGA, RequestId("req_none"))


async def test_the_next_to_expire_comes_first_and_no_more_than_asked_for(
    placet: Placet, inbox: Inbox
) -> None:
    late, soon, sooner = [await asks(placet, expires_in=s) for s in (900, 600, 300)]
    await placet.service.cancel_by_service(CRM, (await asks(placet, expires_in=100)).id)
    assert ids(await inbox.pending(ANNA, 10)) == [sooner.id, soon.id, late.id]
    assert ids(await inbox.pending(ANNA, 2)) == [sooner.id, soon.id]


async def test_what_a_person_has_voted_on_is_theirs_newest_first(
    placet: Placet, inbox: Inbox
) -> None:
    first, second, third = [
        await asks(placet, action="users.export", params=None) for _ in range(3)
    ]
    await looks_and_votes(placet, ANNA, third.id)
    await looks_and_votes(placet, ANNA, first.id)
    await looks_and_votes(placet, CLEO, first.id)
    await looks_and_votes(placet, CLEO, second.id, "deny", "Wrong ticket")
    await placet.service.view(second.id, ANNA, CLI)

    assert ids(await inbox.reviewed(ANNA, 10)) == [third.id, first.id]
    assert ids(await inbox.reviewed(ANNA, 1)) == [third.id]
    assert ids(await inbox.reviewed(CLEO, 10)) == [second.id, first.id]
    assert await inbox.reviewed(JONAS, 10) == ()


async def test_the_name_of_who_voted_is_in_no_key(placet: Placet) -> None:
    request = await asks(placet)
    await looks_and_votes(placet, ANNA, request.id)
    async with placet.engine.client() as client:
        names = cast("list[bytes]", await client.keys(placet.store.keys.pattern))
    assert len([name for name in names if b":by_approver:" in name]) == 1
    assert not [name for name in names if b"anna" in name]


async def test_what_has_ended_is_listed_newest_first_over_all_services(
    placet: Placet, inbox: Inbox
) -> None:
    ended = []
    for caller in (CRM, BILLING, CRM, BILLING):
        request = await asks(placet, caller=caller)
        ended.append(await placet.service.cancel_by_service(caller, request.id))
    await asks(placet)

    newest_first = [request.id for request in sorted(ended, key=lambda one: one.id, reverse=True)]
    assert ids(await inbox.recent(OLGA, 10)) == newest_first
    assert ids(await inbox.recent(ANNA, 3)) == newest_first[:3]
    assert await inbox.recent(CLEO, 10) == ()


async def test_of_one_outcome_as_many_are_found_as_are_asked_for(
    placet: Placet, inbox: Inbox
) -> None:
    denied = await asks(placet)
    await placet.service.review(denied.id, ANNA, CLI, "deny", reason="Wrong ticket")
    for _ in range(3):
        await placet.service.cancel_by_service(CRM, (await asks(placet)).id)
    assert ids(await inbox.recent(OLGA, 2, status="denied")) == [denied.id]


async def opened_many(store: Store, count: int) -> None:
    """Requests at the store itself, twenty-five at a time."""

    async def one(number: int) -> None:
        expires_in = timedelta(minutes=15, seconds=number)
        change = lifecycle.open_request(
            opening(f"req_{number:04}", expires_in=expires_in), await store.records.now()
        )
        answer = await store.records.open(change, change.request.created_at, None)
        assert answer.code == "OK"

    for start in range(0, count, 25):
        await asyncio.gather(*(one(n) for n in range(start, min(start + 25, count))))


class CountingRecords(Records):
    """Counts the records it is asked for."""

    loaded: list[int]

    async def load_all(self, requests: Sequence[RequestId]) -> list[Stored]:
        self.loaded.append(len(requests))
        return await super().load_all(requests)


@pytest.fixture
def loaded(store: Store, inbox: Inbox) -> list[int]:
    """How many records each read asked for."""
    records = CountingRecords.__new__(CountingRecords)
    vars(records).update(vars(store.records))
    records.loaded = []
    inbox._records = records
    return records.loaded


async def test_a_thousand_pending_requests_are_read_in_five_goes(
    store: Store, inbox: Inbox, loaded: list[int]
) -> None:
    await opened_many(store, 1000)
    began = monotonic()
    found = await inbox.pending(ANNA, 1000)
    assert monotonic() - began < 5
    assert ids(found) == [f"req_{number:04}" for number in range(1000)]
    assert loaded[:5] == [LOADED_AT_ONCE] * 5

    del loaded[:]
    assert ids(await inbox.pending(ANNA, 3)) == ["req_0000", "req_0001", "req_0002"]
    assert loaded == [LOADED_AT_ONCE]


class MovingRecords(Records):
    """Between the first page and the second somebody takes a request of the first one back."""

    before_second: Callable[[], Awaitable[object]]

    async def load_all(self, requests: Sequence[RequestId]) -> list[Stored]:
        found = await super().load_all(requests)
        await self.before_second()
        return found


async def test_a_list_that_moves_while_it_is_read_misses_none_that_waits(
    store: Store, inbox: Inbox
) -> None:
    await opened_many(store, LOADED_AT_ONCE + 1)
    records = MovingRecords.__new__(MovingRecords)
    vars(records).update(vars(store.records))

    async def take_first_back() -> None:
        await store.pipeline.run("ZREM", store.keys.pending, "req_0000")

    records.before_second = take_first_back
    inbox._records = records
    found = ids(await inbox.pending(ANNA, 1000))
    assert found[-1] == f"req_{LOADED_AT_ONCE:04}"


async def test_only_so_many_are_read_for_what_has_ended(
    store: Store, inbox: Inbox, loaded: list[int]
) -> None:
    await opened_many(store, RECENT_SCAN + 50)
    assert await inbox.recent(OLGA, 10) == ()
    assert sum(loaded) == RECENT_SCAN


async def test_an_open_access_is_found_by_who_may_see_it_until_it_is_over(
    placet: Placet, inbox: Inbox
) -> None:
    older = await looks_and_votes(placet, BEN, (await asks(placet)).id)
    newer = await looks_and_votes(placet, ANNA, (await asks(placet)).id)
    await asks(placet)
    await looks_and_votes(placet, BEN, (await asks(placet)).id, "deny", "No")
    for person in EVERYBODY:
        seen = [] if person == CLEO else [newer.id, older.id]
        assert ids(await inbox.granted(person, 10)) == seen
    assert ids(await inbox.granted(ANNA, 1)) == [newer.id]
    await placet.service.grants.revoke(newer.id, BEN, CLI)
    assert ids(await inbox.granted(ANNA, 10)) == [older.id]
    with pytest.raises(NotAllowed):
        await inbox.granted(STRANGER, 10)

"""P8: the same idempotency key gives the same request."""

from __future__ import annotations

import asyncio

import pytest

from approvals.errors import IdempotencyConflict
from approvals.model import ApprovalRequest
from tests.conftest import ANNA, BILLING, Placet
from tests.stories.telling import asks, looks_and_votes, stored_keys


async def test_a_repeat_gets_the_first_request_as_it_stands_now(placet: Placet) -> None:
    first = await asks(placet, key="k-1")
    await looks_and_votes(placet, ANNA, first.id)

    again = await asks(placet, key="k-1")

    assert again.id == first.id
    assert again.status == "approved"


async def test_another_body_under_the_same_key_is_refused_and_leaves_no_trace(
    placet: Placet,
) -> None:
    await asks(placet, key="k-1")
    before = await stored_keys(placet)

    with pytest.raises(IdempotencyConflict):
        await asks(placet, key="k-1", ticket="ZD-1")

    assert await stored_keys(placet) == before


async def test_keys_of_two_services_have_nothing_to_do_with_each_other(placet: Placet) -> None:
    first = await asks(placet, key="k-1", params=None)
    other = await asks(placet, key="k-1", params=None, caller=BILLING)

    assert first.id != other.id


async def test_a_hundred_racing_repeats_open_one_request(placet: Placet) -> None:
    processes = [placet, *(placet.another() for _ in range(3))]

    async def ask(number: int) -> ApprovalRequest:
        return await asks(processes[number % 4], key="same")

    answers = await asyncio.gather(*(ask(number) for number in range(100)))

    assert len({request.id for request in answers}) == 1
    for process in processes[1:]:
        await process.store.close()


async def test_the_key_itself_is_stored_nowhere(placet: Placet) -> None:
    await asks(placet, key="dana@example.com")

    assert not any("dana" in key for key in await stored_keys(placet))

"""`@requires_approval` fits the guard to each call, and refuses at once what it cannot guard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from approvals.client import AsyncPlacet, Denied, Placet
from tests.approvals.client.faces import Face, done
from tests.servers.fake_placet import FakePlacet

GIVEN: dict[str, Any] = {
    "action": "customer.view",
    "subject": lambda customer: f"customer:{customer}",
    "params": lambda customer, fields: {"fields": fields, "of": customer},
    "justification": lambda why: why,
    "requester": "okta:00u1",
}


def sync_client(placet: FakePlacet) -> Placet:
    client = Face("sync", placet).client
    assert isinstance(client, Placet)
    return client


def async_client(placet: FakePlacet) -> AsyncPlacet:
    client = Face("async", placet).client
    assert isinstance(client, AsyncPlacet)
    return client


def asked(placet: FakePlacet) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(placet.named("open")[0].content)
    return sent


EXPECTED = {
    "action": "customer.view",
    "subject": "customer:48213",
    "params": {"fields": ["email"], "of": "48213"},
    "justification": "The customer asked for it",
    "requester": {"id": "okta:00u1"},
}


def test_a_function_is_guarded_with_the_arguments_of_each_call() -> None:
    placet = FakePlacet()

    @sync_client(placet).requires_approval(records=len, **GIVEN)
    def profile(customer: str, why: str, fields: tuple[str, ...] = ("email",)) -> list[str]:
        """What it says."""
        return [customer, why, *fields]

    told = profile("48213", why="The customer asked for it")
    assert told == ["48213", "The customer asked for it", "email"]
    assert (profile.__name__, profile.__doc__) == ("profile", "What it says.")
    assert asked(placet) == EXPECTED
    (request,) = placet.requests.values()
    assert request["grant"]["receipt"]["records"] == 3


async def test_an_async_function_likewise() -> None:
    placet = FakePlacet()

    @async_client(placet).requires_approval(**GIVEN)
    async def profile(customer: str, why: str, fields: tuple[str, ...] = ("email",)) -> str:
        return customer

    assert await profile("48213", why="The customer asked for it") == "48213"
    assert asked(placet) == EXPECTED


async def test_without_an_approval_no_function_runs() -> None:
    placet = FakePlacet(status="denied")

    @sync_client(placet).requires_approval(**GIVEN)
    def shown(customer: str, why: str, fields: str) -> None:
        raise AssertionError("ran")

    @async_client(placet).requires_approval(**GIVEN)
    async def shown_async(customer: str, why: str, fields: str) -> None:
        raise AssertionError("ran")

    with pytest.raises(Denied):
        shown("48213", "The customer asked for it", "email")
    with pytest.raises(Denied):
        await shown_async("48213", "The customer asked for it", "email")
    with pytest.raises(TypeError):
        shown("48213")  # type: ignore[call-arg]  # as the function itself would refuse
    assert len(placet.named("open")) == 2


def plain(customer: str, why: str, fields: str) -> None: ...


async def waiting(customer: str, why: str, fields: str) -> None: ...


def generator(customer: str, why: str, fields: str) -> Iterator[str]:
    yield customer


async def async_generator(customer: str, why: str, fields: str) -> AsyncIterator[str]:
    yield customer


@pytest.mark.parametrize(
    ("client", "function"),
    [
        (sync_client, waiting),
        (sync_client, generator),
        (sync_client, async_generator),
        (async_client, plain),
        (async_client, generator),
        (async_client, async_generator),
    ],
)
def test_what_would_run_outside_of_the_guard_is_refused_at_once(
    client: Callable[[FakePlacet], Any], function: Callable[..., object]
) -> None:
    with pytest.raises(TypeError):
        client(FakePlacet()).requires_approval(**GIVEN)(function)


def lazily(customer: str, why: str, fields: str) -> Iterator[str]:
    return generator(customer, why, fields)


def later(customer: str, why: str, fields: str) -> Coroutine[Any, Any, None]:
    return waiting(customer, why, fields)


async def lazily_async(customer: str, why: str, fields: str) -> AsyncIterator[str]:
    return async_generator(customer, why, fields)


@pytest.mark.parametrize(
    ("client", "function"),
    [(sync_client, lazily), (sync_client, later), (async_client, lazily_async)],
)
async def test_work_that_is_handed_back_undone_is_refused_and_not_called_done(
    client: Callable[[FakePlacet], Any], function: Callable[..., object]
) -> None:
    placet = FakePlacet()
    guarded = client(placet).requires_approval(**GIVEN)(function)
    with pytest.raises(TypeError, match="outside of the guard"):
        await done(guarded("48213", "The customer asked for it", "email"))
    (request,) = placet.requests.values()
    assert request["grant"]["receipt"]["outcome"] == "failed"


async def test_the_context_of_a_call_is_asked_again_at_redeem() -> None:
    placet, countries = FakePlacet(), iter(["DE", "FR", "IT"])

    @sync_client(placet).requires_approval(
        context=lambda customer: {"geo.country": next(countries), "device.type": customer}, **GIVEN
    )
    def profile(customer: str, why: str, fields: str) -> None: ...

    profile("48213", "The customer asked for it", "email")
    sent = [json.loads(placet.named(name)[0].content)["context"] for name in ("open", "redeem")]
    assert sent == [
        {"geo.country": "DE", "device.type": "48213"},
        {"geo.country": "FR", "device.type": "48213"},
    ]


@pytest.mark.parametrize(
    "given",
    [
        {**GIVEN, "subject": lambda custmer: custmer},
        {name: value for name, value in GIVEN.items() if name != "requester"},
        {name: value for name, value in GIVEN.items() if name != "action"},
    ],
)
def test_a_slip_is_told_when_the_function_is_decorated(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        sync_client(FakePlacet()).requires_approval(**given)(plain)

"""Behind a guard nothing runs without a redeemed grant, and what was done is accounted for."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Callable

import httpx
import pytest

from approvals.client import Access, AsyncPlacet, ClientError, NotSendable, Placet, Unreachable
from approvals.client_exchange import Pause, Steps
from tests.approvals.client.faces import KINDS, WISH, Face
from tests.servers.fake_placet import API_KEY, URL, Fault, answers, fails, loses_the_reply, problem


@pytest.fixture(params=KINDS)
def face(request: pytest.FixtureRequest) -> Face:
    return Face(request.param)


def grant_of(face: Face) -> dict[str, object]:
    (told,) = face.placet.requests.values()
    grant: dict[str, object] = told["grant"]
    return grant


def nothing(_: Access) -> None:
    pass


def never(_: Access) -> None:
    raise AssertionError("the guarded body ran")


async def test_the_body_runs_once_and_its_receipt_is_given(face: Face) -> None:
    ran: list[str] = []

    def body(access: Access) -> None:
        ran.append(access.grant.status)
        access.records, access.note = 3, "Shown"

    await face.guarded(body, record_count=5)
    assert ran == ["used"]
    assert face.placet.names() == ["open", "show", "redeem", "receipt"]
    assert grant_of(face)["receipt"] == {"records": 3, "outcome": "succeeded", "note": "Shown"}


@pytest.mark.parametrize(("asked", "told"), [({}, 1), ({"record_count": 40}, 40)])
async def test_records_that_are_not_said_are_those_asked_for(
    face: Face, asked: dict[str, int], told: int
) -> None:
    await face.guarded(nothing, **asked)
    assert grant_of(face)["receipt"] == {"records": told, "outcome": "succeeded"}


async def test_a_body_that_fails_has_a_receipt_that_says_so(face: Face) -> None:
    def body(access: Access) -> None:
        access.records = 2
        raise LookupError("the body's own")

    with pytest.raises(LookupError, match="the body's own"):
        await face.guarded(body)
    assert grant_of(face)["receipt"] == {"records": 2, "outcome": "failed"}


async def test_what_is_left_of_a_grant_is_ended(face: Face) -> None:
    face.placet.uses = 3
    await face.guarded(nothing)
    assert grant_of(face)["status"] == "ended"


async def test_a_receipt_that_fails_is_told_and_hides_nothing(
    face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    face.placet.uses = 2
    face.placet.will("receipt", *[answers(problem(422, "invalid-request"))] * 2)
    access = await face.guarded(nothing)
    assert access.receipt_error is not None
    assert [record.levelno for record in caplog.records if record.name == "placet.client"] == [
        logging.ERROR
    ]
    assert grant_of(face)["status"] == "ended"

    def body(_: Access) -> None:
        raise LookupError("the body's own")

    with pytest.raises(LookupError, match="the body's own") as caught:
        await face.guarded(body)
    assert "its receipt is not recorded" in caught.value.__notes__[0]


async def test_an_end_that_fails_is_no_failure(face: Face) -> None:
    face.placet.uses = 2
    face.placet.will("receipt", answers(problem(422, "invalid-request")))
    face.placet.will("end", *[fails(httpx.ConnectError)] * 9)
    await face.guarded(nothing)


OVER = [
    *(f"grant-{how}" for how in ("used", "expired", "ended", "revoked")),
    "denied-by-policy",
]


@pytest.mark.parametrize("slug", [*OVER, "digest-mismatch", "context-changed", "not-found"])
async def test_a_redeem_that_is_refused_opens_nothing(face: Face, slug: str) -> None:
    face.placet.will("redeem", answers(problem(409, slug)))
    with pytest.raises(ClientError, match=slug):
        await face.guarded(never)
    tidied = [] if slug in OVER else ["end"]
    assert face.placet.names() == ["open", "show", "redeem", *tidied]


@pytest.mark.parametrize("status", ["denied", "expired", "cancelled"])
async def test_an_outcome_that_is_no_approval_opens_nothing(face: Face, status: str) -> None:
    face.placet.status = status
    with pytest.raises(ClientError, match=status):
        await face.guarded(never)
    assert face.placet.names() == ["open", "show"]


async def test_a_request_nobody_waits_for_any_more_is_taken_back(face: Face) -> None:
    face.placet.after_polls = 999
    with pytest.raises(ClientError, match="not decided in time"):
        await face.guarded(never, timeout=1)
    (told,) = face.placet.requests.values()
    assert told["status"] == "cancelled"


async def test_one_that_others_may_wait_for_stays(face: Face) -> None:
    face.placet.after_polls = 999
    with pytest.raises(ClientError, match="not decided in time"):
        await face.guarded(never, timeout=1, reuse_pending=True)
    assert "cancel" not in face.placet.names()
    face.placet.requests.clear()
    with pytest.raises(ClientError, match="not decided in time"):
        await face.guarded(never, timeout=1, idempotency_key="ZD-1")
    face.placet.after_polls = 1
    await face.guarded(nothing, timeout=1, idempotency_key="ZD-1")
    assert len(face.placet.requests) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_who_is_interrupted_takes_the_request_back(
    face: Face, stop: type[BaseException]
) -> None:
    def interrupt(_request: httpx.Request, _placet: object) -> httpx.Response:
        raise stop

    face.placet.will("show", interrupt)
    with pytest.raises(stop):
        await face.guarded(never)
    assert face.placet.names() == ["open", "show", "cancel"]


async def test_approved_while_it_was_taken_back_the_grant_is_ended(face: Face) -> None:
    def approves_and_breaks(_request: httpx.Request, _placet: object) -> httpx.Response:
        face.placet.decide(next(iter(face.placet.requests)), "approved")
        raise KeyboardInterrupt

    face.placet.will("show", approves_and_breaks)
    with pytest.raises(KeyboardInterrupt):
        await face.guarded(never)
    assert face.placet.names() == ["open", "show", "cancel", "show", "end"]
    assert grant_of(face)["status"] == "ended"


async def test_a_redeem_without_an_answer_opens_nothing_and_is_accounted_for(face: Face) -> None:
    face.placet.will("redeem", *[loses_the_reply] * 4)
    with pytest.raises(Unreachable):
        await face.guarded(never)
    receipt = grant_of(face)["receipt"]
    assert isinstance(receipt, dict)
    assert (receipt["records"], receipt["outcome"]) == (0, "failed")

    face.placet.will("redeem", *[fails(httpx.ConnectError)] * 4)
    with pytest.raises(Unreachable):
        await face.guarded(never)
    assert list(face.placet.requests.values())[1]["grant"]["status"] == "ended"


async def test_while_placet_is_away_tidying_up_is_brief(face: Face) -> None:
    face.placet.after_polls = 999
    face.placet.will("show", *[fails(httpx.ConnectError)] * 99)
    face.placet.will("cancel", *[fails(httpx.ConnectError)] * 99)
    with pytest.raises(Unreachable):
        await face.guarded(never, timeout=1)
    assert face.placet.names().count("cancel") == 1


SHAPES: dict[str, Callable[[dict[str, object]], object]] = {
    "another id": lambda grant: grant | {"id": "grt_00000000000000000000000009"},
    "another request": lambda grant: grant | {"request_id": "req_00000000000000000000000009"},
    "a grant that is over": lambda grant: grant | {"status": "revoked"},
    "an unknown status": lambda grant: grant | {"status": "fine"},
    "no status": lambda grant: {k: v for k, v in grant.items() if k != "status"},
    "uses in words": lambda grant: grant | {"uses_left": "1"},
    "true uses": lambda grant: grant | {"uses_left": True},
    "a time without a zone": lambda grant: grant | {"expires_at": "2026-11-23T14:32:00"},
    "a list": lambda grant: [grant],
    "nothing": lambda _: {},
    "a number": lambda _: 1,
    "true": lambda _: True,
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_200_of_another_shape_opens_nothing(face: Face, shape: str) -> None:
    def twists(request: httpx.Request, _placet: object) -> httpx.Response:
        told = face.placet.carry_out(request).json()
        return httpx.Response(200, json=SHAPES[shape](told))

    face.placet.will("redeem", twists)
    with pytest.raises(ClientError) as caught:
        await face.guarded(never)
    assert caught.value.code == "bad_answer"


REQUESTS: dict[str, dict[str, object]] = {
    "approved without a grant": {"grant": None},
    "approved without a decision": {"decision": None},
    "pending with a grant": {"status": "pending"},
    "an unknown status": {"status": "approved "},
    "another id": {"id": "req_00000000000000000000000009"},
    "an id that is a path": {"id": "req_1/../../x"},
}


@pytest.mark.parametrize("shape", REQUESTS)
async def test_an_approval_of_another_shape_opens_nothing(face: Face, shape: str) -> None:
    def twists(request: httpx.Request, _placet: object) -> httpx.Response:
        told = face.placet.carry_out(request).json()
        return httpx.Response(200, json=told | REQUESTS[shape])

    face.placet.will("show", *[twists] * 9)
    with pytest.raises(ClientError) as caught:
        await face.guarded(never)
    assert caught.value.code == "bad_answer"
    assert "redeem" not in face.placet.names()


ANSWERS: dict[str, Fault] = {
    "201 garbage": answers(httpx.Response(201, text="<html>")),
    "200 nothing": answers(httpx.Response(200)),
    "200 packed": lambda *_: httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(b"{}")
    ),
    "204": answers(httpx.Response(204)),
    "301": answers(httpx.Response(301, headers={"Location": "/v1/requests"})),
    "307": answers(httpx.Response(307, headers={"Location": "http://127.0.0.1:9/elsewhere"})),
    "404 of a proxy": answers(httpx.Response(404, text="no such host")),
    "500": answers(httpx.Response(500, text="oops")),
    "501": answers(httpx.Response(501)),
    "599": answers(httpx.Response(599)),
    "no connection": fails(httpx.ConnectError),
    "no answer": fails(httpx.ReadTimeout),
    "cut off": fails(httpx.RemoteProtocolError),
}


@pytest.mark.parametrize("name", ["open", "show", "redeem"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_answer_that_is_not_placets_opens_nothing(
    face: Face, name: str, answer: str
) -> None:
    face.placet.will(name, *[ANSWERS[answer]] * 99)
    with pytest.raises(ClientError) as caught:
        await face.guarded(never, timeout=5)
    assert caught.value.code in ("bad_answer", "unreachable", "unavailable")


async def test_the_context_is_asked_again_at_redeem(face: Face) -> None:
    countries = iter(["DE", "FR"])
    await face.guarded(nothing, context=lambda: {"geo.country": next(countries)})
    sent = [json.loads(face.placet.named(name)[0].content) for name in ("open", "redeem")]
    assert [each["context"] for each in sent] == [{"geo.country": "DE"}, {"geo.country": "FR"}]


def test_a_guard_is_entered_once() -> None:
    face = Face("sync")
    assert isinstance(face.client, Placet)
    guard = face.client.guard(**WISH)
    with guard:
        pass
    with pytest.raises(NotSendable, match="entered once"), guard:
        raise AssertionError("the guarded body ran again")


async def test_the_receipt_of_a_cancelled_task_is_given_all_the_same() -> None:
    face = Face("async")
    assert isinstance(face.client, AsyncPlacet)
    inside = asyncio.Event()

    async def work(client: AsyncPlacet) -> None:
        async with client.guard(**WISH) as access:
            access.records = 7
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work(face.client))
    await inside.wait()
    task.cancel()

    def cancels_again(_: str) -> None:
        task.cancel()

    face.placet.on_call = cancels_again  # while its receipt is given
    with pytest.raises(asyncio.CancelledError):
        await task
    face.placet.on_call = lambda _: None
    await face.client.aclose()
    assert grant_of(face)["receipt"] == {"records": 7, "outcome": "failed"}


async def test_a_receipt_under_way_outlives_a_closing_that_is_broken_off() -> None:
    under_way, released, ended = asyncio.Event(), asyncio.Event(), list[str]()

    async def until_released(_: float) -> None:
        under_way.set()
        await released.wait()

    def receipt() -> Steps[None]:
        yield Pause(1)
        ended.append("the receipt")

    client = AsyncPlacet(URL, API_KEY, sleep=until_released)
    finishing = asyncio.create_task(client._driver.finish(receipt()))
    await under_way.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await client.aclose()
    released.set()
    await client.aclose()
    await finishing
    assert ended == ["the receipt"]

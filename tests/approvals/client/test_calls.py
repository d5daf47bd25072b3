"""Ask, wait, redeem, account for it: what is sent, tried again, and believed."""

from __future__ import annotations

import json

import httpx
import pytest

from approvals.client import (
    BadAnswer,
    Denied,
    Expired,
    GrantRefused,
    NotApproved,
    NotDecided,
    NotSendable,
    Patience,
    Refused,
    Request,
    Unavailable,
    Undeliverable,
    Unreachable,
)
from tests.approvals.client.faces import ACT, KINDS, WISH, Face
from tests.servers.fake_placet import (
    FakePlacet,
    Fault,
    Json,
    answers,
    fails,
    loses_the_reply,
    problem,
)


@pytest.fixture(params=KINDS)
def face(request: pytest.FixtureRequest) -> Face:
    return Face(request.param)


async def asked(face: Face, **changes: object) -> Request:
    request: Request = await face.call("request", **(WISH | changes))
    return request


async def test_it_asks_waits_redeems_and_gives_its_receipt(face: Face) -> None:
    context = {"geo.country": "DE"}
    request = await asked(face, ticket="ZD-1", requester_name="Jonas", context=context)
    assert (request.status, request.grant, request.salt) == ("pending", None, "c2FsdA==")
    assert json.loads(face.placet.calls[0].content) == {
        "action": "customer.view",
        "requester": {"id": "okta:00u1", "name": "Jonas"},
        "justification": WISH["justification"],
        "subject": WISH["subject"],
        "params": WISH["params"],
        "context": context,
        "ticket": "ZD-1",
    }
    approved = await face.call("wait", request)
    assert approved.status == "approved"
    grant = await face.call("redeem", approved.grant.id, **ACT, context=context)
    assert (grant.status, grant.uses_left) == ("used", 0)
    given = await face.call("receipt", grant.id, records=1, note="Shown")
    assert given.data["receipt"] == {"records": 1, "outcome": "succeeded", "note": "Shown"}
    assert (await face.call("show", request.id)).grant.status == "used"


RETRIED = [
    fails(httpx.ConnectError),
    fails(httpx.ReadTimeout),
    fails(httpx.RemoteProtocolError),
    *(answers(httpx.Response(status, text="busy")) for status in (408, 429, 500, 502, 503, 504)),
    loses_the_reply,
]


@pytest.mark.parametrize("fault", RETRIED)
async def test_what_may_pass_is_tried_again_with_the_same_bytes(face: Face, fault: Fault) -> None:
    face.placet.will("open", fault, fault)
    request = await asked(face)
    calls = face.placet.named("open")
    assert len({call.content for call in calls}) == 1
    assert len({call.headers["Idempotency-Key"] for call in calls}) == 1
    assert len(calls) == 3
    assert list(face.placet.requests) == [request.id]
    assert face.clock.slept == [0.2, 0.4]


async def test_a_redeem_is_tried_again_with_the_same_nonce(face: Face) -> None:
    approved = await face.call("wait", await asked(face))
    face.placet.will("redeem", loses_the_reply, fails(httpx.ConnectError))
    grant = await face.call("redeem", approved.grant.id, **ACT)
    assert (grant.status, grant.uses_left) == ("used", 0)
    assert len({call.content for call in face.placet.named("redeem")}) == 1
    with pytest.raises(GrantRefused, match="grant-used"):
        await face.call("redeem", approved.grant.id, **ACT)  # another nonce is another use


async def test_a_wait_that_is_asked_for_is_kept(face: Face) -> None:
    face.placet.will("open", answers(httpx.Response(429, headers={"Retry-After": "7"})))
    await asked(face)
    assert face.clock.slept == [7.0]


@pytest.mark.parametrize("unreadable", ["soon", "-1", "1e9", "²", "Mon, 23 Nov 2026 14:17:00 GMT"])
async def test_a_wait_that_cannot_be_read_is_none(face: Face, unreadable: str) -> None:
    headers = [(b"Retry-After", unreadable.encode())]
    face.placet.will("open", lambda *_: httpx.Response(503, headers=headers))
    await asked(face)
    assert face.clock.slept == [0.2]


async def test_a_wait_beyond_all_patience_ends_it_at_once(face: Face) -> None:
    face.placet.will("open", answers(httpx.Response(503, headers={"Retry-After": "31"})))
    with pytest.raises(Unavailable):
        await asked(face)
    assert (face.clock.slept, len(face.placet.calls)) == ([], 1)


async def test_tries_and_time_are_bounded(face: Face) -> None:
    face.placet.will("open", *[fails(httpx.ConnectError)] * 4)
    with pytest.raises(Unreachable, match="after 4 tries: no connection") as caught:
        await asked(face)
    assert len(face.placet.calls) == 4
    again = await asked(face, idempotency_key=caught.value.idempotency_key)
    assert face.placet.named("open")[-1].content == face.placet.calls[0].content
    assert again.is_pending


async def test_all_tries_together_end_with_the_total() -> None:
    face = Face("sync", patience=Patience(tries=99, timeout_s=10, total_s=3))
    face.placet.will("open", *[fails(httpx.ConnectError)] * 99)
    with pytest.raises(Unreachable):
        await asked(face)
    assert sum(face.clock.slept) < 3


async def test_what_is_refused_is_not_tried_again(face: Face) -> None:
    findings = [{"pointer": "/justification", "message": "needs 20 to 500 characters"}]
    face.placet.will("open", answers(problem(422, "invalid-request", {"errors": findings})))
    with pytest.raises(Refused) as caught:
        await asked(face)
    assert (caught.value.slug, caught.value.status) == ("invalid-request", 422)
    assert [(each.pointer, each.message) for each in caught.value.findings] == [
        ("/justification", "needs 20 to 500 characters")
    ]
    assert len(face.placet.calls) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"at": object()}},
        {"params": {"n": float("nan")}},
        {"subject": "\ud800"},
        {"idempotency_key": "a\nb"},
        {"idempotency_key": "é"},
    ],
)
async def test_what_cannot_be_sent_is_not_sent_nor_quoted(face: Face, changes: Json) -> None:
    with pytest.raises(NotSendable) as caught:
        await asked(face, **changes)
    assert face.placet.calls == []
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_an_id_is_no_path(face: Face) -> None:
    for name, given in (("show", "../x"), ("cancel", "req_1/.."), ("end", "grt_%2e"), ("show", "")):
        with pytest.raises(NotSendable):
            await face.call(name, given)
    with pytest.raises(NotSendable):
        await face.call("redeem", "req_1", **ACT)
    assert face.placet.calls == []


async def test_it_waits_no_longer_than_asked_and_never_takes_that_for_a_yes(face: Face) -> None:
    face.placet.after_polls = 999
    request = await asked(face)
    with pytest.raises(NotDecided):
        await face.call("wait", request, 4.5)
    assert sum(face.clock.slept) == pytest.approx(4.5)
    waits = [call.url.query for call in face.placet.named("show")]
    assert waits[0] == b"wait=5"


async def test_without_a_time_it_waits_until_the_request_has_surely_ended(face: Face) -> None:
    face.placet.after_polls = 99999
    request = await asked(face)
    with pytest.raises(NotDecided):
        await face.call("wait", request)
    assert sum(face.clock.slept) == pytest.approx(15 * 60 + 60)
    assert face.placet.named("show")[0].url.query == b"wait=60"


async def test_it_waits_an_outage_out(face: Face) -> None:
    request = await asked(face)
    face.placet.will("show", *[fails(httpx.ConnectError)] * 11)
    assert (await face.call("wait", request, 600)).status == "approved"
    face.placet.after_polls = 999
    other = await asked(face)
    face.placet.will("show", *[fails(httpx.ConnectError)] * 999)
    with pytest.raises(Unreachable):
        await face.call("wait", other, 60)


async def test_a_placet_that_hangs_does_not_hold_who_waits_for_much_longer(face: Face) -> None:
    face.placet.after_polls = 999
    request = await asked(face)

    def hangs(call: httpx.Request, _placet: FakePlacet) -> httpx.Response:
        face.clock.now += call.extensions["timeout"]["read"]
        raise httpx.ReadTimeout("quotes everything", request=call)

    face.placet.will("show", *[hangs] * 99)
    began = face.clock.now
    with pytest.raises(Unreachable):
        await face.call("wait", request, 5)
    assert face.clock.now - began <= 2 * 5


async def test_it_may_wait_for_ever(face: Face) -> None:
    face.placet.after_polls = 99
    approved = await face.call("wait", await asked(face), float("inf"))
    assert approved.status == "approved"
    assert face.placet.named("show")[0].url.query == b"wait=60"


async def test_undeliverable_is_told_or_waited_out(face: Face) -> None:
    face.placet.delivery, face.placet.after_polls = "undeliverable", 3
    request = await asked(face)
    with pytest.raises(Undeliverable):
        await face.call("wait", request, 60)
    approved = await face.call("wait", request, 60, undeliverable="wait")
    assert approved.status == "approved"
    assert face.clock.slept == [1.0, 1.0]  # such an answer comes at once


@pytest.mark.parametrize(("status", "kind"), [("denied", Denied), ("expired", Expired)])
async def test_another_outcome_is_no_approval(
    face: Face, status: str, kind: type[NotApproved]
) -> None:
    face.placet.status, face.placet.reason = status, "the words of somebody"
    request = await asked(face)
    with pytest.raises(kind) as caught:
        await face.call("wait", request)
    assert (caught.value.request.decision or {})["reason"] == "the words of somebody"
    assert "somebody" not in str(caught.value)


async def test_what_is_done_already_is_no_error(face: Face) -> None:
    face.placet.after_polls = 999
    request = await asked(face)
    face.placet.will("cancel", loses_the_reply)
    assert (await face.call("cancel", request.id)).status == "cancelled"

    face.placet.after_polls, face.placet.uses = 0, 2
    approved = await asked(face)
    assert approved.grant
    face.placet.will("end", loses_the_reply)
    assert (await face.call("end", approved.grant.id)).status == "ended"

    used = await asked(face)
    assert used.grant
    await face.call("redeem", used.grant.id, **ACT)
    face.placet.will("receipt", loses_the_reply)
    given = await face.call("receipt", used.grant.id, records=3)
    assert given.data["receipt"]["records"] == 3
    with pytest.raises(Refused, match="receipt-exists"):
        await face.call("receipt", used.grant.id, records=4)
    with pytest.raises(Refused, match="already-final"):
        await face.call("cancel", used.id)
    face.placet.will("end", answers(problem(409, "grant-revoked")))
    with pytest.raises(GrantRefused, match="grant-revoked"):
        await face.call("end", used.grant.id)


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    placet = FakePlacet()
    placet.will("open", lambda *_: httpx.Response(201, content=b" " * (2 * 1024 * 1024)))
    with pytest.raises(BadAnswer):
        Face("sync", placet).client.request(**WISH)

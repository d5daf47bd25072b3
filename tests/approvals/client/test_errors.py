"""Every error names the request, the cause and the next step, and nothing personal."""

from __future__ import annotations

import pickle
import traceback
from typing import get_args

import httpx
import pytest

from approvals.client import (
    BadAnswer,
    ClientError,
    GrantRefused,
    NotApproved,
    Refused,
    Unavailable,
    Unreachable,
)
from approvals.client_answers import STATUSES
from approvals.client_errors import GRANT_SLUGS, NEXT_STEPS
from approvals.model import GrantStatus, Status
from bot.web.problems import KINDS as PROBLEMS
from bot.web.problems import slug
from tests.approvals.client.faces import ACT, KINDS, WISH, Face
from tests.servers.fake_placet import (
    SECRET_WORDS,
    Fault,
    answers,
    fails,
    loses_the_reply,
    problem,
)

REQUEST = "Request req_00000000000000000000000001: "
ABOUT = {"open": "Action customer.view: ", "show": REQUEST, "redeem": REQUEST, "cancel": REQUEST}
OTHERS = {
    ("429", "rate-limited"),
    ("429", "too-many-pending"),
    ("422", "secret-found"),
    ("422", "personal-data-found"),
    ("500", "internal-error"),
    ("503", "too-many-connections"),
    ("400", "a-problem-of-a-later-version"),
}
TOLD = sorted({(str(kind.status), slug(error.code)) for error, kind in PROBLEMS.items()} | OTHERS)


@pytest.fixture(params=KINDS)
def face(request: pytest.FixtureRequest) -> Face:
    return Face(request.param)


async def failure_of(face: Face, name: str, fault: Fault) -> ClientError:
    """What a guard says when every call of `name` goes wrong so."""
    face.placet.will(name, *[fault] * 99)
    with pytest.raises(ClientError) as caught:
        await face.guarded(lambda _: None, timeout=2)
    return caught.value


def assert_is_told(error: ClientError, about: str) -> None:
    text = str(error)
    assert text.startswith(about)
    assert error.cause
    assert error.cause in text
    assert text.endswith(f"{error.next_step}.")
    assert error.next_step.startswith(("Do not act", "Go by", "Nothing", "Redeem", "The action"))
    assert not text.count("\n")
    told = "".join(traceback.format_exception(error, chain=True)) + repr(error) + text
    chain = [error, error.__cause__, error.__context__]
    told += "".join(f"{each!r}{each}{vars(each)}" for each in chain if each is not None)
    assert [words for words in SECRET_WORDS if words in told] == []
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (type(error), text)
    assert repr(vars(copied)) == repr(vars(error))


@pytest.mark.parametrize("name", ["open", "show", "redeem"])
@pytest.mark.parametrize(("status", "told"), TOLD)
async def test_every_problem_of_placet_is_told(
    face: Face, name: str, status: str, told: str
) -> None:
    error = await failure_of(face, name, answers(problem(int(status), told)))
    assert_is_told(error, ABOUT[name])
    assert told in str(error)
    if status in ("429", "500", "503"):
        assert isinstance(error, Unavailable)
        assert (error.status, error.slug) == (int(status), told)
    else:
        assert type(error) is (GrantRefused if told in GRANT_SLUGS else Refused)


def test_every_problem_a_service_may_meet_has_its_own_next_step() -> None:
    people_only = {
        *("not-approver", "own-request", "already-reviewed", "not-reviewed", "stale-revision"),
        "reason-required",
    }
    assert {slug(error.code) for error in PROBLEMS} - people_only <= set(NEXT_STEPS)
    assert {name for name in NEXT_STEPS if name.startswith("grant-")} <= GRANT_SLUGS


ODD: dict[str, tuple[Fault, type[ClientError]]] = {
    "a redirect": (answers(httpx.Response(302)), BadAnswer),
    "garbage": (answers(httpx.Response(200, text="customer:48213 dana@example.com")), BadAnswer),
    "another's 404": (answers(httpx.Response(404, text="dana@example.com")), BadAnswer),
    "another's problem": (
        answers(httpx.Response(400, json={"type": "about:blank", "detail": "dana@example.com"})),
        BadAnswer,
    ),
    "a slug with a break": (
        answers(httpx.Response(400, json={"type": "urn:placet:problem:a\nb"})),
        BadAnswer,
    ),
    "502 of a proxy": (answers(httpx.Response(502, text="dana@example.com")), Unavailable),
    "599": (answers(httpx.Response(599)), Unavailable),
    "no connection": (fails(httpx.ConnectError), Unreachable),
    "connect time-out": (fails(httpx.ConnectTimeout), Unreachable),
    "read time-out": (fails(httpx.ReadTimeout), Unreachable),
    "cut off": (fails(httpx.RemoteProtocolError), Unreachable),
    "a lost reply": (loses_the_reply, Unreachable),
}


@pytest.mark.parametrize("name", ["open", "show", "redeem"])
@pytest.mark.parametrize("odd", ODD)
async def test_every_other_failure_is_told(face: Face, name: str, odd: str) -> None:
    fault, kind = ODD[odd]
    if (name, odd) == ("show", "a lost reply"):
        face.placet.after_polls = 999
    error = await failure_of(face, name, fault)
    assert type(error) is kind
    assert_is_told(error, ABOUT[name])


@pytest.mark.parametrize("by", [(), ("anna",)])
@pytest.mark.parametrize("reason", ["dana@example.com", "no_decision", "by_admin", None])
@pytest.mark.parametrize("status", ["denied", "expired", "cancelled"])
async def test_every_outcome_is_told(
    face: Face, status: str, reason: str | None, by: tuple[str, ...]
) -> None:
    face.placet.status, face.placet.reason, face.placet.by = status, reason, by
    with pytest.raises(NotApproved) as caught:
        await face.guarded(lambda _: None)
    assert caught.value.code == status
    # The approver's words are on the error's request, on purpose; they are in no message.
    text = str(caught.value)
    assert text.startswith(REQUEST + status)
    assert "dana" not in text + repr(caught.value) + repr(caught.value.request)


@pytest.mark.parametrize("delivery", ["queued", "undeliverable"])
async def test_a_time_out_and_a_message_nobody_got_are_told(face: Face, delivery: str) -> None:
    face.placet.after_polls, face.placet.delivery = 999, delivery
    with pytest.raises(ClientError) as caught:
        await face.guarded(lambda _: None, timeout=2)
    assert_is_told(caught.value, REQUEST)


async def test_which_limit_is_reached_is_told(face: Face) -> None:
    facts = {"limit": "per_requester", "most": 60}
    error = await failure_of(face, "open", answers(problem(429, "rate-limited", facts)))
    assert isinstance(error, Unavailable)
    assert error.facts == facts
    assert "429 rate-limited: Said by Placet" in str(error)


async def test_a_receipt_that_is_not_recorded_is_told(face: Face) -> None:
    face.placet.will("receipt", *[fails(httpx.ReadTimeout)] * 9)
    access = await face.guarded(lambda _: None)
    assert access.receipt_error
    assert_is_told(access.receipt_error, REQUEST)


async def test_without_a_guard_a_grant_is_named(face: Face) -> None:
    face.placet.after_polls = 0
    request = await face.call("request", **WISH)
    face.placet.will("redeem", answers(problem(403, "context-changed")))
    with pytest.raises(GrantRefused) as caught:
        await face.call("redeem", request.grant.id, **ACT)
    assert_is_told(caught.value, f"Grant {request.grant.id}: ")


async def test_what_placet_says_cannot_write_a_second_line(face: Face) -> None:
    told = {"type": "urn:placet:problem:not-found", "detail": "a\nERROR b\x1b[31m" + "c" * 9999}
    face.placet.will("open", answers(httpx.Response(404, json=told)))
    with pytest.raises(Refused) as caught:
        await face.call("request", **WISH)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_the_client_knows_every_status() -> None:
    from approvals.client_answers import GRANT_STATUSES

    assert set(get_args(Status)) == STATUSES
    assert set(get_args(GrantStatus)) == GRANT_STATUSES

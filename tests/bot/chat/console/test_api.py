"""The JSON API of the console: CONTRACT section 4, to the letter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.answer import callback_data
from approvals.model import ApprovalRequest, RequestId
from tests.approvals.samples import in_stages, policy
from tests.bot.chat.console.conftest import NO_REQUEST, Console
from tests.conftest import ANNA, BEN, BILLING, CLEO, CLI, JONAS, OLGA, Placet
from tests.servers.asgi_client import Answered
from tests.stories.telling import asks, looks_and_votes, opens
from tests.words import JUSTIFICATION

REQUESTS = "/console/api/requests"
# Section 1's request without `salt`, and what section 4 adds to it.
SHAPE = {
    "id", "status", "delivery", "revision", "service", "action", "requester", "digest",
    "created_at", "expires_at", "presented_at", "policy", "approvals", "context_ignored",
    "text_findings", "decision", "grant",
}  # fmt: skip
ADDED = {"title", "may_decide", "may_approve", "may_revoke", "viewed"}


async def listed(console: Console, person: str, query: str = "") -> dict[str, dict[str, Any]]:
    answered = await console.get_as(person, REQUESTS + query)
    assert answered.status == 200, answered.body
    told = answered.json()
    assert set(told) == {"items"}
    return {item["id"]: item for item in told["items"]}


async def views(console: Console, person: str, request: str) -> Answered:
    return await console.post_as(person, f"{REQUESTS}/{request}/view")


async def reviews(console: Console, person: str, request: str, **sent: object) -> Answered:
    body = json.dumps(sent).encode()
    return await console.post_as(person, f"{REQUESTS}/{request}/review", body)


def assert_problem(answered: Answered, status: int, slug: str) -> dict[str, Any]:
    told = answered.json()
    assert (answered.status, told["type"]) == (status, f"urn:placet:problem:{slug}"), told
    return told


def secrets_of(request: ApprovalRequest) -> list[bytes]:
    assert request.salt
    return [request.salt.encode(), b"salt", b"token"]


async def now(placet: Placet, request: str) -> ApprovalRequest:
    return await placet.service.card_facts(RequestId(request))


# -- lists ----------------------------------------------------------------------------------------


async def test_an_item_is_the_request_and_what_one_may_do(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    items = await listed(console, ANNA)
    assert set(items[request.id]) == SHAPE | ADDED
    more = {"title": "Open one customer profile", "viewed": False}
    more |= {"may_decide": True, "may_approve": True, "may_revoke": False}
    told = json.loads(json.dumps(callback_data(request) | more))
    assert items == {request.id: told}
    shown = await console.get_as(ANNA, f"{REQUESTS}/{request.id}")
    assert shown.json() == items[request.id]


async def test_no_answer_holds_salt_token_or_words(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    approved = await looks_and_votes(placet, BEN, (await asks(placet)).id)
    denied = await asks(placet)
    await looks_and_votes(placet, BEN, denied.id, "deny", "canary-words")
    viewed = await views(console, ANNA, request.id)
    voted = await reviews(console, ANNA, request.id, decision="approve")
    everything = [viewed, voted, *[await console.get_as(who, REQUESTS) for who in (ANNA, OLGA)]]
    for answered in everything:
        assert answered.status == 200
        for secret in (*secrets_of(request), *secrets_of(approved), b"canary"):
            assert secret not in answered.body
    assert (await listed(console, OLGA))[denied.id]["decision"]["reason"] == "denied_by_approver"


async def test_the_list_of_requests_holds_no_details(console: Console, placet: Placet) -> None:
    await asks(placet, ticket="canary-ticket", purpose="support")
    told = (await console.get_as(ANNA, REQUESTS)).body
    for detail in (b"canary", b"ZD-48213", b"customer:48213", b"dana", b"Jonas Berg", b"p_"):
        assert detail not in told


async def test_each_person_is_told_of_what_concerns_them(console: Console, placet: Placet) -> None:
    waiting = await asks(placet)
    wide = await asks(placet, action="users.export", params={"format": "csv"})
    annas = await asks(placet, requester={"id": "okta:anna"})
    machines = await asks(placet, requester={"id": "job:nightly"})
    await looks_and_votes(placet, BEN, annas.id, "deny", "No")
    everything = {waiting.id, wide.id, annas.id, machines.id}
    assert set(await listed(console, ANNA)) == everything  # asked for one, may decide the others
    assert set(await listed(console, BEN)) == everything
    assert set(await listed(console, OLGA)) == everything
    assert set(await listed(console, CLEO)) == {wide.id}
    assert set(await listed(console, JONAS)) == {waiting.id, wide.id}


async def test_what_may_not_be_seen_is_not_there(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    theirs = await console.get_as(CLEO, f"{REQUESTS}/{request.id}")
    nothing = await console.get_as(CLEO, f"{REQUESTS}/{NO_REQUEST}")
    assert_problem(theirs, 404, "not-found")
    assert theirs.body == nothing.body


async def test_a_person_learns_what_they_may_decide_and_have_viewed(
    console: Console, placet: Placet
) -> None:
    request = await asks(placet)
    await views(console, ANNA, request.id)
    found = {
        person: (item["may_decide"], item["viewed"])
        for person in (ANNA, BEN, JONAS, OLGA)
        for item in (await listed(console, person)).values()
    }
    assert found == {
        ANNA: (True, True),
        BEN: (True, False),
        JONAS: (False, False),
        OLGA: (False, False),
    }
    await reviews(console, ANNA, request.id, decision="approve")
    assert (await listed(console, BEN))[request.id]["may_decide"] is False


async def test_who_may_only_deny_yet_learns_that_too(console: Console, placet: Placet) -> None:
    stages = in_stages((1, "privacy"), (1, "duty"))
    request = await opens(
        placet, policy(stages=stages, threshold=2, groups=("privacy", "duty"), quick_approve=True)
    )

    async def rights() -> list[tuple[object, object]]:
        items = [(await listed(console, person))[request.id] for person in (ANNA, CLEO)]
        return [(item["may_decide"], item["may_approve"]) for item in items]

    assert await rights() == [(True, True), (True, False)]
    await placet.service.review(request.id, ANNA, CLI, "approve")
    assert await rights() == [(False, False), (True, True)]


async def test_the_list_can_be_narrowed_by_status(console: Console, placet: Placet) -> None:
    pending = await asks(placet)
    denied = await looks_and_votes(placet, BEN, (await asks(placet)).id, "deny", "No")
    assert list(await listed(console, OLGA)) == [pending.id, denied.id]
    both = [pending.id, denied.id]
    for status, expected in (
        ("pending", both[:1]), ("denied", both[1:]), ("approved", []), ("", both),
    ):  # fmt: skip
        assert list(await listed(console, OLGA, f"?status={status}")) == expected


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?status=odd", "/status"),
        ("?status=denied&status=denied", "/status"),
        ("?state=denied", ""),
    ],
)
async def test_a_misspelt_filter_does_not_list_everything(
    console: Console, query: str, pointer: str
) -> None:
    told = assert_problem(await console.get_as(OLGA, REQUESTS + query), 422, "invalid-request")
    assert [each["pointer"] for each in told["errors"]] == [pointer]


async def test_the_requests_of_every_service_are_there(console: Console, placet: Placet) -> None:
    one, other = await asks(placet), await asks(placet, caller=BILLING)
    assert set(await listed(console, ANNA)) == {one.id, other.id}


# -- the view -------------------------------------------------------------------------------------


async def test_a_view_shows_masked_values_and_is_recorded(console: Console, placet: Placet) -> None:
    request = await asks(placet, params={"email": "dana@example.com", "birth_date": "1980-01-01",
                                         "undeclared": "canary"})  # fmt: skip
    answered = await views(console, ANNA, request.id)
    told = answered.json()
    assert {
        "request", "revision", "fields", "hidden_fields", "justification", "subject",
    } <= set(told)  # fmt: skip
    assert set(told["request"]) == SHAPE
    assert told["request"] == json.loads(json.dumps(callback_data(request)))
    assert told["revision"] == 1
    assert told["fields"] == [{"name": "email", "show": "mask_email", "value": "d***@e***.com"}]
    assert told["hidden_fields"] == 2
    assert told["justification"] == JUSTIFICATION
    assert told["subject"].startswith("p_")
    for raw in (b"dana@", b"1980", b"canary", b"customer:48213", *secrets_of(request)):
        assert raw not in answered.body
    (view,) = (await now(placet, request.id)).views
    assert (view.person, view.revision, view.via) == (ANNA, 1, "console")


@pytest.mark.parametrize(("person", "slug"), [(CLEO, "not-approver"), (JONAS, "own-request")])
async def test_a_view_is_for_approvers_and_auditors(
    console: Console, placet: Placet, person: str, slug: str
) -> None:
    request = await asks(placet)
    refused = await views(console, person, request.id)
    assert_problem(refused, 403, slug)
    assert JUSTIFICATION.encode() not in refused.body
    assert (await views(console, OLGA, request.id)).status == 200
    assert [view.person for view in (await now(placet, request.id)).views] == [OLGA]


# -- the review -----------------------------------------------------------------------------------


async def test_an_approval_without_a_view_is_not_reviewed(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    for revision in ({}, {"revision": 1}):
        refused = await reviews(console, ANNA, request.id, decision="approve", **revision)
        assert_problem(refused, 409, "not-reviewed")
    await views(console, BEN, request.id)  # somebody else's look is not hers
    refused = await reviews(console, ANNA, request.id, decision="approve")
    assert_problem(refused, 409, "not-reviewed")
    assert (await now(placet, request.id)).reviews == ()


@pytest.mark.parametrize("revision", [{}, {"revision": None}, {"revision": 1}])
async def test_a_review_answers_the_request(
    console: Console, placet: Placet, revision: dict[str, object]
) -> None:
    request = await asks(placet)
    await views(console, ANNA, request.id)
    answered = await reviews(console, ANNA, request.id, decision="approve", **revision)
    told = answered.json()
    assert answered.status == 200
    assert set(told) == SHAPE
    assert told["status"] == "approved"
    assert told["decision"]["by"] == [{"person": "anna", "via": "console"}]
    assert set(told["grant"]) == {
        "id",
        "status",
        "expires_at",
        "uses_left",
        "receipt_due_at",
        "receipt",
    }


async def test_a_denial_needs_a_reason_and_no_view(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    for reason in ({}, {"reason": None}, {"reason": "  "}):
        refused = await reviews(console, ANNA, request.id, decision="deny", **reason)
        assert_problem(refused, 422, "reason-required")
    answered = await reviews(console, ANNA, request.id, decision="deny", reason="No ticket")
    told = answered.json()
    assert told["status"] == "denied"
    assert told["decision"]["reason"] == "denied_by_approver"


@pytest.mark.parametrize("revision", [0, 2, -1])
async def test_a_review_of_another_revision_is_stale(
    console: Console, placet: Placet, revision: int
) -> None:
    request = await asks(placet)
    await views(console, ANNA, request.id)
    for decision in ("approve", "deny"):
        refused = await reviews(
            console, ANNA, request.id, decision=decision, reason="No", revision=revision
        )
        assert_problem(refused, 409, "stale-revision")


async def test_the_other_refusals_have_their_slugs(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    wide = await asks(placet, action="users.export", params={"format": "csv"})
    await looks_and_votes(placet, ANNA, wide.id)
    final = await looks_and_votes(placet, BEN, (await asks(placet)).id, "deny", "canary")
    for person, number, status, slug in (
        (CLEO, request.id, 403, "not-approver"),
        (JONAS, request.id, 403, "own-request"),
        (ANNA, wide.id, 409, "already-reviewed"),
        (ANNA, final.id, 409, "already-final"),
        (ANNA, NO_REQUEST, 404, "not-found"),
        (ANNA, "req_1", 404, "not-found"),
    ):
        refused = await reviews(console, person, number, decision="deny", reason="No")
        assert_problem(refused, status, slug)
        assert b"canary" not in refused.body
    told = (await reviews(console, ANNA, final.id, decision="deny", reason="No")).json()
    assert told["decision"]["by"] == [{"person": "ben", "via": "cli"}]


async def test_an_open_access_may_be_revoked_with_a_reason_or_without(
    console: Console, placet: Placet
) -> None:
    for body in (b"{}", b'{"reason": null}', b'{"reason": "canary-words"}'):
        request = await looks_and_votes(placet, BEN, (await asks(placet)).id)
        item = (await listed(console, ANNA))[request.id]
        assert (item["may_revoke"], item["may_decide"]) == (True, False)
        answered = await console.post_as(ANNA, f"{REQUESTS}/{request.id}/revoke", body)
        assert (answered.status, answered.json()["grant"]["status"]) == (200, "revoked")
        assert b"canary" not in answered.body
        assert not (await listed(console, ANNA))[request.id]["may_revoke"]
        again = await console.post_as(ANNA, f"{REQUESTS}/{request.id}/revoke", body)
        told = assert_problem(again, 409, "grant-revoked")
        assert told["grant"]["status"] == "revoked"


async def test_a_revocation_is_refused_in_its_slugs(console: Console, placet: Placet) -> None:
    request = await looks_and_votes(placet, BEN, (await asks(placet)).id)
    pending = await asks(placet)
    for person, number, body, status, slug in (
        (CLEO, request.id, b"{}", 403, "not-allowed"),
        (OLGA, request.id, b"{}", 403, "not-allowed"),
        (ANNA, pending.id, b"{}", 404, "not-found"),
        (ANNA, NO_REQUEST, b"{}", 404, "not-found"),
        (ANNA, request.id, b"", 400, "malformed-json"),
        (ANNA, request.id, b'{"reason": 7}', 422, "invalid-request"),
        (ANNA, request.id, b'{"revision": 1}', 422, "invalid-request"),
    ):
        refused = await console.post_as(person, f"{REQUESTS}/{number}/revoke", body)
        assert_problem(refused, status, slug)
    assert await now(placet, request.id) == request


BAD: dict[str, tuple[bytes, int, str, str | None]] = {
    "no decision": (b"{}", 422, "invalid-request", "/decision"),
    "an unknown decision": (b'{"decision": "maybe"}', 422, "invalid-request", "/decision"),
    "a decision that is null": (b'{"decision": null}', 422, "invalid-request", "/decision"),
    "a reason that is a number": (
        b'{"decision": "deny", "reason": 7}', 422, "invalid-request", "/reason",
    ),
    "too long a reason": (
        b'{"decision": "deny", "reason": "' + b"x" * 501 + b'"}', 422, "invalid-request", "/reason",
    ),
    "an unseen character": (
        b'{"decision": "deny", "reason": "a\\u202eb"}', 422, "invalid-request", "/reason",
    ),
    "a revision that is text": (
        b'{"decision": "deny", "reason": "No", "revision": "1"}', 422, "invalid-request",
        "/revision",
    ),
    "a revision that is true": (
        b'{"decision": "deny", "reason": "No", "revision": true}', 422, "invalid-request",
        "/revision",
    ),
    "an unknown field": (
        b'{"decision": "deny", "reason": "No", "canary": 1}', 422, "invalid-request", "",
    ),
    "the same key twice": (
        b'{"decision": "deny", "decision": "approve"}', 400, "malformed-json", None,
    ),
    "no object": (b"[]", 400, "malformed-json", None),
    "no JSON": (b"{", 400, "malformed-json", None),
    "nothing": (b"", 400, "malformed-json", None),
    "too much": (b'"' + b"x" * 33_000 + b'"', 413, "body-too-large", None),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_body_is_told_where_and_changes_nothing(
    console: Console, placet: Placet, case: str
) -> None:
    body, status, slug, pointer = BAD[case]
    request = await asks(placet)
    before = await now(placet, request.id)
    answered = await console.post_as(ANNA, f"{REQUESTS}/{request.id}/review", body)
    told = assert_problem(answered, status, slug)
    assert [each["pointer"] for each in told.get("errors", [])] == (
        [] if pointer is None else [pointer]
    )
    assert b"canary" not in answered.body
    assert await now(placet, request.id) == before


async def test_all_faults_of_a_body_are_told_at_once(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    body = b'{"decision": 1, "reason": 2, "revision": "3", "more": 4}'
    answered = await console.post_as(ANNA, f"{REQUESTS}/{request.id}/review", body)
    told = assert_problem(answered, 422, "invalid-request")
    assert [each["pointer"] for each in told["errors"]] == [
        "", "/decision", "/reason", "/revision",
    ]  # fmt: skip


async def test_a_form_of_another_page_is_no_json(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    headers = {"X-Placet-Person": "anna", "Content-Type": "text/plain"}
    target = f"{REQUESTS}/{request.id}/review"
    answered = await console.call("POST", target, headers, b'{"decision": "deny", "reason": "x"}')
    assert_problem(answered, 415, "not-json")
    assert (await now(placet, request.id)).status == "pending"

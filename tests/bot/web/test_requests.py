"""The calls on requests, as a service sees them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from approvals.errors import NotConfirmed, StoreUnavailable
from approvals.model import RequestId
from approvals.policy.loader import Configuration
from approvals.service import ApprovalService
from tests.bot.web.conftest import Web, make_web, wait_until
from tests.configurations import ask
from tests.conftest import ANNA, CLI, Engine, Placet
from tests.servers.asgi_client import Answered

KEY = "order-4711"


async def approve(web: Web, request_id: RequestId) -> None:
    await web.placet.service.view(request_id, ANNA, CLI)
    await web.placet.service.review(request_id, ANNA, CLI, "approve")


async def test_a_request_in_order_is_opened_and_told_where_it_is(web: Web) -> None:
    answered = await web.open()
    told = answered.json()
    assert answered.status == 201
    assert answered.headers["location"] == f"/v1/requests/{told['id']}"
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["cache-control"] == "no-store"
    assert (told["status"], told["service"], told["action"]) == ("pending", "crm", "customer.view")
    assert told["salt"]


async def test_a_rule_may_decide_at_once(web: Web) -> None:
    assert (await web.opened(action="report.read"))["status"] == "approved"
    assert (await web.opened(action="data.sell"))["status"] == "denied"


async def test_the_same_key_and_body_answer_the_same_request(web: Web) -> None:
    first = await web.open_with({"Idempotency-Key": KEY})
    again = await web.open_with({"Idempotency-Key": KEY})
    assert (first.status, again.status) == (201, 200)
    assert again.json() == first.json()


async def test_the_same_key_with_another_body_is_a_conflict(web: Web) -> None:
    await web.open_with({"Idempotency-Key": KEY})
    before = await web.keys()
    answered = await web.open_with({"Idempotency-Key": KEY}, subject="customer:2")
    assert answered.status == 409
    assert answered.json()["type"] == "urn:placet:problem:idempotency-conflict"
    assert sorted(await web.keys()) == sorted(before)


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9", "a\tb"])
async def test_an_idempotency_key_is_printable_and_short(web: Web, key: str) -> None:
    told = await web.assert_refused(
        await web.open_with({"Idempotency-Key": key}), 422, "invalid-request", ""
    )
    assert "Idempotency-Key" in told["errors"][0]["message"]


async def test_two_idempotency_keys_are_one_too_many(web: Web) -> None:
    headers = [
        *web.auth().items(),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "a"),
        ("Idempotency-Key", "b"),
    ]
    body = json.dumps(ask()).encode()
    answered = await web.client.call("POST", "/v1/requests", headers, body)
    await web.assert_refused(answered, 422, "invalid-request", "")


@pytest.mark.parametrize("key", ["a", "x" * 255, "order 4711 / line 2"])
async def test_an_idempotency_key_may_be_any_printable_ascii(web: Web, key: str) -> None:
    assert (await web.open_with({"Idempotency-Key": key})).status == 201


WRONG_FIELDS: list[tuple[dict[str, object], str, str]] = [
    ({"action": None}, "/action", "is required"),
    ({"action": 7}, "/action", "must be text"),
    ({"requester": {}}, "/requester/id", "is required"),
    ({"requester": "jonas"}, "/requester", "must be an object"),
    ({"justification": "too short"}, "/justification", "needs 20 to 500 characters"),
    ({"justification": "x" * 501}, "/justification", "needs 20 to 500 characters"),
    ({"justification": "looks fine to me \u202e and you"}, "/justification", "U+202E"),
    ({"subject": "customer\u200b:48213"}, "/subject", "U+200B"),
    ({"record_count": -1}, "/record_count", "must not be negative"),
    ({"record_count": 1.5}, "/record_count", "must be a whole number"),
    ({"record_count": True}, "/record_count", "must be a whole number"),
    ({"expires_in": 0}, "/expires_in", "1 to 604800"),
    ({"expires_in": 604801}, "/expires_in", "1 to 604800"),
    ({"grant_ttl": 3601}, "/grant_ttl", "1 to 3600"),
    ({"grant_ttl": "10m"}, "/grant_ttl", "must be whole seconds"),
    ({"params": {f"key{number}": 1 for number in range(21)}}, "/params", "more than 20"),
    ({"reuse_pending": "yes"}, "/reuse_pending", "must be true or false"),
    ({"justifcation": "a typing error"}, "/justifcation", "did you mean justification?"),
    ({"expiry": 5}, "/expiry", "is not a known field"),
]


@pytest.mark.parametrize(("changes", "pointer", "remedy"), WRONG_FIELDS)
async def test_a_wrong_field_is_named_with_its_remedy(
    web: Web, changes: dict[str, object], pointer: str, remedy: str
) -> None:
    answered = await web.open(**changes)
    told = await web.assert_refused(answered, 422, "invalid-request", pointer)
    messages = {each["pointer"]: each["message"] for each in told["errors"]}
    assert remedy in messages[pointer]


async def test_every_wrong_field_is_told_at_once(web: Web) -> None:
    answered = await web.open(action=None, justification="short", expires_in=0)
    told = await web.assert_refused(answered, 422, "invalid-request")
    pointers = {each["pointer"] for each in told["errors"]}
    assert pointers == {"/action", "/justification", "/expires_in"}


async def test_nothing_of_the_input_is_told_back(web: Web) -> None:
    canary = "canary-dana-4111111111111111"
    faults: list[dict[str, object]] = [
        {"justification": canary[:19]},
        {"record_count": canary},
        {canary: 1},
        {"action": canary},
        {"requester": {"id": canary}},
    ]
    for changes in faults:
        answered = await web.open(**changes)
        assert 400 <= answered.status < 500
        assert b"canary" not in answered.body
        assert await web.keys() == []


# What is sent, the problem's kind, the field it names, and a word of its remedy.
REFUSED_BY_POLICY: list[tuple[dict[str, object], str, str | None, str]] = [
    ({"action": "no.such.action"}, "unknown-action", "/action", "policy.yaml"),
    ({"requester": {"id": "okta:nobody"}}, "unknown-requester", "/requester/id", "people.yaml"),
    (
        {"callback_url": "https://elsewhere.example/x"},
        "callback-not-allowed",
        "/callback_url",
        "services.yaml",
    ),
    (
        {"action": "case.close", "ticket": "T-1"},
        "invalid-request",
        "/purpose",
        "is required for this action",
    ),
    (
        {"action": "case.close", "ticket": "T-1", "purpose": "curiosity"},
        "invalid-request",
        "/purpose",
        "must be one of support, legal",
    ),
    (
        {"action": "thin.ice", "requester": {"id": "okta:anna"}},
        "no-approver-reachable",
        None,
        "people.yaml",
    ),
]


@pytest.mark.parametrize(("changes", "slug", "pointer", "remedy"), REFUSED_BY_POLICY)
async def test_what_policy_refuses_names_field_and_remedy_and_leaves_no_trace(
    web: Web, changes: dict[str, object], slug: str, pointer: str | None, remedy: str
) -> None:
    told = await web.assert_refused(await web.open(**changes), 422, slug, pointer)
    assert remedy in told["detail"]


async def test_a_service_asks_only_for_its_actions(web: Web) -> None:
    answered = await web.open_with(web.auth("billing"), action="users.export")
    told = await web.assert_refused(answered, 403, "action-not-allowed", "/action")
    assert "services.yaml" in told["detail"]


async def test_the_key_is_asked_for_before_the_body_is_read(web: Web) -> None:
    answered = await web.client.call("POST", "/v1/requests", {}, b"x" * 100_000)
    await web.assert_refused(answered, 401, "unauthorized")


async def test_a_request_is_shown_to_its_own_service_only(web: Web) -> None:
    opened = await web.opened()
    target = f"/v1/requests/{opened['id']}"
    assert (await web.get(target)).json() == opened
    for answered in (await web.get(target, "billing"), await web.get("/v1/requests/req_x")):
        assert answered.status == 404
        assert answered.json()["type"] == "urn:placet:problem:not-found"


async def test_another_services_request_reads_like_none_at_all(web: Web) -> None:
    opened = await web.opened()
    there = await web.get(f"/v1/requests/{opened['id']}", "billing")
    nowhere = await web.get("/v1/requests/req_" + "0" * 26, "billing")
    assert there.body == nowhere.body


async def test_a_service_takes_its_request_back_once(web: Web) -> None:
    opened = await web.opened()
    target = f"/v1/requests/{opened['id']}"
    cancelled = await web.client.call("DELETE", target, web.auth())
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["decision"]["reason"] == "by_service"
    again = await web.client.call("DELETE", target, web.auth())
    assert again.status == 409
    assert again.json()["type"] == "urn:placet:problem:already-final"
    assert again.json()["status"] == 409
    assert again.json()["decision"] == cancelled.json()["decision"]


async def test_who_takes_a_denied_request_back_is_told_the_approvers_words(web: Web) -> None:
    opened = await web.opened()
    await web.placet.service.view(opened["id"], ANNA, CLI)
    await web.placet.service.review(opened["id"], ANNA, CLI, "deny", reason="Wrong customer")
    target = f"/v1/requests/{opened['id']}"
    refused = (await web.client.call("DELETE", target, web.auth())).json()
    assert refused["decision"]["reason"] == "Wrong customer"
    assert refused["decision"] == (await web.get(target)).json()["decision"]


async def test_nobody_takes_back_anothers_request(web: Web) -> None:
    opened = await web.opened()
    target = f"/v1/requests/{opened['id']}"
    assert (await web.client.call("DELETE", target, web.auth("billing"))).status == 404
    assert (await web.get(target)).json()["status"] == "pending"


async def test_the_list_is_the_callers_newest_first_and_in_pages(web: Web) -> None:
    ids = [(await web.opened(subject=f"customer:{number}"))["id"] for number in range(3)]
    ids.sort(reverse=True)
    first = (await web.get("/v1/requests?limit=2")).json()
    rest = (await web.get(f"/v1/requests?limit=2&cursor={first['next_cursor']}")).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None
    assert (await web.get("/v1/requests", "billing")).json() == {"items": [], "next_cursor": None}


async def test_the_list_is_filtered_by_status_and_action(web: Web) -> None:
    pending = await web.opened()
    approved = await web.opened(action="report.read")
    by_status = (await web.get("/v1/requests?status=pending")).json()["items"]
    by_action = (await web.get("/v1/requests?action=report.read")).json()["items"]
    assert [item["id"] for item in by_status] == [pending["id"]]
    assert [item["id"] for item in by_action] == [approved["id"]]


async def test_what_is_sent_empty_is_not_asked_for(web: Web) -> None:
    opened = await web.opened()
    page = (await web.get("/v1/requests?status=&action=&limit=&cursor=")).json()
    assert page == {"items": [opened], "next_cursor": None}
    assert (await web.get(f"/v1/requests/{opened['id']}?wait=")).json() == opened


async def test_a_query_of_thousands_of_parameters_is_refused_unread(web: Web) -> None:
    told = (await web.get("/v1/requests?" + "&".join(f"a{n}" for n in range(5000)))).json()
    assert told["errors"] == [
        {"pointer": "", "message": "the query holds more than 20 parameters; send fewer"}
    ]
    assert len(json.dumps(told)) < 500


async def test_every_unknown_parameter_of_a_short_query_is_told(web: Web) -> None:
    told = (await web.get("/v1/requests?" + "&".join(f"a{n}=1" for n in range(20)))).json()
    assert len(told["errors"]) == 20
    assert told["detail"] == "20 fields are wrong; see errors."


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=ten", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("limit=&limit=2", "/limit"),
        ("status=open", "/status"),
        ("action=%20", "/action"),
        ("cursor=%2B", "/cursor"),
        ("cursor=req_", "/cursor"),
        ("stauts=pending", ""),
        ("stauts=", ""),
    ],
)
async def test_a_wrong_filter_is_refused(web: Web, query: str, pointer: str) -> None:
    answered = await web.get(f"/v1/requests?{query}")
    told = await web.assert_refused(answered, 422, "invalid-request", pointer)
    assert "stauts" not in json.dumps(told)


@pytest.mark.parametrize("wait", ["0", "61", "-1", "1.5", "x", "%20", "1&wait=2", "\u0661"])
async def test_a_wrong_wait_is_refused(web: Web, wait: str) -> None:
    answered = await web.get(f"/v1/requests/req_{'0' * 26}?wait={wait}")
    await web.assert_refused(answered, 422, "invalid-request", "/wait")


async def test_a_waiting_service_learns_of_the_decision(web: Web) -> None:
    opened = await web.opened()
    waits = asyncio.create_task(web.get(f"/v1/requests/{opened['id']}?wait=60"))
    await until_somebody_waits(web)
    await approve(web, opened["id"])
    assert (await waits).json()["status"] == "approved"
    assert len(web.waiting) == 0


async def test_a_settled_request_is_answered_without_waiting(web: Web) -> None:
    opened = await web.opened(action="report.read")
    answered = await web.get(f"/v1/requests/{opened['id']}?wait=60")
    assert answered.json()["status"] == "approved"


async def test_after_the_wait_the_request_is_told_as_it_is(web: Web) -> None:
    opened = await web.opened()
    assert (await web.get(f"/v1/requests/{opened['id']}?wait=1")).json()["status"] == "pending"


async def test_a_wait_ends_when_its_client_leaves(web: Web) -> None:
    opened = await web.opened()
    waits = asyncio.create_task(web.get(f"/v1/requests/{opened['id']}?wait=60"))
    await until_somebody_waits(web)
    web.client.left.set()
    assert (await waits).json()["status"] == "pending"


async def test_at_a_stop_waiters_are_told_the_current_state(web: Web) -> None:
    opened = await web.opened()
    target = f"/v1/requests/{opened['id']}?wait=60"
    waits = asyncio.create_task(web.get(target))
    await until_somebody_waits(web)
    await web.waiting.close()
    assert (await waits).json()["status"] == "pending"
    assert (await web.get(target)).json()["status"] == "pending"


async def until_somebody_waits(web: Web) -> None:
    await web.waiting.is_listening.wait()
    await wait_until(lambda: len(web.waiting) > 0)


async def test_what_is_asked_is_counted_by_service_and_outcome(web: Web) -> None:
    await web.open_with({"Idempotency-Key": KEY})
    await web.open_with({"Idempotency-Key": KEY})
    await web.open(action="report.read")
    await web.open(justification="short")
    text = (await web.client.get("/metrics")).body.decode()
    for outcome in ("pending", "repeated", "approved", "refused"):
        assert f'placet_requests_total{{outcome="{outcome}",service="crm"}} 1.0' in text
    line = 'placet_http_requests_total{method="POST",route="/v1/requests",status="201"} 2.0'
    assert line in text


def assert_is_store_failure(answered: Answered, slug: str) -> None:
    told = answered.json()
    assert answered.status == told["status"] == 503
    assert told["type"] == f"urn:placet:problem:{slug}"
    assert int(answered.headers["retry-after"]) >= 1


async def test_an_unfit_store_takes_no_request(web: Web) -> None:
    web.placet.store.health.faults = ("appendonly is no; set appendonly yes.",)
    answered = await web.open()
    assert_is_store_failure(answered, StoreUnavailable.code.replace("_", "-"))
    assert await web.keys() == []


async def test_a_full_store_takes_no_request(web: Web) -> None:
    web.placet.store.health.is_full = True
    assert_is_store_failure(await web.open(), "store-full")
    assert await web.keys() == []
    text = (await web.client.get("/metrics")).body.decode()
    assert 'placet_store_failures_total{code="store_full"} 1.0' in text
    assert NotConfirmed.code not in text


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/requests"),
        ("GET", "/v1/requests"),
        ("GET", f"/v1/requests/req_{'0' * 26}"),
        ("GET", f"/v1/requests/req_{'0' * 26}?wait=1"),
        ("DELETE", f"/v1/requests/req_{'0' * 26}"),
    ],
)
async def test_without_a_store_every_call_says_so(
    configuration: Configuration, tmp_path: Path, method: str, target: str
) -> None:
    nowhere = Engine("valkey", "none", None, f"unix://{tmp_path}/nothing-listens-here")
    store = nowhere.store()
    service = ApprovalService(store, configuration)
    web = make_web(Placet(service, store, configuration, nowhere), nowhere)
    headers = {**web.auth(), "Content-Type": "application/json", "Idempotency-Key": KEY}
    answered = await web.client.call(method, target, headers, json.dumps(ask()).encode())
    assert_is_store_failure(answered, "store-unavailable")
    assert (await web.client.get("/healthz")).status == 200
    await store.close()

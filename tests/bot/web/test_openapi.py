"""What the document says may be refused is refused: each problem of each call is provoked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from starlette.types import ASGIApp

from approvals.policy.loader import Configuration
from approvals.service import ApprovalService
from approvals.store.health import Demands
from approvals.store.store import Store
from bot.web import body
from bot.web.openapi import document
from bot.web.openapi_parts import ANYWHERE
from bot.web.problems import KINDS, TYPE_PREFIX, slug
from bot.web.protocol import Bounds
from tests.bot.web import grant_calls
from tests.bot.web.conftest import Web, make_web, wait_until
from tests.bot.web.test_server import HOST, PATIENT, Peer, site
from tests.configurations import ask
from tests.conftest import SECRETS, Engine, Placet, RealServer, start_real_server
from tests.granting import body_of
from tests.limiting import limited, refusing
from tests.servers.asgi_client import Answered

DOCUMENT: dict[str, Any] = document("0")
OPEN, LIST = ("post", "/v1/requests"), ("get", "/v1/requests")
SHOW, CANCEL = ("get", "/v1/requests/{request_id}"), ("delete", "/v1/requests/{request_id}")
READYZ = ("get", "/readyz")
Call = tuple[str, str]
Provoke = Callable[[Web], Awaitable[Answered]]
NOBODYS = "req_" + "0" * 26
CHUNKS = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
CHUNKS = CHUNKS * 5


def operations() -> Iterator[tuple[Call, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method in {"get", "post", "delete"} & set(methods):
            yield (method, path), methods[method]


def slugs(response: dict[str, Any]) -> set[str]:
    content = response["content"].get("application/problem+json")
    if content is None:
        return set()
    _, own = content["schema"]["allOf"]
    return {each.removeprefix(TYPE_PREFIX) for each in own["properties"]["type"]["enum"]}


def documented(call: Call) -> set[tuple[int, str]]:
    responses = dict(operations())[call]["responses"]
    return {
        (int(status), each)
        for status, response in responses.items()
        if status != "default"
        for each in slugs(response)
    }


def call(method: str, target: str, headers: dict[str, str] | None = None) -> Provoke:
    async def provoke(web: Web) -> Answered:
        return await web.client.call(method.upper(), target, web.auth() | (headers or {}))

    return provoke


def send(content: bytes, headers: dict[str, str] | None = None) -> Provoke:
    async def provoke(web: Web) -> Answered:
        return await web.client.post("/v1/requests", content, web.auth() | (headers or {}))

    return provoke


def asking(service: str = "crm", **changes: object) -> Provoke:
    async def provoke(web: Web) -> Answered:
        return await web.open_with(web.auth(service), **changes)

    return provoke


def unauthorized(method: str, path: str) -> Provoke:
    target = path.replace("{request_id}", NOBODYS)
    return call(method, target, {"Authorization": "Bearer plc_crm-1_wrong"})


async def a_slow_body(web: Web) -> Answered:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        raise TimeoutError  # as when the time for reading is up

    headers = web.auth() | {"Content-Type": "application/json"}
    return await web.client.call("POST", "/v1/requests", headers, chunks())


async def the_same_key_again(web: Web) -> Answered:
    await web.open_with({"Idempotency-Key": "one"})
    return await web.open_with({"Idempotency-Key": "one"}, subject="customer:2")


def more_than(rate: str) -> Provoke:
    async def provoke(web: Web) -> Answered:
        web.placet.service.configuration = limited(rate)
        await web.opened()
        return await web.open(subject="customer:2")

    return provoke


async def refusing_personal_data(web: Web) -> Answered:
    web.placet.service.configuration = refusing(web.placet.service.configuration)
    return await web.open(justification="Write to dana@example.org about her copy")


async def cancelled_twice(web: Web) -> Answered:
    target = f"/v1/requests/{(await web.opened())['id']}"
    await web.client.call("DELETE", target, web.auth())
    return await web.client.call("DELETE", target, web.auth())


async def unready(web: Web) -> Answered:
    web.faults.append("appendonly is no; set appendonly yes.")
    web.warnings.append("The store is 85 % full and takes no new requests.")
    return await web.client.get("/readyz")


PROVOKED: dict[Call, dict[str, Provoke]] = {
    OPEN: {
        "unauthorized": unauthorized(*OPEN),
        "malformed-json": send(b"{"),
        "not-json": send(b"{}", {"Content-Type": "text/plain"}),
        "body-too-large": send(b"x" * (body.MAX_BYTES + 1)),
        "request-timeout": a_slow_body,
        "invalid-request": asking(justification="short"),
        "unknown-action": asking(action="no.such"),
        "action-not-allowed": asking("billing", action="users.export"),
        "unknown-requester": asking(requester={"id": "okta:nobody"}),
        "callback-not-allowed": asking(callback_url="https://elsewhere.example/"),
        "secret-found": asking(justification="The key is AKIAQWERTYUIOPASDFGH, so let me"),
        "personal-data-found": refusing_personal_data,
        "no-approver-reachable": asking(action="thin.ice", requester={"id": "okta:anna"}),
        "idempotency-conflict": the_same_key_again,
        "rate-limited": more_than("{per_minute: 1}"),
        "too-many-pending": more_than("{pending_per_requester: 1}"),
    },
    LIST: {
        "unauthorized": unauthorized(*LIST),
        "invalid-request": call("get", "/v1/requests?limit=0"),
    },
    SHOW: {
        "unauthorized": unauthorized(*SHOW),
        "not-found": call("get", f"/v1/requests/{NOBODYS}"),
        "invalid-request": call("get", f"/v1/requests/{NOBODYS}?wait=0"),
    },
    CANCEL: {
        "unauthorized": unauthorized(*CANCEL),
        "not-found": call("delete", f"/v1/requests/{NOBODYS}"),
        "already-final": cancelled_twice,
    },
    READYZ: {"not-ready": unready},
    **grant_calls.PROVOKED,
}
# Provoked by the stores below.
OF_STORES: dict[Call, set[str]] = {
    OPEN: {"store-unavailable", "store-full", "not-confirmed"},
    LIST: {"store-unavailable", "not-confirmed"},
    SHOW: {"store-unavailable", "not-confirmed"},
    CANCEL: {"store-unavailable", "not-confirmed"},
    **{of: {"store-unavailable", "not-confirmed"} for of in grant_calls.PROVOKED},
}


def test_every_problem_named_is_one_there_is() -> None:
    there_are = {(kind.status, slug(error.code)) for error, kind in KINDS.items()}
    others = {(status, slug(code)) for status, code in ANYWHERE}
    others |= {(408, "request-timeout"), (503, "not-ready")}
    for each, _ in operations():
        assert documented(each) <= there_are | others, each


@pytest.mark.parametrize("of", [each for each, _ in operations()], ids=" ".join)
def test_a_call_names_what_is_provoked_here_and_nothing_else(of: Call) -> None:
    provoked = set(PROVOKED.get(of, ())) | OF_STORES.get(of, set())
    anywhere = {(status, slug(code)) for status, code in ANYWHERE}
    told = documented(of)
    listed = {status for status, _ in told}
    assert {each for _, each in told - anywhere} == provoked - {each for _, each in anywhere}
    assert {each for each in anywhere if each[0] in listed} <= told
    assert slugs(dict(operations())[of]["responses"]["default"]) == {each for _, each in anywhere}


CASES = [(of, each) for of, problems in PROVOKED.items() for each in problems]


@pytest.mark.parametrize(("of", "expected"), CASES)
async def test_what_is_named_is_what_is_answered(web: Web, of: Call, expected: str) -> None:
    assert_documented(await PROVOKED[of][expected](web), of, expected)


def assert_documented(answered: Answered, of: Call, expected: str) -> None:
    told = answered.json()
    assert told["type"] == TYPE_PREFIX + expected, told
    assert (answered.status, expected) in documented(of)
    response = dict(operations())[of]["responses"][str(answered.status)]
    assert_conforms(told, response["content"]["application/problem+json"]["schema"])
    if answered.status == 503 and of != READYZ:
        assert int(answered.headers["retry-after"]) >= 1
        assert "Retry-After" in response["headers"]
    if answered.status == 429:
        assert int(answered.headers["retry-after"]) >= 1
        assert {name.lower() for name in response["headers"]} <= set(answered.headers)
    if answered.status == 401:
        assert answered.headers["www-authenticate"] == "Bearer"
        assert "WWW-Authenticate" in response["headers"]


def assert_conforms(value: object, schema: dict[str, Any]) -> None:
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def told_by(web: Web, of: Call) -> Awaitable[Answered]:
    method, path = of
    headers = web.auth() | {"Content-Type": "application/json"}
    content = json.dumps(ask()).encode() if of == OPEN else b""
    if path.endswith(("/redeem", "/receipt")):
        content = body_of(path.rpartition("/")[2])
    target = path.replace("{request_id}", NOBODYS).replace("{grant_id}", grant_calls.NOBODYS)
    return web.client.call(method.upper(), target, headers, content)


@asynccontextmanager
async def web_over(
    engine: Engine, store: Store, configuration: Configuration
) -> AsyncIterator[Web]:
    store.health.faults = ()
    service = ApprovalService(store, configuration)
    try:
        yield make_web(Placet(service, store, configuration, engine), engine)
    finally:
        await store.close()


@pytest.mark.parametrize("of", OF_STORES, ids=" ".join)
async def test_without_a_store_every_call_says_what_is_named(
    configuration: Configuration, tmp_path: Path, of: Call
) -> None:
    nowhere = Engine("valkey", "none", None, f"unix://{tmp_path}/nothing-listens-here")
    async with web_over(nowhere, nowhere.store(), configuration) as web:
        assert_documented(await told_by(web, of), of, "store-unavailable")


@pytest.mark.parametrize("of", OF_STORES, ids=" ".join)
async def test_without_replicas_every_call_says_what_is_named(
    configuration: Configuration, real_server: RealServer, of: Call
) -> None:
    alone = Engine("valkey", "alone", None, real_server.url)
    demands = Demands(durability="replica", replicas=1)
    store = Store.over(alone.pool(), alone.namespace, SECRETS, demands, confirm_within_ms=1)
    async with web_over(alone, store, configuration) as web:
        assert_documented(await told_by(web, of), of, "not-confirmed")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RealServer]:
    server = start_real_server(tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


async def test_a_store_without_memory_takes_no_new_request_and_all_else(
    configuration: Configuration, own_server: RealServer
) -> None:
    engine = Engine("valkey", "full", None, own_server.url)
    async with web_over(engine, engine.store(), configuration) as web, engine.client() as client:
        target = f"/v1/requests/{(await web.opened())['id']}"
        await client.config_set("maxmemory", 1)
        assert_documented(await web.open(), OPEN, "store-full")
        for method, each in (("GET", target), ("GET", "/v1/requests"), ("DELETE", target)):
            assert (await web.client.call(method, each, web.auth())).status == 200


async def problem_of(app: ASGIApp, sent: bytes) -> str:
    async with site(PATIENT, app=app) as there, there.connected() as peer:
        peer.send(sent)
        return await slug_of(peer)


async def slug_of(peer: Peer) -> str:
    status, _, content = await peer.answer()
    told = json.loads(content)
    assert told["status"] == status
    assert_conforms(told, {"$ref": "#/components/schemas/Problem"})
    return str(told["type"].removeprefix(TYPE_PREFIX))


async def test_what_any_call_may_be_answered_is_named_as_well(web: Web) -> None:
    app = web.client.app
    head = b"GET /healthz HTTP/1.1\r\n"
    waits = f"GET /v1/requests/{(await web.opened())['id']}?wait=60 HTTP/1.1\r\n".encode() + HOST
    waits += f"Authorization: {web.auth()['Authorization']}\r\n".encode()
    answered = {
        await problem_of(app, head + b"\r\n"),
        await problem_of(app, head + HOST + b"a: " + b"b" * 33_000),
        await problem_of(app, waits + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    }
    async with site(Bounds(connections=1)) as there, there.connected():
        await wait_until(lambda: there.connections == 1)
        async with there.connected() as second:
            answered.add(await slug_of(second))
    web.placet.service.configuration = None  # type: ignore[assignment] # a mistake of ours
    told = (await web.open()).json()
    answered.add(told["type"].removeprefix(TYPE_PREFIX))
    assert answered == {slug(code) for _, code in ANYWHERE}


async def test_operators_are_answered_what_the_document_says(web: Web) -> None:
    async def told_at(path: str) -> dict[str, Any]:
        answered = await web.client.get(path)
        content = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]
        told = answered.json()
        assert_conforms(told, content[answered.headers["content-type"]]["schema"])
        return told

    await told_at("/healthz")
    await told_at("/.well-known/jwks.json")
    await told_at("/readyz")
    web.warnings.append("The store is 85 % full and takes no new requests.")
    told = await told_at("/readyz")
    assert set(told) == set(DOCUMENT["components"]["schemas"]["Ready"]["properties"])
    refused = (await unready(web)).json()
    _, members = DOCUMENT["components"]["schemas"]["NotReady"]["allOf"]
    standard = {"type", "title", "status", "detail"}
    assert set(refused) - standard == set(members["properties"])


async def test_where_a_request_is_is_told_each_time(web: Web) -> None:
    for status in (201, 200):
        answered = await web.open_with({"Idempotency-Key": "one"})
        assert answered.status == status
        response = DOCUMENT["paths"]["/v1/requests"]["post"]["responses"][str(status)]
        assert set(response["headers"]) == {"Location", "RateLimit-Policy", "RateLimit"}
        assert {name.lower() for name in response["headers"]} <= set(answered.headers)
        assert answered.headers["location"].endswith(answered.json()["id"])


def test_the_body_is_described_for_callers() -> None:
    sent = DOCUMENT["components"]["schemas"]["Ask"]
    members = sent["properties"]
    assert "parse" not in sent["description"]
    assert members["params"]["maxProperties"] == 20
    assert "20 to 500" in members["justification"]["description"]
    assert "asks the same" in members["reuse_pending"]["description"]

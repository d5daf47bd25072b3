"""The application as a whole: operators' routes, pages, the framework's own refusals."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from approvals import errors
from approvals.ask import Ask
from approvals.errors import PlacetError, Refusal, StoreFailure
from bot.web.problems import KINDS, from_error
from tests.bot.web.conftest import Web
from tests.bot.web.test_requests import approve
from tests.configurations import ask
from tests.signing import grant_tokens


def leaves(kind: type[PlacetError]) -> set[type[PlacetError]]:
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for each in below for leaf in leaves(each)}


def test_every_error_a_caller_can_meet_has_a_status_and_a_title() -> None:
    ours = {
        each
        for each in leaves(Refusal) | leaves(StoreFailure)
        if each.__module__ == errors.__name__
    }
    assert ours <= set(KINDS)
    assert all(kind.title and 400 <= kind.status < 600 for kind in KINDS.values())


def test_facts_join_the_answer_and_replace_nothing() -> None:
    error = errors.AlreadyFinal("It is over.", facts={"decision": None, "status": "approved"})
    told = json.loads(bytes(from_error(error).body))
    assert told["decision"] is None
    assert told["status"] == 409


def test_an_error_without_an_entry_is_our_own_fault() -> None:
    answered = from_error(errors.StoreRefused("secret detail"))
    assert answered.status_code == 500
    assert b"secret" not in bytes(answered.body)


async def test_an_unknown_path_is_a_problem_that_does_not_echo_it(web: Web) -> None:
    answered = await web.get("/v1/canary")
    await web.assert_refused(answered, 404, "not-found")
    assert b"canary" not in answered.body


@pytest.mark.parametrize("target", ["/v1/requests/", "/healthz/"])
async def test_a_slash_too_many_is_no_redirect(web: Web, target: str) -> None:
    await web.assert_refused(await web.get(target), 404, "not-found")


async def test_an_unknown_method_is_told_the_known_ones(web: Web) -> None:
    answered = await web.client.call("PUT", "/v1/requests", web.auth())
    await web.assert_refused(answered, 405, "method-not-allowed")
    assert set(answered.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_our_own_mistake_is_a_problem_that_tells_nothing(web: Web) -> None:
    web.placet.service.configuration = None  # type: ignore[assignment] # the mistake
    answered = await web.open()
    assert answered.error is not None
    await web.assert_refused(answered, 500, "internal-error")
    text = (await web.client.get("/metrics")).body.decode()
    assert 'route="/v1/requests",status="500"' in text


async def test_the_process_is_alive_whatever_the_store_does(web: Web) -> None:
    web.faults.append("maxmemory-policy is allkeys-lru; set maxmemory-policy noeviction.")
    assert (await web.client.get("/healthz")).json() == {"status": "alive"}


async def test_readiness_names_the_policy_in_force(web: Web) -> None:
    answered = await web.client.get("/readyz")
    assert answered.status == 200
    assert answered.json() == {
        "status": "ready",
        "policy": {"version": web.placet.configuration.version},
        "durability": "none",
    }


async def test_readiness_says_what_is_wrong(web: Web) -> None:
    web.faults.append("appendonly is no; set appendonly yes.")
    told = await web.assert_refused(await web.client.get("/readyz"), 503, "not-ready")
    assert told["faults"] == ["appendonly is no; set appendonly yes."]
    assert told["policy"] == {"version": web.placet.configuration.version}


async def test_what_keeps_nobody_from_work_is_told_all_the_same(web: Web) -> None:
    web.warnings.append("The store is 85 % full and takes no new requests.")
    answered = await web.client.get("/readyz")
    assert answered.status == 200
    assert answered.json()["warnings"] == web.warnings


async def test_the_public_keys_are_for_anybody_and_may_be_kept_for_five_minutes(web: Web) -> None:
    answered = await web.client.get("/.well-known/jwks.json")
    assert answered.status == 200
    assert answered.headers["cache-control"] == "public, max-age=300"
    assert answered.json() == grant_tokens().keys.jwks()


async def test_figures_hold_templates_and_no_paths(web: Web) -> None:
    opened = await web.opened()
    await web.get(f"/v1/requests/{opened['id']}")
    await web.get("/canary")
    await web.client.call("CANARY", "/v1/requests")
    text = (await web.client.get("/metrics")).body.decode()
    assert 'route="/v1/requests/{request_id}",status="200"' in text
    assert 'method="GET",route="other",status="404"' in text
    assert 'method="other",route="/v1/requests",status="405"' in text
    assert "canary" not in text.lower()
    assert opened["id"] not in text


async def test_a_known_method_elsewhere_is_told_the_known_ones(web: Web) -> None:
    answered = await web.client.call("DELETE", "/v1/requests", web.auth())
    await web.assert_refused(answered, 405, "method-not-allowed")
    answered = await web.client.call("POST", "/v1/requests/req_1", web.auth())
    await web.assert_refused(answered, 405, "method-not-allowed")
    assert set(answered.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD"}
    text = (await web.client.get("/metrics")).body.decode()
    assert 'method="POST",route="/v1/requests/{request_id}",status="405"' in text


@pytest.mark.parametrize(
    "target", ["/v1/requests/{request_id}", "/v1/requests/a/b", "/v1/requests/a\n", "//healthz"]
)
async def test_what_only_looks_like_a_path_is_none(web: Web, target: str) -> None:
    await web.assert_refused(await web.get(target), 404, "not-found")


async def test_the_head_of_an_answer_can_be_asked_for(web: Web) -> None:
    assert (await web.client.call("HEAD", "/healthz")).status == 200


async def document(web: Web) -> dict[str, Any]:
    return (await web.client.get("/openapi.json")).json()


async def test_the_openapi_document_is_valid(web: Web) -> None:
    told = await document(web)
    assert told["openapi"].startswith("3.1")
    validate(told)


async def test_the_body_is_documented_as_it_is_read(web: Web) -> None:
    told = await document(web)
    schema = Ask.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")
    schemas = told["components"]["schemas"]
    content = told["paths"]["/v1/requests"]["post"]["requestBody"]["content"]
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}}
    assert schemas["Ask"] == schema
    assert {name: schemas[name] for name in parts} == parts


async def conforms(web: Web, name: str, value: object) -> None:
    told = await document(web)
    schema = {"$ref": f"#/components/schemas/{name}", "components": told["components"]}
    OAS31Validator(schema).validate(value)


async def test_answers_are_what_the_document_promises(web: Web) -> None:
    opened = await web.opened()
    await conforms(web, "Ask", ask())
    await conforms(web, "Request", opened)
    await approve(web, opened["id"])
    approved = (await web.get(f"/v1/requests/{opened['id']}")).json()
    assert approved["grant"]
    assert approved["decision"]
    await conforms(web, "Request", approved)
    await conforms(web, "Problem", (await web.open(action=None)).json())
    members = set((await document(web))["components"]["schemas"]["Request"]["properties"])
    assert set(opened) == members


async def test_every_documented_call_is_there(web: Web) -> None:
    for path, operations in (await document(web))["paths"].items():
        for method in {"get", "post", "delete"} & set(operations):
            target = path.replace("{request_id}", "req_" + "0" * 26)
            answered = await web.client.call(method.upper(), target)
            assert answered.status in {200, 401}, (method, path)


async def test_the_page_needs_nothing_from_outside(web: Web) -> None:
    answered = await web.client.get("/docs")
    page = answered.body.decode()
    assert answered.status == 200
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answered.headers["content-security-policy"]
    assert "POST /v1/requests" in page
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["openapi.json"]

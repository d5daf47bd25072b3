"""The calls on grants, as a service sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from approvals.tokens import BadToken, read_token
from tests.bot.web.conftest import Web
from tests.bot.web.grant_calls import NOBODYS
from tests.bot.web.test_openapi import DOCUMENT, assert_conforms
from tests.granting import (
    ACT,
    RECEIPT,
    end,
    ended,
    expired,
    grant_path,
    granted,
    receipt,
    redeem,
    revoked,
    used,
    with_uses,
)
from tests.signing import ISSUER

Before = Callable[[Web], Awaitable[dict[str, Any]]]


async def proof_of(web: Web, token: str, audience: str = "crm") -> dict[str, Any]:
    """The claims of a token, as a verifier with the published keys reads them."""
    keys = (await web.client.get("/.well-known/jwks.json")).json()
    return read_token(token, keys, audience=audience, issuer=ISSUER, now=datetime.now(UTC))


async def test_a_redeem_answers_the_grant_as_it_is_now_and_a_token(web: Web) -> None:
    request = await granted(web)

    answered = await redeem(web, request)

    told = answered.json()
    assert answered.status == 200
    assert answered.headers["cache-control"] == "no-store"
    assert_conforms(told, DOCUMENT["components"]["schemas"]["GrantAnswer"])
    assert told["id"] == request["grant"]["id"]
    assert told["request_id"] == request["id"]
    assert (told["status"], told["uses_left"], told["receipt"]) == ("used", 0, None)
    assert told["context_ignored"] == []
    proof = await proof_of(web, told["token"])
    assert proof["rh"] == request["digest"]
    assert proof["jti"] == request["grant"]["id"]
    with pytest.raises(BadToken):
        await proof_of(web, told["token"], "billing")


async def test_the_token_names_the_entry_of_the_decision(web: Web) -> None:
    request = await granted(web)
    entries = [json.loads(text) async for text in web.placet.store.log.entries()]
    proof = await proof_of(web, request["grant"]["token"])
    deciding = next(entry for entry in entries if entry["type"] == "request.approved")
    assert proof["rcpt"] == {"entry": deciding["n"], "mac": deciding["mac"]}


@pytest.mark.parametrize("before", [used, ended, revoked, expired])
async def test_what_opens_nothing_any_more_has_no_token(web: Web, before: Before) -> None:
    request = await before(web)
    shown = (await web.get(f"/v1/requests/{request['id']}")).json()
    listed = (await web.get("/v1/requests")).json()["items"][0]
    if before is expired:  # nobody has seen it yet; the token's own end says so
        assert shown["grant"]["status"] == "active"
        return
    assert shown["grant"]["token"] is None
    assert listed["grant"]["token"] is None


async def test_the_same_nonce_answers_the_same_but_for_its_token(web: Web) -> None:
    web.placet.service.configuration = with_uses(2)
    request = await granted(web)
    first = (await redeem(web, request, "n1")).json()
    await redeem(web, request, "n2")

    again = (await redeem(web, request, "n1")).json()

    assert (first.pop("token") is None, again.pop("token") is None) == (False, False)
    assert again == first
    assert (again["status"], again["uses_left"]) == ("active", 1)


async def test_fifty_at_once_are_one_200_and_the_rest_are_told_why(web: Web) -> None:
    request = await granted(web)
    answers = await asyncio.gather(*(redeem(web, request, f"nonce {i}") for i in range(50)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 49
    refused = next(answer.json() for answer in answers if answer.status == 409)
    assert refused["type"] == "urn:placet:problem:grant-used"
    assert refused["grant"]["uses_left"] == 0
    assert "token" not in refused["grant"]


ALONE: dict[str, object] = {"action": None, "subject": None, "params": None}
BOTH: dict[str, object] = {"digest": "sha256:" + "0" * 64}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"nonce": None}, "/nonce"),
        ({"nonce": ""}, "/nonce"),
        ({"nonce": "x" * 65}, "/nonce"),
        ({"nonce": "caf\xe9"}, "/nonce"),
        ({"nonce": "a\nb"}, "/nonce"),
        ({"nonce": 7}, "/nonce"),
        ({**ALONE, "digest": "sha256:" + "0" * 63}, "/digest"),
        ({**ALONE, "digest": "0" * 64}, "/digest"),
        (BOTH, ""),
        ({**BOTH, "action": None}, ""),
        (ALONE, ""),
        ({"action": None}, ""),
        ({"params": {"amount": 2**53}}, "/params"),
        ({"params": [1]}, "/params"),
        ({"params": {str(i): i for i in range(21)}}, "/params"),
        ({"context": {"geo.country": "Germany"}}, "/context/geo.country"),
        ({"context": {"now": "2026-01-01T00:00:00Z"}}, "/context/now"),
        ({"context": []}, "/context"),
        ({"subjct": "customer:1"}, "/subjct"),
    ],
)
async def test_a_redeem_that_is_not_in_order_is_told_where(
    web: Web, changes: dict[str, object], pointer: str
) -> None:
    request = await granted(web)
    answered = await redeem(web, request, but=changes)
    told = answered.json()
    assert (answered.status, told["type"]) == (422, "urn:placet:problem:invalid-request")
    assert pointer in [each["pointer"] for each in told["errors"]]
    assert (await redeem(web, request)).status == 200


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"records": -1}, "/records"),
        ({"records": 2**53}, "/records"),
        ({"records": "7"}, "/records"),
        ({"records": True}, "/records"),
        ({"outcome": "done"}, "/outcome"),
        ({"note": "x" * 501}, "/note"),
        ({"note": "a\u202eb"}, "/note"),
        ({"nonce": "n1"}, "/nonce"),
    ],
)
async def test_a_receipt_that_is_not_in_order_is_told_where(
    web: Web, changes: dict[str, object], pointer: str
) -> None:
    request = await used(web)
    answered = await receipt(web, request, **changes)
    told = answered.json()
    assert (answered.status, told["type"]) == (422, "urn:placet:problem:invalid-request")
    assert [each["pointer"] for each in told["errors"]] == [pointer]
    assert (await receipt(web, request)).status == 200


async def test_a_wrong_outcome_is_told_which_there_are(web: Web) -> None:
    told = (await receipt(web, await used(web), outcome="done")).json()
    assert "'succeeded' or 'failed'" in told["errors"][0]["message"]


async def test_a_receipt_is_answered_and_its_words_are_not(web: Web) -> None:
    request = await used(web)
    answered = await receipt(web, request, records=3, note="Printed for Dana Weiss")
    told = answered.json()
    assert_conforms(told, DOCUMENT["components"]["schemas"]["GrantAnswer"])
    assert told["receipt"] == {
        "records": 3, "outcome": "succeeded", "at": told["receipt"]["at"],
    }  # fmt: skip
    assert b"Dana" not in answered.body
    again = await receipt(web, request, records=9)
    assert again.json()["grant"]["receipt"] == told["receipt"]


async def test_an_ended_grant_is_answered_as_ended(web: Web) -> None:
    answered = await end(web, await granted(web))
    assert (answered.status, answered.json()["status"]) == (200, "ended")
    assert answered.json()["token"] is None


@pytest.mark.parametrize(
    "grant", [NOBODYS, "grt_1", "req_" + "0" * 26, "grt_" + "0" * 25 + "a", "%2e%2e"]
)
async def test_what_is_no_grant_is_found_nowhere(web: Web, grant: str) -> None:
    for call, body in (("/redeem", {"nonce": "n1", **ACT}), ("/receipt", RECEIPT)):
        answered = await web.client.post(f"/v1/grants/{grant}{call}", body, web.auth())
        assert answered.status == 404
    assert (await web.client.call("DELETE", f"/v1/grants/{grant}", web.auth())).status == 404


async def test_another_services_grant_is_found_nowhere(web: Web) -> None:
    request = await granted(web)
    theirs = await redeem(web, request, service="billing")
    nobodys = await web.client.post(
        f"/v1/grants/{NOBODYS}/redeem", {"nonce": "n1", **ACT}, web.auth("billing")
    )
    assert (theirs.status, theirs.json()) == (404, nobodys.json())
    assert (await web.client.call("DELETE", grant_path(request), web.auth("billing"))).status == 404
    assert (await redeem(web, request)).status == 200


async def test_a_request_that_waits_has_nothing_to_redeem(web: Web) -> None:
    request = await web.opened()
    assert request["grant"] is None
    grant = request["id"].replace("req_", "grt_")
    answered = await web.client.post(
        f"/v1/grants/{grant}/redeem", {"nonce": "n1", **ACT}, web.auth()
    )
    assert answered.status == 404


async def test_calls_about_grants_are_counted_by_their_outcome(web: Web) -> None:
    request = await granted(web, record_count=1)
    await redeem(web, request)
    await redeem(web, request)
    await redeem(web, request, "n2")
    await receipt(web, request, records=2)
    await end(web, request)
    told = web.metrics.text().decode()
    for line in (
        'placet_grant_calls_total{call="redeem",outcome="done"} 1.0',
        'placet_grant_calls_total{call="redeem",outcome="repeated"} 1.0',
        'placet_grant_calls_total{call="redeem",outcome="grant_used"} 1.0',
        'placet_grant_calls_total{call="receipt",outcome="done"} 1.0',
        'placet_grant_calls_total{call="end",outcome="grant_used"} 1.0',
        'placet_receipts_wrong_total{fault="larger"} 1.0',
    ):
        assert line in told

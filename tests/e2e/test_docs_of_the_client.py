"""What `docs/for-services.md` says of the client and of redeeming is run against a real demo."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from approvals.client import ClientError, GrantRefused
from approvals.client_errors import GRANT_SLUGS, NEXT_STEPS
from approvals.signing import callback_secret, callback_signature
from bot.web.problems import KINDS, slug
from tests.approvals.test_callback_receiver import BODY
from tests.e2e.processes import Demo, demo, http
from tests.e2e.test_docs import SERVICES, block, named, rows, shell
from tests.servers.asgi_client import AsgiClient

AGENT, WHY = "okta:00u1", "Customer asks why the invoice went to an old address"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def placet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    async with demo(tmp_path_factory.mktemp("placet"), "--no-sample") as running_demo:
        yield running_demo


@pytest.fixture
def names(placet: Demo, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """The names that a block of Python defines, in the environment the page speaks of."""
    monkeypatch.setenv("PLACET_URL", placet.facts["base_url"])
    monkeypatch.setenv("PLACET_API_KEY", placet.facts["api_key"])

    def defined(holding: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        exec(block(SERVICES, "python", holding), found)
        return found

    return defined


async def decide(placet: Demo, verdict: str, *, people: int = 1) -> None:
    """The one pending request is decided by so many, as on the page."""
    facts = placet.facts
    async with http(facts) as client:
        items: list[dict[str, Any]] = []
        while not items:
            async with client.get("/v1/requests?status=pending") as reply:
                items = (await reply.json())["items"]
    path = f"/console/api/requests/{items[0]['id']}"
    for person in facts["approvers"][:people]:
        headers = {"X-Placet-Person": person}
        async with aiohttp.ClientSession(facts["base_url"], headers=headers) as client:
            for verb, body in (
                ("view", {}),
                ("review", {"decision": verdict, "reason": "Checked"}),
            ):
                async with client.post(f"{path}/{verb}", json=body) as reply:
                    assert reply.status == 200, await reply.text()


async def test_the_guard_shows_or_says_why_not(placet: Demo, names: Any) -> None:  # noqa: ANN401 - a fixture's function
    page = names("placet.guard(")

    def show() -> str:
        return str(page["show"]("48213", AGENT, WHY))

    told, _ = await asyncio.gather(asyncio.to_thread(show), decide(placet, "approve"))
    assert told == "The profile of 48213"
    told, _ = await asyncio.gather(asyncio.to_thread(show), decide(placet, "deny"))
    assert told.startswith("It stays closed. Request req_")
    page["placet"].close()


async def test_the_decorated_function_runs_after_two_approvals(placet: Demo, names: Any) -> None:  # noqa: ANN401 - as above
    page = names("requires_approval")
    told, _ = await asyncio.gather(
        page["export"]("acme", ["email"], AGENT, WHY), decide(placet, "approve", people=2)
    )
    assert told == ["acme: email"]
    await page["async_placet"].aclose()


async def test_step_by_step_it_comes_back_with_the_id(placet: Demo, names: Any) -> None:  # noqa: ANN401 - as above
    page = names("idempotency_key=")
    request_id = await asyncio.to_thread(page["ask"], "48213", AGENT, WHY, "ZD-1")
    assert await asyncio.to_thread(page["ask"], "48213", AGENT, WHY, "ZD-1") == request_id
    with pytest.raises(ClientError, match="not decided in time"):
        await asyncio.to_thread(page["act"], request_id, "48213")
    await decide(placet, "approve")
    with pytest.raises(GrantRefused, match="digest-mismatch"):
        await asyncio.to_thread(page["act"], request_id, "48214")
    assert await asyncio.to_thread(page["act"], request_id, "48213") == "The profile of 48213"
    page["client"].close()


async def test_its_receiver_takes_what_is_signed(names: Any) -> None:  # noqa: ANN401 - as above
    page = names("verify_callback(")
    client, now = AsgiClient(page["app"]), int(time.time())
    signature = callback_signature([callback_secret(page["SECRETS"][0])], "evt_1", now, BODY)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }
    assert (await client.call("POST", "/placet", headers, BODY)).status == 204
    assert (await client.call("POST", "/placet", headers, BODY + b" ")).status == 401


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_its_calls_redeem_and_account_for_it(
    placet: Demo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asks = {
        "action": "customer.view",
        "requester": {"id": AGENT},
        "subject": "customer:48213",
        "justification": WHY,
    }
    async with http(placet.facts) as client:
        async with client.post("/v1/requests", json=asks) as reply:
            path = f"/v1/requests/{(await reply.json())['id']}"
        await decide(placet, "approve")
        async with client.get(path) as reply:
            grant = (await reply.json())["grant"]["id"]
    calls = block(SERVICES, "sh", "# redeem, account for it").replace("}'\ncurl", "}'\necho\ncurl")
    told = await shell(
        calls,
        tmp_path_factory.mktemp("curl"),
        PLACET_URL=placet.facts["base_url"],
        PLACET_API_KEY=placet.facts["api_key"],
        GRANT=grant,
    )
    redeemed, accounted = map(json.loads, told.splitlines())
    assert (redeemed["id"], redeemed["status"], redeemed["uses_left"]) == (grant, "used", 0)
    assert accounted["receipt"]["records"] == 1


async def test_every_refusal_of_redeem_is_told_with_its_status() -> None:
    table = {
        (cells[0], told)
        for cells in rows(SERVICES, "refused with | `type` ends in")
        for told in named(cells[1])
    }
    known = {(str(kind.status), slug(error.code)) for error, kind in KINDS.items()}
    assert table <= known
    assert {told for _, told in table} == GRANT_SLUGS | {"not-found"}


async def test_the_client_has_a_next_step_for_every_problem_of_the_page() -> None:
    told = {named(cells[1])[0] for cells in rows(SERVICES, "status | `type` ends in")}
    of_the_protocol = {
        *("malformed-request", "method-not-allowed", "request-timeout"),
        "request-header-fields-too-large",
    }
    assert told - of_the_protocol <= set(NEXT_STEPS)

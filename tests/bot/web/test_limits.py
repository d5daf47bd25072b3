"""What a service is told of its limits: on every answer to a POST, and when one is reached."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

from approvals.quota import Quota
from bot.web.quotas import quota_headers
from tests.bot.web.conftest import Web
from tests.limiting import limited
from tests.servers.asgi_client import Answered

KEY = {"Idempotency-Key": "order-4711"}


def told(answered: Answered) -> tuple[str, str]:
    return answered.headers["ratelimit-policy"], answered.headers["ratelimit"]


def figure(web: Web, name: str, **labels: str) -> float:
    return web.metrics.registry.get_sample_value(f"placet_{name}_total", labels) or 0


def test_the_headers_are_lists_of_structured_fields() -> None:
    minute = timedelta(minutes=1)
    quotas = (
        Quota("service", 600, minute, 599, timedelta(milliseconds=100)),
        Quota("requester", 60, minute, 0, timedelta(milliseconds=59_001)),
    )
    assert quota_headers(quotas) == {
        "RateLimit-Policy": '"service";q=600;w=60, "requester";q=60;w=60',
        "RateLimit": '"service";r=599;t=1, "requester";r=0;t=60',
    }
    assert quota_headers(()) == {}


async def test_each_answer_to_a_post_tells_what_is_left(web: Web) -> None:
    web.placet.service.configuration = limited("{per_minute: 4, per_requester: 2}")
    policy = '"service";q=4;w=60, "requester";q=2;w=60'
    answers = [await web.open_with(KEY), await web.open_with(KEY), await web.open()]
    assert [answered.status for answered in answers] == [201, 200, 201]
    assert {told(answered)[0] for answered in answers} == {policy}
    assert [left(answered) for answered in answers] == [(3, 1), (2, 1), (1, 0)]


def left(answered: Answered) -> tuple[int, int]:
    form = r'"service";r=(\d+);t=\d+, "requester";r=(\d+);t=\d+'
    found = re.fullmatch(form, answered.headers["ratelimit"])
    assert found
    return int(found[1]), int(found[2])


async def test_without_an_entry_the_limits_of_the_contract_hold(web: Web) -> None:
    web.placet.service.configuration = limited("{}")
    assert told(await web.open())[0] == '"service";q=600;w=60, "requester";q=60;w=60'


async def test_beyond_the_service_s_minute_even_repeats_are_refused(web: Web) -> None:
    # So few for a requester that none comes back while the test runs.
    web.placet.service.configuration = limited("{per_minute: 2, per_requester: 2}")
    await web.open_with(KEY)
    await web.open_with(KEY)
    refused = await web.open_with(KEY)
    assert refused.status == 429
    problem = refused.json()
    seconds = refused.headers["retry-after"]
    assert 1 <= int(seconds) <= 30
    assert problem["type"] == "urn:placet:problem:rate-limited"
    assert problem["detail"] == (
        f"At most 2 requests of this service are taken in a minute. Try again in {seconds} s."
    )
    assert (problem["limit"], problem["most"]) == ("per_minute", 2)
    assert left(refused) == (0, 1)
    assert figure(web, "throttled", limit="per_minute") == 1
    assert figure(web, "requests", service="crm", outcome="refused") == 1


async def test_beyond_a_requester_s_minute_others_and_repeats_go_on(web: Web) -> None:
    web.placet.service.configuration = limited("{per_requester: 1}")
    await web.open_with(KEY)
    before = sorted(await web.keys())
    refused = await web.open(subject="customer:2")
    assert refused.status == 429
    assert refused.json()["limit"] == "per_requester"
    assert sorted(await web.keys()) == before
    assert (await web.open_with(KEY)).status == 200
    assert (await web.open(requester={"id": "okta:anna"}, action="report.read")).status == 201
    assert (await web.open_with(web.auth("billing"))).status == 201


async def test_reading_and_cancelling_cost_nothing(web: Web) -> None:
    web.placet.service.configuration = limited("{per_minute: 1}")
    target = f"/v1/requests/{(await web.opened())['id']}"
    for _ in range(5):
        assert (await web.get(target)).status == 200
        assert (await web.get("/v1/requests")).status == 200
    assert (await web.client.call("DELETE", target, web.auth())).status == 200


async def test_what_is_refused_for_another_reason_costs_as_much(web: Web) -> None:
    web.placet.service.configuration = limited("{per_requester: 1}")
    assert (await web.open(action="no.such")).status == 422
    assert (await web.open()).status == 429


async def test_of_many_at_once_exactly_as_many_are_opened_as_may_be(web: Web) -> None:
    web.placet.service.configuration = limited("{per_requester: 3}")
    answers = await asyncio.gather(*(web.open(subject=f"customer:{n}") for n in range(20)))
    assert sorted(answered.status for answered in answers) == [201] * 3 + [429] * 17
    listed = (await web.get("/v1/requests")).json()
    assert len(listed["items"]) == 3

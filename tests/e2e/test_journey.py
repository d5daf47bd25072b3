"""The main job on real processes: a request in, a person's decision, a signed callback out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import command, demo, http
from tests.servers.callback_receiver import callback_receiver

JUSTIFICATION = "Customer asked for a copy of their data, ticket ZD-48213"


def a_request(facts: Mapping[str, Any], action: str, **more: object) -> dict[str, object]:
    requester = {"id": facts["requesters"][0]}
    return {"action": action, "requester": requester, "justification": JUSTIFICATION, **more}


async def test_a_request_is_approved_from_a_second_terminal_and_called_back(
    tmp_path: Path,
) -> None:
    async with (
        demo(tmp_path, "--no-sample") as placet,
        callback_receiver() as crm,
        http(placet.facts) as client,
    ):
        url = f"{crm.origin}/outcome"
        body = a_request(placet.facts, placet.facts["actions"][0], callback_url=url)
        async with client.post("/v1/requests", json=body) as reply:
            assert reply.status == 201
            opened = await reply.json()
        assert opened["status"] == "pending"

        pending = await command(tmp_path, "pending")
        assert opened["id"] in pending.out

        person = placet.facts["approvers"][0]
        words = ("--as", person, "--reason", "Ticket checked", "--yes")
        approved = await command(tmp_path, "approve", opened["id"], *words)
        assert approved.code == 0, approved.err
        assert JUSTIFICATION in approved.out

        await crm.got(1)
        event = crm.deliveries[0].verified(placet.facts["callback_secret"])
        assert event["type"] == "request.approved"
        assert event["data"]["id"] == opened["id"]
        assert event["data"]["decision"]["by"] == [{"person": person, "via": "cli"}]
        async with client.get(f"/v1/requests/{opened['id']}") as reply:
            assert (await reply.json())["grant"]["status"] == "active"
        assert "Nothing waits" in (await command(tmp_path, "pending")).out


async def test_what_leaves_the_system_needs_two_people_and_one_deny_ends_it(
    tmp_path: Path,
) -> None:
    async with (
        demo(tmp_path, "--no-sample") as placet,
        callback_receiver() as crm,
        http(placet.facts) as client,
    ):
        url = f"{crm.origin}/outcome"
        first, second, *_ = placet.facts["approvers"]
        ids = []
        for action in placet.facts["actions"][1:]:
            body = a_request(placet.facts, action, callback_url=url)
            async with client.post("/v1/requests", json=body) as reply:
                ids.append((await reply.json())["id"])
        for person in (first, second):
            words = ("--as", person, "--reason", "Ticket checked", "--yes")
            assert (await command(tmp_path, "approve", ids[0], *words)).code == 0
        words = ("--as", second, "--reason", "No contract with them", "--yes")
        assert (await command(tmp_path, "deny", ids[1], *words)).code == 0
        await crm.got(2)
        secret = placet.facts["callback_secret"]
        told = {
            event["data"]["id"]: event for event in (d.verified(secret) for d in crm.deliveries)
        }
        assert [told[each]["type"] for each in ids] == ["request.approved", "request.denied"]
        assert told[ids[1]]["data"]["decision"]["reason"] == "denied_by_approver"
        late = await command(tmp_path, "approve", ids[1], *words)
        assert late.code == 1
        assert "already denied by" in late.err


async def test_a_request_that_nobody_decides_expires_on_time(tmp_path: Path) -> None:
    async with (
        demo(tmp_path, "--no-sample") as placet,
        callback_receiver() as crm,
        http(placet.facts) as client,
    ):
        body = a_request(
            placet.facts, "customer.view", expires_in=1, callback_url=f"{crm.origin}/outcome"
        )
        async with client.post("/v1/requests", json=body) as reply:
            opened = await reply.json()
        async with client.get(f"/v1/requests/{opened['id']}", params={"wait": 20}) as reply:
            waited = await reply.json()
        assert waited["status"] == "expired"
        await crm.got(1)
        event = crm.deliveries[0].verified(placet.facts["callback_secret"])
        assert event["type"] == "request.expired"
        assert event["data"]["decision"]["reason"] == "no_decision"


@pytest.mark.parametrize(
    "words", [("pending",), ("show", "req_" + "0" * 26), ("callbacks", "list")]
)
async def test_without_a_running_placet_a_command_says_how_to_start_one(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = await command(tmp_path, *words)
    assert (result.code, result.out) == (3, "")
    assert "placet demo" in result.err
    assert not (tmp_path / "data").exists()

"""P10: each state change has its audit entry, numbered and with a MAC (sealing comes later)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from approvals.errors import ActionNotAllowed, Refusal
from approvals.model import PersonId
from approvals.store.log import is_genuine
from tests.conftest import ANNA, BILLING, CLEO, CLI, CRM, JONAS, SECRETS, Placet
from tests.stories.telling import (
    asks,
    history,
    looks_and_votes,
    passes,
    stored_keys,
    time_works,
    told,
)


async def test_the_journey_of_a_request_is_written_down_without_a_gap(placet: Placet) -> None:
    request = await asks(placet, action="users.export", params={"format": "csv"})
    await looks_and_votes(placet, ANNA, request.id)
    await looks_and_votes(placet, CLEO, request.id)

    entries = await history(placet, request.id)

    assert [entry["type"] for entry in entries] == [
        "request.opened",
        "request.viewed",
        "request.reviewed",
        "request.viewed",
        "request.reviewed",
        "request.approved",
    ]
    assert [entry["n"] for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry["version"] for entry in entries] == [1, 2, 3, 4, 5, 5]


async def test_every_way_to_end_has_its_entry(placet: Placet) -> None:
    cancelled = await asks(placet)
    await placet.service.cancel_by_service(CRM, cancelled.id)
    denied = await asks(placet)
    await looks_and_votes(placet, ANNA, denied.id, "deny", "No")
    expired = await asks(placet)
    await passes(placet, expired, timedelta(0))
    await time_works(placet)

    last = [(await history(placet, r.id))[-1]["type"] for r in (cancelled, denied, expired)]

    assert last == ["request.cancelled", "request.denied", "request.expired"]


async def test_each_entry_carries_a_mac_that_a_changed_byte_breaks(placet: Placet) -> None:
    request = await asks(placet)
    await looks_and_votes(placet, ANNA, request.id)

    async for text in placet.store.log.entries():
        assert is_genuine(SECRETS.audit, text)
        assert not is_genuine(b"another key", text)
        assert not is_genuine(SECRETS.audit, text.replace(b"request.", b"Request.", 1))


async def test_the_callback_carries_the_deciding_entrys_receipt(placet: Placet) -> None:
    request = await asks(placet)
    await looks_and_votes(placet, ANNA, request.id)

    (callback,) = await told(placet, request.id)
    entry = (await history(placet, request.id))[-1]

    assert callback["receipt"] == {"entry": entry["n"], "mac": entry["mac"]}


async def test_no_entry_holds_words_subject_or_params(placet: Placet) -> None:
    request = await asks(placet)
    await looks_and_votes(placet, ANNA, request.id, "deny", "Dana is on holiday")

    log = b"".join([text async for text in placet.store.log.entries()])

    for secret in (b"Dana", b"dana", b"48213", b"copy of their data", b"ZD-"):
        assert secret not in log


async def test_the_entry_of_a_vote_says_who_by_which_way_and_from_where(placet: Placet) -> None:
    request = await asks(placet)
    await looks_and_votes(placet, ANNA, request.id)

    vote = next(e for e in await history(placet, request.id) if e["type"] == "request.reviewed")

    data = vote["data"]
    assert isinstance(data, dict)
    assert data["person"] == ANNA
    assert data["origin"] == CLI.model_dump()


async def test_a_second_look_is_written_down_too(placet: Placet) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)
    await placet.service.view(request.id, ANNA, CLI)

    views = [e for e in await history(placet, request.id) if e["type"] == "request.viewed"]

    assert len(views) == 2
    shown = {view["data"]["shown"] for view in views if isinstance(view["data"], dict)}
    assert len(shown) == 1


@pytest.mark.parametrize("name", ["okta:00u1", "Jonas Berg"])
async def test_no_key_name_holds_what_a_person_is_called(placet: Placet, name: str) -> None:
    await asks(placet)

    assert not [key for key in await stored_keys(placet) if name in key]


async def test_a_refused_right_is_written_down(placet: Placet) -> None:
    request = await asks(placet)
    for person in (JONAS, PersonId("nobody")):
        with pytest.raises(Refusal):
            await placet.service.review(request.id, person, CLI, "approve")
    await placet.store.system.close()

    first, second = await noted(placet)

    assert (first["type"], first["n"], second["n"]) == ("right.refused", 1, 2)
    assert first["data"] == {
        "actor": "jonas",
        "code": "own_request",
        "wanted": "approve",
        "request": request.id,
        "origin": CLI.model_dump(),
    }
    assert second["data"] == first["data"] | {"actor": "unknown", "code": "not_allowed"}


async def test_a_flood_of_refusals_is_counted_after_ten(placet: Placet) -> None:
    request = await asks(placet)
    for _ in range(25):
        with pytest.raises(Refusal):
            await placet.service.view(request.id, JONAS, CLI)
    await placet.store.system.close()

    entries = await noted(placet)

    assert len(entries) == 11
    assert entries[-1]["type"] == "right.refused_more"
    assert entries[-1]["data"] == {"actor": "jonas", "count": 15}


async def noted(placet: Placet) -> list[dict[str, Any]]:
    texts = [json.loads(text) async for text in placet.store.log.entries()]
    return [entry for entry in texts if entry["record"] == "system"]


async def test_a_service_that_asks_what_it_may_not_is_written_down(placet: Placet) -> None:
    with pytest.raises(ActionNotAllowed):
        await asks(placet, caller=BILLING, action="users.export", params=None)
    await placet.store.system.close()

    (entry,) = await noted(placet)

    assert entry["data"] == {"actor": "billing", "code": "action_not_allowed", "wanted": "open"}

"""Callbacks on their way, dead letters, and an admin who sends them again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from approvals.events import CallbackAttempted
from approvals.model import EventId
from approvals.store.outbox import Outcome
from tests.bot.cli.conftest import Office, encrypted

AS_BEN = ("--as", "ben", "--reason", "The receiver is back")


async def a_callback(office: Office) -> EventId:
    """The callback of a request that a rule approved."""
    request = await office.ask(
        action="report.read", callback_url="http://127.0.0.1:9/placet?token=hush"
    )
    return EventId(f"evt_{request}_1")


async def a_dead_letter(office: Office) -> EventId:
    event = await a_callback(office)
    claim = await office.store.callbacks.claim(10)
    assert event in claim.members
    callback = await office.store.outbox.callback(event)
    attempted = CallbackAttempted(type="callback.dead", attempt=15, kind="connect")
    await office.store.outbox.record_attempt(
        callback, claim.lease_end, Outcome("dead", attempted, "dead")
    )
    return event


async def test_nothing_on_its_way_is_said_in_words(office: Office) -> None:
    result = await office.shell("callbacks", "list")
    assert result.out == "No callback is on its way or dead.\n"


async def test_the_list_names_receiver_and_state_without_path_or_query(office: Office) -> None:
    event = await a_callback(office)
    result = await office.shell("callbacks", "list")
    _, row = result.out.splitlines()
    assert row.split()[:6] == [
        event,
        "request.approved",
        "crm",
        "queued",
        "0",
        "http://127.0.0.1:9",
    ]
    assert "hush" not in result.out


async def test_dead_letters_can_be_listed_alone(office: Office) -> None:
    dead = await a_dead_letter(office)
    queued = await a_callback(office)
    every = await office.shell("callbacks", "list", "--json")
    assert [item["id"] for item in every.data["items"]] == [dead, queued]
    only = await office.shell("callbacks", "list", "--dead", "--json")
    assert [item["id"] for item in only.data["items"]] == [dead]
    assert only.data["items"][0]["status"] == "dead"


async def test_an_admin_sends_one_again(office: Office) -> None:
    event = await a_dead_letter(office)
    result = await office.shell("callbacks", "replay", event, *AS_BEN)
    assert (result.code, result.out) == (0, f"{event} is sent again.\n")
    again = await office.store.outbox.callback(event)
    assert (again.status, again.attempts) == ("queued", 0)
    assert event in (await office.store.callbacks.claim(10)).members
    (entry,) = [e for e in await office.entries() if e["type"] == "callback.replayed"]
    assert entry["data"]["person"] == "ben"


async def test_every_dead_letter_since_a_time_is_sent_again(office: Office) -> None:
    first, second = await a_dead_letter(office), await a_dead_letter(office)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    none = await office.shell("callbacks", "replay", "--since", later, *AS_BEN)
    assert none.out == "No dead letter was given up since then.\n"
    result = await office.shell("callbacks", "replay", "--since", "2h", *AS_BEN, "--json")
    assert result.data == {"replayed": [first, second]}
    assert await office.store.outbox.dead() == []


async def test_the_longest_time_ago_is_no_mistake(office: Office) -> None:
    event = await a_dead_letter(office)
    longest = "0001-01-01T00:00:00+23:59"
    result = await office.shell("callbacks", "replay", "--since", longest, *AS_BEN, "--json")
    assert result.data == {"replayed": [event]}


async def test_a_letter_is_found_by_when_it_was_given_up_however_old_it_is(office: Office) -> None:
    event = await a_dead_letter(office)
    made = datetime.now(UTC) - timedelta(hours=44)
    record = office.store.keys.callback(event)
    await office.store.pipeline.run("HSET", record, "at", int(made.timestamp() * 1000))
    result = await office.shell("callbacks", "replay", "--since", "2h", *AS_BEN, "--json")
    assert result.data == {"replayed": [event]}


async def test_why_it_was_sent_again_is_kept_and_in_no_entry(office: Office) -> None:
    event = await a_dead_letter(office)
    await office.shell("callbacks", "replay", event, *AS_BEN)
    record = office.store.keys.callback(event)
    kept = await office.store.pipeline.run("HGET", record, "replayed_because")
    assert office.store.subject_keys.read_own(encrypted(kept)) == "The receiver is back"
    assert "The receiver is back" not in str(await office.entries())


async def damaged_body(office: Office, record: str) -> None:
    await office.store.pipeline.run("HDEL", record, "body")


async def damaged_count(office: Office, record: str) -> None:
    await office.store.pipeline.run("HSET", record, "attempts", "x")


async def another_kind(office: Office, record: str) -> None:
    await office.store.pipeline.run("DEL", record)
    await office.store.pipeline.run("SET", record, "text")


@pytest.mark.parametrize("damage", [damaged_body, damaged_count, another_kind])
async def test_a_damaged_letter_hides_no_other(
    office: Office, damage: Callable[[Office, str], Awaitable[None]]
) -> None:
    damaged, sound = await a_dead_letter(office), await a_dead_letter(office)
    await damage(office, office.store.keys.callback(damaged))
    listed = await office.shell("callbacks", "list", "--dead", "--json")
    assert [item["id"] for item in listed.data["items"]] == [sound]
    result = await office.shell("callbacks", "replay", "--since", "2h", *AS_BEN, "--json")
    assert (result.code, result.data) == (0, {"replayed": [sound]})


async def test_nobody_but_an_admin_replays(office: Office) -> None:
    event = await a_dead_letter(office)
    words = ("--as", "anna", "--reason", "I would like to")
    result = await office.shell("callbacks", "replay", event, *words, "--json")
    assert (result.code, result.data["error"]) == (1, "not_allowed")
    (entry,) = [e for e in await office.entries() if e["type"] == "right.refused"]
    assert (entry["data"]["actor"], entry["data"]["wanted"]) == ("anna", "replay callback")
    assert await office.store.outbox.dead() == [event]
    stranger = ("--as", "nobody", "--reason", "I would like to")
    unknown = await office.shell("callbacks", "replay", event, *stranger)
    assert (unknown.code, unknown.err) == (1, "No such person in people.yaml.\n")


@pytest.mark.parametrize("words", [(), ("evt_1", "--since", "2h")])
async def test_one_or_since_must_be_named(office: Office, words: tuple[str, ...]) -> None:
    result = await office.shell("callbacks", "replay", *words, *AS_BEN)
    assert result.code == 2
    assert "--since" in result.err


async def test_an_unknown_callback_is_refused(office: Office) -> None:
    unknown = f"evt_req_{'0' * 26}_1"
    result = await office.shell("callbacks", "replay", unknown, *AS_BEN)
    assert (result.code, result.err) == (1, "There is no callback with this id.\n")


@pytest.mark.parametrize(
    "when", ["yesterday", "2026-11-23T14:00:00", "2w", "999999999d", "9" * 30 + "d"]
)
async def test_a_time_that_cannot_be_read_is_wrong_usage(
    office: Office, when: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        await office.shell("callbacks", "replay", "--since", when, *AS_BEN)
    assert "write 30m, 2h or 7d" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["evt_\udcff", "evt_1", "req_" + "0" * 26])
async def test_what_cannot_be_an_id_never_reaches_the_store(office: Office, text: str) -> None:
    result = await office.shell("callbacks", "replay", text, *AS_BEN)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("That is no callback's ID")

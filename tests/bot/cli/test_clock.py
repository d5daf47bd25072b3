"""`placet clock reset`: an admin's act, on record."""

from __future__ import annotations

from tests.bot.cli.conftest import Office, encrypted


async def test_an_admin_lets_the_time_follow_the_clock(office: Office) -> None:
    await office.ask()
    result = await office.shell("clock", "reset", "--as", "ben", "--reason", "The clock is right")
    assert (result.code, result.err) == (0, "")
    assert "follows its clock again" in result.out
    assert any(entry["data"].get("person") == "ben" for entry in await office.entries())


async def test_why_it_was_reset_is_kept_beside_its_entry_and_not_in_it(office: Office) -> None:
    await office.ask()
    await office.shell("clock", "reset", "--as", "ben", "--reason", "The clock is right")
    (entry,) = [each for each in await office.entries() if each["type"] == "clock.reset"]
    field = f"words:{entry['n']}"
    kept = await office.store.pipeline.run("HGET", office.store.keys.system, field)
    assert office.store.subject_keys.read_own(encrypted(kept)) == "The clock is right"
    assert "The clock is right" not in str(entry)


async def test_a_reason_that_cannot_be_kept_stops_the_command(office: Office) -> None:
    result = await office.shell("clock", "reset", "--as", "ben", "--reason", "x" * 501)
    assert (result.code, result.out) == (2, "")
    assert "--reason" in result.err


async def test_others_may_not(office: Office) -> None:
    words = ("--as", "anna", "--reason", "Let me", "--json")
    result = await office.shell("clock", "reset", *words)
    assert (result.code, result.data["error"]) == (1, "not_allowed")

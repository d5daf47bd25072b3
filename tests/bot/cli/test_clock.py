"""`placet clock reset`: an admin's act, on record."""

from __future__ import annotations

from tests.bot.cli.conftest import Office


async def test_an_admin_lets_the_time_follow_the_clock(office: Office) -> None:
    await office.ask()
    result = await office.shell("clock", "reset", "--as", "ben", "--reason", "The clock is right")
    assert (result.code, result.err) == (0, "")
    assert "follows its clock again" in result.out
    assert any(entry["data"].get("person") == "ben" for entry in await office.entries())


async def test_others_may_not(office: Office) -> None:
    words = ("--as", "anna", "--reason", "Let me", "--json")
    result = await office.shell("clock", "reset", *words)
    assert (result.code, result.data["error"]) == (1, "not_allowed")

"""`placet erase`: who may, what is told, and what is asked first."""

from __future__ import annotations

from tests.bot.cli.conftest import Office

AS_BEN = ("--as", "ben", "--reason", "Asked to be forgotten, DSR-17")


async def test_an_admin_forgets_a_subject_and_is_told_what_remains(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("erase", "customer:48213", *AS_BEN)
    assert (result.code, result.err) == (0, "")
    told = " ".join(result.out.split())
    assert "Forgotten: nobody's words in 1 request can be read any more." in told
    assert "1 pending request was cancelled; the service is told." in told
    for remains in ("keyed hashes", "Backups", "Chat:", "services themselves"):
        assert remains in told
    after = await office.request(request)
    assert (after.status, after.erased_at is not None) == ("cancelled", True)
    shown = await office.shell("show", request, "--as", "anna")
    assert "nobody's words are kept" in shown.out
    assert "a copy of their data" not in shown.out


async def test_the_second_time_there_is_nothing_left(office: Office) -> None:
    await office.ask()
    await office.shell("erase", "customer:48213", *AS_BEN)
    result = await office.shell("erase", "customer:48213", *AS_BEN, "--json")
    assert result.code == 0
    assert (result.data["requests"], result.data["erased_before"]) == (0, 1)
    assert len(result.data["remains"]) == 4


async def test_a_subject_is_spelled_like_the_service_s_own(office: Office) -> None:
    await office.ask(subject="customer:\uff14\uff12")
    result = await office.shell("erase", " customer:42 ", *AS_BEN, "--json")
    assert (result.code, result.data["cancelled"]) == (0, 1)


async def test_a_request_about_no_subject_goes_by_its_id(office: Office) -> None:
    request = await office.ask(subject=None)
    result = await office.shell("erase", request, *AS_BEN, "--json")
    assert (result.code, result.data["requests"]) == (0, 1)


async def test_a_request_about_a_subject_does_not(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("erase", request, *AS_BEN, "--json")
    assert (result.code, result.data["error"]) == (1, "has_subject")
    assert (await office.request(request)).status == "pending"


async def test_whom_nobody_asked_about_is_told_so(office: Office) -> None:
    result = await office.shell("erase", "customer:1", *AS_BEN, "--json")
    assert (result.code, result.data["error"]) == (1, "not_found")


async def test_others_than_admins_may_not(office: Office) -> None:
    request = await office.ask()
    words = ("--as", "anna", "--reason", "Let me", "--json")
    result = await office.shell("erase", "customer:48213", *words)
    assert (result.code, result.data["error"]) == (1, "not_allowed")
    assert (await office.request(request)).status == "pending"
    (entry,) = [each for each in await office.entries() if each["type"] == "right.refused"]
    assert entry["data"]["wanted"] == "erase"


async def test_on_a_terminal_it_asks_once(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("erase", "customer:48213", *AS_BEN, types="no\n")
    assert result.code == 1
    assert result.err.endswith("[y/N] Nothing was erased.\n")
    assert (await office.request(request)).status == "pending"
    assert (await office.shell("erase", "customer:48213", *AS_BEN, types="yes\n")).code == 0
    assert (await office.request(request)).status == "cancelled"


async def test_what_cannot_be_a_subject_is_refused(office: Office) -> None:
    for subject in ("", "  ", "x" * 201, "a\u200bb"):
        result = await office.shell("erase", subject, *AS_BEN)
        assert (result.code, "SUBJECT" in result.err) == (2, True)


async def test_a_secret_in_the_reason_stops_it(office: Office) -> None:
    request = await office.ask()
    words = ("--as", "ben", "--reason", "The key is AKIAQWERTYUIOPASDFGH")
    result = await office.shell("erase", "customer:48213", *words)
    assert (result.code, "AKIA" in result.err + result.out) == (2, False)
    assert (await office.request(request)).status == "pending"

"""Deciding without chat: what each command shows, asks, refuses and leaves on record."""

from __future__ import annotations

import asyncio
import io
import os
import pwd
import socket

import pytest

from approvals.lifecycle import open_request
from approvals.model import RequestId
from bot.cli.wording import time_left
from tests.approvals.samples import in_stages, opening, policy
from tests.bot.cli.conftest import Answer, Office

AS_ANNA = ("--as", "anna", "--reason", "Ticket checked")
AS_BEN = ("--as", "ben", "--reason", "Ticket checked")
WORDS = "Customer asked for a copy of their data, ticket ZD-48213"


async def test_nothing_pending_is_said_in_words(office: Office) -> None:
    result = await office.shell("pending")
    assert (result.code, result.out) == (0, "Nothing waits for a decision.\n")


async def test_pending_lists_the_next_to_expire_first(office: Office) -> None:
    late = await office.ask(action="users.export", expires_in=1800)
    soon = await office.ask(expires_in=600)
    result = await office.shell("pending")
    heads, first, second = result.out.splitlines()
    assert heads.split() == ["ID", "ACTION", "SERVICE", "REQUESTER", "APPROVALS", "TIME", "LEFT"]
    assert first.startswith(soon)
    assert "Open one customer profile" in first
    assert "Jonas Berg (okta:00u1)" in first
    assert "0/1" in first
    assert "in 9m " in first
    assert second.startswith(late)
    assert "0/2" in second


async def test_pending_for_machines_holds_card_facts_alone(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("pending", "--json")
    (item,) = result.data["items"]
    assert item["id"] == request
    assert item["title"] == "Open one customer profile"
    assert item["approvals"] == {"needed": 1, "given": 0}
    assert WORDS not in result.out
    assert "salt" not in item


@pytest.mark.parametrize("words", [("show",), ("show", "--json")])
async def test_show_without_a_person_tells_card_facts_and_leaves_no_trace(
    office: Office, words: tuple[str, ...]
) -> None:
    request = await office.ask()
    result = await office.shell(*words, request)
    assert result.code == 0
    assert request in result.out
    for private in (WORDS, "customer:48213", "email", "p_"):
        assert private not in result.out
    assert (await office.request(request)).views == ()


async def test_show_as_an_approver_tells_everything_masked_and_records_it(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("show", request, "--as", "anna")
    assert result.code == 0
    assert WORDS in result.out
    assert "email: d***@e***.com" in result.out
    assert "customer:48213" not in result.out
    (view,) = (await office.request(request)).views
    assert (view.person, view.via) == ("anna", "cli")


@pytest.mark.parametrize("person", ["", " "])
async def test_an_empty_person_is_no_wish_for_the_unrecorded_card(
    office: Office, person: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        await office.shell("show", "req_" + "0" * 26, "--as", person)
    assert "--as: must not be empty" in capfd.readouterr().err


async def test_show_as_an_auditor_for_machines(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("show", request, "--as", "olga", "--json")
    assert result.data["justification"] == WORDS
    assert result.data["fields"] == [
        {"name": "email", "show": "mask_email", "value": "d***@e***.com"}
    ]


@pytest.mark.parametrize(
    ("person", "code"),
    [("cleo", "not_approver"), ("jonas", "own_request"), ("nobody", "not_allowed")],
)
async def test_show_refuses_whoever_has_no_right_to_the_full_view(
    office: Office, person: str, code: str
) -> None:
    request = await office.ask()
    result = await office.shell("show", request, "--as", person, "--json")
    assert result.code == 1
    assert result.data["error"] == code
    assert result.data["detail"] == result.err.strip()
    assert (await office.request(request)).views == ()


async def test_an_unknown_id_is_refused_in_one_sentence(office: Office) -> None:
    result = await office.shell("show", "req_" + "0" * 26)
    assert (result.code, result.out, result.err) == (1, "", "There is no such request.\n")


@pytest.mark.parametrize("text", ["req_\udcff", "req_", "req_" + "0" * 25 + "\n", "evt_1", ""])
async def test_what_cannot_be_an_id_never_reaches_the_store(office: Office, text: str) -> None:
    for words in (("show",), ("approve", *AS_ANNA, "--yes"), ("deny", *AS_ANNA, "--yes")):
        command, *options = words
        result = await office.shell(command, text, *options)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("That is no request's ID")
    assert (await office.shell("cancel", text, *AS_ANNA)).code == 2


async def test_approve_shows_asks_and_approves(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("approve", request, *AS_ANNA, types="y\n")
    assert result.code == 0
    assert WORDS in result.out
    assert "Approve? [y/N]" in result.err
    assert "The request is approved by Anna Ek (anna)" in result.out
    after = await office.request(request)
    assert after.status == "approved"
    words = await office.reading(after)
    assert words.reviewed("anna") == "Ticket checked"


async def test_who_is_asked_sees_the_view_wherever_the_output_goes(office: Office) -> None:
    request = await office.ask()
    file, given = io.StringIO(), Answer("y\n")
    words = ("approve", request, *AS_ANNA)
    result = await asyncio.to_thread(office.shell.onto, file, *words, given=given)
    assert result.code == 0
    assert WORDS in result.err
    assert WORDS not in result.out
    assert "approved by Anna Ek (anna)" in result.out


class Interrupted(Answer):
    """Somebody presses Ctrl-C at the question."""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]  # bases disagree
        raise KeyboardInterrupt


async def test_ctrl_c_at_the_question_is_told_what_it_meant(office: Office) -> None:
    request = await office.ask()
    words = ("approve", request, *AS_ANNA)
    result = await asyncio.to_thread(office.shell.onto, Answer(), *words, given=Interrupted())
    assert (result.code, result.err) == (130, "Approve? [y/N] \nNothing was decided.\n")
    assert (await office.request(request)).status == "pending"


async def test_the_entry_records_person_user_host_and_way(office: Office) -> None:
    request = await office.ask()
    await office.shell("approve", request, *AS_ANNA, "--yes", LOGNAME="somebody-else")
    (review,) = [e for e in await office.entries() if e["type"] == "request.reviewed"]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert review["data"]["person"] == "anna"
    assert review["data"]["origin"] == {
        "via": "cli",
        "os_user": user,
        "host": socket.gethostname(),
    }


@pytest.mark.parametrize("types", ["n\n", "\n", "", "yep\n"])
async def test_anything_but_yes_decides_nothing_yet_the_view_is_recorded(
    office: Office, types: str
) -> None:
    request = await office.ask()
    result = await office.shell("approve", request, *AS_ANNA, types=types)
    assert result.code == 1
    assert result.err.endswith("Nothing was decided.\n")
    after = await office.request(request)
    assert (after.status, len(after.views)) == ("pending", 1)


async def test_without_a_terminal_the_question_must_be_waived(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("approve", request, *AS_ANNA)
    assert result.code == 2
    assert "--yes" in result.err
    assert (await office.request(request)).views == ()


async def test_the_first_of_two_approvals_says_what_is_missing(office: Office) -> None:
    request = await office.ask(action="users.export")
    first = await office.shell("approve", request, *AS_ANNA, "--yes")
    assert "Your approval counts: 1/2. One more approver is needed." in first.out
    again = await office.shell("approve", request, *AS_ANNA, "--yes", "--json")
    assert (again.code, again.data["error"]) == (1, "already_reviewed")
    shown = await office.shell("show", request)
    assert "1 of 2 (Anna Ek (anna))" in shown.out
    second = await office.shell("approve", request, *AS_BEN, "--yes")
    assert "approved by Anna Ek (anna) and Ben Okafor (ben)" in second.out
    assert "Its grant may be used until" in second.out


async def test_who_is_not_asked_yet_is_told_who_is_and_may_deny(office: Office) -> None:
    now = await office.store.records.now()
    stages = in_stages((2, "duty"), (1, "privacy"))
    under = policy(stages=stages, threshold=3, groups=("duty", "privacy"))
    request = RequestId("req_" + "0" * 26)
    change = open_request(opening(request, under=under), now)
    assert (await office.store.records.open(change, now, None)).code == "OK"

    early = await office.shell("approve", request, *AS_ANNA, "--yes")
    assert early.code == 1
    assert early.err == "Stage 1 of 2 is open: it still needs 2 approvals from duty.\n"
    assert "0/3, stage 1 of 2: duty" in (await office.shell("pending")).out
    denied = await office.shell("deny", request, *AS_ANNA, "--yes")
    assert denied.code == 0
    assert (await office.request(request)).status == "denied"


async def test_approve_for_machines_is_one_document_with_the_view(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("approve", request, *AS_ANNA, "--yes", "--json")
    assert result.data["status"] == "approved"
    assert result.data["view"]["justification"] == WORDS
    assert "salt" not in result.data


async def test_for_machines_with_a_question_the_view_goes_to_the_terminal(office: Office) -> None:
    request = await office.ask()
    result = await office.shell("approve", request, *AS_ANNA, "--json", types="yes\n")
    assert result.data["status"] == "approved"
    assert WORDS in result.err


async def test_deny_ends_the_request(office: Office) -> None:
    request = await office.ask()
    words = ("--as", "anna", "--reason", "No ticket of that number")
    result = await office.shell("deny", request, *words, types="y\n")
    assert result.code == 0
    assert "Deny? [y/N]" in result.err
    assert "The request is denied by Anna Ek (anna). crm is told now." in result.out
    after = await office.request(request)
    assert (await office.reading(after)).denied() == "No ticket of that number"


@pytest.mark.parametrize("words", [("deny", "{}", *AS_BEN, "--yes"), ("cancel", "{}", *AS_BEN)])
async def test_what_was_said_against_it_stands_in_the_full_view_alone(
    office: Office, words: tuple[str, ...]
) -> None:
    request = await office.ask()
    await office.shell(*(word.format(request) for word in words))
    full = await office.shell("show", request, "--as", "anna")
    assert "  in words    Ticket checked" in full.out.splitlines()
    machine = await office.shell("show", request, "--as", "anna", "--json")
    assert machine.data["said"] == "Ticket checked"
    assert "Ticket checked" not in (await office.shell("show", request)).out


async def test_a_decision_that_came_too_late_learns_who_was_first(office: Office) -> None:
    request = await office.ask()
    await office.shell("approve", request, *AS_ANNA, "--yes")
    for command in ("approve", "deny", "cancel"):
        words = ("--yes",) if command != "cancel" else ()
        result = await office.shell(command, request, *AS_BEN, *words, "--json")
        assert result.code == 1
        assert "already approved by Anna Ek (anna), since" in result.err
        assert result.data["error"] == "already_final"
        assert result.data["decision"]["by"] == [{"person": "anna", "via": "cli"}]


@pytest.mark.parametrize(
    ("person", "told"),
    [("jonas", "cancelled (by the requester)"), ("ben", "cancelled (by an admin)")],
)
async def test_requester_and_admin_may_cancel(office: Office, person: str, told: str) -> None:
    request = await office.ask()
    result = await office.shell("cancel", request, "--as", person, "--reason", "Not needed")
    assert result.code == 0
    assert told in result.out


async def test_cancel_is_refused_to_others_and_told_to_machines(office: Office) -> None:
    request = await office.ask()
    refused = await office.shell("cancel", request, *AS_ANNA)
    assert (refused.code, "requester or an admin" in refused.err) == (1, True)
    done = await office.shell("cancel", request, *AS_BEN, "--json")
    assert done.data["status"] == "cancelled"


@pytest.mark.parametrize("command", ["approve", "deny", "cancel"])
async def test_what_changes_state_needs_person_and_reason(
    office: Office, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        await office.shell(command, "req_1")
    assert "--as, --reason" in capfd.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        await office.shell(command, "req_1", "--as", "anna", "--reason", " ")
    assert "--reason: must not be empty" in capfd.readouterr().err


@pytest.mark.parametrize("reason", ["x" * 501, "looks\u202efine", "broken \udcff"])
@pytest.mark.parametrize("command", ["approve", "deny", "cancel"])
async def test_a_reason_that_cannot_be_kept_is_told_before_anything_is_recorded(
    office: Office, command: str, reason: str
) -> None:
    request = await office.ask()
    person = "ben" if command == "cancel" else "anna"
    result = await office.shell(command, request, "--as", person, "--reason", reason, types="y\n")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("--reason holds ")
    assert len(result.err.splitlines()) == 1
    after = await office.request(request)
    assert (after.status, after.views) == ("pending", ())


async def test_a_machines_request_names_machine_and_owner(office: Office) -> None:
    await office.ask(requester={"id": "job:nightly"}, subject=None, params={"birth_date": "x"})
    result = await office.shell("pending")
    assert "job:nightly, a machine of Ben Okafor (ben)" in result.out


async def test_the_full_view_holds_all_that_was_asked(office: Office) -> None:
    request = await office.ask(
        action="case.close",
        ticket="ZD-1",
        purpose="support",
        record_count=1240,
        params={"note": "hidden", "more": 1},
        context={"geo.country": "DE", "device.managed": True, "device.type": "phone"},
        justification="First line of the reason\n  rule        forged row",
    )
    result = await office.shell("show", request, "--as", "anna")
    lines = result.out.splitlines()
    for line in (
        "  why         First line of the reason",
        "              | rule forged row",
        "  ticket      ZD-1",
        "  purpose     support",
        "  records     1,240",
        "  not shown   2 more fields",
        "  context     geo.country: DE (says crm)",
        "              device.managed: true (says crm)",
        "  ignored     device.type (says crm), not believed",
    ):
        assert line in lines


async def test_a_long_text_cannot_pose_as_a_row_of_ours(office: Office) -> None:
    forged = "Please look" + " " * 60 + "id          req_FAKE"
    request = await office.ask(
        justification=forged + "\n\n" + "x" * 200, params={"email": forged + " 日" * 60}
    )
    words = ("--as", "anna", "--reason", "No" + forged, "--yes")
    out = (await office.shell("deny", request, *words)).out
    out += (await office.shell("show", request)).out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "  why         Please look id req_FAKE" in lines
    ours = [line for line in lines if line.startswith("  ") and line[2] != " "]
    assert {line for line in ours if line.split()[0] == "id"} == {f"  id          {request}"}
    assert not [line for line in lines if line.startswith("id") or "  req_FAKE" in line]
    assert sum(line.startswith(" " * 14 + "| x") for line in lines) == 4


async def test_in_the_list_a_long_name_is_shortened(office: Office) -> None:
    await office.ask(requester={"id": "job:" + "nightly" + " " * 60 + "y" * 90})
    result = await office.shell("pending")
    assert result.out.splitlines()[1:] != []
    assert " yyyyy" in result.out
    assert "y" * 60 not in result.out


async def test_expired_and_by_rule_are_told_in_words(office: Office) -> None:
    free = await office.ask(action="report.read")
    assert "approved by rule reports-are-open (The report" in (await office.shell("show", free)).out
    sold = await office.ask(action="data.sell")
    assert "denied by rule never-sell" in (await office.shell("show", sold)).out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "now"), (41, "in 41s"), (723, "in 12m 03s"), (7500, "in 2h 05m"), (273600, "in 3d 04h")],
)
def test_time_left_has_two_units_at_most(seconds: int, words: str) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert time_left(now + timedelta(seconds=seconds), now) == words

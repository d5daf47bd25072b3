"""`revoke`, and what `show` tells of a grant."""

from __future__ import annotations

import pytest

from approvals.act import ReceiptSent, Redeem
from approvals.model import ApprovalRequest, RequestId, grant_id
from bot.cli import wording
from tests.approvals.samples import ADMIN, NOW
from tests.bot.chat import granted as life
from tests.bot.chat.records import CANARIES, JONAS, opened, people
from tests.bot.cli.conftest import CRM, Office

AS_ANNA = ("--as", "anna", "--reason", "Wrong customer")
AT = "2026-11-23 {} UTC"


async def granted(office: Office) -> RequestId:
    request = await office.ask()
    assert (await office.shell("approve", request, *AS_ANNA, "--yes")).code == 0
    return request


async def redeemed(office: Office) -> RequestId:
    request = await granted(office)
    digest = (await office.request(request)).digest
    sent = Redeem.parse({"nonce": "n1", "digest": digest})
    await office.service.grants.redeem(CRM, request, sent)
    return request


async def receipted(office: Office, **changes: str | int) -> RequestId:
    request = await redeemed(office)
    sent = ReceiptSent.parse({"records": 1, "outcome": "succeeded", **changes})
    await office.service.grants.give_receipt(CRM, request, sent)
    return request


def in_one_line(text: str) -> str:
    return " ".join(text.replace("|", "").split())


@pytest.mark.parametrize("person", ["jonas", "anna", "ben"])
async def test_requester_approver_and_admin_may_revoke(office: Office, person: str) -> None:
    request = await granted(office)
    result = await office.shell("revoke", request, "--as", person, "--reason", "Not needed")
    assert (result.code, result.err) == (0, "")
    assert in_one_line(result.out) == (
        "The grant is revoked and opens nothing any more. crm is told now."
    )
    after = await office.request(request)
    grant = after.grant
    assert grant is not None
    assert grant.closing is not None
    assert (grant.status, grant.closing.person) == ("revoked", person)
    assert (await office.reading(after)).revoked() == "Not needed"
    entry = (await office.entries())[-1]
    assert (entry["type"], entry["data"]["origin"]["via"]) == ("grant.revoked", "cli")


async def test_the_grants_own_id_will_do_and_machines_get_its_story(office: Office) -> None:
    request = await granted(office)
    result = await office.shell("revoke", grant_id(request), *AS_ANNA, "--json")
    grant = result.data["grant"]
    closed = grant["closed"]
    assert (result.code, result.data["id"], grant["status"]) == (0, request, "revoked")
    assert (closed["reason"], closed["person"], grant["redeemed_at"]) == ("by_approver", "anna", [])
    assert "Wrong customer" not in result.out


@pytest.mark.parametrize(
    ("person", "told"),
    [
        ("olga", "Only the requester, an approver of this request or an admin may revoke"),
        ("cleo", "Only the requester, an approver of this request or an admin may revoke"),
        ("nobody", "No such person in people.yaml."),
    ],
)
async def test_nobody_else_may(office: Office, person: str, told: str) -> None:
    request = await granted(office)
    result = await office.shell("revoke", request, "--as", person, "--reason", "Why", "--json")
    assert (result.code, result.data["error"]) == (1, "not_allowed")
    assert told in result.err
    grant = (await office.request(request)).grant
    assert grant is not None
    assert grant.status == "active"


async def test_what_was_used_is_told_with_its_time(office: Office) -> None:
    request = await redeemed(office)
    result = await office.shell("revoke", request, *AS_ANNA, "--json")
    grant = (await office.request(request)).grant
    assert grant is not None
    used = wording.clock(grant.redemptions[0].at)
    assert result.err == f"There is nothing left to revoke: the grant is used, {used}.\n"
    assert (result.code, result.data["error"]) == (1, "grant_used")
    assert result.data["grant"]["status"] == "used"


async def test_who_comes_second_is_told_who_was_first(office: Office) -> None:
    request = await granted(office)
    await office.shell("revoke", request, "--as", "jonas", "--reason", "Done by hand")
    result = await office.shell("revoke", request, *AS_ANNA, "--json")
    assert "the grant is revoked by Jonas Berg (jonas), the requester, 20" in result.err
    assert result.data["error"] == "grant_revoked"


async def test_what_the_service_ended_is_told(office: Office) -> None:
    request = await granted(office)
    await office.service.grants.end(CRM, request)
    result = await office.shell("revoke", request, *AS_ANNA, "--json")
    assert "the grant is ended early by crm, 20" in result.err
    assert result.data["error"] == "grant_ended"


async def test_without_a_grant_it_says_why(office: Office) -> None:
    pending, denied = await office.ask(), await office.ask(action="data.sell")
    for request, told in (
        (pending, "still pending, so there is no grant yet. `placet cancel` takes"),
        (denied, "denied by rule never-sell (We do not sell customer data): there is no grant"),
    ):
        result = await office.shell("revoke", request, *AS_ANNA, "--json")
        assert (result.code, result.data["error"]) == (1, "not_found")
        assert told in result.err
    unknown = await office.shell("revoke", "req_" + "0" * 26, *AS_ANNA)
    assert (unknown.code, unknown.err) == (1, "There is no such request.\n")


@pytest.mark.parametrize("text", ["grt_1", "evt_1", "req_" + "O" * 26, "1"])
async def test_what_cannot_be_an_id_is_wrong_usage(office: Office, text: str) -> None:
    result = await office.shell("revoke", text, *AS_ANNA)
    assert result.code == 2
    assert result.err == "That is no ID of a request or a grant; they begin with req_ or grt_.\n"


async def test_a_reason_that_cannot_be_kept_is_told_and_nothing_is_revoked(office: Office) -> None:
    request = await granted(office)
    result = await office.shell("revoke", request, "--as", "anna", "--reason", "x" * 501)
    assert (result.code, result.err.startswith("--reason holds ")) == (2, True)
    grant = (await office.request(request)).grant
    assert grant is not None
    assert grant.status == "active"


async def test_the_words_of_who_revoked_and_of_the_receipt_are_in_the_full_view_alone(
    office: Office,
) -> None:
    revoked = await granted(office)
    await office.shell("revoke", revoked, *AS_ANNA)
    noted = await receipted(office, note="One row was locked")
    for request, label, words, key in (
        (revoked, "revoking", "Wrong customer", "revoking"),
        (noted, "noted", "One row was locked", "receipt_note"),
    ):
        full = await office.shell("show", request, "--as", "anna")
        assert f"  {label:12}{words}" in full.out.splitlines()
        machine = await office.shell("show", request, "--as", "anna", "--json")
        assert machine.data[key] == words
        for card in (("show", request), ("show", request, "--json")):
            assert words not in (await office.shell(*card)).out


async def test_show_tells_machines_what_became_of_the_grant(office: Office) -> None:
    request = await receipted(office, records=3)
    card = (await office.shell("show", request, "--json")).data["grant"]
    grant = (await office.request(request)).grant
    assert grant is not None
    assert (card["status"], card["uses_left"], card["receipt_missed"]) == ("used", 0, False)
    assert (card["receipt"]["records"], card["receipt"]["outcome"]) == (3, "succeeded")
    assert (len(card["redeemed_at"]), card["closed"]) == (1, None)
    full = (await office.shell("show", request, "--as", "anna", "--json")).data
    assert full["request"]["grant"] == card


GRANTED = life.granted()
TWICE = life.granted(uses=2)
CARDS: dict[str, tuple[ApprovalRequest, list[str]]] = {
    "active": (
        GRANTED,
        [f"grant       active until {AT.format('14:29:00')}, in 8m 00s"],
    ),
    "time is up, and nobody made it visible": (
        life.granted().model_copy(
            update={"grant": GRANTED.grant and GRANTED.grant.model_copy(update={"expires_at": NOW})}
        ),
        [f"grant       over, its time was up at {AT.format('14:17:00')}"],
    ),
    "used, and its receipt is due": (
        life.redeemed(GRANTED),
        [
            f"grant       used, {AT.format('14:20:00')}",
            f"receipt     due by {AT.format('14:25:00')}, in 4m 00s",
        ],
    ),
    "used once of two": (
        life.redeemed(TWICE),
        [
            f"grant       active until {AT.format('14:29:00')}, in 8m 00s",
            f"redeemed    {AT.format('14:20:00')}, use 1 of 2",
            "1 of 2 uses left",
            f"receipt     due by {AT.format('14:25:00')}, in 4m 00s",
        ],
    ),
    "used up": (
        life.redeemed(life.redeemed(TWICE), 4),
        [
            f"grant       used, {AT.format('14:21:00')}",
            f"redeemed    {AT.format('14:20:00')}, use 1 of 2",
            f"{AT.format('14:21:00')}, use 2 of 2",
            f"receipt     due by {AT.format('14:26:00')}, in 5m 00s",
        ],
    ),
    "over by time, never used": (
        life.time_passes(GRANTED, 15),
        [f"grant       ended by time, {AT.format('14:29:00')}", "redeemed    never"],
    ),
    "ended early": (
        life.ended(GRANTED),
        [f"grant       ended early by crm, {AT.format('14:22:00')}", "redeemed    never"],
    ),
    "revoked by the requester": (
        life.revoked(GRANTED, JONAS),
        [
            f"grant       revoked by Jonas Berg (jonas), the requester, {AT.format('14:22:00')}",
            "redeemed    never",
        ],
    ),
    "revoked by an admin": (
        life.revoked(life.redeemed(TWICE), ADMIN),
        [
            f"grant       revoked by Alma Lund (alma), an admin, {AT.format('14:22:00')}",
            f"redeemed    {AT.format('14:20:00')}, use 1 of 2",
            f"receipt     due by {AT.format('14:25:00')}, in 4m 00s",
        ],
    ),
    "revoked by a deny rule": (
        life.revoked_by_rule(GRANTED),
        [
            f"grant       revoked by a deny rule now in force, {AT.format('14:20:00')}",
            "redeemed    never",
        ],
    ),
    "closed by its receipt": (
        life.receipted(life.redeemed(TWICE)),
        [
            f"grant       ended with its receipt, {AT.format('14:21:00')}",
            f"redeemed    {AT.format('14:20:00')}, use 1 of 2",
            f"receipt     done, 1,240 of 1,240 records, {AT.format('14:21:00')}",
        ],
    ),
    "larger than asked, and late": (
        life.receipted(life.time_passes(life.redeemed(GRANTED), 9), 1300, 9),
        [
            f"grant       used, {AT.format('14:20:00')}",
            f"receipt     done, 1,300 records, {AT.format('14:26:00')}",
            "larger than asked, which was 1,240",
            f"late, it was due by {AT.format('14:25:00')}",
        ],
    ),
    "it failed, and no number was asked for": (
        life.receipted(life.redeemed(life.granted(records=None)), 0, outcome="failed"),
        [
            f"grant       used, {AT.format('14:20:00')}",
            f"receipt     failed, 0 records, {AT.format('14:21:00')}",
        ],
    ),
    "no receipt came": (
        life.time_passes(life.redeemed(GRANTED), 9),
        [
            f"grant       used, {AT.format('14:20:00')}",
            f"receipt     missing, it was due by {AT.format('14:25:00')}",
        ],
    ),
    "none came for the first use, and there was a second": (
        life.redeemed(life.time_passes(life.redeemed(TWICE), 8), 9),
        [
            f"grant       used, {AT.format('14:26:00')}",
            f"redeemed    {AT.format('14:20:00')}, use 1 of 2",
            f"{AT.format('14:26:00')}, use 2 of 2",
            f"receipt     missing, it was due by {AT.format('14:25:00')}",
        ],
    ),
}


@pytest.mark.parametrize("case", CARDS)
def test_the_card_tells_the_grant_in_these_words(case: str) -> None:
    request, told = CARDS[case]
    naming, now = wording.Naming(people()), NOW + life.at(4)
    lines = wording.card(request, naming, now, 200)
    first = next(number for number, line in enumerate(lines) if line.startswith("  grant"))
    assert [line.strip() for line in lines[first:]] == told
    assert not [line for line in lines if life.NOTE in line or life.REVOKING in line]
    assert not [line for line in lines for canary in CANARIES.values() if canary in line]


def test_a_request_without_a_grant_tells_of_none() -> None:
    lines = wording.card(opened(), wording.Naming(people()), NOW, 200)
    assert not [line for line in lines if "grant" in line]
    assert wording.card_data(opened(), wording.Naming(people()))["grant"] is None


def test_a_grant_that_ended_before_closings_were_kept_says_when() -> None:
    assert GRANTED.grant is not None
    old = GRANTED.grant.model_copy(update={"status": "ended"})
    told = wording.grant_state(GRANTED, old, wording.Naming(people()), NOW)
    assert told == f"ended, its time ended {AT.format('14:29:00')}"

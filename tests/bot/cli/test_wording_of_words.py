"""What the command line says of words: through the gate, masked, or erased."""

from __future__ import annotations

import pytest

from approvals.model import ApprovalRequest, PiiInText, TextFinding
from approvals.privacy.full_view import full_view
from approvals.signing import Marks
from bot.cli.wording import Naming, card, card_data, details, grant_state
from tests.approvals.samples import NOW
from tests.bot.chat.granted import granted
from tests.bot.chat.records import CANARIES, approved, erased, opened, people, requester
from tests.words import reading

NAMING = Naming(people())
WIDE = 300
GONE = "The words of this request were erased."


def shown(request: ApprovalRequest, mode: PiiInText = "mask") -> str:
    view = full_view(request, reading(request), {}, Marks(b"p" * 32))
    return "\n".join(details(view, request, NAMING, NOW, WIDE, pii_in_text=mode))


def test_what_a_service_wrote_is_scanned_once_more() -> None:
    machine = requester(id="job:dana@example.com", person=None, owner="ben")
    request = opened(requester=machine, data_classes=("contact", "of jo@example.com"))
    for told in ("\n".join(card(request, NAMING, NOW, WIDE)), str(card_data(request, NAMING))):
        assert "@" not in told
        assert "[email], a machine of Ben Okafor" in told
        assert "of [email]" in told


def test_an_access_that_ended_with_its_subject_is_told_so() -> None:
    request = erased(granted(), 4)
    assert request.grant is not None
    assert grant_state(request, request.grant, NAMING, NOW) == (
        "revoked by Alma Lund (alma), because its subject was erased, 2026-11-23 14:21:00 UTC"
    )


def test_what_is_erased_is_told_so_with_the_time_and_quotes_nobody() -> None:
    told = shown(erased(approved(), 9))
    assert GONE in told
    assert "nobody's words are kept, 2026-11-23 14:26:00 UTC" in told
    assert "[erased]" not in told
    gone = ("justification", "ticket", "given_name", "approving")
    assert not [name for name in gone if CANARIES[name] in told]
    assert CANARIES["approving"] in shown(approved())


@pytest.mark.parametrize(
    ("mode", "begins"), [("mask", "Taken out by the scan: "), ("warn", "Warning: ")]
)
def test_it_says_what_the_scan_took_out(mode: PiiInText, begins: str) -> None:
    request = opened(findings=(TextFinding(pointer="/ticket", kind="phone"),))
    (line,) = [line for line in shown(request, mode).splitlines() if "scan" in line]
    assert line.split(maxsplit=1)[1].startswith(begins)
    assert line.endswith("a phone number in the ticket.")

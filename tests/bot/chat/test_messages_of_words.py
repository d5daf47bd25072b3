"""What cards tell of words: shown through the gate, masked, or erased."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from approvals.model import ApprovalRequest, PiiInText, TextFinding
from approvals.privacy.full_view import full_view
from approvals.privacy.masking import said
from approvals.privacy.screening import NAMES
from approvals.signing import Marks
from bot.chat.card import Card, Form, plain
from bot.chat.findings import kinds, taken_out, taken_out_of_own
from bot.chat.messages import Messages
from tests.approvals.samples import ANNA, OLGA
from tests.bot.chat.granted import granted
from tests.bot.chat.records import CANARIES, approved, denied, erased, opened, people, requester
from tests.words import reading

MESSAGES = Messages(people)
MAILED = TextFinding(pointer="/justification", kind="email")
WARNED = (
    "Warning: this request held personal data. "
    "The scan took out an e-mail address in the justification."
)
GONE = "The words of this request were erased."


def form_of(request: ApprovalRequest, messages: Messages = MESSAGES) -> Form:
    view = full_view(request, reading(request), {}, Marks(b"p" * 32))
    return messages.review_form(request, view, OLGA)


def notes(card: Card) -> list[str]:
    return [plain(note) for note in card.notes]


def test_what_a_service_wrote_is_scanned_once_more_before_it_is_shown() -> None:
    machine = requester(id="job:dana@example.com", person=None, owner="ben")
    request = opened(requester=machine, data_classes=("contact", "of jo@example.com"))
    for card in (MESSAGES.channel_card(request), MESSAGES.personal_card(request, ANNA)):
        shown = card.model_dump_json()
        assert "@" not in shown
        assert "[email], a machine of Ben Okafor" in card.text
        assert "contact, of [email]" in shown
    assert "@" not in MESSAGES.listing([request], ANNA, 1).model_dump_json()


def test_the_justification_stands_on_a_pending_channel_card_alone() -> None:
    words = said("Ticket ZD-1 asks for it")
    (quote,) = MESSAGES.channel_card(opened(), words).quotes
    assert (quote.label, quote.text) == ("Why, in the requester's words", words)
    assert words not in MESSAGES.channel_card(opened(), words).text
    assert MESSAGES.channel_card(opened()).quotes == ()
    assert MESSAGES.channel_card(approved(), words).quotes == ()


def test_a_blank_card_tells_nothing_but_that_it_is_closed() -> None:
    card = MESSAGES.blank(denied())
    assert card == Card(
        state="info",
        title="Request req_1 is closed",
        text="Request req_1 is closed. Its record is kept in the audit.",
        request=denied().id,
        notes=(("Its record is kept in the audit.",),),
    )


def test_the_review_of_a_final_request_still_shows_all() -> None:
    card = form_of(approved()).card
    labels = [fact.label for fact in card.facts]
    assert labels[:5] == ["Asked by", "Service", "Records", "Data", "Approvals"]
    assert [quote.label for quote in card.quotes] == [
        "Why, in the requester's words",
        "Anna Ek, approving",
        "Cleo Marsh, approving",
    ]
    told = "Rule export-two-approvers: Large exports need two people. Request req_1"
    assert told in notes(card)


@pytest.mark.parametrize("build", [opened, approved, denied, granted])
def test_of_an_erased_request_every_form_says_so_and_quotes_nobody(
    build: Callable[[], ApprovalRequest],
) -> None:
    request = erased(build(), 9)
    form = form_of(request)
    assert notes(form.card)[0] == GONE
    assert form.card.quotes == ()
    *_, last = form.card.steps
    assert plain(last.line) == "Words erased"
    shown = form.model_dump_json()
    gone = ("justification", "ticket", "given_name", "approving", "denying")
    assert not [name for name in gone if CANARIES[name] in shown]


def test_words_whose_key_is_gone_are_told_as_erased_too() -> None:
    request = opened()
    view = full_view(request, reading(request, None), {}, Marks(b"p" * 32))
    form = MESSAGES.review_form(request, view, ANNA)
    assert (notes(form.card)[0], form.card.quotes) == (GONE, ())


def test_an_access_that_ended_with_its_subject_is_told_so() -> None:
    request = erased(granted(), 4)
    told = "Alma Lund revoked the access, because its subject was erased"
    assert f"{told} at 2026-11-23 14:21:00 UTC. It was not used." in notes(
        MESSAGES.channel_card(request)
    )
    assert told in [plain(step.line) for step in MESSAGES.steps(request)]


@pytest.mark.parametrize(
    ("mode", "said_"),
    [
        ("mask", "Taken out by the scan: an e-mail address in the justification."),
        ("refuse", "Taken out by the scan: an e-mail address in the justification."),
        ("warn", WARNED),
    ],
)
def test_the_form_says_what_was_taken_out_by_kind_and_field(mode: PiiInText, said_: str) -> None:
    messages = Messages(people, pii_in_text=lambda: mode)
    assert notes(form_of(opened(findings=(MAILED,)), messages).card)[0] == said_
    assert said_ not in notes(messages.channel_card(opened(findings=(MAILED,))))


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/justification", "the justification"),
        ("/ticket", "the ticket"),
        ("/purpose", "the purpose"),
        ("/requester/name", "the name given by the service"),
        ("/data_classes/3", "the data classes"),
        ("/params/query~1of~0x", "the field query/of~x"),
        ("/of/a/later/version", "its text"),
    ],
)
def test_a_place_is_told_in_words(pointer: str, place: str) -> None:
    found = TextFinding(pointer=pointer, kind="iban")
    assert taken_out([found, found], "mask") == f"Taken out by the scan: an IBAN in {place}."


def test_every_kind_has_words_and_one_of_a_later_version_too() -> None:
    assert kinds(NAMES) == ", ".join([*NAMES.values()][:-1]) + " and a password"
    assert kinds(["of a later version"]) == "personal data"


def test_where_nothing_was_found_nothing_is_said() -> None:
    assert taken_out([], "warn") == taken_out_of_own([], "warn") == ""

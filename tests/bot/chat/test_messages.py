"""The cards we send: the words of every state, and what no channel may hold (DESIGN 9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from approvals import lifecycle
from approvals.model import ApprovalRequest, Person
from approvals.policy.document import ShownField
from approvals.privacy.full_view import FullView, full_view
from approvals.signing import Marks
from bot.chat.card import Card, Form, Line, plain
from bot.chat.messages import Messages
from tests.approvals.samples import ADMIN, ANNA, BEN, CLEO, OLGA, policy
from tests.approvals.samples import JONAS as ENTITLED_JONAS
from tests.bot.chat.records import (
    CANARIES,
    JONAS,
    MACHINE,
    TWO,
    approved,
    by_rule,
    cancelled_by,
    cancelled_by_service,
    denied,
    denied_by_a_later_rule,
    erased,
    expired,
    half_approved,
    looked,
    opened,
    people,
    undeliverable,
)
from tests.words import reading

MESSAGES = Messages(people)
FIELDS = {
    "format": ShownField.model_validate({"show": "plain"}),
    "email": ShownField.model_validate({"show": "mask_email"}),
}


@dataclass(frozen=True)
class Told:
    """What a channel card says of one state, times in UTC."""

    heading: str
    facts: dict[str, str]
    notes: list[str]
    buttons: list[str]
    text: str


ASKED = {
    "Asked by": "Jonas Berg",
    "Service": "crm",
    "Records": "1,240",
    "Data": "contact, financial",
}
DEADLINE = {"Decide by": "2026-11-23 14:32:00 UTC"}
ONE_RULE = "Rule one-approver: Somebody else looks first. Request req_1"
TWO_RULE = "Rule export-two-approvers: Large exports need two people. Request req_1"
TITLE = "Export customer records"
ABOUT = f"{TITLE}, asked by Jonas Berg through crm, 1,240 records."
AT = "2026-11-23 {} UTC"
UNTIL = f"Access may be used until {AT.format('14:31:00')}."


def over(outcome: str, state: str, access: str = "") -> Told:
    """A state that is final: who, what, when and how it ended; no button."""
    told = [outcome, access] if access else [outcome]
    text = f"{TITLE}, asked by Jonas Berg through crm. {' '.join(told)} Request req_1."
    notes = [*told, "Asked by Jonas Berg through crm. Request req_1"]
    return Told(f"{state}: {TITLE}", {}, notes, [], text)


STATES: dict[str, tuple[Callable[[], ApprovalRequest], Told]] = {
    "pending": (
        opened,
        Told(
            f"Approval needed: {TITLE}",
            ASKED | {"Approvals": "0 of 1 approval"} | DEADLINE,
            ["One approver is needed.", ONE_RULE],
            ["Review", "Deny"],
            f"Approval needed: {ABOUT} 0 of 1 approval. One approver is needed by "
            "2026-11-23 14:32:00 UTC. Request req_1.",
        ),
    ),
    "pending, two are needed": (
        lambda: opened(TWO),
        Told(
            f"Approval needed: {TITLE}",
            ASKED | {"Approvals": "0 of 2 approvals"} | DEADLINE,
            ["2 different approvers are needed.", TWO_RULE],
            ["Review", "Deny"],
            f"Approval needed: {ABOUT} 0 of 2 approvals. 2 different approvers are needed by "
            "2026-11-23 14:32:00 UTC. Request req_1.",
        ),
    ),
    "one of two": (
        half_approved,
        Told(
            f"Approval needed: {TITLE}",
            ASKED | {"Approvals": "1 of 2 approvals"} | DEADLINE,
            [
                "Anna Ek approved at 2026-11-23 14:19:00 UTC.",
                "One more approver is needed.",
                TWO_RULE,
            ],
            ["Review", "Deny"],
            f"Approval needed: {ABOUT} 1 of 2 approvals. One more approver is needed by "
            "2026-11-23 14:32:00 UTC. Request req_1.",
        ),
    ),
    "quick approval": (
        lambda: opened(policy(quick_approve=True)),
        Told(
            f"Approval needed: {TITLE}",
            ASKED | {"Approvals": "0 of 1 approval"} | DEADLINE,
            ["One approver is needed.", ONE_RULE],
            ["Approve", "Review", "Deny"],
            f"Approval needed: {ABOUT} 0 of 1 approval. One approver is needed by "
            "2026-11-23 14:32:00 UTC. Request req_1.",
        ),
    ),
    "approved by people": (
        approved,
        over(
            f"Approved by Anna Ek and Cleo Marsh at {AT.format('14:21:00')}.",
            "Approved",
            UNTIL,
        ),
    ),
    "approved by a rule": (
        lambda: by_rule("approve"),
        over(
            f"Approved by rule reports-are-open at {AT.format('14:17:00')}.",
            "Approved",
            f"Access may be used until {AT.format('14:27:00')}.",
        ),
    ),
    "denied by a person": (
        denied,
        over(
            f"Denied by Ben Okafor at {AT.format('14:19:00')}. No access was given.",
            "Denied",
        ),
    ),
    "denied by a rule": (
        lambda: by_rule("deny"),
        over(
            f"Denied by rule never-sell at {AT.format('14:17:00')}. No access was given.",
            "Denied",
        ),
    ),
    "denied by a later rule": (
        lambda: denied_by_a_later_rule(opened()),
        over(
            f"Denied by rule freeze at {AT.format('14:19:00')}. No access was given.",
            "Denied",
        ),
    ),
    "expired undecided": (
        lambda: expired(half_approved()),
        over(
            f"Expired with 1 of 2 approvals at {AT.format('14:32:00')}. No access was given.",
            "Expired",
        ),
    ),
    "expired before it was shown": (
        lambda: expired(opened(policy(notify=("desk",)))),
        over(
            f"Expired with 0 of 1 approval at {AT.format('14:32:00')}. "
            "It reached no approver in time. No access was given.",
            "Expired",
        ),
    ),
    "expired undeliverable": (
        undeliverable,
        over(
            f"Expired with 0 of 1 approval at {AT.format('14:32:00')}. "
            "It could not be delivered to any approver. No access was given.",
            "Expired",
        ),
    ),
    "cancelled by its service": (
        cancelled_by_service,
        over(
            f"Cancelled by the service at {AT.format('14:18:00')}. No access was given.",
            "Cancelled",
        ),
    ),
    "cancelled by its requester": (
        lambda: cancelled_by(JONAS),
        over(
            f"Cancelled by the requester at {AT.format('14:18:00')}. No access was given.",
            "Cancelled",
        ),
    ),
    "cancelled by an admin": (
        lambda: cancelled_by(ADMIN),
        over(
            f"Cancelled by an admin at {AT.format('14:18:00')}. No access was given.",
            "Cancelled",
        ),
    ),
    "cancelled, subject erased": (
        erased,
        over(
            f"Cancelled because its subject was erased at {AT.format('14:18:00')}. "
            "No access was given.",
            "Cancelled",
        ),
    ),
}
every_state = pytest.mark.parametrize("state", STATES)


def request_in(state: str) -> ApprovalRequest:
    return STATES[state][0]()


def lines(all_of: tuple[Line, ...]) -> list[str]:
    # Milliseconds are the record's; people read seconds.
    return [plain(line) for line in all_of]


def facts(card: Card) -> dict[str, str]:
    return {fact.label: plain(fact.line) for fact in card.facts}


def labels(card: Card) -> list[str]:
    return [button.label for button in card.buttons]


def leaked(data: Card | Form) -> set[str]:
    """The canaries anywhere in `data`: texts, labels, buttons, confirmations."""
    dumped = data.model_dump_json()
    return {name for name, canary in CANARIES.items() if canary in dumped}


def view_of(request: ApprovalRequest) -> FullView:
    return full_view(request, reading(request), FIELDS, Marks(b"p" * 32))


@every_state
def test_a_channel_card_tells_its_state_in_these_words(state: str) -> None:
    card = MESSAGES.channel_card(request_in(state))

    told = Told(card.heading, facts(card), lines(card.notes), labels(card), card.text)

    assert told == STATES[state][1]
    assert card.request == "req_1"


@every_state
def test_no_channel_card_and_no_fallback_holds_what_is_for_review_only(state: str) -> None:
    assert leaked(MESSAGES.channel_card(request_in(state))) == set()


@every_state
@pytest.mark.parametrize("person", [ANNA, JONAS, ADMIN, OLGA], ids=lambda who: who.id)
def test_neither_does_the_card_of_one_person(state: str, person: Person) -> None:
    assert leaked(MESSAGES.personal_card(request_in(state), person)) == set()


@every_state
def test_neither_does_any_other_message_but_the_review_form(state: str) -> None:
    request = request_in(state)
    assert leaked(MESSAGES.superseded(request)) == set()
    assert leaked(MESSAGES.deny_form(request)) == set()
    listing = MESSAGES.listing([request], ANNA, 10).model_dump_json()
    assert not [canary for canary in CANARIES.values() if canary in listing]


def test_the_markers_are_seen_where_they_are_allowed() -> None:
    request = opened()
    form = MESSAGES.review_form(request, view_of(request), ANNA)
    allowed = {"justification", "given_name", "ticket", "purpose", "plain", "email",
               "context", "ignored"}  # fmt: skip
    assert leaked(form) == allowed


@every_state
def test_a_fallback_text_is_one_line_of_whole_sentences(state: str) -> None:
    text = MESSAGES.channel_card(request_in(state)).text
    assert "\n" not in text
    assert "  " not in text
    assert " ." not in text
    assert ".." not in text
    assert text.endswith(".")
    assert "None" not in text


@every_state
def test_a_final_card_has_no_button_and_a_pending_one_has(state: str) -> None:
    request = request_in(state)
    assert bool(MESSAGES.channel_card(request).buttons) is not request.is_final


@every_state
def test_a_button_carries_request_and_revision_and_nothing_else(state: str) -> None:
    request = request_in(state).model_copy(update={"revision": 7})
    for button in MESSAGES.channel_card(request).buttons:
        assert button.value == "req_1|7"
        assert button.said == f"{button.label}: {TITLE}, request req_1"


def test_approve_on_a_channel_card_asks_first_and_says_for_how_long() -> None:
    approve, *others = MESSAGES.channel_card(opened(policy(quick_approve=True))).buttons
    assert approve.confirm is not None
    assert approve.confirm.title == "Approve without looking at the details?"
    assert approve.confirm.text == f"{TITLE} for 1,240 records. The access lasts 10 minutes."
    assert [button.confirm for button in others] == [None, None]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (90, "90 seconds"), (60, "1 minute"), (3600, "60 minutes")],
)
def test_what_is_confirmed_lasts_as_long_as_it_says(seconds: int, words: str) -> None:
    request = opened(policy(quick_approve=True)).model_copy(
        update={"grant_ttl": timedelta(seconds=seconds)}
    )
    confirm = MESSAGES.channel_card(request).buttons[0].confirm
    assert confirm is not None
    assert confirm.text.endswith(f" The access lasts {words}.")


def test_only_one_button_of_a_card_stands_out() -> None:
    for under in (policy(), policy(quick_approve=True)):
        buttons = MESSAGES.channel_card(opened(under)).buttons
        assert [button.style for button in buttons].count("primary") == 1


def test_a_trial_says_so_on_every_card() -> None:
    trial = Messages(people, is_trial=True)
    for build, _ in STATES.values():
        notes = lines(trial.channel_card(build()).notes)
        assert notes[-1] == "Trial: the store of this deployment may lose decisions."


def test_a_machine_is_named_with_its_owner() -> None:
    card = MESSAGES.channel_card(opened(requester=MACHINE))
    assert facts(card)["Asked by"] == "job:nightly, a machine of Ben Okafor"
    assert "asked by job:nightly, a machine of Ben Okafor through crm" in card.text


def test_who_is_gone_from_people_yaml_goes_by_id() -> None:
    left = Messages(lambda: people("anna", "jonas"))
    card = left.channel_card(half_approved())
    assert facts(card)["Asked by"] == "jonas"
    assert lines(card.notes)[0] == "anna approved at 2026-11-23 14:19:00 UTC."
    assert "Anna" not in card.model_dump_json()


@pytest.mark.parametrize(
    ("count", "fact", "said"),
    [(None, None, ""), (0, "0", ", 0 records"), (1, "1", ", 1 record"), (2, "2", ", 2 records")],
)
def test_the_number_of_records_is_told_where_it_was_sent(
    count: int | None, fact: str | None, said: str
) -> None:
    card = MESSAGES.channel_card(opened(record_count=count))
    assert facts(card).get("Records") == fact
    assert f"through crm{said}. 0 of 1" in card.text


def test_without_data_classes_there_is_no_line_for_them() -> None:
    assert "Data" not in facts(MESSAGES.channel_card(opened(data_classes=())))


def test_a_card_posted_twice_sends_people_to_the_other_one() -> None:
    card = MESSAGES.superseded(opened())
    assert card.buttons == ()
    assert lines(card.notes) == ["This card was posted twice by mistake. Use the other one."]
    assert card.text == (
        "Request req_1: This card was posted twice by mistake. Another one counts."
    )
    assert TITLE not in card.model_dump_json()


# What each person may press, by state. Jonas is the requester, Cleo is in no group of the rule.
PRESSED: dict[str, tuple[Person, dict[str, list[str]]]] = {
    "an approver": (
        ANNA,
        {"pending": ["Review", "Deny"], "quick approval": ["Approve", "Review", "Deny"]},
    ),
    "the requester": (JONAS, {"pending": ["Cancel request"]}),
    "the requester who could decide others": (ENTITLED_JONAS, {"pending": ["Cancel request"]}),
    "an admin": (ADMIN, {"pending": ["Cancel request"]}),
    "an auditor": (OLGA, {"pending": ["Details"], "denied by a person": ["Details"]}),
    "somebody else": (CLEO, {"pending": [], "quick approval": []}),
}


@pytest.mark.parametrize("who", PRESSED)
def test_a_person_gets_the_buttons_of_what_they_may_do(who: str) -> None:
    person, by_state = PRESSED[who]
    found = {state: labels(MESSAGES.personal_card(request_in(state), person)) for state in by_state}
    assert found == by_state


@every_state
def test_nobody_can_do_more_than_look_or_revoke_once_it_is_final(state: str) -> None:
    request = request_in(state)
    if not request.is_final:
        return
    for person in (ANNA, BEN, CLEO, JONAS, ADMIN, OLGA):
        more = {"Revoke access"} if request.grant else set()
        assert set(labels(MESSAGES.personal_card(request, person))) <= {"Details"} | more


def test_who_has_voted_may_look_again_and_no_more() -> None:
    card = MESSAGES.personal_card(half_approved(), ANNA)
    assert [(button.label, button.action) for button in card.buttons] == [("Details", "review")]


def test_who_has_not_voted_still_may() -> None:
    assert labels(MESSAGES.personal_card(half_approved(), CLEO)) == ["Review", "Deny"]


def test_the_owner_of_a_machine_may_not_decide_for_it() -> None:
    owner = BEN.model_copy(update={"roles": frozenset({"approver"})})
    assert labels(MESSAGES.personal_card(opened(requester=MACHINE), owner)) == []


def test_the_story_of_a_request_is_told_in_order() -> None:
    request = approved().model_copy(update={"first_shown_at": approved().created_at})
    steps = [plain(step.line) for step in MESSAGES.steps(request)]
    assert steps == [
        "Asked by Jonas Berg",
        "Shown to the approvers",
        "Anna Ek looked at the details",
        "Anna Ek approved",
        "Cleo Marsh looked at the details",
        "Cleo Marsh approved",
        "The request is approved",
    ]
    times = [step.at for step in MESSAGES.steps(request)]
    assert times == sorted(times)


def test_the_story_ends_with_the_end_of_the_access() -> None:
    request = approved()
    assert request.grant is not None
    change = lifecycle.on_deadline(request, request.grant.expires_at)
    assert change is not None
    *_, last = MESSAGES.steps(change.request)
    assert plain(last.line) == "The time of the access was up"


def test_the_card_of_one_person_tells_the_story_and_the_channel_does_not() -> None:
    request = denied()
    assert MESSAGES.channel_card(request).steps == ()
    steps = [plain(step.line) for step in MESSAGES.personal_card(request, OLGA).steps]
    assert steps == [
        "Asked by Jonas Berg",
        "Ben Okafor looked at the details",
        "Ben Okafor denied",
        "The request is denied",
    ]


# -- the review form ------------------------------------------------------------------------------


def test_the_review_form_holds_everything_masked() -> None:
    request = opened()
    view = view_of(request)
    form = MESSAGES.review_form(request, view, ANNA)
    assert view.subject is not None
    shown = facts(form.card)
    assert {label: shown[label] for label in list(shown)[6:]} == {
        "Name given by the service": CANARIES["given_name"],
        "Subject": view.subject,
        "Ticket": CANARIES["ticket"],
        "Purpose": CANARIES["purpose"],
        "Field format": CANARIES["plain"],
        "Field email": "c***@c***.example",
        "Not shown": "2 more fields",
        "geo.country, says the service": CANARIES["context"],
        "Not believed of the service": CANARIES["ignored"],
    }
    assert view.subject.startswith("p_")
    (quote,) = form.card.quotes
    assert (quote.label, quote.text) == (
        "Why, in the requester's words",
        CANARIES["justification"],
    )


def test_who_may_vote_finds_the_buttons_and_a_reason_there() -> None:
    request = opened()
    form = MESSAGES.review_form(request, view_of(request), ANNA)
    assert form.title == "Review this request"
    assert [button.value for button in form.submits] == ["req_1|1", "req_1|1"]
    assert [button.action for button in form.submits] == ["approve", "deny"]
    (reason,) = form.inputs
    assert (reason.is_required, reason.most) == (False, 500)
    assert reason.hint == "Do not write personal data here."
    assert form.card.buttons == ()


@pytest.mark.parametrize(
    ("build", "person"),
    [(opened, OLGA), (half_approved, ANNA), (approved, OLGA), (denied, ANNA)],
    ids=["an auditor", "who has voted", "an auditor, of an open access", "an approver too late"],
)
def test_who_may_not_vote_only_reads(build: Callable[[], ApprovalRequest], person: Person) -> None:
    request = build()
    form = MESSAGES.review_form(request, view_of(request), person)
    assert (form.title, form.inputs, form.submits) == ("Request in full", (), ())


@pytest.mark.parametrize(
    ("build", "label", "canary"),
    [
        (denied, "Why it was denied", "denying"),
        (lambda: cancelled_by(JONAS), "Why it was cancelled", "note"),
    ],
    ids=["denied", "cancelled"],
)
def test_the_words_of_who_ended_it_are_in_the_full_view_alone(
    build: Callable[[], ApprovalRequest], label: str, canary: str
) -> None:
    request = build()
    form = MESSAGES.review_form(request, view_of(request), OLGA)
    last = form.card.quotes[-1]
    assert (last.label, last.text) == (label, CANARIES[canary])


def test_the_review_form_tells_who_has_looked() -> None:
    request = looked(opened(), ANNA)
    form = MESSAGES.review_form(request, view_of(request), BEN)
    assert [plain(step.line) for step in form.card.steps][1:] == ["Anna Ek looked at the details"]


def test_a_denial_is_asked_for_its_reason() -> None:
    form = MESSAGES.deny_form(opened())
    (reason,) = form.inputs
    (deny,) = form.submits
    assert reason.is_required
    assert (deny.action, deny.value, form.card.buttons) == ("deny", "req_1|1", ())


# -- lists ----------------------------------------------------------------------------------------


def test_a_list_tells_what_waits_and_offers_the_review() -> None:
    listing = MESSAGES.listing([opened(), half_approved()], ANNA, 10)
    first, second = listing.items
    assert (listing.title, listing.text) == ("2 requests waiting", "2 requests waiting.")
    assert plain(first.line) == (
        f"{TITLE}, asked by Jonas Berg. 0 of 1 approval, by 2026-11-23 14:32:00 UTC"
    )
    assert first.button is not None
    assert second.button is not None
    assert (first.button.label, second.button.label) == ("Review", "Details")
    assert listing.note == ""


def test_a_list_for_who_may_not_look_offers_nothing() -> None:
    (item,) = MESSAGES.listing([opened()], JONAS, 10).items
    assert item.button is None


def test_a_list_that_is_cut_says_so() -> None:
    listing = MESSAGES.listing([opened(), opened(), opened()], ANNA, 2)
    assert len(listing.items) == 2
    assert listing.title == "3 requests waiting"
    assert listing.note == "The next 2 to expire are shown."
    assert listing.text == "3 requests waiting. The next 2 to expire are shown."


def test_an_empty_list_says_that_nothing_waits() -> None:
    listing = MESSAGES.listing([], ANNA, 10)
    assert (listing.title, listing.items) == ("Nothing waits for a decision", ())

"""What cards tell of the access that an approval gave, and who may take it back where."""

from __future__ import annotations

import pytest

from approvals.model import ApprovalRequest, Person
from approvals.privacy.full_view import full_view
from approvals.signing import Marks
from bot.chat.card import Card, Form, plain
from bot.chat.messages import Messages
from tests.approvals.samples import ADMIN, ANNA, BEN, CLEO, OLGA
from tests.bot.chat.granted import (
    NOTE,
    REVOKING,
    ended,
    granted,
    receipted,
    redeemed,
    revoked,
    revoked_by_rule,
    time_passes,
)
from tests.bot.chat.records import CANARIES, JONAS, MACHINE, by_rule, opened, people, voted
from tests.words import reading

MESSAGES = Messages(people)
GRANTED, TWICE = granted(), granted(uses=3)
USED = redeemed(GRANTED)
MISSED = time_passes(USED, 9)
OWNER = BEN.model_copy(update={"roles": frozenset()})


def at(time: str) -> str:
    return f"2026-11-23 {time} UTC"


# What follows "Approved by Anna Ek at ...", and the receipt's own line.
LIVES: dict[str, tuple[ApprovalRequest, str, str]] = {
    "open": (GRANTED, f"Access may be used until {at('14:29:00')}.", ""),
    "used once of three": (
        redeemed(TWICE), f"Access may be used until {at('14:29:00')}.", ""
    ),
    "used": (
        USED,
        f"The access was used at {at('14:20:00')}.",
        f"A receipt is due by {at('14:25:00')}.",
    ),
    "used three times": (
        redeemed(redeemed(redeemed(TWICE), 4), 5),
        f"The access was used 3 times, last at {at('14:22:00')}.",
        f"A receipt is due by {at('14:27:00')}.",
    ),
    "over by time, unused": (
        time_passes(GRANTED, 15),
        f"The time of the access was up at {at('14:29:00')}. It was not used.",
        "",
    ),
    "over by time, used": (
        time_passes(redeemed(redeemed(TWICE, 10), 11), 13),
        f"The time of the access was up at {at('14:29:00')}. It was used 2 times.",
        f"A receipt is due by {at('14:33:00')}.",
    ),
    "ended early": (
        ended(GRANTED),
        f"crm ended the access early at {at('14:22:00')}. It was not used.",
        "",
    ),
    "closed by its receipt": (
        receipted(redeemed(TWICE)),
        f"The access was closed by its receipt at {at('14:21:00')}. It was used once.",
        "Receipt: 1,240 of 1,240 records.",
    ),
    "revoked by the requester": (
        revoked(GRANTED, JONAS),
        f"Jonas Berg revoked the access at {at('14:22:00')}. It was not used.",
        "",
    ),
    "revoked, used": (
        revoked(redeemed(TWICE), ANNA),
        f"Anna Ek revoked the access at {at('14:22:00')}. It was used once.",
        f"A receipt is due by {at('14:25:00')}.",
    ),
    "revoked by a rule": (
        revoked_by_rule(GRANTED),
        f"The access was revoked by a deny rule now in force at {at('14:20:00')}. It was not used.",
        "",
    ),
    "receipt": (
        receipted(USED),
        f"The access was used at {at('14:20:00')}.",
        "Receipt: 1,240 of 1,240 records.",
    ),
    "receipt, larger": (
        receipted(USED, 1300),
        f"The access was used at {at('14:20:00')}.",
        "Receipt larger than asked: 1,300 records, where 1,240 were asked for.",
    ),
    "receipt, nothing was asked for": (
        receipted(redeemed(granted(records=None)), 1),
        f"The access was used at {at('14:20:00')}.",
        "Receipt: 1 record.",
    ),
    "receipt, larger than one": (
        receipted(redeemed(granted(records=1)), 2, outcome="failed"),
        f"The access was used at {at('14:20:00')}.",
        "Receipt larger than asked: the action failed, 2 records, where 1 was asked for.",
    ),
    "receipt, failed": (
        receipted(USED, 17, outcome="failed"),
        f"The access was used at {at('14:20:00')}.",
        "Receipt: the action failed, 17 of 1,240 records.",
    ),
    "no receipt": (
        MISSED,
        f"The access was used at {at('14:20:00')}.",
        f"No receipt came by {at('14:25:00')}.",
    ),
    "no receipt, and used again": (
        redeemed(time_passes(redeemed(TWICE), 9), 10),
        f"Access may be used until {at('14:29:00')}.",
        f"No receipt came by {at('14:25:00')}.",
    ),
    "receipt, late": (
        receipted(MISSED, minutes=9),
        f"The access was used at {at('14:20:00')}.",
        f"Receipt: 1,240 of 1,240 records; it came late, at {at('14:26:00')}.",
    ),
}  # fmt: skip
every_life = pytest.mark.parametrize("life", LIVES)


def labels(card: Card | Form) -> list[str]:
    buttons = card.buttons if isinstance(card, Card) else card.submits
    return [button.label for button in buttons]


def form_of(request: ApprovalRequest, person: Person) -> Form:
    return MESSAGES.review_form(
        request, full_view(request, reading(request), {}, Marks(b"p" * 32)), person
    )


@every_life
def test_a_card_tells_what_became_of_the_access(life: str) -> None:
    request, told, receipt = LIVES[life]
    card = MESSAGES.channel_card(request)
    approved = f"Approved by Anna Ek at {at('14:19:00')}."
    first, second, *others = [plain(note) for note in card.notes]
    assert (first, second) == (approved, told)
    assert others[:-1] == ([receipt] if receipt else [])
    said = " ".join(filter(None, (approved, told, receipt)))
    assert f" {said} Request req_1." in card.text


@every_life
def test_no_channel_gets_a_button_or_anybodys_words(life: str) -> None:
    request, _, _ = LIVES[life]
    cards = [MESSAGES.channel_card(request)]
    assert cards[0].buttons == ()
    cards += [MESSAGES.personal_card(request, who) for who in (ANNA, JONAS, ADMIN, OLGA)]
    for card in cards:
        words = card.model_dump_json()
        assert not [each for each in (NOTE, REVOKING, *CANARIES.values()) if each in words]


@every_life
def test_the_access_can_be_taken_back_while_it_is_open_and_no_longer(life: str) -> None:
    request, told, _ = LIVES[life]
    is_open = told.startswith("Access may be used")
    for person in (ANNA, JONAS, ADMIN):
        card = MESSAGES.personal_card(request, person)
        assert ("Revoke access" in labels(card)) is is_open
    assert ("Revoke access" in labels(form_of(request, ANNA))) is is_open


PRESSED: dict[str, tuple[Person, list[str]]] = {
    "an approver": (ANNA, ["Details", "Revoke access"]),
    "an approver who did not vote": (BEN, ["Details", "Revoke access"]),
    "the requester": (JONAS, ["Revoke access"]),
    "an admin": (ADMIN, ["Revoke access"]),
    "an auditor": (OLGA, ["Details"]),
    "somebody else": (CLEO, []),
}


@pytest.mark.parametrize("who", PRESSED)
def test_who_may_take_it_back_finds_the_button(who: str) -> None:
    person, told = PRESSED[who]
    assert labels(MESSAGES.personal_card(GRANTED, person)) == told


def test_the_owner_of_a_machine_may_take_its_access_back() -> None:
    request = voted(opened(requester=MACHINE), ANNA)
    assert labels(MESSAGES.personal_card(request, OWNER)) == ["Revoke access"]


def test_what_a_rule_has_approved_may_be_taken_back_by_the_requester() -> None:
    assert labels(MESSAGES.personal_card(by_rule("approve"), JONAS)) == ["Revoke access"]


def test_the_button_asks_first_and_says_what_it_does() -> None:
    *_, revoke = MESSAGES.personal_card(GRANTED, ANNA).buttons
    assert revoke.confirm is not None
    assert (revoke.action, revoke.style, revoke.value) == ("revoke", "danger", "req_1|1")
    assert revoke.confirm.title == "Revoke this access?"
    assert revoke.confirm.text == (
        "Export customer records. crm can do nothing more under it. "
        "What it has done already stays done."
    )


def test_in_the_form_a_reason_may_be_given_and_need_not() -> None:
    form = form_of(GRANTED, ANNA)
    (reason,), (revoke,) = form.inputs, form.submits
    assert form.title == "Request in full"
    assert (reason.is_required, reason.label) == (False, "Reason, if you revoke the access")
    assert (revoke.action, revoke.confirm) == ("revoke", None)
    assert form_of(GRANTED, OLGA).submits == ()


def test_the_timeline_tells_each_step_of_a_grant() -> None:
    lives = {
        "used up, no receipt, one after all": receipted(
            time_passes(redeemed(redeemed(granted(uses=2)), 4), 10), 1300, 11
        ),
        "revoked": revoked(redeemed(TWICE), BEN),
        "closed": receipted(redeemed(TWICE)),
        "early": ended(GRANTED),
        "rule": revoked_by_rule(GRANTED),
        "time": time_passes(GRANTED, 15),
    }
    told = {
        name: [plain(step.line) for step in MESSAGES.steps(request)][4:]
        for name, request in lives.items()
    }
    assert told == {
        "used up, no receipt, one after all": [
            "crm used the access, use 1 of 2",
            "crm used the access, use 2 of 2",
            "No receipt came in time",
            "Receipt larger than asked: 1,300 records, where 1,240 were asked for",
        ],
        "revoked": ["crm used the access, use 1 of 3", "Ben Okafor revoked the access"],
        "closed": [
            "crm used the access, use 1 of 3",
            "Receipt: 1,240 of 1,240 records",
            "The access was closed by its receipt",
        ],
        "early": ["crm ended the access early"],
        "rule": ["The access was revoked by a deny rule now in force"],
        "time": ["The time of the access was up"],
    }
    for request in lives.values():
        times = [step.at for step in MESSAGES.steps(request)]
        assert times == sorted(times)


def test_the_words_of_who_revoked_and_of_the_receipt_are_in_the_full_view_alone() -> None:
    form = form_of(receipted(revoked(redeemed(TWICE), ANNA), minutes=6), OLGA)
    told = {quote.label: quote.text for quote in form.card.quotes}
    assert told["Why the access was revoked"] == REVOKING
    assert told["With the receipt, in the service's words"] == NOTE


def test_what_was_closed_before_closings_were_kept_has_ended() -> None:
    assert GRANTED.grant is not None
    old = GRANTED.grant.model_copy(update={"status": "ended"})
    request = GRANTED.model_copy(update={"grant": old})
    assert plain(MESSAGES.outcome(request)).endswith(". The access has ended.")
    *_, last = MESSAGES.steps(request)
    assert plain(last.line) == "The access has ended"

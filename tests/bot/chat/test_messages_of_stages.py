"""What people see of stages, distinct groups, escalations and reminders, and may press."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals import lifecycle
from approvals.model import ApprovalRequest, Escalation, Person
from approvals.privacy.full_view import full_view
from approvals.signing import Marks
from bot.chat.card import Card, Form, Moment, plain
from bot.chat.console.board import section_of
from bot.chat.messages import Messages
from bot.chat.replies import Replies
from tests.approvals.samples import ANNA, BEN, CLEO, NOW, in_stages, person, policy
from tests.bot.chat.records import after, opened, people, voted
from tests.words import reading

MESSAGES = Messages(people)
MINUTE = timedelta(minutes=1)
ELA = person("ela", "privacy")
STAGES = policy(
    stages=in_stages((2, "privacy"), (1, "duty")), threshold=3, groups=("privacy", "duty")
)
EACH = policy(threshold=2, groups=("privacy", "duty"), distinct_groups=True)
WAITING = policy(
    notify=("desk",),
    remind=(MINUTE, 5 * MINUTE),
    escalate=(Escalation(after=2 * MINUTE, groups=("board", "duty"), notify=("managers",)),),
)


def notes(card: Card) -> list[str]:
    return [plain(note) for note in card.notes]


def buttons(request: ApprovalRequest, who: Person) -> list[str]:
    return [button.label for button in MESSAGES.personal_card(request, who).buttons]


def form(request: ApprovalRequest, who: Person) -> Form:
    return MESSAGES.review_form(
        request, full_view(request, reading(request), {}, Marks(b"p" * 32)), who
    )


def story(request: ApprovalRequest) -> list[str]:
    return [f"{step.at:%H:%M} {plain(step.line)}" for step in MESSAGES.steps(request)]


def in_time(request: ApprovalRequest, minutes: int) -> ApprovalRequest:
    return after(lifecycle.on_deadline(request, NOW + minutes * MINUTE))


def test_a_card_says_which_stage_is_open_and_who_is_asked_next() -> None:
    request = voted(opened(STAGES), ANNA)
    card = MESSAGES.channel_card(request)
    assert "Stage 1 of 2: 1 of 2 approvals from privacy; then 1 from duty." in notes(card)
    assert (
        "1 of 3 approvals. Stage 1 of 2: 1 of 2 approvals from privacy; then 1 from duty, by "
        "2026-11-23 14:32:00 UTC. Request req_1."
    ) in card.text
    second = MESSAGES.channel_card(voted(request, BEN, 4))
    assert "Stage 2 of 2: 0 of 1 approval from duty." in notes(second)


def test_a_card_says_that_each_approval_comes_from_another_group() -> None:
    request = opened(EACH)
    told = "2 different approvers are needed, each from another group of privacy and duty."
    assert told in notes(MESSAGES.channel_card(request))
    missing = "One more approver is needed, from duty."
    assert missing in notes(MESSAGES.channel_card(voted(request, ANNA)))


@pytest.mark.parametrize(
    ("request_", "who"), [(opened(STAGES), CLEO), (voted(opened(EACH), ANNA), ELA)],
    ids=["of a later stage", "of a group that has approved"],
)  # fmt: skip
def test_who_is_not_asked_now_may_look_and_deny(request_: ApprovalRequest, who: Person) -> None:
    assert buttons(request_, who) == ["Review", "Deny"]
    shown = form(request_, who)
    assert [button.action for button in shown.submits] == ["deny"]
    assert [(field.label, field.is_required) for field in shown.inputs] == [
        ("Why is it denied?", True)
    ]
    assert section_of(request_, who) == "open"


def test_the_review_of_who_is_not_asked_now_says_why() -> None:
    said = notes(form(opened(STAGES), CLEO).card)[-1]
    assert said == "Stage 1 of 2 is open: it still needs 2 approvals from privacy."


def test_a_quick_approval_is_offered_to_whom_it_would_count_for() -> None:
    request = opened(STAGES.model_copy(update={"quick_approve": True}))
    assert buttons(request, ANNA) == ["Approve", "Review", "Deny"]
    assert buttons(request, CLEO) == ["Review", "Deny"]
    assert section_of(request, ANNA) == "waiting"


def test_whose_turn_it_is_now_finds_approve_in_review() -> None:
    request = voted(voted(opened(STAGES), ANNA), BEN, 4)
    assert [button.action for button in form(request, CLEO).submits] == ["approve", "deny"]
    assert section_of(request, CLEO) == "waiting"


def test_an_approval_is_answered_with_who_is_asked_next() -> None:
    reply = Replies(MESSAGES).approved(voted(opened(STAGES), ANNA))
    assert reply.text == (
        "Your approval counts: 1 of 3 approvals. Stage 1 of 2: 1 of 2 approvals from privacy; "
        "then 1 from duty, by 2026-11-23 14:32:00 UTC."
    )


def test_reminders_and_escalations_are_told_while_it_waits() -> None:
    request = in_time(opened(WAITING), 1)
    reminded = MESSAGES.channel_card(request)
    assert "Reminder 1 at 2026-11-23 14:18:00 UTC: this request still waits." in notes(reminded)
    request = in_time(request, 6)
    told = notes(MESSAGES.channel_card(request))
    added = "board and duty may decide too, also told in managers"
    assert told[1] == f"Escalated at 2026-11-23 14:19:00 UTC: {added}."
    assert told[2] == "Reminder 2 at 2026-11-23 14:22:00 UTC: this request still waits."
    assert buttons(request, CLEO) == ["Review", "Deny"]
    ended = MESSAGES.channel_card(voted(request, CLEO, 7))
    assert not [note for note in notes(ended) if "waits" in note or "Escalated" in note]


def test_an_escalation_may_add_channels_alone() -> None:
    step = Escalation(after=MINUTE, notify=("managers", "board-desk"))
    request = in_time(opened(policy(escalate=(step,))), 1)
    told = "Escalated at 2026-11-23 14:18:00 UTC: also told in managers and board-desk."
    assert told in notes(MESSAGES.channel_card(request))


def test_the_times_are_those_that_a_platform_may_show_in_the_readers_zone() -> None:
    request = in_time(opened(WAITING), 6)
    moments = [s for note in MESSAGES.channel_card(request).notes for s in note]
    told = [span.at for span in moments if isinstance(span, Moment)]
    assert told == [NOW + 2 * MINUTE, NOW + 5 * MINUTE]


def test_each_is_a_step_of_the_story() -> None:
    request = voted(in_time(opened(WAITING), 6), ANNA, 8)
    assert story(request) == [
        "14:17 Asked by Jonas Berg",
        "14:18 Reminder 1: it still waited",
        "14:19 Escalation 1: board and duty may decide too, also told in managers",
        "14:22 Reminder 2: it still waited",
        "14:24 Anna Ek looked at the details",
        "14:25 Anna Ek approved",
        "14:25 The request is approved",
    ]


def test_the_story_says_in_which_stage_somebody_approved() -> None:
    request = voted(voted(voted(opened(STAGES), ANNA), BEN, 4), CLEO, 6)
    told = [line[6:] for line in story(request) if " approved in " in line]
    assert told == [
        "Anna Ek approved in stage 1 of 2",
        "Ben Okafor approved in stage 1 of 2",
        "Cleo Marsh approved in stage 2 of 2",
    ]
    assert "14:19 Cleo Marsh denied" in story(voted(opened(STAGES), CLEO, against=True))

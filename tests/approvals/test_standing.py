"""Stages and distinct groups: who may approve when, who is refused, and in what words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals import lifecycle
from approvals.change import Change, DenyRule, Voting
from approvals.errors import AlreadyReviewed, NotApprover, OwnRequest
from approvals.model import ApprovalRequest, Encrypted, Escalation, MatchedPolicy, Person
from approvals.standing import asked_next, may_approve, may_decide, may_vote, open_stage
from tests.approvals.samples import (
    ANNA,
    BEN,
    CLEO,
    DORA,
    JONAS,
    NOW,
    SLACK,
    in_stages,
    pending,
    person,
    policy,
)

LEA = person("lea", "legal")
MAX = person("max", "privacy", "legal")
BOARD = person("board", "board")
LATER = NOW + timedelta(minutes=1)


def staged(*stages: tuple[int, str], **changes: object) -> MatchedPolicy:
    """A policy of these stages, frozen as the policy file's reader does it."""
    parts = in_stages(*stages)
    groups = tuple(dict.fromkeys(group for part in parts for group in part.groups))
    threshold = sum(part.threshold for part in parts)
    frozen = {"stages": parts, "groups": groups, "threshold": threshold, "quick_approve": True}
    return policy(**frozen | changes)


def distinct(threshold: int, *groups: str) -> MatchedPolicy:
    return policy(threshold=threshold, groups=groups, distinct_groups=True, quick_approve=True)


def approve(request: ApprovalRequest, who: Person, denied_by: DenyRule | None = None) -> Change:
    return lifecycle.review(request, Voting(who, SLACK, "approve"), LATER, denied_by=denied_by)


def approved_by(request: ApprovalRequest, *people: Person) -> ApprovalRequest:
    for who in people:
        request = approve(request, who).request
    return request


def refusal(request: ApprovalRequest, who: Person) -> str:
    with pytest.raises(NotApprover) as refused:
        approve(request, who)
    assert may_vote(request, who)
    assert not may_approve(request, who)
    return refused.value.detail


THREE = staged((2, "privacy"), (1, "legal"))


def test_all_of_the_first_stage_comes_before_the_second_may_approve() -> None:
    request = pending(THREE)
    assert refusal(request, LEA) == "Stage 1 of 2 is open: it still needs 2 approvals from privacy."
    request = approved_by(request, ANNA)
    assert refusal(request, LEA) == "Stage 1 of 2 is open: it still needs 1 approval from privacy."
    request = approved_by(request, BEN)
    assert not request.is_final
    assert may_approve(request, LEA)
    change = approve(request, LEA)
    assert change.request.status == "approved"
    assert change.request.decision is not None
    assert [who.person for who in change.request.decision.by] == ["anna", "ben", "lea"]


def test_a_complete_stage_takes_no_further_approval() -> None:
    request = approved_by(pending(THREE), ANNA, BEN)
    assert refusal(request, DORA) == "Stage 2 of 2 is open: it still needs 1 approval from legal."


def test_a_person_counts_in_one_stage_only() -> None:
    request = approved_by(pending(THREE), MAX, ANNA)
    with pytest.raises(AlreadyReviewed):
        approve(request, MAX)
    assert approved_by(request, LEA).status == "approved"


def test_each_approval_says_in_which_stage_it_counts_and_for_whom() -> None:
    change = approve(approved_by(pending(THREE), MAX, ANNA), LEA)
    stood = [(given.stage, given.groups) for given in change.request.reviews]
    assert stood == [(0, ("privacy",)), (0, ("privacy",)), (1, ("legal",))]
    assert change.events[0].model_dump()["stage"] == 1
    assert change.events[0].model_dump()["groups"] == ("legal",)


@pytest.mark.parametrize("who", [ANNA, LEA, MAX], ids=lambda who: who.id)
@pytest.mark.parametrize("before", [(), (DORA,), (DORA, BEN)], ids=["none", "one", "stage 1"])
def test_anybody_of_any_stage_may_deny_at_any_time(who: Person, before: tuple[Person, ...]) -> None:
    request = approved_by(pending(THREE), *before)
    assert may_vote(request, who)
    ended = lifecycle.review(
        request, Voting(who, SLACK, "deny", reason=Encrypted("No")), LATER
    ).request
    assert ended.status == "denied"
    assert ended.decision is not None
    assert [by.person for by in ended.decision.by] == [who.id]


def test_who_is_not_asked_yet_may_look() -> None:
    change = lifecycle.view(pending(THREE), LEA, SLACK, "f" * 64, LATER)
    assert change.events[0].type == "request.viewed"


def test_a_deny_rule_ends_a_request_only_by_an_approval_whose_turn_it_is() -> None:
    rule = DenyRule("freeze", None, "v2")
    with pytest.raises(NotApprover):
        approve(pending(THREE), LEA, rule)
    assert approve(pending(THREE), ANNA, rule).request.status == "denied"


def test_nobody_of_no_stage_decides_and_never_the_requester() -> None:
    with pytest.raises(NotApprover, match="not an approver"):
        approve(pending(THREE), CLEO)
    with pytest.raises(OwnRequest):
        approve(pending(THREE), JONAS)


def test_a_record_that_lacks_no_approval_is_ended_by_the_next() -> None:
    request = pending(policy(threshold=0, quick_approve=True))
    assert open_stage(request) is None
    assert asked_next(request) == "No approver is needed"
    assert approve(request, ANNA).request.status == "approved"


# Each approval from another group.


def test_a_second_approval_from_the_same_group_is_refused_by_name() -> None:
    request = approved_by(pending(distinct(2, "privacy", "duty")), ANNA)
    told = refusal(request, BEN)
    assert told == "privacy has approved already; an approval from duty is needed."
    assert approved_by(request, CLEO).status == "approved"


@pytest.mark.parametrize("order", [(ANNA, DORA), (DORA, ANNA), (DORA, CLEO), (CLEO, DORA)], ids=str)
def test_a_person_of_two_groups_stands_for_either_also_afterwards(
    order: tuple[Person, Person],
) -> None:
    assert approved_by(pending(distinct(2, "privacy", "duty")), *order).status == "approved"


def test_both_groups_of_a_person_may_be_used_up() -> None:
    request = approved_by(pending(distinct(3, "privacy", "duty", "legal")), ANNA, CLEO)
    told = refusal(request, DORA)
    assert told == "privacy and duty have approved already; an approval from legal is needed."


def test_the_groups_of_a_vote_are_those_of_its_time() -> None:
    request = approved_by(pending(distinct(2, "privacy", "duty")), person("dora", "privacy"))
    # She has joined duty since; her approval stands for privacy all the same.
    assert refusal(request, BEN).startswith("privacy has approved already")


def test_groups_must_differ_over_all_stages() -> None:
    under = staged((1, "privacy"), (1, "privacy legal"), distinct_groups=True)
    request = approved_by(pending(under), ANNA)
    told = "Stage 2 of 2: privacy has approved already; an approval from legal is needed."
    assert refusal(request, BEN) == told
    assert approved_by(request, MAX).status == "approved"


def test_a_stage_whose_groups_are_used_up_says_so() -> None:
    under = staged((1, "privacy"), (1, "privacy"), distinct_groups=True)
    request = approved_by(pending(under), ANNA)
    told = "Stage 2 of 2: privacy has approved already; no other group of this stage is left."
    assert refusal(request, BEN) == told


# What an escalation adds.


def escalated(under: MatchedPolicy) -> ApprovalRequest:
    added = Escalation(after=timedelta(minutes=5), groups=("board",))
    return pending(under.model_copy(update={"escalate": (added,)}), escalated=1)


def test_an_added_group_may_decide_only_once_it_is_added() -> None:
    request = escalated(distinct(2, "privacy", "duty"))
    before = request.model_copy(update={"escalated": 0})
    assert (may_decide(before, BOARD), may_decide(request, BOARD)) == (False, True)
    with pytest.raises(NotApprover):
        approve(before, BOARD)


def test_an_added_group_is_a_further_one_where_groups_must_differ() -> None:
    request = escalated(distinct(2, "privacy", "duty"))
    assert approved_by(request, ANNA, BOARD).status == "approved"
    assert refusal(approved_by(request, BOARD), person("bo", "board")) == (
        "board has approved already; an approval from privacy or duty is needed."
    )


def test_an_added_group_may_approve_in_every_stage_that_is_not_complete() -> None:
    request = escalated(THREE)
    assert may_approve(request, BOARD)
    assert approved_by(request, ANNA, BEN, BOARD).status == "approved"
    assert approved_by(request, ANNA, BOARD, LEA).status == "approved"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pending(), "One approver is needed"),
        (pending(policy(threshold=2)), "2 different approvers are needed"),
        (approved_by(pending(policy(threshold=3, quick_approve=True)), ANNA),
         "2 more approvers are needed"),
        (pending(distinct(2, "privacy", "duty")),
         "2 different approvers are needed, each from another group of privacy and duty"),
        (approved_by(pending(distinct(2, "privacy", "duty")), ANNA),
         "One more approver is needed, from duty"),
        (pending(staged((1, "privacy"))), "One approver is needed"),
        (approved_by(pending(THREE), ANNA),
         "Stage 1 of 2: 1 of 2 approvals from privacy; then 1 from legal"),
        (approved_by(pending(THREE), ANNA, BEN), "Stage 2 of 2: 0 of 1 approval from legal"),
        (escalated(THREE),
         "Stage 1 of 2: 0 of 2 approvals from privacy or board; then 1 from legal or board"),
        (pending(staged((1, "privacy"), (1, "duty legal"), distinct_groups=True)),
         ("Stage 1 of 2: 0 of 1 approval from privacy; then 1 from duty or legal, "
          "each from another group")),
    ],
)  # fmt: skip
def test_who_is_asked_next_is_said_in_words(request_: ApprovalRequest, words: str) -> None:
    assert asked_next(request_) == words

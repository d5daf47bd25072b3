"""Whatever people do in whatever order, the promises of the state machine hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import lifecycle
from approvals.change import Change, TakingBack, Voting
from approvals.errors import Refusal
from approvals.model import ApprovalRequest, Encrypted, Escalation, Person, Review, Stage
from tests.approvals.samples import (
    ADMIN,
    ANNA,
    BEN,
    CLEO,
    CLI,
    DORA,
    JONAS,
    NOW,
    OLGA,
    pending,
    person,
    policy,
)

MINUTE = timedelta(minutes=1)
PEOPLE = [ANNA, BEN, CLEO, DORA, JONAS, OLGA, ADMIN, person("anna"), person("ben", "support")]
_steps = st.lists(
    st.tuples(st.sampled_from(["view", "approve", "deny", "cancel", "time"]),
              st.sampled_from(PEOPLE), st.integers(0, 40)),
    max_size=30,
)  # fmt: skip


def _step(request: ApprovalRequest, command: str, who: Person, at: datetime) -> ApprovalRequest:
    commands: dict[str, Callable[[], Change | None]] = {
        "view": lambda: lifecycle.view(request, who, CLI, "f" * 64, at),
        "approve": lambda: lifecycle.review(request, Voting(who, CLI, "approve"), at),
        "deny": lambda: lifecycle.review(
            request, Voting(who, CLI, "deny", reason=Encrypted("No")), at
        ),
        "cancel": lambda: lifecycle.cancel_by_person(request, TakingBack(who, CLI), at),
        "time": lambda: lifecycle.on_deadline(request, at),
    }
    try:
        change = commands[command]()
    except Refusal:
        return request
    return change.request if change else request


@settings(deadline=None)
@given(threshold=st.integers(1, 3), steps=_steps)
def test_whatever_people_do_a_final_state_stays_and_approval_means_enough_distinct_persons(
    threshold: int, steps: list[tuple[str, Person, int]]
) -> None:
    request = pending(policy(threshold=threshold, groups=("privacy", "duty")))
    entitled = {"anna", "ben", "cleo", "dora"}
    for command, who, minutes in steps:
        before = request
        request = _step(request, command, who, NOW + minutes * MINUTE)
        if before.is_final:
            assert (request.status, request.decision) == (before.status, before.decision)
        if request.status == "approved":
            assert request.decision is not None
            deciders = {by.person for by in request.decision.by}
            assert len(deciders) >= threshold
            assert deciders <= entitled
        assert (request.grant is not None) == (request.status == "approved")


GROUPS = ["privacy", "duty", "legal"]
EVERYBODY = [*PEOPLE, person("lea", "legal"), person("max", "privacy", "legal"),
             person("bo", "board"), person("bea", "board", "duty")]  # fmt: skip
_stages = st.lists(
    st.builds(
        Stage,
        threshold=st.integers(1, 2),
        groups=st.sets(st.sampled_from(GROUPS), min_size=1).map(lambda some: tuple(sorted(some))),
    ),
    min_size=1,
    max_size=3,
)
_more_steps = st.lists(
    st.tuples(st.sampled_from(["approve", "approve", "approve", "time", "deny"]),
              st.sampled_from(EVERYBODY), st.integers(0, 14)),
    max_size=25,
)  # fmt: skip


@settings(deadline=None)
@given(stages=_stages, distinct_groups=st.booleans(), after=st.integers(1, 14), steps=_more_steps)
def test_approval_means_full_stages_in_order_distinct_persons_and_where_asked_distinct_groups(
    stages: list[Stage], distinct_groups: bool, after: int, steps: list[tuple[str, Person, int]]
) -> None:
    groups = tuple(dict.fromkeys(group for stage in stages for group in stage.groups))
    under = policy(
        stages=tuple(stages),
        threshold=sum(stage.threshold for stage in stages),
        groups=groups,
        distinct_groups=distinct_groups,
        escalate=(Escalation(after=after * MINUTE, groups=("board",)),),
        quick_approve=True,
    )
    request = pending(under)
    for command, who, minutes in sorted(steps, key=lambda step: step[2]):
        request = _step(request, command, who, NOW + minutes * MINUTE)
        given_ = request.approvals
        assert len({review.person for review in request.reviews}) == len(request.reviews)
        assert [review.stage for review in given_] == sorted(review.stage for review in given_)
        assert all(_was_entitled(review, stages, request) for review in given_)
        assert not distinct_groups or _may_differ([set(review.groups) for review in given_])
        full = [sum(r.stage == i for r in given_) for i in range(len(stages))]
        limits = [stage.threshold for stage in stages]
        assert all(have <= most for have, most in zip(full, limits, strict=True))
        if request.status == "approved":
            assert full == limits


def _was_entitled(review: Review, stages: list[Stage], request: ApprovalRequest) -> bool:
    added = {group for step in request.escalations for group in step.groups}
    return bool(review.groups) and set(review.groups) <= {*stages[review.stage].groups, *added}


def _may_differ(votes: list[set[str]]) -> bool:
    if not votes:
        return True
    first, *others = votes
    return any(_may_differ([vote - {group} for vote in others]) for group in first)

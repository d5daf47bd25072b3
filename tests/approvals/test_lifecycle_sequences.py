"""Whatever people do in whatever order, the promises of the state machine hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import lifecycle
from approvals.change import Cancelling, Change, Voting
from approvals.errors import Refusal
from approvals.model import ApprovalRequest, Person
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
        "deny": lambda: lifecycle.review(request, Voting(who, CLI, "deny", reason="No"), at),
        "cancel": lambda: lifecycle.cancel_by_person(request, Cancelling(who, CLI), at),
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

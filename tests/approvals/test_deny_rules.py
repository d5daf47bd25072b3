"""A deny rule that came into force after the opening ends what is about to be approved."""

from __future__ import annotations

import pytest

from approvals import lifecycle
from approvals.change import Voting
from approvals.errors import NotApprover, NotReviewed
from approvals.events import RequestDecided, RequestReviewed
from tests.approvals.samples import ANNA, CLEO, SLACK, pending
from tests.approvals.test_lifecycle import DENY_RULE, LATER, approve, viewed


def test_a_deny_rule_in_force_turns_an_approval_into_a_denial_by_policy() -> None:
    change = approve(viewed(pending(), ANNA), ANNA, denied_by=DENY_RULE)
    decision = change.request.decision
    assert decision is not None
    assert (decision.outcome, decision.by, decision.rule) == ("denied", (), "never-sell")
    assert decision.reason == "We do not sell customer data"
    assert decision.policy == "v2"
    decided = change.events[-1]
    assert isinstance(decided, RequestDecided)
    assert (decided.rule, decided.policy) == ("never-sell", "v2")
    assert change.request.reviews == ()
    assert change.request.grant is None
    assert change.callback == "request.denied"


def test_a_vote_says_by_which_policy_it_was_looked_at_last() -> None:
    voting = Voting(ANNA, SLACK, "approve", policy="v2")
    change = lifecycle.review(viewed(pending(), ANNA), voting, LATER)
    reviewed = next(event for event in change.events if isinstance(event, RequestReviewed))
    assert reviewed.policy == "v2"


def test_a_deny_rule_ends_a_request_only_by_an_approval_that_would_have_counted() -> None:
    with pytest.raises(NotReviewed):
        approve(pending(), ANNA, denied_by=DENY_RULE)
    with pytest.raises(NotApprover):
        approve(viewed(pending(), ANNA), CLEO, denied_by=DENY_RULE)

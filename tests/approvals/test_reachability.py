"""A request that its approvers could never approve is refused as it opens, with what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals import intake
from approvals.errors import NoApproverReachable
from approvals.model import MatchedPolicy, PersonId
from approvals.policy.loader import Configuration, load_configuration
from tests.approvals.samples import in_stages, policy
from tests.configurations import write_configuration

BOTH = ("privacy", "duty")  # anna and ben; cleo
ASK = "Ask an admin to add approvers to its groups (people.yaml)."


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    write_configuration(tmp_path)
    return load_configuration(tmp_path)


def staged(*stages: tuple[int, str], **changes: object) -> MatchedPolicy:
    parts = in_stages(*stages)
    threshold = sum(part.threshold for part in parts)
    return policy(**{"stages": parts, "threshold": threshold, "groups": BOTH} | changes)


@pytest.mark.parametrize(
    "under",
    [
        policy(threshold=3, groups=BOTH),
        policy(threshold=2, groups=BOTH, distinct_groups=True),
        staged((2, "privacy"), (1, "duty")),
        staged((1, "privacy"), (1, "privacy")),
        staged((1, "privacy"), (1, "privacy duty"), distinct_groups=True),
        policy(decision="approve", threshold=0, groups=()),
    ],
)
def test_what_its_approvers_can_give_is_opened(
    configuration: Configuration, under: MatchedPolicy
) -> None:
    intake._check_reachable(configuration, under, None)


@pytest.mark.parametrize(
    ("under", "responsible", "missing"),
    [
        (policy(threshold=3), None, "needs 3 approvers, and 2 may decide this request."),
        (policy(threshold=3, groups=BOTH), "anna",
         "needs 3 approvers, and 2 may decide this request."),
        (policy(threshold=3, groups=BOTH, distinct_groups=True), None,
         "needs 3 approvers from privacy or duty, each from another group, and 2 can be had."),
        (policy(threshold=2, groups=BOTH, distinct_groups=True), "cleo",
         "needs 2 approvers from privacy or duty, each from another group, and 1 can be had."),
        (staged((1, "duty"), (1, "duty")), None,
         ("needs 1 approver from duty in stage 2 of 2, besides those of the stages before, "
          "and 0 can be had.")),
        (staged((2, "duty"), (1, "privacy")), None,
         "needs 2 approvers from duty in stage 1 of 2, and 1 can be had."),
        (staged((1, "privacy"), (1, "privacy"), distinct_groups=True), None,
         ("needs 1 approver from privacy in stage 2 of 2, each from another group, "
          "besides those of the stages before, and 0 can be had.")),
    ],
)  # fmt: skip
def test_what_they_can_never_give_is_refused_in_words(
    configuration: Configuration, under: MatchedPolicy, responsible: PersonId | None, missing: str
) -> None:
    with pytest.raises(NoApproverReachable) as refused:
        intake._check_reachable(configuration, under, responsible)
    assert refused.value.detail == f"Rule one-approver {missing} {ASK}"

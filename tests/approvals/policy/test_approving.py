"""A rule that approves goes by what is known alone; no strict default stands in for it."""

from __future__ import annotations

import pytest

from approvals.policy.document import Mode
from approvals.policy.expressions import Value
from approvals.policy.inquiry import Inquiry
from tests.approvals.policy.test_analysis import AT, EXPORT, KNOWN, REVIEW, rule_of, rulebook_of

UNSAID = [
    'geo.country != "KP"',
    'request.record_count <= 5 && !(geo.country in ["KP"])',
    'service == "crm" && device.type != "phone"',
    'requester.id.startsWith("okta:") && requester.roles.all(r, r != "lead")',
    'request.purpose != "marketing" && client.ip.startsWith("192.")',
    "!device.managed",
]


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
@pytest.mark.parametrize("when", UNSAID)
def test_no_strict_default_makes_a_rule_approve(when: str, mode: Mode) -> None:
    claims: dict[str, Value] = {"requester.roles": [], "geo.country": "", "device.type": "unknown"}
    values: dict[str, Value] = {**KNOWN, **claims, "device.managed": False, "request.purpose": ""}
    said = frozenset({"request.record_count"})
    rulebook = rulebook_of(rule_of("approves", "approve", when, mode), REVIEW)
    matched = rulebook.terms(Inquiry(EXPORT, AT, values, said)).matched
    assert (matched.rule, matched.shadow, matched.shadow_failed) == ("review", (), ())
    # The same words said by the service count.
    known = frozenset(values)
    said_so = rulebook.terms(Inquiry(EXPORT, AT, values, known)).matched
    assert (said_so.rule if mode == "enforce" else said_so.shadow[0]) == "approves"


def test_why_a_rule_that_approves_does_not_fit_is_told() -> None:
    rulebook = rulebook_of(rule_of("approves", "approve", 'geo.country != "KP"'), REVIEW)
    trial = rulebook.explain(Inquiry(EXPORT, AT, {**KNOWN, "geo.country": ""}))[0]
    assert (trial.truth, trial.error) == (False, "geo.country is not known")


def test_what_is_known_of_one_side_is_enough_for_either() -> None:
    either = rule_of("approves", "approve", "device.managed || geo.country != 'KP'")
    inquiry = Inquiry(EXPORT, AT, {**KNOWN, "geo.country": ""}, frozenset({"device.managed"}))
    assert rulebook_of(either).terms(inquiry).matched.rule == "approves"


def test_a_rule_that_reviews_or_denies_goes_by_the_strict_default() -> None:
    unknown = Inquiry(EXPORT, AT, {**KNOWN, "geo.country": ""})
    for decision in ("review", "deny"):
        rulebook = rulebook_of(rule_of("r", decision, "geo.country == ''"))
        assert rulebook.terms(unknown).matched.rule == "r"

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.errors import UnknownAction
from approvals.model import ActionId, MatchedPolicy
from approvals.policy.analysis import Inquiry, Terms, analyse, deny_rule_in_force
from approvals.policy.document import Action, Defaults, Policy, Rule, Then
from approvals.policy.globs import matches_any
from approvals.policy.loader import load_configuration
from tests.approvals.policy.example import write

MINUTE = timedelta(minutes=1)
EXPORT, READ = ActionId("customer.export"), ActionId("customer.read")


def _policy(*rules: Rule, defaults: Defaults | None = None, action: Action | None = None) -> Policy:
    return Policy(
        version=1,
        defaults=defaults or Defaults(groups=("privacy",), notify=("desk",)),
        actions={READ: Action(title="Read"), EXPORT: action or Action(title="Export")},
        rules=rules,
    )


def _ask(
    policy: Policy,
    action: ActionId = EXPORT,
    expires_in: timedelta | None = None,
    grant_ttl: timedelta | None = None,
) -> Terms:
    return analyse(policy, "v1", Inquiry(action), expires_in, grant_ttl)


REVIEW = Rule(id="review", then=Then(decision="review"))
APPROVE = Rule(id="approve", then=Then(decision="approve"))
DENY = Rule(id="deny", why="Never", then=Then(decision="deny", say="Ask the desk"))
DENY_READ = Rule(id="deny-read", actions=("*.read",), then=Then(decision="deny"))


@pytest.mark.parametrize(
    ("rules", "action", "rule"),
    [
        ([REVIEW, APPROVE], EXPORT, "review"),
        ([APPROVE, REVIEW], EXPORT, "approve"),
        ([APPROVE, REVIEW, DENY], EXPORT, "deny"),
        ([DENY, APPROVE], EXPORT, "deny"),
        ([APPROVE, DENY_READ], EXPORT, "approve"),
        ([APPROVE, DENY_READ], READ, "deny-read"),
        ([DENY_READ], EXPORT, "no-match"),
        ([], EXPORT, "no-match"),
    ],
)
def test_a_deny_rule_wins_wherever_it_stands_then_the_first_that_fits(
    rules: list[Rule], action: ActionId, rule: str
) -> None:
    policy = _policy(*rules)
    terms = _ask(policy, action)
    denial = deny_rule_in_force(policy, Inquiry(action))
    assert terms.matched.rule == rule
    assert (denial.id if denial else None) == (rule if rule.startswith("deny") else None)


def test_no_match_denies_or_asks_the_default_groups() -> None:
    assert _ask(_policy()).matched == MatchedPolicy(
        version="v1", rule="no-match", why="No rule fits this action", decision="deny"
    )
    asking = Defaults(on_no_match="review", groups=("privacy",), threshold=2, notify=("desk",))
    assert _ask(_policy(defaults=asking)).matched == MatchedPolicy(
        version="v1",
        rule="no-match",
        why="No rule fits this action",
        decision="review",
        threshold=2,
        groups=("privacy",),
        notify=("desk",),
    )


def test_a_decision_by_policy_carries_its_words_and_no_people() -> None:
    assert _ask(_policy(DENY)).matched == MatchedPolicy(
        version="v1", rule="deny", why="Never", say="Ask the desk", decision="deny"
    )


def test_a_review_takes_its_own_words_before_the_defaults() -> None:
    then = Then(decision="review", threshold=2, groups=("duty",), notify=(), quick_approve=True)
    assert _ask(_policy(Rule(id="own", then=then))).matched == MatchedPolicy(
        version="v1",
        rule="own",
        decision="review",
        threshold=2,
        groups=("duty",),
        quick_approve=True,
    )
    matched = _ask(_policy(REVIEW)).matched
    assert (matched.threshold, matched.groups, matched.notify) == (1, ("privacy",), ("desk",))


@pytest.mark.parametrize(
    ("asked", "rule", "action", "default", "holds"),
    [
        (None, None, None, 15, 15),
        (5, None, None, 15, 5),
        (60, None, None, 15, 15),
        (None, 5, None, 15, 5),
        (None, None, 5, 15, 5),
        (None, 60, 60, 15, 15),
        (9, 8, 7, 10, 7),
        (7, 8, 9, 10, 7),
        (9, 7, 8, 10, 7),
    ],
)
def test_of_several_lengths_the_smallest_holds(
    asked: int | None, rule: int | None, action: int | None, default: int, holds: int
) -> None:
    def minutes(number: int | None) -> timedelta | None:
        return None if number is None else number * MINUTE

    then = Then(decision="review", expires_in=minutes(rule), grant_ttl=minutes(rule))
    catalogue = Action(title="A", expires_in=minutes(action), grant_ttl=minutes(action))
    defaults = Defaults(
        groups=("privacy",), expires_in=default * MINUTE, grant_ttl=default * MINUTE
    )
    policy = _policy(Rule(id="r", then=then), defaults=defaults, action=catalogue)
    terms = _ask(policy, EXPORT, minutes(asked), minutes(asked))
    assert (terms.expires_in, terms.grant_ttl) == (holds * MINUTE, holds * MINUTE)


@pytest.mark.parametrize(
    ("rule", "action", "holds"), [(None, None, 4), (2, None, 2), (None, 9, 9), (7, 9, 7), (9, 7, 7)]
)
def test_uses_are_the_fewer_of_rule_and_action_else_the_default(
    rule: int | None, action: int | None, holds: int
) -> None:
    policy = _policy(
        Rule(id="r", then=Then(decision="approve", uses=rule)),
        defaults=Defaults(uses=4),
        action=Action(title="A", uses=action),
    )
    assert _ask(policy).uses == holds


def test_an_action_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(UnknownAction):
        _ask(_policy(APPROVE), ActionId("customer.exprot"))


def test_the_example_decides_as_it_reads(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path))
    inquiry = Inquiry(EXPORT, {"geo.country": "DE"})
    terms = analyse(configuration.policy, configuration.version, inquiry, None, None)
    assert terms == Terms(
        matched=MatchedPolicy(
            version=configuration.version,
            rule="export-needs-two",
            why="Exports need two people",
            say="Ask early",
            decision="review",
            threshold=2,
            groups=("privacy", "duty"),
            quick_approve=True,
            notify=("duty-desk",),
        ),
        expires_in=30 * MINUTE,
        grant_ttl=5 * MINUTE,
        uses=1,
    )


GLOBS = st.lists(
    st.sampled_from(["*", "customer.*", READ, EXPORT, "other"]), min_size=1, max_size=2
)
RULES = st.lists(st.tuples(st.sampled_from(["approve", "deny", "review"]), GLOBS), max_size=5)


@given(RULES, st.sampled_from([READ, EXPORT]), st.sampled_from(["deny", "review"]))
def test_nothing_is_approved_unless_an_approve_rule_fits_and_no_deny_rule_does(
    drawn: list[tuple[str, list[str]]], action: ActionId, on_no_match: str
) -> None:
    rules = [
        Rule.model_validate({"id": f"r{n}", "actions": globs, "then": {"decision": decision}})
        for n, (decision, globs) in enumerate(drawn)
    ]
    defaults = Defaults.model_validate({"on_no_match": on_no_match, "groups": ["privacy"]})
    policy = _policy(*rules, defaults=defaults)
    decided = _ask(policy, action).matched.decision
    fitting = [decision for decision, globs in drawn if matches_any(tuple(globs), action)]
    if decided == "approve":
        assert fitting[0] == "approve"
        assert "deny" not in fitting
    assert (decided == "deny") is ("deny" in fitting or (not fitting and on_no_match == "deny"))
    denied = _policy(*rules, DENY, defaults=defaults)
    assert _ask(denied, action).matched.decision == "deny"

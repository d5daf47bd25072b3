from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.change import DenyRule
from approvals.errors import UnknownAction
from approvals.model import ActionId, Escalation, MatchedPolicy, Stage
from approvals.policy.analysis import Rulebook, Terms
from approvals.policy.document import (
    Action,
    Defaults,
    EscalationEntry,
    Mode,
    Policy,
    Rule,
    StageEntry,
    Then,
)
from approvals.policy.expressions import Value
from approvals.policy.globs import matches_any
from approvals.policy.inquiry import Inquiry
from approvals.policy.loader import load_configuration
from tests.approvals.policy.example import write

MINUTE = timedelta(minutes=1)
EXPORT, READ = ActionId("customer.export"), ActionId("customer.read")
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
KNOWN: dict[str, Value] = {
    "service": "crm",
    "requester.id": "okta:1",
    "requester.roles": ["support"],
    "requester.groups": [],
    "request.record_count": 5,
    "request.data_classes": ["contact"],
    "request.purpose": "support",
    "geo.country": "DE",
    "device.managed": True,
    "device.type": "laptop",
    "client.ip": "192.0.2.1",
}
NO_RULE = "No rule fits this request"
PEOPLE = "People decide about this action"


def _inquiry(action: ActionId = EXPORT, absent: str = "", **values: Value) -> Inquiry:
    known = {**KNOWN, **{name.replace("__", "."): value for name, value in values.items()}}
    known.pop(absent, None)
    return Inquiry(action, AT, known, frozenset(known))


def rulebook_of(
    *rules: Rule, defaults: Defaults | None = None, action: Action | None = None
) -> Rulebook:
    policy = Policy(
        version=1,
        lists={"EEA": ("DE", "FR")},
        defaults=defaults or Defaults(groups=("privacy",), notify=("desk",)),
        actions={READ: Action(title="Read"), EXPORT: action or Action(title="Export")},
        rules=rules,
    )
    return Rulebook(policy, "v1")


def rule_of(name: str, decision: str, when: str = "true", mode: Mode = "enforce") -> Rule:
    then = Then.model_validate({"decision": decision})
    return Rule(id=name, when=when, mode=mode, then=then)


REVIEW = rule_of("review", "review")
APPROVE = rule_of("approve", "approve")
DENY = Rule(id="deny", why="Never", then=Then(decision="deny", say="Ask the desk"))
DENY_READ = Rule(id="deny-read", actions=("*.read",), then=Then(decision="deny"))
ERRING = "request.record_count > 500"


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
    rulebook = rulebook_of(*rules)
    denial = rulebook.denial(_inquiry(action))
    assert rulebook.terms(_inquiry(action)).matched.rule == rule
    assert (denial.rule if denial else None) == (rule if rule.startswith("deny") else None)


@pytest.mark.parametrize(
    ("country", "managed", "rule"),
    [("DE", True, "eea"), ("US", True, "managed"), ("US", False, "no-match"), ("DE", False, "eea")],
)
def test_the_first_whose_condition_holds_decides(country: str, managed: bool, rule: str) -> None:
    rulebook = rulebook_of(
        rule_of("eea", "review", "geo.country in EEA"),
        rule_of("managed", "review", "device.managed"),
    )
    inquiry = _inquiry(geo__country=country, device__managed=managed)
    assert rulebook.terms(inquiry).matched.rule == rule


def test_no_match_denies_or_asks_the_default_groups() -> None:
    assert rulebook_of().terms(_inquiry()).matched == MatchedPolicy(
        version="v1", rule="no-match", why=NO_RULE, decision="deny"
    )
    asking = Defaults(on_no_match="review", groups=("privacy",), threshold=2, notify=("desk",))
    assert rulebook_of(defaults=asking).terms(_inquiry()).matched == MatchedPolicy(
        version="v1",
        rule="no-match",
        why=NO_RULE,
        decision="review",
        threshold=2,
        groups=("privacy",),
        notify=("desk",),
    )


def test_a_deny_rule_that_cannot_be_judged_denies_whatever_on_error_says() -> None:
    asking = Defaults(on_error="review", groups=("privacy",))
    rulebook = rulebook_of(APPROVE, rule_of("big", "deny", ERRING), defaults=asking)
    inquiry = _inquiry(absent="request.record_count")
    why = "The rule could not be judged: request.record_count is not known, "
    why += "and in doubt nothing is allowed"
    assert rulebook.terms(inquiry).matched == MatchedPolicy(
        version="v1", rule="big", why=why, decision="deny"
    )
    assert rulebook.denial(inquiry) == DenyRule("big", why, "v1")


@pytest.mark.parametrize("decision", ["approve", "review"])
@pytest.mark.parametrize("on_error", ["deny", "review"])
def test_another_rule_that_cannot_be_judged_ends_the_search_with_on_error(
    decision: str, on_error: str
) -> None:
    defaults = Defaults.model_validate({"on_error": on_error, "groups": ["privacy"]})
    rulebook = rulebook_of(rule_of("big", decision, ERRING), APPROVE, defaults=defaults)
    matched = rulebook.terms(_inquiry(absent="request.record_count")).matched
    assert (matched.rule, matched.decision) == ("big", on_error)
    assert "request.record_count is not known" in matched.why
    assert matched.threshold == (1 if on_error == "review" else 0)
    assert rulebook.denial(_inquiry(absent="request.record_count")) is None


def test_each_deny_rule_is_judged_by_itself_so_no_error_hides_one() -> None:
    rulebook = rulebook_of(
        rule_of("erring", "deny", "request.record_count > 500"),
        rule_of("fits", "deny", "geo.country == 'DE'"),
    )
    assert rulebook.terms(_inquiry()).matched.rule == "fits"
    assert rulebook.terms(_inquiry(absent="request.record_count")).matched.rule == "erring"


def test_a_rule_in_shadow_decides_nothing_and_is_on_record() -> None:
    rulebook = rulebook_of(
        rule_of("would-approve", "approve", mode="shadow"),
        rule_of("would-deny", "deny", mode="shadow"),
        rule_of("would-not", "approve", "!device.managed", mode="shadow"),
        rule_of("fails", "deny", "1 / 0 == 1", mode="shadow"),
        REVIEW,
    )
    matched = rulebook.terms(_inquiry()).matched
    assert (matched.rule, matched.decision) == ("review", "review")
    assert matched.shadow == ("would-approve", "would-deny")
    assert matched.shadow_failed == ("fails",)
    assert rulebook.denial(_inquiry()) is None
    assert rulebook_of(rule_of("s", "approve", mode="shadow")).terms(
        _inquiry()
    ).matched == MatchedPolicy(
        version="v1", rule="no-match", why=NO_RULE, decision="deny", shadow=("s",)
    )


def test_a_decision_by_policy_carries_its_words_and_no_people() -> None:
    assert rulebook_of(DENY).terms(_inquiry()).matched == MatchedPolicy(
        version="v1", rule="deny", why="Never", say="Ask the desk", decision="deny"
    )


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (REVIEW, PEOPLE),
        (APPROVE, "Policy approves this action by itself"),
        (rule_of("deny", "deny"), "Policy does not allow this action"),
    ],
)
def test_where_the_author_gives_no_reason_plain_words_stand_in(rule: Rule, why: str) -> None:
    assert rulebook_of(rule).terms(_inquiry()).matched.why == why


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (Then(decision="deny", say="Ask the desk"), "Ask the desk"),
        (Then(decision="deny"), "Never"),
    ],
)
def test_a_denial_now_in_force_has_the_words_of_say_or_why(then: Then, words: str) -> None:
    denial = rulebook_of(Rule(id="d", why="Never", then=then)).denial(_inquiry())
    assert denial == DenyRule("d", words, "v1")


def test_a_review_takes_its_own_words_before_the_defaults() -> None:
    then = Then(decision="review", threshold=2, groups=("duty",), notify=(), quick_approve=True)
    assert rulebook_of(Rule(id="own", then=then)).terms(_inquiry()).matched == MatchedPolicy(
        version="v1",
        rule="own",
        why=PEOPLE,
        decision="review",
        threshold=2,
        groups=("duty",),
        quick_approve=True,
    )
    matched = rulebook_of(REVIEW).terms(_inquiry()).matched
    assert (matched.threshold, matched.groups, matched.notify) == (1, ("privacy",), ("desk",))


@pytest.mark.parametrize("rule", [REVIEW, APPROVE, DENY])
def test_how_long_personal_data_is_kept_is_frozen_whatever_is_decided(rule: Rule) -> None:
    days = timedelta(days=90)
    for kept in (days, None):
        defaults = Defaults(groups=("privacy",), personal_retention=kept)
        matched = rulebook_of(rule, defaults=defaults).terms(_inquiry()).matched
        assert matched.personal_retention == kept
    unmatched = rulebook_of(defaults=Defaults(personal_retention=days)).terms(_inquiry())
    assert (unmatched.matched.rule, unmatched.matched.personal_retention) == ("no-match", days)


def test_where_the_justification_is_shown_is_frozen() -> None:
    for where, is_shown in (("review", False), ("channel", True)):
        then = Then.model_validate({"decision": "review", "show_justification": where})
        matched = rulebook_of(Rule(id="r", then=then)).terms(_inquiry()).matched
        assert matched.show_justification is is_shown


def test_what_a_review_asks_for_is_frozen_as_a_whole() -> None:
    then = Then(
        decision="review",
        stages=(
            StageEntry(threshold=2, groups=("owners", "duty")),
            StageEntry(groups=("duty", "privacy")),
        ),
        distinct_groups=True,
        remind=(5 * MINUTE,),
        escalate=(EscalationEntry(after=9 * MINUTE, groups=("board",), notify=("top",)),),
        must_hold=("geo.country",),
    )
    action = Action(title="Export", receipt_within=60 * MINUTE)
    matched = rulebook_of(Rule(id="r", then=then), action=action).terms(_inquiry()).matched
    assert matched == MatchedPolicy(
        version="v1",
        rule="r",
        why=PEOPLE,
        decision="review",
        threshold=3,
        groups=("owners", "duty", "privacy"),
        notify=("desk",),
        stages=(
            Stage(threshold=2, groups=("owners", "duty")),
            Stage(threshold=1, groups=("duty", "privacy")),
        ),
        distinct_groups=True,
        remind=(5 * MINUTE,),
        escalate=(Escalation(after=9 * MINUTE, groups=("board",), notify=("top",)),),
        must_hold=("geo.country",),
        receipt_within=60 * MINUTE,
    )


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
    rulebook = rulebook_of(Rule(id="r", then=then), defaults=defaults, action=catalogue)
    for _ in range(2):  # the second time it is remembered
        terms = rulebook.terms(_inquiry(), minutes(asked), minutes(asked))
        assert (terms.expires_in, terms.grant_ttl) == (holds * MINUTE, holds * MINUTE)


@pytest.mark.parametrize(
    ("rule", "action", "holds"), [(None, None, 4), (2, None, 2), (None, 9, 9), (7, 9, 7), (9, 7, 7)]
)
def test_uses_are_the_fewer_of_rule_and_action_else_the_default(
    rule: int | None, action: int | None, holds: int
) -> None:
    rulebook = rulebook_of(
        Rule(id="r", then=Then(decision="approve", uses=rule)),
        defaults=Defaults(uses=4),
        action=Action(title="A", uses=action),
    )
    assert rulebook.terms(_inquiry()).uses == holds


def test_an_action_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(UnknownAction):
        rulebook_of(APPROVE).terms(_inquiry(ActionId("customer.exprot")))


@pytest.mark.parametrize(
    ("hour", "minute", "month", "fits"),
    [
        (6, 59, 3, False),  # 07:59 in Berlin, winter
        (7, 0, 3, True),
        (17, 59, 3, True),
        (18, 0, 3, False),
        (5, 59, 7, False),  # 07:59 in Berlin, summer
        (6, 0, 7, True),
        (16, 59, 7, True),
        (17, 0, 7, False),
    ],
)
def test_hours_are_those_of_the_policys_zone_at_the_requests_own_time(
    hour: int, minute: int, month: int, fits: bool
) -> None:
    defaults = Defaults(timezone="Europe/Berlin", groups=("privacy",))
    office = rule_of("office", "review", "now.getHours(tz) >= 8 && now.getHours(tz) < 19")
    at = datetime(2026, month, 2, hour, minute, tzinfo=UTC)
    matched = rulebook_of(office, defaults=defaults).terms(replace(_inquiry(), at=at)).matched
    assert matched.rule == ("office" if fits else "no-match")


def test_a_class_that_the_action_has_today_counts_for_what_was_opened_before() -> None:
    special = rule_of("special", "deny", "request.data_classes.exists(c, c == 'health')")
    today = rulebook_of(special, action=Action(title="Export", data_classes=("health",)))
    assert today.denial(_inquiry()) == DenyRule("special", None, "v1")
    assert rulebook_of(special).denial(_inquiry()) is None
    assert today.denial(_inquiry(ActionId("gone.away"))) is None


def test_how_each_rule_fared_is_told_with_its_reason() -> None:
    rulebook = rulebook_of(
        rule_of("managed", "deny", "!device.managed"),
        rule_of("shadowed", "approve", "geo.country in EEA", mode="shadow"),
        rule_of("small", "review", "request.record_count < 3"),
        rule_of("big", "review", "request.record_count > 3"),
        rule_of("late", "review", "request.purpose == 'x'"),
        DENY_READ,
    )
    told = [
        (t.rule.id, t.part, t.truth, t.names, t.is_reached, t.has_decided)
        for t in rulebook.explain(_inquiry())
    ]
    assert told == [
        ("managed", "deny", False, ("device.managed",), True, False),
        ("small", "rule", False, ("request.record_count",), True, False),
        ("big", "rule", True, ("request.record_count",), True, True),
        ("late", "rule", False, ("request.purpose",), False, False),
        ("shadowed", "shadow", True, ("geo.country", "EEA"), False, False),
    ]
    erring = rulebook.explain(_inquiry(absent="request.record_count"))[1]
    assert (erring.truth, erring.has_decided) == (None, True)
    assert erring.error == "request.record_count is not known"


def test_the_example_decides_as_it_reads(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path))
    assert configuration.rulebook.terms(_inquiry()) == Terms(
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
CONDITIONS = {
    "true": True,
    "geo.country == 'DE'": True,
    "!device.managed": False,
    "request.data_classes.exists(c, c == 'health')": False,
    "requester.groups[0] == 'x'": None,
    "1 / 0 == 1": None,
}
RULES = st.lists(
    st.tuples(
        st.sampled_from(["approve", "deny", "review"]), GLOBS, st.sampled_from(list(CONDITIONS))
    ),
    max_size=6,
)


def _drawn(drawn: list[tuple[str, list[str], str]]) -> list[Rule]:
    return [
        Rule.model_validate(
            {"id": f"r{n}", "actions": globs, "when": when, "then": {"decision": decision}}
        )
        for n, (decision, globs, when) in enumerate(drawn)
    ]


@given(
    RULES,
    st.sampled_from([READ, EXPORT]),
    st.sampled_from(["deny", "review"]),
    st.sampled_from(["deny", "review"]),
    st.integers(0, 5),
)
def test_nothing_is_approved_unless_an_approve_rule_fits_and_no_deny_rule_may(
    drawn: list[tuple[str, list[str], str]],
    action: ActionId,
    on_no_match: str,
    on_error: str,
    place: int,
) -> None:
    rules = _drawn(drawn)
    defaults = Defaults.model_validate(
        {"on_no_match": on_no_match, "on_error": on_error, "groups": ["privacy"]}
    )
    decided = rulebook_of(*rules, defaults=defaults).terms(_inquiry(action)).matched
    fitting = [
        (decision, CONDITIONS[when])
        for decision, globs, when in drawn
        if matches_any(tuple(globs), action) and CONDITIONS[when] is not False
    ]
    if decided.decision == "approve":
        assert next(truth for decision, truth in fitting if decision != "deny") is True
        assert "deny" not in [decision for decision, _ in fitting]
    if "deny" in [decision for decision, _ in fitting]:
        assert decided.decision == "deny"
    # One more deny rule, anywhere, denies; and where a deny rule stands does not matter.
    more = [*rules[:place], DENY, *rules[place:]]
    assert rulebook_of(*more, defaults=defaults).terms(_inquiry(action)).matched.decision == "deny"
    denials = [rule for rule in rules if rule.then.decision == "deny"]
    moved = [*[rule for rule in rules if rule.then.decision != "deny"], *denials]
    after = rulebook_of(*moved, defaults=defaults).terms(_inquiry(action)).matched
    assert (after.decision, after.rule) == (decided.decision, decided.rule)

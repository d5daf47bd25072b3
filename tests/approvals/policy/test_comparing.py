"""Looser or stricter: a table over every respect, and what must hold of any policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.model import ActionId, Escalation, MatchedPolicy, Stage
from approvals.policy.analysis import Rulebook, Terms
from approvals.policy.comparing import Comparison, Direction, Respect, compare
from approvals.policy.document import Policy, Rule
from approvals.policy.inquiry import Inquiry
from approvals.policy.loader import load_configuration
from approvals.policy.values import written

REFERENCE = Path(__file__).parent / "reference"
DAY, HOUR, HALF = timedelta(days=1), timedelta(hours=1), timedelta(minutes=30)


def terms(
    expires_in: timedelta = HOUR, grant_ttl: timedelta = HALF, uses: int = 2, **matched: object
) -> Terms:
    usual: dict[str, object] = {"decision": "review", "threshold": 2, "groups": ("privacy", "duty")}
    told = MatchedPolicy.model_validate({"version": "1", "rule": "one", **usual, **matched})
    return Terms(told, expires_in, grant_ttl, uses)


def escalating(**groups: int) -> tuple[Escalation, ...]:
    return tuple(
        Escalation(after=timedelta(minutes=after), groups=(group,))
        for group, after in groups.items()
    )


ONE = Stage(threshold=1, groups=("privacy",))
TWO = Stage(threshold=1, groups=("duty",))
WIDE = Stage(threshold=1, groups=("privacy", "duty"))

# The other way round, each of these is stricter.
LOOSER = [
    (terms(decision="deny"), terms(), "deny becomes review"),
    (terms(), terms(decision="approve"), "review becomes approve"),
    (terms(decision="deny"), terms(decision="approve"), "deny becomes approve"),
    (terms(), terms(threshold=1), "approvals 2 -> 1"),
    (terms(), terms(groups=("privacy", "duty", "legal")), "legal may decide at once"),
    (terms(), terms(escalate=escalating(legal=10)), "legal may decide after 10m"),
    (
        terms(escalate=escalating(legal=10)),
        terms(escalate=escalating(legal=5)),
        "legal may decide after 5m, not after 10m",
    ),
    (
        terms(escalate=escalating(legal=10)),
        terms(groups=("privacy", "duty", "legal"), escalate=escalating(legal=10)),
        "legal may decide at once, not after 10m",
    ),
    (terms(distinct_groups=True), terms(), "different groups no longer needed"),
    (terms(stages=(ONE, TWO)), terms(stages=(ONE,)), "stages 2 -> 1"),
    (terms(stages=(ONE, TWO)), terms(stages=(WIDE, TWO)), "stage 1: duty may decide at once"),
    (
        terms(threshold=3, stages=(ONE, Stage(threshold=2, groups=("duty",)))),
        terms(threshold=2, stages=(ONE, TWO)),
        "approvals 3 -> 2; stage 2: approvals 2 -> 1",
    ),
    (terms(), terms(quick_approve=True), "approval on the card now"),
    (terms(), terms(show_justification=True), "justification in the channel now"),
    (terms(), terms(expires_in=2 * HOUR), "expiry 1h -> 2h"),
    (terms(), terms(grant_ttl=HOUR), "grant 30m -> 1h"),
    (terms(), terms(uses=3), "uses 2 -> 3"),
    (terms(must_hold=("geo.country",)), terms(), "geo.country may change before the use"),
    (terms(receipt_within=HOUR), terms(), "receipt due 1h -> none"),
    (terms(receipt_within=HALF), terms(receipt_within=HOUR), "receipt due 30m -> 1h"),
    (terms(personal_retention=DAY), terms(), "personal data kept 1d -> until erased"),
    (
        terms(decision="deny", personal_retention=DAY),
        terms(decision="deny", personal_retention=2 * DAY),
        "personal data kept 1d -> 2d",
    ),
]


@pytest.mark.parametrize(("strict", "loose", "words"), LOOSER, ids=[words for *_, words in LOOSER])
def test_what_allows_more_is_looser_and_the_way_back_is_stricter(
    strict: Terms, loose: Terms, words: str
) -> None:
    there, back = compare(strict, loose), compare(loose, strict)
    assert (there.direction, "; ".join(there.words)) == ("looser", words)
    assert (back.direction, {one.direction for one in back.respects}) == ("stricter", {"stricter"})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (terms(notify=("desk",)), "told in none -> desk"),
        (terms(remind=(HALF,)), "reminders none -> 30m"),
        (
            terms(escalate=(Escalation(after=HALF, notify=("desk",)),)),
            "escalations are told elsewhere or at another time",
        ),
    ],
)
def test_where_it_is_told_is_neither(changed: Terms, words: str) -> None:
    assert compare(terms(), changed) == Comparison((Respect("other", words),))


def test_looser_in_one_respect_is_looser() -> None:
    both = compare(terms(), terms(threshold=1, groups=("privacy",)))
    assert both.direction == "looser"
    assert both.words == ("approvals 2 -> 1", "duty may no longer decide")


def test_rule_and_words_are_no_difference() -> None:
    assert compare(terms(), terms(rule="another", why="Because", say="Yes")).is_same


def test_a_denial_has_no_grant_and_no_deadline_to_compare() -> None:
    denied = terms(decision="deny")
    assert compare(denied, terms(HALF, HOUR, 9, decision="deny")).is_same
    assert compare(denied, terms(HALF, HOUR, 9)).words == ("deny becomes review",)


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [(terms(), None, "stricter"), (None, terms(), "new"), (None, None, "other")],
)
def test_an_action_that_one_does_not_have(
    old: Terms | None, new: Terms | None, direction: Direction
) -> None:
    assert compare(old, new).direction == direction


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=1), "1d"),
        (timedelta(seconds=90), "90s"),
        (HOUR, "1h"),
        (timedelta(0), "0s"),
        (timedelta(milliseconds=1500), "1.5s"),
    ],
)
def test_lengths_are_written_as_in_the_files(length: timedelta, text: str) -> None:
    assert written(length) == text


POLICY = load_configuration(REFERENCE).policy
INQUIRIES = st.builds(
    lambda action, count, country, managed, at: Inquiry(
        ActionId(action),
        datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=at),
        {
            "request.record_count": count,
            "request.data_classes": ["contact"],
            "geo.country": country,
            "device.managed": managed,
        },
    ),
    st.sampled_from(["customer.read", "customer.export"]),
    st.sampled_from([0, 1, 500, 501]),
    st.sampled_from(["", "DE", "XA", "US"]),
    st.booleans(),
    st.integers(0, 200),
)
CONDITIONS = st.sampled_from(
    [
        "true",
        'geo.country == "DE"',
        "device.managed",
        "request.record_count > 500",
        "request.record_count / 0 == 1",
    ]
)


def with_rule(place: int, when: str, decision: str) -> Rulebook:
    rule = Rule.model_validate({"id": "added", "when": when, "then": {"decision": decision}})
    rules = (*POLICY.rules[:place], rule, *POLICY.rules[place:])
    return Rulebook(Policy.model_validate({**dict(POLICY), "rules": rules}), "2")


BOOK = Rulebook(POLICY, "1")


@given(INQUIRIES)
def test_a_policy_never_differs_from_itself(inquiry: Inquiry) -> None:
    assert compare(BOOK.terms(inquiry), Rulebook(POLICY, "2").terms(inquiry)).is_same


@given(INQUIRIES, CONDITIONS, st.integers(0, len(POLICY.rules)))
def test_one_more_deny_rule_is_never_looser(inquiry: Inquiry, when: str, place: int) -> None:
    after = with_rule(place, when, "deny").terms(inquiry)
    assert compare(BOOK.terms(inquiry), after).direction != "looser"


@given(INQUIRIES, CONDITIONS)
def test_an_approving_rule_on_top_is_looser_where_it_fires(inquiry: Inquiry, when: str) -> None:
    before, after = BOOK.terms(inquiry), with_rule(0, when, "approve").terms(inquiry)
    if after.matched.decision == "approve":
        assert compare(before, after).direction == "looser"
    else:
        assert compare(before, after).direction != "looser"


def test_other_stages_in_another_number_are_looser_either_way() -> None:
    asked = (Stage(threshold=1, groups=("privacy",)), Stage(threshold=1, groups=("legal",)))
    either = (Stage(threshold=1, groups=("privacy", "legal")),) * 3
    for old, new in ((asked, either), (either, asked)):
        assert compare(terms(stages=old), terms(stages=new)).direction == "looser"


def test_an_escalation_that_fills_a_stage_by_a_group_of_another_is_looser() -> None:
    stages = (Stage(threshold=1, groups=("privacy",)), Stage(threshold=1, groups=("legal",)))
    plain = terms(stages=stages)
    late, soon = (terms(stages=stages, escalate=escalating(privacy=n)) for n in (9, 1))
    assert compare(plain, late).words == ("stage 2: privacy may decide after 9m",)
    assert compare(late, soon).direction == "looser"
    assert compare(soon, late).direction == "stricter"

"""Two policies side by side, as written."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.policy.changes import Change, changes_between
from approvals.policy.document import Channel, Policy
from approvals.policy.kept import kept_rulebook

TEXT = (Path(__file__).parent / "reference/policy.yaml").read_text()
COUNTRY = 'geo.country == "" || geo.country in '
RULES = TEXT.index("rules:\n") + len("rules:\n")


def policy(*changes: tuple[str, str], above: str = "") -> Policy:
    text = TEXT[:RULES] + above + TEXT[RULES:]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return kept_rulebook(text, "1").policy


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (policy(("on_no_match: review, ", "")), ["defaults: `on_no_match` review -> deny"]),
        (policy(("expires_in: 1h}", "expires_in: 90s}")), ["defaults: `expires_in` 1h -> 90s"]),
        (policy(("[XA, XB]", "[XA, XC]")), ["list `BLOCKED` gains XC and loses XB"]),
        (policy(("[XA, XB]", "[XB, XA]")), ["list `BLOCKED` is ordered otherwise"]),
        (policy(("BLOCKED", "BARRED")), [
            "list `BLOCKED` removed",
            "list `BARRED` added",
            f"rule `country-known-and-allowed`: `when` {COUNTRY}BLOCKED -> {COUNTRY}BARRED",
        ]),
        (policy(("[contact, financial]", "[contact]\n    fields: {a: {show: plain}}")), [
            "action `customer.export`: `data_classes` [contact, financial] -> [contact]",
            "action `customer.export`: `fields.a.show` not set -> plain",
            "action `customer.export`: `fields.a.scope` not set -> request",
        ]),
        (policy(("customer.read:", "customer.look:"), ("[customer.read]", "[customer.look]")), [
            "action `customer.read` removed",
            "action `customer.look` added",
            "rule `single-read-office-hours`: `actions` [customer.read] -> [customer.look]",
        ]),
        (policy(("id: special-data", "id: special")), [
            "rule `special-data` removed",
            "rule `special` added: review, mode enforce",
        ]),
        (policy(("mode: shadow", "mode: enforce")), [
            "rule `single-read-office-hours`: `mode` shadow -> enforce",
        ]),
        (policy(("distinct_groups: true,", "quick_approve: true,")), [
            "rule `export-needs-two`: `then.distinct_groups` true -> false",
            "rule `export-needs-two`: `then.quick_approve` false -> true",
        ]),
        (policy((", escalate: [{after: 10m, groups: [duty]}]", "")), [
            "rule `export-needs-two`: `then.escalate` [{after: 10m, groups: [duty]}] -> []",
        ]),
    ],
)  # fmt: skip
def test_each_change_is_told_in_words(new: Policy, told: list[str]) -> None:
    assert sorted(one.words for one in changes_between(policy(), new)) == sorted(told)


def test_comments_and_written_out_defaults_change_nothing() -> None:
    same = policy(
        ("version: 1", "# a comment\nversion: 1"), ("on_error: deny", "on_error: deny, uses: 1")
    )
    assert changes_between(policy(), same) == []


def test_a_rule_that_moved_is_told_once() -> None:
    rules = policy().rules
    down = policy().model_copy(update={"rules": (rules[1], rules[2], rules[0], *rules[3:])})
    assert changes_between(policy(), down) == [
        Change("other", "rule `managed-device-only` moved below `export-needs-two`")
    ]
    up = policy().model_copy(update={"rules": (rules[5], *rules[:5])})
    assert changes_between(policy(), up) == [
        Change("other", "rule `everything-else` moved to the top")
    ]


def test_as_few_rules_as_can_be_are_told_to_have_moved() -> None:
    """The longest common block is two rules long here, the longest common order three."""
    rules = policy().rules
    mixed = policy().model_copy(
        update={"rules": (rules[0], rules[3], rules[4], rules[1], *rules[5:], rules[2])}
    )
    assert [one.words for one in changes_between(policy(), mixed)] == [
        "rule `country-known-and-allowed` moved below `single-read-office-hours`",
        "rule `export-needs-two` moved below `everything-else`",
    ]


def test_what_is_looser_comes_first() -> None:
    new = policy(("on_no_match: review, ", "uses: 3, on_no_match: deny, "), ("[XA, XB]", "[XA]"))
    assert [one.direction for one in changes_between(policy(), new)] == [
        "looser",
        "stricter",
        "other",
    ]


def test_channels_are_neither_looser_nor_stricter() -> None:
    one, two, other = (
        policy().model_copy(update={"channels": {name: Channel(slack=slack)}})
        for name, slack in (("desk", "C1"), ("desk", "C2"), ("hall", "C1"))
    )
    assert changes_between(one, two) == [Change("other", "channel `desk`: `slack` C1 -> C2")]
    assert changes_between(one, other) == [
        Change("new", "channel `hall` added"),
        Change("other", "channel `desk` removed"),
    ]

"""Which way a change leans by its text alone."""

from __future__ import annotations

import pytest

from approvals.policy.changes import changes_between
from approvals.policy.document import Policy
from approvals.policy.shapes import shape
from approvals.policy.yaml_source import parse_source

BASE = """\
version: 1
defaults: {{expires_in: 1h, {defaults}}}
actions:
  customer.read: {{title: Open one record, {action}}}
rules:
  - {{id: one, {rule}}}
"""
REVIEW = "then: {decision: review, %s}"
STAGES = "then: {decision: review, stages: [{threshold: %s, groups: [%s]}]}"


def policy(defaults: str = "", action: str = "", rule: str = "then: {decision: deny}") -> Policy:
    text = BASE.format(defaults=defaults, action=action, rule=rule)
    found = shape(parse_source("policy.yaml", text.encode()), Policy)
    assert found.model, found.issues
    return found.model


def leaning(part: str, old: str, new: str) -> str:
    """The direction of the worst change."""
    (first, *_) = changes_between(policy(**{part: old}), policy(**{part: new}))
    return first.direction


LOOSER = [
    ("defaults", "on_no_match: deny", "on_no_match: review"),
    ("defaults", "on_error: deny", "on_error: review"),
    ("defaults", "threshold: 2", "threshold: 1"),
    ("defaults", "grant_ttl: 5m", "grant_ttl: 10m"),
    ("defaults", "uses: 1", "uses: 2"),
    ("defaults", "pii_in_text: refuse", "pii_in_text: warn"),
    ("defaults", "pii_in_text: warn", ""),
    ("defaults", "chat_retention: 1h", ""),
    ("defaults", "personal_retention: 30d", "personal_retention: 90d"),
    ("defaults", "personal_retention: 3650d", ""),
    ("action", "data_classes: [contact, health]", "data_classes: [contact]"),
    ("action", "requires: [ticket]", ""),
    ("action", "purposes: [support]", "purposes: [support, audit]"),
    ("action", "purposes: [support]", ""),
    ("action", "expires_in: 5m", "expires_in: 10m"),
    ("action", "grant_ttl: 5m", ""),
    ("action", "uses: 1", "uses: 2"),
    ("action", "receipt_within: 5m", "receipt_within: 10m"),
    ("action", "receipt_within: 5m", ""),
    ("action", "", "fields: {email: {show: count}}"),
    ("action", "fields: {a.b: {show: hidden}}", "fields: {a.b: {show: count}}"),
    ("action", "fields: {a: {show: pseudonym}}", "fields: {a: {show: last4}}"),
    ("action", "fields: {a: {show: count}}", "fields: {a: {show: mask_email}}"),
    ("action", "fields: {a: {show: mask_email}}", "fields: {a: {show: scan}}"),
    ("action", "fields: {a: {show: scan}}", "fields: {a: {show: plain}}"),
    ("action", "fields: {a: {show: hidden}}", "fields: {a: {show: plain}}"),
    ("action", "fields: {a: {show: pseudonym}}", "fields: {a: {show: pseudonym, scope: day}}"),
    ("action", "fields: {a: {show: pseudonym, scope: day}}",
     "fields: {a: {show: pseudonym, scope: global}}"),
    ("rule", "then: {decision: deny}", "then: {decision: review}"),
    ("rule", "then: {decision: review}", "then: {decision: approve}"),
    ("rule", "then: {decision: approve, grant_ttl: 5m}", "then: {decision: approve}"),
    ("rule", "then: {decision: approve, uses: 1}", "then: {decision: approve, uses: 2}"),
    ("rule", "then: {decision: approve, must_hold: [client.ip]}", "then: {decision: approve}"),
    ("rule", REVIEW % "threshold: 2", REVIEW % ""),
    ("rule", REVIEW % "", REVIEW % "groups: [privacy, duty]"),
    ("rule", REVIEW % "distinct_groups: true", REVIEW % ""),
    ("rule", REVIEW % "expires_in: 5m", REVIEW % "expires_in: 10m"),
    ("rule", REVIEW % "", REVIEW % "escalate: [{after: 5m, groups: [duty]}]"),
    ("rule", REVIEW % "", REVIEW % "quick_approve: true"),
    ("rule", REVIEW % "", REVIEW % "show_justification: channel"),
    ("rule", STAGES % (2, "duty"), STAGES % (1, "duty")),
    ("rule", STAGES % (1, "duty"), STAGES % (1, "duty, legal")),
]  # fmt: skip


@pytest.mark.parametrize(("part", "old", "new"), LOOSER)
def test_what_lets_more_through_is_looser_and_back_stricter(part: str, old: str, new: str) -> None:
    assert leaning(part, old, new) == "looser"
    assert leaning(part, new, old) == "stricter"


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("defaults", "timezone: UTC", "timezone: Europe/Berlin"),
        ("defaults", "", "notify: [desk]"),
        ("defaults", "personal_retention: 30d, notify: [desk]", "personal_retention: 30d"),
        ("action", "expires_in: 2h", "expires_in: 3h"),  # the defaults say 1h
        ("action", "", "uses: 1"),  # as the defaults say
        ("action", "description: a", "description: b"),
        ("action", "", "fields: {a: {show: hidden}}"),
        ("action", "fields: {a: {show: count}}", "fields: {a: {show: pseudonym}}"),
        ("action", "fields: {a: {show: last4}}", "fields: {a: {show: last4, scope: day}}"),
        ("action", "data_classes: [a, b]", "data_classes: [b, a]"),
        ("rule", "when: 'true', then: {decision: deny}", "when: 'false', then: {decision: deny}"),
        ("rule", REVIEW % "threshold: 1", REVIEW % ""),
        ("rule", "mode: shadow, then: {decision: deny}", "mode: shadow, then: {decision: review}"),
        ("rule", "then: {decision: review}", "mode: shadow, then: {decision: review}"),
    ],
)  # fmt: skip
def test_what_text_cannot_tell_leans_nowhere(part: str, old: str, new: str) -> None:
    assert leaning(part, old, new) == "other"
    assert leaning(part, new, old) == "other"


def test_what_gains_one_and_loses_another_is_looser() -> None:
    assert leaning("defaults", "uses: 2, groups: [a]", "uses: 2, groups: [b]") == "looser"
    assert leaning("action", "requires: [ticket]", "requires: [purpose]") == "looser"

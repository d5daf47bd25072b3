"""Which rules of a change nothing met."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import JsonValue

from approvals.model import ActionId, Asked, Requester, ServiceId
from approvals.policy.analysis import Rulebook
from approvals.policy.inquiry import Inquiry, inquiry_of
from approvals.policy.kept import rulebook_of
from approvals.policy.unjudged import Met, Unjudged, unjudged
from approvals.policy.yaml_source import parse_source

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEAD = """\
version: 1
lists: {{EEA: [{eea}]}}
defaults: {{groups: [privacy]}}
actions: {{read: {{title: Read}}, export: {{title: Export}}}}
rules:
"""
HOME = '{id: home, when: geo.country == "DE", then: {decision: approve}}'
DUTY = '{id: duty, when: geo.country == "DE", then: {decision: review}}'
FREEZE = '{id: freeze, when: geo.country == "DE", then: {decision: deny}}'
REST = "{id: rest, then: {decision: review}}"


def book(*rules: str, eea: str = "DE") -> Rulebook:
    text = HEAD.format(eea=eea) + "".join(f"  - {rule}\n" for rule in rules)
    return rulebook_of(parse_source("policy.yaml", text.encode()))


def inquiry(action: str = "read", **context: JsonValue) -> Inquiry:
    asked = Asked(
        action=ActionId(action),
        title="",
        requester=Requester(id="okta:1"),
        context={name.replace("_", "."): value for name, value in context.items()},
    )
    return inquiry_of(asked, ServiceId("crm"), NOON)


GERMAN = inquiry(geo_country="DE")
FRENCH = inquiry(geo_country="FR")


def found(old: Rulebook, new: Rulebook, *asked: Inquiry) -> Unjudged:
    before, after = Met(old), Met(new)
    for one in asked:
        for met in (before, after):
            met.note(one, met.rulebook.terms(one))
    return unjudged(before, after)


def test_a_new_rule_that_approves_and_that_nothing_meets_may_be_looser() -> None:
    old, new = book(REST), book(HOME, REST)
    assert found(old, new) == found(old, new, FRENCH) == Unjudged(("home",), ("home",))
    assert found(old, new, FRENCH, GERMAN) == Unjudged()


def test_other_new_rules_are_only_listed() -> None:
    shadow = HOME.replace("when", "mode: shadow, when")
    assert found(book(REST), book(FREEZE, DUTY, REST)) == Unjudged(("freeze", "duty"))
    assert found(book(REST), book(shadow, REST), FRENCH) == Unjudged(("home",))
    assert found(book(REST), book(shadow, REST), GERMAN) == Unjudged()


def test_a_changed_rule_that_approves_must_be_met_as_it_is_now() -> None:
    abroad = HOME.replace('"DE"', '"FR"')
    assert found(book(HOME, REST), book(abroad, REST), GERMAN).maybe_looser == ("home",)
    assert found(book(HOME, REST), book(abroad, REST), FRENCH) == Unjudged()


def test_a_deny_rule_removed_or_changed_must_have_been_met_as_it_was() -> None:
    abroad = FREEZE.replace('"DE"', '"FR"')
    maybe = Unjudged(("freeze",), ("freeze",))
    assert found(book(FREEZE, REST), book(REST), FRENCH) == maybe
    assert found(book(FREEZE, REST), book(REST), GERMAN) == Unjudged()
    assert found(book(FREEZE, REST), book(abroad, REST), FRENCH) == maybe
    assert found(book(FREEZE, REST), book(abroad, REST), GERMAN) == Unjudged()
    shadow = FREEZE.replace("when", "mode: shadow, when")
    assert found(book(FREEZE, REST), book(shadow, REST), FRENCH) == maybe


def test_a_review_that_is_gone_may_be_looser_where_something_approves() -> None:
    rest = "{id: rest, then: {decision: approve}}"
    assert found(book(DUTY, rest), book(rest), FRENCH) == Unjudged(("duty",), ("duty",))
    assert found(book(DUTY, rest), book(rest), GERMAN) == Unjudged()
    assert found(book(DUTY, REST), book(REST), FRENCH) == Unjudged()
    more = DUTY.replace("review", "review, threshold: 2")
    assert found(book(DUTY, rest), book(more, rest), FRENCH) == Unjudged(("duty",))


def test_a_rule_below_which_another_moved_counts_as_changed() -> None:
    rest = "{id: rest, when: geo.country != '', then: {decision: review}}"
    third = "{id: third, when: geo.country == '', then: {decision: review}}"
    old, new = book(rest, third, HOME), book(HOME, rest, third)
    assert found(old, new, FRENCH).maybe_looser == ("home",)
    assert found(old, new, FRENCH, GERMAN) == Unjudged()
    denied = [rest, third, FREEZE]
    assert found(book(*denied), book(*reversed(denied)), FRENCH).maybe_looser == ()


def test_a_rule_whose_list_changed_is_changed() -> None:
    rule = "{id: home, when: geo.country in EEA, then: {decision: approve}}"
    old, new = book(rule, REST), book(rule, REST, eea="DE, SE")
    assert found(old, new, FRENCH) == Unjudged(("home",), ("home",))
    assert found(old, book(rule, REST), FRENCH) == Unjudged()
    assert found(old, new, GERMAN) == Unjudged()


def test_what_is_only_told_changes_nothing() -> None:
    told = HOME.replace("id: home", "id: home, why: as agreed").replace(
        "approve", "approve, say: ok"
    )
    assert found(book(HOME, REST), book(told, REST)) == Unjudged()
    open_ = DUTY.replace("review", "review, show_justification: channel, notify: []")
    assert found(book(DUTY, REST), book(open_, REST)) == Unjudged()


def test_a_condition_with_an_error_meets_nothing() -> None:
    odd = "{id: odd, when: 'device.managed', then: {decision: deny}}"
    old, new = book(REST), book(odd, REST)
    met = Met(new)
    for one in (inquiry(), inquiry("nothing")):
        terms = None if one.action == "nothing" else new.terms(one)
        met.note(one, terms)
    assert unjudged(Met(old), met).rules == ("odd",)

"""The example configurations load, do what their fixtures say, and say what can be carried out."""

from __future__ import annotations

from datetime import datetime
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from approvals.model import PersonId
from approvals.policy.analysis import language_of
from approvals.policy.attributes import KINDS
from approvals.policy.document import (
    Action,
    Channel,
    Defaults,
    EscalationEntry,
    Rule,
    ShownField,
    StageEntry,
    Then,
)
from approvals.policy.fixtures import untested_rules
from approvals.policy.globs import matches_any
from approvals.policy.loader import PEOPLE, SERVICES, notify_faults
from approvals.seats import most_approvals
from tests.examples.configurations import NAMES, base, configuration, load, reading, terms, written

EVERY = (*NAMES, "config")
BOTH = frozenset({"slack", "teams"})
# Local time, and whether it lies between 8 and 19 o'clock.
HOURS = [("07:59:59", False), ("08:00:00", True), ("18:59:59", True), ("19:00:00", False)]
TUESDAYS = {"winter": "2026-02-03", "summer": "2026-07-07"}


@pytest.mark.parametrize("name", EVERY)
def test_it_loads_without_a_fault(name: str) -> None:
    assert [str(issue) for issue in reading(name).issues] == []


@pytest.mark.parametrize("name", EVERY)
def test_every_rule_is_met_by_a_case(name: str) -> None:
    results = reading(name).results
    assert [one.name for one in results if one.differences] == []
    assert untested_rules(configuration(name).policy, results) == ()


@pytest.mark.parametrize("name", EVERY)
def test_every_case_is_a_request_that_policy_would_be_asked_about(name: str) -> None:
    results = reading(name).results
    assert {one.name: one.supposed.hindrances for one in results if one.supposed.hindrances} == {}
    assert results


@pytest.mark.parametrize("name", EVERY)
def test_each_rule_that_decides_says_why(name: str) -> None:
    assert [rule.id for rule in configuration(name).policy.rules if not rule.why] == []


@pytest.mark.parametrize("name", NAMES)
def test_either_platform_tells_of_every_rule_but_what_teams_alone_may_see(name: str) -> None:
    policy = configuration(name).policy
    assert notify_faults(policy, BOTH) == []
    assert notify_faults(policy, frozenset({"teams"})) == []
    assert notify_faults(policy, frozenset()) != []


@pytest.mark.parametrize("name", NAMES)
def test_reminders_and_escalations_come_before_the_end_whatever_the_action(name: str) -> None:
    policy = configuration(name).policy
    for rule, (id_, action) in product(policy.rules, policy.actions.items()):
        if rule.then.decision == "review" and matches_any(rule.actions, id_):
            lengths = (policy.defaults.expires_in, rule.then.expires_in, action.expires_in)
            end = min(length for length in lengths if length is not None)
            times = (*rule.then.remind, *(one.after for one in rule.then.escalate))
            assert all(after < end for after in times), rule.id


@pytest.mark.parametrize("name", NAMES)
def test_enough_people_are_left_whoever_asks(name: str) -> None:
    people = configuration(name).people
    reviews = {one.terms.matched.rule: one.terms.matched for one in reading(name).results}
    for policy, who in product(reviews.values(), _who_may_ask(name)):
        ids = people.who_may_decide(policy.groups, excluding=who)
        able = {one: person.groups for one in ids if (person := people.person(one))}
        most = most_approvals(policy.all_stages, distinct_groups=policy.distinct_groups, able=able)
        assert most >= policy.threshold, (policy.rule, who)


def _who_may_ask(name: str) -> set[PersonId]:
    """Whom their own request keeps from deciding it: persons services name, owners of machines."""
    people = load(name, PEOPLE)["people"]
    services = load(name, SERVICES)["services"].values()
    owners = [one["owner"] for entry in services for one in entry.get("machine_requesters", [])]
    asking = [person["id"] for person in people if person.get("requester_ids")]
    return {PersonId(person) for person in (*owners, *asking)}


def test_together_they_show_every_key_and_every_attribute() -> None:
    policies = [configuration(name).policy for name in NAMES]
    shown = {key for policy in policies for key in written(policy)}
    models = (Action, Channel, Defaults, EscalationEntry, Rule, ShownField, StageEntry, Then)
    keys = {f"{model.__name__}.{key}" for model in models for key in model.model_fields}
    assert keys - shown == {"Defaults.threshold", "Defaults.uses"}  # 1, as they are anyway
    used = {
        attribute
        for name in NAMES
        for rule in configuration(name).policy.rules
        for attribute in language_of(configuration(name).policy).compile(rule.when).names
    }
    assert set(KINDS) <= used


@pytest.mark.parametrize("season", TUESDAYS)
@pytest.mark.parametrize(("clock", "is_open"), HOURS)
@pytest.mark.parametrize("name", NAMES)
def test_office_hours_are_those_of_the_policys_zone(
    name: str, clock: str, season: str, *, is_open: bool
) -> None:
    zone = ZoneInfo(configuration(name).policy.defaults.timezone)
    local = datetime.fromisoformat(f"{TUESDAYS[season]}T{clock}").replace(tzinfo=zone)
    matched = terms(name, {**base(name), "now": local.isoformat()}).matched
    if name == "customer-support":
        assert (matched.shadow == ("one-profile-in-office-hours",)) is is_open
    else:
        assert (matched.decision == "review") is is_open
        assert matched.rule.endswith("in-office-hours") is not is_open

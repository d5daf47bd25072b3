"""What is well formed and cannot be meant: nobody may approve, no request gets there, a key says
nothing where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

from approvals.model import Stage
from approvals.policy.analysis import stages_of, voters
from approvals.policy.document import (
    EVERY_REQUEST,
    GRANT_ONLY,
    REVIEW_ONLY,
    Policy,
    Rule,
    Show,
    Then,
)
from approvals.policy.globs import matches_any
from approvals.policy.issues import Issue
from approvals.policy.people import People, PeopleDocument
from approvals.policy.shapes import Shaped
from approvals.policy.source import ANY, Source, Steps
from approvals.policy.values import written
from approvals.seats import most_approvals

_WITHOUT_SCOPE = [show for show in get_args(Show) if show != "pseudonym"]


def unsound_rules(file: Shaped[Policy]) -> Iterator[Issue]:
    """What is wrong with the rules, whoever the people are."""
    if file.model is None:
        return
    yield from _reviews_of_nobody(file, file.model)
    earlier: list[Rule] = []
    for index, rule in enumerate(file.model.rules):
        steps: Steps = ("rules", file.row("rules", index))
        yield from _misplaced_keys(file, (*steps, "then"), rule.then)
        yield from _contradictions(file, (*steps, "then"), rule.then)
        yield from _too_late(file, (*steps, "then"), rule, file.model)
        yield from _unreachable(file, steps, rule, earlier)


def idle_scopes(policy: Source) -> Iterator[Issue]:
    """A `scope` whose field has no pseudonym. Works on the plain data, faults elsewhere or not."""
    for steps, show in policy.find("actions", ANY, "fields", ANY, "show"):
        place = (*steps[:-1], "scope")
        if place in policy.key_places and show in _WITHOUT_SCOPE:
            message = f"`scope` means nothing with `show: {show}`"
            remedy = "Remove it; only a pseudonym has a scope"
            yield policy.key_issue(place, message, remedy)


def too_few_people(file: Shaped[Policy], people: Shaped[PeopleDocument]) -> Iterator[Issue]:
    """Reviews that the persons of a faultless people.yaml cannot decide, however willing."""
    if file.model is None or people.model is None or not file.holds("defaults"):
        return
    policy, persons = file.model, People(people.model)
    yield from _escalations_to_nobody(file, policy, persons)
    for steps, then in _reviews(file, policy):
        threshold, groups = voters(policy, then)
        if not groups or not persons.has_groups(groups):
            continue  # told where rules and names are checked
        able = persons.groups_of_deciders(groups, excluding=None)
        stages = stages_of(then) or (Stage(threshold=threshold, groups=groups),)
        most = most_approvals(stages, distinct_groups=then.distinct_groups, able=able)
        if most < threshold:
            who = f"only {most}" if most else "nobody"
            once = ", each once" if len(able) >= threshold else ""
            message = f"{threshold} must approve, but {who} in {', '.join(groups)} may{once}"
            remedy = "Lower the threshold, or give more members the role approver"
            yield file.source.issue(steps, message, remedy)


def _escalations_to_nobody(
    file: Shaped[Policy], policy: Policy, persons: People
) -> Iterator[Issue]:
    for index, rule in enumerate(policy.rules):
        for step, one in enumerate(rule.then.escalate):
            is_known = one.groups and persons.has_groups(one.groups)  # else told as wrong names
            if is_known and not persons.who_may_decide(one.groups, excluding=None):
                place = ("rules", file.row("rules", index), "then", "escalate", step, "groups")
                message = f"nobody in {', '.join(one.groups)} may approve"
                remedy = "Give a member the role approver, or name another group"
                yield file.source.issue(place, message, remedy)


def _reviews(file: Shaped[Policy], policy: Policy) -> Iterator[tuple[Steps, Then]]:
    for index, rule in enumerate(policy.rules):
        if rule.then.decision == "review":
            places = {"stages": rule.then.stages, "threshold": rule.then.threshold}
            place = next((key for key, value in places.items() if value), "groups")
            yield ("rules", file.row("rules", index), "then", place), rule.then
    defaults = policy.defaults
    if "review" in (defaults.on_no_match, defaults.on_error):
        yield ("defaults", "groups"), Then(decision="review")


def _reviews_of_nobody(file: Shaped[Policy], policy: Policy) -> Iterator[Issue]:
    if policy.defaults.groups or not file.holds("defaults"):
        return
    for index, rule in enumerate(policy.rules):
        if rule.then.decision == "review" and not (rule.then.groups or rule.then.stages):
            message = f"the rule `{rule.id}` has no groups, so nobody may approve"
            steps = ("rules", file.row("rules", index), "then")
            yield file.source.issue(steps, message, "Add groups here or to defaults")
    for key in ("on_no_match", "on_error"):
        if getattr(policy.defaults, key) == "review":
            message = f"`{key}: review` has no groups, so nobody may approve"
            yield file.source.issue(("defaults", key), message, "Add groups to defaults")


def _misplaced_keys(file: Shaped[Policy], steps: Steps, then: Then) -> Iterator[Issue]:
    if then.decision == "review":
        return
    remedies = dict.fromkeys(REVIEW_ONLY, "Remove it; only a review carries it")
    if then.decision == "deny":
        remedies |= dict.fromkeys(GRANT_ONLY, "Remove it; a denial grants nothing")
    for key, remedy in remedies.items():
        if getattr(then, key) != Then.model_fields[key].default:
            message = f"`{key}` means nothing with `decision: {then.decision}`"
            yield file.source.key_issue((*steps, key), message, remedy)


def _contradictions(file: Shaped[Policy], steps: Steps, then: Then) -> Iterator[Issue]:
    if then.decision != "review" or file.model is None:
        return
    if then.stages:
        for key in ("threshold", "groups"):
            if getattr(then, key) is not None:
                message = f"`{key}` stands beside `stages`, which have their own"
                yield file.source.key_issue((*steps, key), message, "Remove one of the two")
        return
    threshold, groups = voters(file.model, then)
    if then.distinct_groups and 0 < len(set(groups)) < threshold:
        message = f"{threshold} approvals from different groups cannot come from {len(set(groups))}"
        remedy = "Name more groups, or lower the threshold"
        yield file.source.key_issue((*steps, "distinct_groups"), message, remedy)


def _too_late(file: Shaped[Policy], steps: Steps, rule: Rule, policy: Policy) -> Iterator[Issue]:
    if not (file.holds("defaults") and file.holds("actions")):
        return
    then, most = rule.then, policy.defaults.expires_in
    about = [one for name, one in policy.actions.items() if _fits(rule, name)]
    # Where the actions differ, what never comes for one may come for another.
    longest = max((one.expires_in or most for one in about), default=most)
    end = min(most, longest, then.expires_in or most)
    reminders = [(("remind", i), after) for i, after in enumerate(then.remind)]
    steps_up = [(("escalate", i, "after"), one.after) for i, one in enumerate(then.escalate)]
    for times in (reminders, steps_up):
        before = timedelta(0)
        for place, after in times:
            label = f"`{place[0]}[{place[1]}]`"
            if after >= end:
                message = f"{label} comes when the request has expired, after {written(end)}"
                remedy = "Choose a shorter time, or a longer expiry"
                yield file.source.issue((*steps, *place), message, remedy)
            elif after <= before:
                message = f"{label} is not later than the one before it"
                yield file.source.issue((*steps, *place), message, "Put them in order of time")
            before = after


def _unreachable(
    file: Shaped[Policy], steps: Steps, rule: Rule, earlier: list[Rule]
) -> Iterator[Issue]:
    # A deny rule may hide others: that is how an action is frozen for a while, and a freeze that
    # the file refuses would be no freeze. What is in shadow hides nothing, and is always tried.
    if rule.then.decision == "deny" or rule.mode == "shadow":
        return
    # The catalogue is closed: what counts is which of its actions are left, not how globs overlap.
    actions = [name for name in file.source.keys("actions") if _fits(rule, name)]
    takers = [one for one in earlier if _takes_all(one, rule)]
    before = [next((one.id for one in takers if _fits(one, name)), None) for name in actions]
    earlier.append(rule)
    if actions and None not in before:
        names = " and ".join(f"`{one.id}`" for one in takers if one.id in before)
        message = f"no request can reach the rule `{rule.id}`, because of {names} before it"
        remedy = "Move it up, narrow the earlier rule's actions, or remove it"
        yield file.source.issue((*steps, "id"), message, remedy)


def _takes_all(earlier: Rule, rule: Rule) -> bool:
    """Whether `earlier` fits whatever `rule` fits, as far as their texts tell."""
    return earlier.when.strip() in (EVERY_REQUEST, rule.when.strip())


def _fits(rule: Rule, action: str) -> bool:
    return matches_any(rule.actions, action)

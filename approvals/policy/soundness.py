"""Rules that are well formed and cannot be meant: nobody may approve, or no request gets there."""

from __future__ import annotations

from collections.abc import Iterator

from approvals.policy.analysis import voters
from approvals.policy.document import GRANT_ONLY, REVIEW_ONLY, Policy, Rule, Then
from approvals.policy.globs import matches_any
from approvals.policy.issues import Issue
from approvals.policy.people import People, PeopleDocument
from approvals.policy.shapes import Shaped
from approvals.policy.source import Steps


def unsound_rules(file: Shaped[Policy]) -> Iterator[Issue]:
    """What is wrong with the rules, whoever the people are."""
    if file.model is None:
        return
    yield from _reviews_of_nobody(file, file.model)
    earlier: list[Rule] = []
    for index, rule in enumerate(file.model.rules):
        steps: Steps = ("rules", file.row("rules", index))
        yield from _misplaced_keys(file, (*steps, "then"), rule.then)
        yield from _unreachable(file, steps, rule, earlier)


def too_few_people(file: Shaped[Policy], people: Shaped[PeopleDocument]) -> Iterator[Issue]:
    """Reviews that the persons of a faultless people.yaml cannot decide, however willing."""
    if file.model is None or people.model is None or not file.holds("defaults"):
        return
    policy, persons = file.model, People(people.model)
    for steps, then in _reviews(file, policy):
        threshold, groups = voters(policy, then)
        if not groups or not people.model.groups.keys() >= set(groups):
            continue  # told where rules and names are checked
        count = len(persons.who_may_decide(groups, excluding=None))
        if count < threshold:
            who = f"only {count}" if count else "nobody"
            message = f"{threshold} must approve, but {who} in {', '.join(groups)} may"
            remedy = "Lower the threshold, or give more members the role approver"
            yield file.source.issue(steps, message, remedy)


def _reviews(file: Shaped[Policy], policy: Policy) -> Iterator[tuple[Steps, Then]]:
    for index, rule in enumerate(policy.rules):
        if rule.then.decision == "review":
            place = "threshold" if rule.then.threshold else "groups"
            yield ("rules", file.row("rules", index), "then", place), rule.then
    defaults = policy.defaults
    if "review" in (defaults.on_no_match, defaults.on_error):
        yield ("defaults", "groups"), Then(decision="review")


def _reviews_of_nobody(file: Shaped[Policy], policy: Policy) -> Iterator[Issue]:
    if policy.defaults.groups or not file.holds("defaults"):
        return
    for index, rule in enumerate(policy.rules):
        if rule.then.decision == "review" and not rule.then.groups:
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


def _unreachable(
    file: Shaped[Policy], steps: Steps, rule: Rule, earlier: list[Rule]
) -> Iterator[Issue]:
    # A deny rule may hide others: that is how an action is frozen for a while, and a freeze that
    # the file refuses would be no freeze.
    if rule.then.decision == "deny":
        return
    # The catalogue is closed: what counts is which of its actions are left, not how globs overlap.
    actions = [name for name in file.source.keys("actions") if _fits(rule, name)]
    before = [next((one.id for one in earlier if _fits(one, name)), None) for name in actions]
    takers = [one.id for one in earlier if one.id in before]
    earlier.append(rule)
    if actions and None not in before:
        names = " and ".join(f"`{name}`" for name in takers)
        message = f"no request can reach the rule `{rule.id}`, because of {names} before it"
        remedy = "Move it up, narrow the earlier rule's actions, or remove it"
        yield file.source.issue((*steps, "id"), message, remedy)


def _fits(rule: Rule, action: str) -> bool:
    return matches_any(rule.actions, action)

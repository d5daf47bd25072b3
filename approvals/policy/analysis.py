"""What policy says to one request: deny rules first, then the first rule that fits.

Pure: the same policy, inquiry and wishes give the same terms. Approval comes from a rule alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import JsonValue

from approvals.errors import UnknownAction
from approvals.model import ActionId, MatchedPolicy
from approvals.policy.document import NO_MATCH, Policy, Rule, Then
from approvals.policy.globs import matches_any


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What rules look at: the action, and the attributes that conditions may name."""

    action: ActionId
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is frozen into a request: who decides, how long they have, what the grant allows."""

    matched: MatchedPolicy
    expires_in: timedelta
    grant_ttl: timedelta
    uses: int


def analyse(
    policy: Policy,
    version: str,
    inquiry: Inquiry,
    asked_expires_in: timedelta | None,
    asked_grant_ttl: timedelta | None,
) -> Terms:
    """The terms for `inquiry`; of several lengths the smallest holds. Raises `UnknownAction`."""
    action = policy.actions.get(inquiry.action)
    if action is None:
        raise UnknownAction("/action", "is no action that policy lists", "Add it to policy.yaml")
    defaults = policy.defaults
    rule = deny_rule_in_force(policy, inquiry) or _first_match(policy, inquiry)
    # An unmatched request is never approved: the file cannot even say so.
    then = rule.then if rule else Then(decision=defaults.on_no_match)
    return Terms(
        matched=_matched(policy, version, rule, then),
        expires_in=_smallest(
            defaults.expires_in, asked_expires_in, then.expires_in, action.expires_in
        ),
        grant_ttl=_smallest(defaults.grant_ttl, asked_grant_ttl, then.grant_ttl, action.grant_ttl),
        uses=min(filter(None, (then.uses, action.uses)), default=defaults.uses),
    )


def deny_rule_in_force(policy: Policy, inquiry: Inquiry) -> Rule | None:
    """The first deny rule that fits, wherever it stands."""
    denials = (rule for rule in policy.rules if rule.then.decision == "deny")
    return next((rule for rule in denials if _fits(rule, inquiry)), None)


def voters(policy: Policy, then: Then) -> tuple[int, tuple[str, ...]]:
    """How many approvals a review needs, and from which groups."""
    defaults = policy.defaults
    return then.threshold or defaults.threshold, then.groups or defaults.groups


def _first_match(policy: Policy, inquiry: Inquiry) -> Rule | None:
    return next((rule for rule in policy.rules if _fits(rule, inquiry)), None)


def _fits(rule: Rule, inquiry: Inquiry) -> bool:
    return matches_any(rule.actions, inquiry.action)


def _matched(policy: Policy, version: str, rule: Rule | None, then: Then) -> MatchedPolicy:
    matched = MatchedPolicy(
        version=version,
        rule=rule.id if rule else NO_MATCH,
        why=rule.why if rule else "No rule fits this action",
        say=then.say,
        decision=then.decision,
    )
    if then.decision != "review":
        return matched
    threshold, groups = voters(policy, then)
    notify = policy.defaults.notify if then.notify is None else then.notify
    review = {
        "threshold": threshold,
        "groups": groups,
        "quick_approve": then.quick_approve,
        "notify": notify,
    }
    return matched.model_copy(update=review)


def _smallest(default: timedelta, *others: timedelta | None) -> timedelta:
    return min((default, *(length for length in others if length is not None)))

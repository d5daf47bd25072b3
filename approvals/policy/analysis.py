"""What policy says to one request: deny rules first, then the first rule that fits.

Pure: the same rulebook and inquiry give the same terms. A condition that gives an error never lets
anything through: a deny rule then denies, any other ends the search with `on_error`.

A rule that approves is judged by what is known alone. Where it asks for what the service could have
said and has not, it does not fit, even where the strict default would: `geo.country != "KP"` is
true of every request that keeps quiet about its country.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from pydantic import JsonValue

from approvals.change import DenyRule
from approvals.errors import UnknownAction
from approvals.model import ActionId, Escalation, MatchedPolicy, PolicyDecision, Stage
from approvals.policy.attributes import KINDS, MAY_BE_ABSENT, SIZES
from approvals.policy.document import NO_MATCH, Action, Policy, Rule, Then
from approvals.policy.expressions import Condition, Facts, Judged, Language, Together, Truth
from approvals.policy.globs import matches_any
from approvals.policy.inquiry import Inquiry

Part = Literal["deny", "rule", "shadow"]

_WHY: dict[PolicyDecision, str] = {
    "approve": "Policy approves this action by itself",
    "deny": "Policy does not allow this action",
    "review": "People decide about this action",
}
_NO_RULE = "No rule fits this request"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is frozen into a request: who decides, how long they have, what the grant allows."""

    matched: MatchedPolicy
    expires_in: timedelta
    grant_ttl: timedelta
    uses: int


@dataclass(frozen=True, slots=True)
class Trial:
    """How one rule fared. `is_reached` is False behind the rule that decided, and for shadow rules.

    `truth` is None where the condition gives an error; `error` then says why, and why a rule does
    not fit that would by a strict default alone.
    """

    rule: Rule
    part: Part
    truth: Truth
    error: str
    names: tuple[str, ...]
    is_reached: bool = True
    has_decided: bool = False


@dataclass(frozen=True, slots=True)
class _Decided:
    """The rule that decides, if any, and what the shadow rules would have said."""

    rule: Rule | None
    error: str = ""
    shadow: tuple[str, ...] = ()
    shadow_failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Concerned:
    """The rules about one action, in the order they are tried, shadow rules last."""

    rules: tuple[tuple[Part, Rule], ...]
    together: Together
    names: frozenset[str]
    approving: tuple[int, ...]


class Rulebook:
    """A policy with its conditions compiled. Raises `BadCondition` for what the loader refuses."""

    def __init__(self, policy: Policy, version: str) -> None:
        self.policy = policy
        self.version = version
        self._language = language_of(policy)
        self._conditions = {rule.id: self._language.compile(rule.when) for rule in policy.rules}
        self._concerned: dict[ActionId, _Concerned] = {}
        self._terms: dict[tuple[ActionId, str, str], Terms] = {}

    def terms(
        self,
        inquiry: Inquiry,
        asked_expires_in: timedelta | None = None,
        asked_grant_ttl: timedelta | None = None,
    ) -> Terms:
        """The terms for `inquiry`; the smallest of the lengths holds. Raises `UnknownAction`."""
        decided = self._decide(inquiry)
        terms = self._agreed(inquiry.action, decided)
        if decided.shadow or decided.shadow_failed:
            told = {"shadow": decided.shadow, "shadow_failed": decided.shadow_failed}
            terms = replace(terms, matched=terms.matched.model_copy(update=told))
        return replace(
            terms,
            expires_in=_smallest(terms.expires_in, asked_expires_in),
            grant_ttl=_smallest(terms.grant_ttl, asked_grant_ttl),
        )

    def denial(self, inquiry: Inquiry) -> DenyRule | None:
        """The first deny rule that fits, or cannot be judged, wherever it stands."""
        decided = self._decide(self._with_todays_classes(inquiry))
        rule = decided.rule
        if rule is None or rule.then.decision != "deny":
            return None
        say = self._failure(decided) or rule.then.say or rule.why
        return DenyRule(rule.id, say or None, self.version)

    def _with_todays_classes(self, inquiry: Inquiry) -> Inquiry:
        """What the action has become is of that kind for a request opened before, too."""
        action = self.policy.actions.get(inquiry.action)
        known = inquiry.values.get("request.data_classes")
        if action is None or not isinstance(known, list):
            return inquiry
        classes: list[JsonValue] = list(dict.fromkeys((*map(str, known), *action.data_classes)))
        return replace(inquiry, values={**inquiry.values, "request.data_classes": classes})

    def explain(self, inquiry: Inquiry) -> tuple[Trial, ...]:
        """How each rule about the action fares, in the order they are tried."""
        concerned, facts = self._rules_about(inquiry.action), self._facts(inquiry)
        trials: list[Trial] = []
        is_open = True
        for part, rule in concerned.rules:
            condition = self._conditions[rule.id]
            judged = self._doubted(rule, condition.judge(facts), inquiry)
            decides = is_open and part != "shadow" and judged.truth is not False
            is_reached = is_open and part != "shadow"
            trials.append(
                Trial(
                    rule,
                    part,
                    judged.truth,
                    judged.error or judged.note,
                    condition.names,
                    is_reached,
                    decides,
                )
            )
            is_open = is_open and not decides
        return tuple(trials)

    def condition(self, rule: Rule) -> Condition:
        """The compiled condition of one of the policy's rules."""
        return self._conditions[rule.id]

    def _decide(self, inquiry: Inquiry) -> _Decided:
        concerned = self._rules_about(inquiry.action)
        judged = concerned.together.judge(self._facts(inquiry, concerned.names))
        for place in concerned.approving:
            judged[place] = self._doubted(concerned.rules[place][1], judged[place], inquiry)
        tried = list(zip(concerned.rules, judged, strict=True))
        shadow = [(rule.id, one.truth) for (part, rule), one in tried if part == "shadow"]
        matched = tuple(rule for rule, truth in shadow if truth)
        failed = tuple(rule for rule, truth in shadow if truth is None)
        for (part, rule), one in tried:
            if part != "shadow" and one.truth is not False:
                return _Decided(rule, one.error, matched, failed)
        return _Decided(None, shadow=matched, shadow_failed=failed)

    def _then(self, decided: _Decided) -> Then:
        defaults = self.policy.defaults
        if decided.rule is None:
            # An unmatched request is never approved: the file cannot even say so.
            return Then(decision=defaults.on_no_match)
        if not decided.error:
            return decided.rule.then
        is_denial = decided.rule.then.decision == "deny"
        return Then(decision="deny" if is_denial else defaults.on_error)

    def _agreed(self, name: ActionId, decided: _Decided) -> Terms:
        """The terms by a rule for an action, made once: thousands of requests meet the same."""
        key = (name, decided.rule.id if decided.rule else NO_MATCH, decided.error)
        known = self._terms.get(key)
        if known is None:
            known = self._terms[key] = self._made(name, decided)
        return known

    def _made(self, name: ActionId, decided: _Decided) -> Terms:
        action = self.policy.actions.get(name)
        if action is None:
            raise UnknownAction(
                "/action", "is no action that policy lists", "Add it to policy.yaml"
            )
        defaults, then = self.policy.defaults, self._then(decided)
        return Terms(
            matched=self._matched(decided.rule, then, action, self._failure(decided)),
            expires_in=_smallest(defaults.expires_in, then.expires_in, action.expires_in),
            grant_ttl=_smallest(defaults.grant_ttl, then.grant_ttl, action.grant_ttl),
            uses=min(filter(None, (then.uses, action.uses)), default=defaults.uses),
        )

    def _matched(
        self, rule: Rule | None, then: Then, action: Action, failure: str
    ) -> MatchedPolicy:
        told: dict[str, object] = {"personal_retention": self.policy.defaults.personal_retention}
        if then.decision != "deny":
            told |= {"must_hold": then.must_hold, "receipt_within": action.receipt_within}
        if then.decision == "review":
            told |= self._review(then)
        return MatchedPolicy(
            version=self.version,
            rule=rule.id if rule else NO_MATCH,
            why=failure or (rule.why if rule else _NO_RULE) or _WHY[then.decision],
            say=then.say,
            decision=then.decision,
        ).model_copy(update=told)

    def _review(self, then: Then) -> dict[str, object]:
        threshold, groups = voters(self.policy, then)
        return {
            "threshold": threshold,
            "groups": groups,
            "stages": stages_of(then),
            "distinct_groups": then.distinct_groups,
            "quick_approve": then.quick_approve,
            "show_justification": then.show_justification == "channel",
            "notify": self.policy.defaults.notify if then.notify is None else then.notify,
            "remind": then.remind,
            "escalate": tuple(
                Escalation(after=one.after, groups=one.groups, notify=one.notify)
                for one in then.escalate
            ),
        }

    def _failure(self, decided: _Decided) -> str:
        """Why the rule that ends the search could not be judged; empty where it could."""
        if not decided.error:
            return ""
        is_review = self._then(decided).decision == "review"
        so = "so people decide" if is_review else "and in doubt nothing is allowed"
        return f"The rule could not be judged: {decided.error}, {so}"

    def _doubted(self, rule: Rule, judged: Judged, inquiry: Inquiry) -> Judged:
        """What a rule that approves says by what is known alone: no default stands in for it."""
        condition = self._conditions[rule.id]
        if rule.then.decision != "approve" or not judged.truth:
            return judged
        if not any(inquiry.origin(name) == "default" for name in condition.names):
            return judged
        known = {
            name: value
            for name, value in inquiry.values.items()
            if inquiry.origin(name) != "default"
        }
        by_itself = condition.judge(self._facts(replace(inquiry, values=known)))
        return judged if by_itself.truth else Judged(False, note=by_itself.error)

    def _facts(self, inquiry: Inquiry, names: frozenset[str] | None = None) -> Facts:
        values = {**inquiry.values, "now": inquiry.at, "tz": self.policy.defaults.timezone}
        return self._language.facts(values, names)

    def _rules_about(self, action: ActionId) -> _Concerned:
        known = self._concerned.get(action)
        if known is None:
            known = self._concerned[action] = self._gathered(action)
        return known

    def _gathered(self, action: ActionId) -> _Concerned:
        about = [rule for rule in self.policy.rules if matches_any(rule.actions, action)]
        rules = tuple(_in_order(about))
        conditions = [self._conditions[rule.id] for _, rule in rules]
        approving = [at for at, (_, rule) in enumerate(rules) if rule.then.decision == "approve"]
        names = frozenset(name for one in conditions for name in one.names)
        return _Concerned(rules, self._language.together(conditions), names, tuple(approving))


def language_of(policy: Policy) -> Language:
    """What the conditions of `policy` may name."""
    return Language(KINDS, SIZES, policy.lists, MAY_BE_ABSENT)


def voters(policy: Policy, then: Then) -> tuple[int, tuple[str, ...]]:
    """How many approvals a review needs, and from which groups; over all stages."""
    if then.stages:
        groups = dict.fromkeys(group for stage in then.stages for group in stage.groups)
        return sum(stage.threshold for stage in then.stages), tuple(groups)
    defaults = policy.defaults
    return then.threshold or defaults.threshold, then.groups or defaults.groups


def stages_of(then: Then) -> tuple[Stage, ...]:
    """The parts of a review as they are frozen."""
    return tuple(Stage(threshold=one.threshold, groups=one.groups) for one in then.stages)


def _in_order(rules: Sequence[Rule]) -> Iterator[tuple[Part, Rule]]:
    enforced = [rule for rule in rules if rule.mode == "enforce"]
    yield from (("deny", rule) for rule in enforced if rule.then.decision == "deny")
    yield from (("rule", rule) for rule in enforced if rule.then.decision != "deny")
    yield from (("shadow", rule) for rule in rules if rule.mode == "shadow")


def _smallest(default: timedelta, *others: timedelta | None) -> timedelta:
    return min((default, *(length for length in others if length is not None)))

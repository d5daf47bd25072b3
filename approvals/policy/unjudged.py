"""Which rules of a change no request and no case met: nobody knows what they let through. Pure.

A rule counts as met where it decided by truth, or fitted in shadow mode; a condition that gave an
error shows nothing. Without being met, these may be looser:

- a rule of the new policy that approves, added or changed, which nothing met under the new one;
- a rule of the old one that denies, removed or changed, which nothing met under the old one;
- a rule of the old one that asks people, removed or changed in what it fits, which nothing met
  under the old one, where a rule of the new one approves: its requests may fall to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from approvals.policy.analysis import Rulebook, Terms
from approvals.policy.changes import moved_rules
from approvals.policy.document import Rule
from approvals.policy.inquiry import Inquiry

# Keys of `then` that decide nothing, as if they were left out.
_ONLY_TOLD = {"say": None, "notify": None, "remind": (), "show_justification": "review"}


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Added and changed rules that nobody met, and of all rules those that may be looser."""

    rules: tuple[str, ...] = ()
    maybe_looser: tuple[str, ...] = ()


@dataclass(slots=True)
class Met:
    """The rules of one policy that were met; grows while requests are judged."""

    rulebook: Rulebook
    rules: set[str] = field(default_factory=set)

    def note(self, inquiry: Inquiry, terms: Terms | None) -> None:
        """What `inquiry` met; `terms` are what the rulebook said of it, None for no such action."""
        if terms is None:
            return
        self.rules.update(terms.matched.shadow)
        if terms.matched.rule not in self.rules:
            trials = self.rulebook.explain(inquiry)
            self.rules.update(one.rule.id for one in trials if one.has_decided and one.truth)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A rule before and after, None where it is not there; whether it may fit otherwise now."""

    old: Rule | None
    new: Rule | None
    fits_otherwise: bool = True


def unjudged(old: Met, new: Met) -> Unjudged:
    """What of the change from one policy to the other was met by nothing that was judged."""
    approves = any(_enforced(rule) == "approve" for rule in new.rulebook.policy.rules)
    unmet, maybe = [], []
    for name, pair in _changed(old.rulebook, new.rulebook):
        was_met, is_met = name in old.rules, name in new.rules
        is_looser = _may_be_looser(pair, was_met=was_met, is_met=is_met, approves=approves)
        if is_looser:
            maybe.append(name)
        if is_looser or (pair.new is not None and not (was_met or is_met)):
            unmet.append(name)
    return Unjudged(tuple(unmet), tuple(maybe))


def _may_be_looser(pair: _Pair, *, was_met: bool, is_met: bool, approves: bool) -> bool:
    before, after = _enforced(pair.old), _enforced(pair.new)
    if after == "approve" and not is_met:
        return True
    if was_met:
        return False
    return before == "deny" or (before == "review" and approves and pair.fits_otherwise)


def _changed(old: Rulebook, new: Rulebook) -> Iterator[tuple[str, _Pair]]:
    """Each rule that was added, removed or changed in what it fits or decides, or that moved."""
    before = {rule.id: rule for rule in old.policy.rules}
    after = {rule.id: rule for rule in new.policy.rules}
    lists, moved = _changed_lists(old, new), moved_rules(old.policy, new.policy)
    for name in dict.fromkeys((*after, *before)):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield name, _Pair(was, now)
            continue
        names = {*old.condition(was).names, *new.condition(now).names}
        # Deny rules come first wherever they stand.
        is_placed_otherwise = name in moved and now.then.decision != "deny"
        fits_otherwise = bool(lists & names) or is_placed_otherwise or _fit(was) != _fit(now)
        if fits_otherwise or _what_decides(was) != _what_decides(now):
            yield name, _Pair(was, now, fits_otherwise)


def _fit(rule: Rule) -> tuple[object, ...]:
    return rule.when, rule.actions, _enforced(rule)


def _changed_lists(old: Rulebook, new: Rulebook) -> set[str]:
    before, after = old.policy.lists, new.policy.lists
    return {
        name for name in {*before, *after} if set(before.get(name, ())) != set(after.get(name, ()))
    }


def _what_decides(rule: Rule) -> Rule:
    """The rule without what is only told."""
    then = rule.then.model_copy(update=_ONLY_TOLD)
    return rule.model_copy(update={"why": "", "then": then})


def _enforced(rule: Rule | None) -> str | None:
    return rule.then.decision if rule is not None and rule.mode == "enforce" else None

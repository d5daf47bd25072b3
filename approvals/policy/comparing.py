"""Whether one outcome of policy is looser than another. Pure; knows no file and no request.

Looser means that something is allowed sooner, to more, or for longer, or told to more people:

- the decision moves along deny, review, approve;
- of two reviews the new one needs fewer approvals, in all or in one stage; has more or fewer
  stages, unless the old ones stand unchanged before the new; lets a further group decide, in one
  stage, in all or by escalation, which joins every stage, or lets it decide earlier; no longer
  asks for different groups; lets people approve on the card (`quick_approve`); or waits longer;
- of two outcomes that may end in a grant, the new grant lives longer, may be used more often, keeps
  fewer attributes to what they were, or owes its receipt later or not at all;
- more is told or kept of persons: the justification stands in the channel, or personal data is
  forgotten later or never.

Stricter is each of these the other way round; a change that is both counts as looser. An action
that one of the policies does not have is stricter where it is gone, and listed as new where not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from approvals.model import MatchedPolicy, PolicyDecision, Stage
from approvals.policy.analysis import Terms
from approvals.policy.values import written

Direction = Literal["looser", "stricter", "new", "other"]
DIRECTIONS: tuple[Direction, ...] = ("looser", "stricter", "new", "other")  # the worst first

_FREEDOM: dict[PolicyDecision, int] = {"deny": 0, "review": 1, "approve": 2}
_AT_ONCE = timedelta(0)
_NEVER = timedelta.max  # when a receipt is due that nobody asks for, or personal data forgotten


@dataclass(frozen=True, slots=True)
class Respect:
    """One way in which two outcomes differ, in words."""

    direction: Direction
    words: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a new outcome stands to an old one. Without `respects` they are the same."""

    respects: tuple[Respect, ...]

    @property
    def is_same(self) -> bool:
        """Whether a request would not notice the change."""
        return not self.respects

    @property
    def direction(self) -> Direction:
        """The worst of all respects: what is looser in one is looser."""
        found = {one.direction for one in self.respects}
        return next((one for one in DIRECTIONS if one in found), "other")

    @property
    def words(self) -> tuple[str, ...]:
        """Every respect in words, the looser ones first."""
        ordered = sorted(self.respects, key=lambda one: DIRECTIONS.index(one.direction))
        return tuple(one.words for one in ordered)


def compare(old: Terms | None, new: Terms | None) -> Comparison:
    """How `new` stands to `old`; None is a policy that does not have the action."""
    if old is None or new is None:
        return Comparison(tuple(_existence(old, new)))
    return Comparison(tuple(_respects(old, new)))


def _existence(old: Terms | None, new: Terms | None) -> Iterator[Respect]:
    if old is not None:
        yield Respect("stricter", "the action is gone")
    elif new is not None:
        yield Respect("new", "the action is new")


def _respects(old: Terms, new: Terms) -> Iterator[Respect]:
    before, after = old.matched.decision, new.matched.decision
    if before != after:
        is_looser = _FREEDOM[after] > _FREEDOM[before]
        yield Respect(_towards(is_looser=is_looser), f"{before} becomes {after}")
    if before == after == "review":
        yield from _reviews(old.matched, new.matched)
        yield from _amounts("expiry", old.expires_in, new.expires_in)
        yield from _ways(old.matched, new.matched)
    if "deny" not in (before, after):
        yield from _grants(old, new)
    yield from _kept(old.matched, new.matched)


def _reviews(old: MatchedPolicy, new: MatchedPolicy) -> Iterator[Respect]:
    if old.threshold != new.threshold:
        words = f"approvals {old.threshold} -> {new.threshold}"
        yield Respect(_towards(is_looser=new.threshold < old.threshold), words)
    before, after = old.all_stages, new.all_stages
    if len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True), start=1):
            name = f"stage {number}: " if len(before) > 1 else ""
            yield from _stage(name, one, other, old, new)
    else:
        # Only where each stays as it was, and more is asked behind it, is nobody spared.
        is_longer = before == after[: len(before)]
        yield Respect(_towards(is_looser=not is_longer), f"stages {len(before)} -> {len(after)}")
        yield from _reach("", _reached(old, old.groups), _reached(new, new.groups))
    if old.distinct_groups != new.distinct_groups:
        words = "different groups " + ("no longer" if old.distinct_groups else "now") + " needed"
        yield Respect(_towards(is_looser=old.distinct_groups), words)
    if old.quick_approve != new.quick_approve:
        words = "approval on the card " + ("now" if new.quick_approve else "no longer")
        yield Respect(_towards(is_looser=new.quick_approve), words)
    if old.show_justification != new.show_justification:
        words = "justification in the channel " + ("now" if new.show_justification else "no longer")
        yield Respect(_towards(is_looser=new.show_justification), words)


def _stage(
    name: str, old: Stage, new: Stage, was: MatchedPolicy, now: MatchedPolicy
) -> Iterator[Respect]:
    if name and old.threshold != new.threshold:
        words = f"{name}approvals {old.threshold} -> {new.threshold}"
        yield Respect(_towards(is_looser=new.threshold < old.threshold), words)
    yield from _reach(name, _reached(was, old.groups), _reached(now, new.groups))


def _reach(
    name: str, before: Mapping[str, timedelta], after: Mapping[str, timedelta]
) -> Iterator[Respect]:
    """Who may decide, and from when on: at once, or after an escalation, which joins each stage."""
    for group in _added(before, after):
        yield Respect("looser", f"{name}{group} may decide{_from(after[group])}")
    for group in _added(after, before):
        yield Respect("stricter", f"{name}{group} may no longer decide")
    for group in before:
        if group in after and before[group] != after[group]:
            is_looser = after[group] < before[group]
            words = f"{name}{group} may decide{_from(after[group])}, not{_from(before[group])}"
            yield Respect(_towards(is_looser=is_looser), words)


def _reached(matched: MatchedPolicy, groups: Sequence[str]) -> dict[str, timedelta]:
    reached = dict.fromkeys(groups, _AT_ONCE)
    for one in sorted(matched.escalate, key=lambda one: one.after):
        for group in one.groups:
            reached.setdefault(group, one.after)
    return reached


def _from(after: timedelta) -> str:
    return f" after {written(after)}" if after else " at once"


def _ways(old: MatchedPolicy, new: MatchedPolicy) -> Iterator[Respect]:
    """Where it is told, and how often: neither looser nor stricter."""
    if old.notify != new.notify:
        words = f"told in {_names(old.notify)} -> {_names(new.notify)}"
        yield Respect("other", words)
    if old.remind != new.remind:
        before, after = (_names(list(map(written, one))) for one in (old.remind, new.remind))
        yield Respect("other", f"reminders {before} -> {after}")
    told = [[(one.after, one.notify) for one in each.escalate if one.notify] for each in (old, new)]
    if told[0] != told[1]:
        yield Respect("other", "escalations are told elsewhere or at another time")


def _grants(old: Terms, new: Terms) -> Iterator[Respect]:
    yield from _amounts("grant", old.grant_ttl, new.grant_ttl)
    if old.uses != new.uses:
        is_looser = new.uses > old.uses
        yield Respect(_towards(is_looser=is_looser), f"uses {old.uses} -> {new.uses}")
    for name in _added(new.matched.must_hold, old.matched.must_hold):
        yield Respect("looser", f"{name} may change before the use")
    for name in _added(old.matched.must_hold, new.matched.must_hold):
        yield Respect("stricter", f"{name} must hold until the use")
    due = [one.matched.receipt_within or _NEVER for one in (old, new)]
    if due[0] != due[1]:
        words = " -> ".join("none" if one == _NEVER else written(one) for one in due)
        yield Respect(_towards(is_looser=due[1] > due[0]), f"receipt due {words}")


def _kept(old: MatchedPolicy, new: MatchedPolicy) -> Iterator[Respect]:
    """For how long personal data stays, whatever the outcome."""
    until = [one.personal_retention or _NEVER for one in (old, new)]
    if until[0] != until[1]:
        words = " -> ".join("until erased" if one == _NEVER else written(one) for one in until)
        yield Respect(_towards(is_looser=until[1] > until[0]), f"personal data kept {words}")


def _amounts(name: str, old: timedelta, new: timedelta) -> Iterator[Respect]:
    if old != new:
        words = f"{name} {written(old)} -> {written(new)}"
        yield Respect(_towards(is_looser=new > old), words)


def _added(old: Collection[str], new: Collection[str]) -> list[str]:
    return [name for name in dict.fromkeys(new) if name not in old]


def _towards(*, is_looser: bool) -> Direction:
    return "looser" if is_looser else "stricter"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"

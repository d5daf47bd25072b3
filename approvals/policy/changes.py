"""What differs between two policies as written: keys, rules, actions, lists. Judges no request.

Each change has a direction, as far as its text alone tells one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from approvals.model import Frozen
from approvals.policy.comparing import DIRECTIONS, Direction
from approvals.policy.document import Policy, Rule
from approvals.policy.leaning import Leanings, action_leaning, defaults_leaning, rule_leaning
from approvals.policy.values import written


@dataclass(frozen=True, slots=True)
class Change:
    """One difference in words; `other` is what text alone cannot tell."""

    direction: Direction
    words: str


def changes_between(old: Policy, new: Policy) -> list[Change]:
    """Every difference, looser first, without comments, layout and what is a default anyway."""
    leanings = defaults_leaning(old.defaults, new.defaults)
    return ordered([
        *_keys("defaults", old.defaults, new.defaults, leanings),
        *_lists(old.lists, new.lists),
        *_actions(old, new),
        *_channels(old, new),
        *_rules(old, new),
    ])  # fmt: skip


def ordered(changes: Iterable[Change]) -> list[Change]:
    """The worst first; those of one direction stay as they were."""
    return sorted(changes, key=lambda one: DIRECTIONS.index(one.direction))


def moved_rules(old: Policy, new: Policy) -> list[str]:
    """The fewest rules whose place explains the new order; the others stay as they stood."""
    before, after = ([rule.id for rule in policy.rules] for policy in (old, new))
    now = [name for name in after if name in before]
    places = {name: place for place, name in enumerate(before)}
    # For each rule the longest run of rules that ends with it and keeps the old order.
    runs: list[tuple[str, ...]] = []
    for name in now:
        fitting = [run for run in runs if places[run[-1]] < places[name]]
        runs.append((*max(fitting, key=len, default=()), name))
    stayed = max(runs, key=len, default=())
    return [name for name in now if name not in stayed]


def _lists(old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    # Whether a rule wants to find an item in the list, or not to, is not known here.
    yield from (Change("other", f"list `{name}` removed") for name in old if name not in new)
    yield from (Change("new", f"list `{name}` added") for name in new if name not in old)
    for name in (name for name in old if name in new):
        before, after = old[name], new[name]
        if before != after:
            told = difference(before, after) or "is ordered otherwise"
            yield Change("other", f"list `{name}` {told}")


def difference(old: Sequence[str], new: Sequence[str]) -> str:
    """`gains A, B and loses C`; empty where both hold the same."""
    gained = [item for item in new if item not in old]
    lost = [item for item in old if item not in new]
    parts = [f"gains {', '.join(gained)}"] if gained else []
    parts += [f"loses {', '.join(lost)}"] if lost else []
    return " and ".join(parts)


def presence(kind: str, old: Iterable[str], new: Iterable[str]) -> Iterator[Change]:
    """What is there no longer, which can only lessen what may be done, and what is new."""
    before, after = list(old), list(new)
    for name in before:
        if name not in after:
            yield Change("stricter", f"{kind} `{name}` removed")
    yield from (Change("new", f"{kind} `{name}` added") for name in after if name not in before)


def _actions(old: Policy, new: Policy) -> Iterator[Change]:
    yield from presence("action", old.actions, new.actions)
    for name in (name for name in old.actions if name in new.actions):
        before, after = old.actions[name], new.actions[name]
        leanings = action_leaning(before, after, old.defaults, new.defaults)
        yield from _keys(f"action `{name}`", before, after, leanings)


def _channels(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = old.channels, new.channels
    yield from (
        Change("other", f"channel `{name}` removed") for name in before if name not in after
    )
    yield from (Change("new", f"channel `{name}` added") for name in after if name not in before)
    for name in (name for name in before if name in after):
        yield from _keys(f"channel `{name}`", before[name], after[name], {})


def _rules(old: Policy, new: Policy) -> Iterator[Change]:
    before: dict[str, Rule] = {one.id: one for one in old.rules}
    after: dict[str, Rule] = {one.id: one for one in new.rules}
    for name in before:
        if name not in after:
            yield Change("other", f"rule `{name}` removed")
    for name, rule in after.items():
        if name not in before:
            yield Change("new", f"rule `{name}` added: {rule.then.decision}, mode {rule.mode}")
    for name in (name for name in before if name in after):
        leanings = rule_leaning(before[name], after[name], old, new)
        yield from _keys(f"rule `{name}`", before[name], after[name], leanings)
    common = [name for name in after if name in before]
    for name in moved_rules(old, new):
        place = common.index(name)
        where = f"below `{common[place - 1]}`" if place else "to the top"
        yield Change("other", f"rule `{name}` moved {where}")


def _keys(place: str, old: Frozen, new: Frozen, leanings: Leanings) -> Iterator[Change]:
    before, after = (dict(_flat("", one.model_dump())) for one in (old, new))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            words = f"{place}: `{key}` {_shown(before.get(key))} -> {_shown(after.get(key))}"
            yield Change(leanings.get(key, "other"), words)


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    """Mappings by dotted keys; a list is one value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, timedelta):
        return written(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        present = {key: item for key, item in value.items() if item}
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in present.items()) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | int) else str(value)

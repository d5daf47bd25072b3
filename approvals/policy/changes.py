"""What differs between two policies as written: keys, rules, actions, lists. Judges no request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import SequenceMatcher

from approvals.model import Frozen
from approvals.policy.document import Policy, Rule
from approvals.policy.values import written

_KINDS = {"actions": "action", "channels": "channel"}


def changes_between(old: Policy, new: Policy) -> list[str]:
    """Every difference in words, without comments, layout and what is a default anyway."""
    return [
        *_keys("defaults", old.defaults, new.defaults),
        *_lists(old.lists, new.lists),
        *(line for name in _KINDS for line in _entries(name, old, new)),
        *_rules(old.rules, new.rules),
    ]


def _lists(old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield from _names("list", old, new)
    for name in (name for name in old if name in new):
        before, after = old[name], new[name]
        gained = [item for item in after if item not in before]
        lost = [item for item in before if item not in after]
        parts = [f"gains {', '.join(gained)}"] if gained else []
        parts += [f"loses {', '.join(lost)}"] if lost else []
        if before != after:
            yield f"list `{name}` {' and '.join(parts) or 'is ordered otherwise'}"


def _entries(name: str, old: Policy, new: Policy) -> Iterator[str]:
    kind = _KINDS[name]
    before: Mapping[str, Frozen] = getattr(old, name)
    after: Mapping[str, Frozen] = getattr(new, name)
    yield from _names(kind, before, after)
    for key in (key for key in before if key in after):
        yield from _keys(f"{kind} `{key}`", before[key], after[key])


def _names(kind: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    yield from (f"{kind} `{name}` removed" for name in old if name not in new)
    yield from (f"{kind} `{name}` added" for name in new if name not in old)


def _rules(old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[str]:
    before, after = {one.id: one for one in old}, {one.id: one for one in new}
    yield from (f"rule `{name}` removed" for name in before if name not in after)
    for name, rule in after.items():
        if name not in before:
            yield f"rule `{name}` added: {rule.then.decision}, mode {rule.mode}"
    for name in (name for name in before if name in after):
        yield from _keys(f"rule `{name}`", before[name], after[name])
    yield from _moved([name for name in before if name in after], [*after])


def _moved(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """The fewest rules whose place explains the new order; the others stay as they stood."""
    now = [name for name in after if name in before]
    blocks = SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
    stayed = {name for block in blocks for name in before[block.a : block.a + block.size]}
    for place, name in enumerate(now):
        if name not in stayed:
            where = f"below `{now[place - 1]}`" if place else "to the top"
            yield f"rule `{name}` moved {where}"


def _keys(place: str, old: Frozen, new: Frozen) -> Iterator[str]:
    before, after = (dict(_flat("", one.model_dump())) for one in (old, new))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield f"{place}: `{key}` {_shown(before.get(key))} -> {_shown(after.get(key))}"


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

"""How many approvals can be collected: who may take which seat of which stage. Pure, and of nobody.

A person takes one seat in all. Where each approval is to come from another group, a group gives
one in all, and a member of two may stand for either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from approvals.model import PersonId, Stage

Node = tuple[str, str]  # its kind and its name
Room = defaultdict[Node, dict[Node, int]]  # how much more may flow from one node to another

_START: Node = ("start", "")
_END: Node = ("end", "")


def most_approvals(
    stages: Sequence[Stage], *, distinct_groups: bool, able: Mapping[PersonId, Collection[str]]
) -> int:
    """The most approvals that `stages` can have of those who are `able`, each with their groups.

    The sum of the thresholds when all stages can be filled, else less.
    """
    room: Room = defaultdict(dict)
    for person, groups in able.items():
        _join(room, _START, ("person", person), 1)
        for group in groups:
            _join(room, ("person", person), ("group", group), 1)
    for number, stage in enumerate(stages):
        _join(room, ("stage", str(number)), _END, stage.threshold)
        for group in stage.groups:
            _join(room, ("group", group), ("votes of", group), 1 if distinct_groups else len(able))
            _join(room, ("votes of", group), ("stage", str(number)), len(able))
    return _flow(room)


def free_groups(given: Sequence[Collection[str]], groups: Iterable[str]) -> tuple[str, ...]:
    """Those of `groups` that one more approval may stand for, beside all that are `given`.

    `given` has the groups that each approval may stand for; each is to stand for another.
    """
    return tuple(group for group in groups if _are_distinct([*given, (group,)]))


def _are_distinct(votes: Sequence[Collection[str]]) -> bool:
    able = {PersonId(str(number)): groups for number, groups in enumerate(votes)}
    every = dict.fromkeys(group for groups in votes for group in groups)
    stage = Stage(threshold=len(votes), groups=tuple(every))
    return most_approvals([stage], distinct_groups=True, able=able) == len(votes)


def _join(room: Room, one: Node, other: Node, most: int) -> None:
    room[one][other] = most
    room[other].setdefault(one, 0)


def _flow(room: Room) -> int:
    """How much flows from start to end; each way found may turn back an earlier one."""
    flow = 0
    while way := _way(room):
        for one, other in pairwise(way):
            room[one][other] -= 1
            room[other][one] += 1
        flow += 1
    return flow


def _way(room: Room) -> list[Node]:
    """A way from start to end with room left on each part of it; empty when there is none."""
    came_from: dict[Node, Node] = {_START: _START}
    ahead = [_START]
    while ahead and _END not in came_from:
        here = ahead.pop()
        new = [node for node, left in room[here].items() if left > 0 and node not in came_from]
        came_from |= dict.fromkeys(new, here)
        ahead += new
    way = [_END] if _END in came_from else []
    while way and way[-1] != _START:
        way.append(came_from[way[-1]])
    return way[::-1]

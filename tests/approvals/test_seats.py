"""How many approvals can be collected is what trying every assignment finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.model import PersonId, Stage
from approvals.seats import free_groups, most_approvals
from tests.approvals.samples import in_stages

GROUPS = ("privacy", "duty", "legal", "board")
_some_groups = st.sets(st.sampled_from(GROUPS), max_size=4).map(sorted)
_stages = st.lists(
    st.builds(Stage, threshold=st.integers(0, 3), groups=_some_groups.map(tuple)), max_size=3
)
_able = st.dictionaries(st.sampled_from([PersonId(c) for c in "abcde"]), _some_groups, max_size=5)


def by_trying_everything(
    stages: Sequence[Stage], able: Mapping[PersonId, Collection[str]], *, distinct_groups: bool
) -> int:
    people = list(able)

    def best(index: int, seats: tuple[int, ...], used: frozenset[str]) -> int:
        if index == len(people):
            return 0
        found = best(index + 1, seats, used)  # this person stays at home
        for number, stage in enumerate(stages):
            for group in set(able[people[index]]) & set(stage.groups):
                if seats[number] and not (distinct_groups and group in used):
                    left = tuple(n - (i == number) for i, n in enumerate(seats))
                    found = max(found, 1 + best(index + 1, left, used | {group}))
        return found

    return best(0, tuple(stage.threshold for stage in stages), frozenset())


@settings(deadline=None)
@given(stages=_stages, able=_able, distinct_groups=st.booleans())
def test_it_is_as_many_as_the_best_of_all_assignments(
    stages: list[Stage], able: dict[PersonId, list[str]], distinct_groups: bool
) -> None:
    found = most_approvals(stages, distinct_groups=distinct_groups, able=able)
    assert found == by_trying_everything(stages, able, distinct_groups=distinct_groups)


@settings(deadline=None)
@given(votes=st.lists(_some_groups, max_size=4), groups=_some_groups)
def test_a_group_is_free_when_all_votes_can_still_stand_for_different_ones(
    votes: list[list[str]], groups: list[str]
) -> None:
    def can_stand(left: Sequence[Collection[str]], used: frozenset[str]) -> bool:
        return not left or any(
            can_stand(left[1:], used | {group}) for group in left[0] if group not in used
        )

    expected = tuple(group for group in groups if can_stand([*votes, (group,)], frozenset()))
    assert free_groups(votes, groups) == expected


TWO = in_stages((1, "privacy"), (1, "duty"))


@pytest.mark.parametrize(
    ("able", "most"),
    [
        ({}, 0),
        ({"anna": ["privacy"]}, 1),
        ({"anna": ["privacy", "duty"]}, 1),
        ({"anna": ["privacy"], "ben": ["privacy"]}, 1),
        ({"anna": ["privacy", "duty"], "ben": ["privacy"]}, 2),
        ({"anna": ["privacy"], "ben": ["board"]}, 1),
    ],
)
def test_a_person_sits_in_one_stage_only(able: dict[PersonId, list[str]], most: int) -> None:
    assert most_approvals(TWO, distinct_groups=False, able=able) == most


def test_a_group_that_two_stages_ask_gives_one_approval_where_groups_must_differ() -> None:
    stages = in_stages((1, "privacy"), (1, "privacy duty"))
    able = {PersonId("anna"): ["privacy"], PersonId("ben"): ["privacy"]}
    assert most_approvals(stages, distinct_groups=False, able=able) == 2
    assert most_approvals(stages, distinct_groups=True, able=able) == 1


def test_a_person_of_two_groups_stands_for_whichever_is_needed() -> None:
    assert free_groups([("privacy", "duty")], ("privacy", "duty")) == ("privacy", "duty")
    assert free_groups([("privacy", "duty"), ("privacy",)], ("privacy", "duty")) == ()
    assert free_groups([("privacy",)], ("privacy", "duty")) == ("duty",)


def test_many_people_are_counted_at_once() -> None:
    able = {PersonId(f"p{number}"): GROUPS for number in range(300)}
    stages = [Stage(threshold=100, groups=GROUPS), Stage(threshold=100, groups=GROUPS[:1])]
    assert most_approvals(stages, distinct_groups=False, able=able) == 200
    assert most_approvals(stages, distinct_groups=True, able=able) == 4

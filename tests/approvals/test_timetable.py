"""Reminders and escalations: each once, in time or late, and never at the deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import lifecycle
from approvals.change import Change, Voting
from approvals.model import ApprovalRequest, Encrypted, Escalation, MatchedPolicy
from tests.approvals.samples import ANNA, BEN, CLI, EXPIRES_IN, NOW, pending, policy

MINUTE = timedelta(minutes=1)
BOARD = Escalation(after=6 * MINUTE, groups=("board",), notify=("managers",))
OWNERS = Escalation(after=3 * MINUTE, groups=("owners",))
WAITING = policy(notify=("desk",), remind=(5 * MINUTE, 2 * MINUTE), escalate=(BOARD, OWNERS))


def at(request: ApprovalRequest, minutes: float) -> Change | None:
    return lifecycle.on_deadline(request, NOW + minutes * MINUTE)


def told(change: Change | None) -> list[tuple[str, int]]:
    events = change.events if change else ()
    return [(event.type.removeprefix("request."), event.model_dump()["step"]) for event in events]


def after(change: Change | None) -> ApprovalRequest:
    assert change is not None
    return change.request


def test_each_step_comes_at_its_time_in_the_order_of_times() -> None:
    request, seen = pending(WAITING), []
    for minute in range(1, 15):
        assert at(request, minute - 0.001) is None
        if change := at(request, minute):
            seen += [(minute, *step) for step in told(change)]
            assert change.callback is None
            assert (change.guarded, change.valid_before) == (False, request.expires_at)
            request = change.request
            assert at(request, minute) is None, "the same work a second time"
    assert seen == [
        (2, "reminded", 1),
        (3, "escalated", 1),
        (5, "reminded", 2),
        (6, "escalated", 2),
    ]
    assert (request.status, request.revision) == ("pending", 1)
    assert after(at(request, 15)).status == "expired"


def test_what_is_overdue_is_done_in_one_change_and_in_order() -> None:
    change = at(pending(WAITING), 5.5)
    assert told(change) == [("reminded", 1), ("escalated", 1), ("reminded", 2)]
    request = after(change)
    assert (request.reminded, request.escalated) == (2, 1)
    assert lifecycle.next_deadline(request) == NOW + 6 * MINUTE


def test_expiry_wins_over_all_that_is_overdue_with_it() -> None:
    change = at(pending(WAITING), 15)
    assert change is not None
    assert [event.type for event in change.events] == ["request.expired"]
    assert (change.request.reminded, change.request.escalated) == (0, 0)


@pytest.mark.parametrize("late", [timedelta(0), MINUTE])
def test_a_step_at_the_deadline_or_after_it_never_comes(late: timedelta) -> None:
    step = Escalation(after=EXPIRES_IN + late, groups=("board",))
    request = pending(policy(remind=(EXPIRES_IN + late,), escalate=(step,)))
    assert lifecycle.next_deadline(request) == request.expires_at
    assert after(lifecycle.on_deadline(request, request.expires_at)).status == "expired"


def test_what_has_ended_is_neither_reminded_nor_escalated() -> None:
    vote = Voting(ANNA, CLI, "deny", reason=Encrypted("No"))
    denied = lifecycle.review(pending(WAITING), vote, NOW + MINUTE).request
    assert lifecycle.next_deadline(denied) is None
    assert at(denied, 6) is None


def test_an_escalation_says_who_may_decide_and_who_is_told_besides() -> None:
    request = after(at(pending(WAITING), 3))
    assert (request.groups, request.places) == (("privacy", "owners"), ("desk",))
    change = at(request, 6)
    assert change is not None
    escalated = change.events[-1].model_dump()
    assert (escalated["groups"], escalated["notify"]) == (("board",), ("managers",))
    request = change.request
    assert request.groups == ("privacy", "owners", "board")
    assert request.places == ("desk", "managers")


def test_what_is_added_twice_stands_once() -> None:
    again = Escalation(after=MINUTE, groups=("privacy", "board"), notify=("desk",))
    request = pending(policy(notify=("desk",), escalate=(again,)), escalated=1)
    assert (request.groups, request.places) == (("privacy", "board"), ("desk",))


def test_a_rule_that_notified_nobody_stays_presented_when_a_channel_is_added() -> None:
    request = after(at(pending(policy(escalate=(BOARD,))), 6))
    assert (request.delivery, request.presented_at) == ("presented", NOW)
    assert request.places == ("managers",)


_steps = st.lists(st.integers(1, 20).map(lambda n: n * MINUTE), max_size=4)


@settings(deadline=None)
@given(remind=_steps, escalate=_steps, times=st.lists(st.integers(0, 25), max_size=12).map(sorted))
def test_whenever_the_work_comes_each_step_has_one_event_and_none_comes_late(
    remind: list[timedelta], escalate: list[timedelta], times: list[int]
) -> None:
    steps = [{"after": step, "groups": ("board",)} for step in escalate]
    request, seen = pending(_policy(remind, steps)), []
    for minute in times:
        for _ in range(2):  # the same work may come twice
            change = at(request, minute)
            seen += told(change) if change and not change.request.is_final else []
            request = change.request if change else request
    reached = [minute for minute in times if minute < 15]
    done = NOW + max(reached, default=0) * MINUTE
    expected = [("reminded", n + 1) for n, step in enumerate(sorted(remind)) if NOW + step <= done]
    expected += [
        ("escalated", n + 1) for n, step in enumerate(sorted(escalate)) if NOW + step <= done
    ]
    assert sorted(seen) == sorted(expected)


def _policy(remind: list[timedelta], escalate: list[dict[str, object]]) -> MatchedPolicy:
    return policy(remind=tuple(remind), escalate=tuple(escalate))


def test_a_vote_in_between_moves_no_step() -> None:
    request = after(at(pending(policy(remind=(2 * MINUTE,), threshold=2, quick_approve=True)), 2))
    request = lifecycle.review(request, Voting(BEN, CLI, "approve"), NOW + 3 * MINUTE).request
    assert (request.reminded, lifecycle.next_deadline(request)) == (1, request.expires_at)

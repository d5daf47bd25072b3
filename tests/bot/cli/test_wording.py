"""Requests in words for a terminal: who is asked now, who next, and what time has done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals import lifecycle
from approvals.model import ApprovalRequest, Escalation
from bot.cli import wording
from tests.approvals.samples import ANNA, BEN, NOW, in_stages, policy
from tests.bot.chat.records import after, opened, people, voted

MINUTE = timedelta(minutes=1)
BOTH = ("privacy", "duty")
STAGES = policy(stages=in_stages((2, "privacy"), (1, "duty")), threshold=3, groups=BOTH)
EACH = policy(threshold=2, groups=BOTH, distinct_groups=True)


def card(request: ApprovalRequest) -> list[str]:
    return wording.card(request, wording.Naming(people()), NOW, 200)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (opened(), "0/1"),
        (voted(opened(STAGES), ANNA), "1/3, stage 1 of 2: privacy"),
        (voted(voted(opened(STAGES), ANNA), BEN, 4), "2/3, stage 2 of 2: duty"),
        (opened(EACH), "0/2, next: privacy or duty"),
        (voted(opened(EACH), ANNA), "1/2, next: duty"),
        (voted(opened(), ANNA), "1/1"),
    ],
)
def test_the_list_says_how_far_it_is_and_whose_turn_it_is(
    request_: ApprovalRequest, words: str
) -> None:
    assert wording.progress(request_) == words


def test_the_card_says_who_is_asked_next_while_it_waits() -> None:
    request = voted(opened(STAGES), ANNA)
    assert "  approvals   1 of 3 (Anna Ek (anna))" in card(request)
    told = "  next        Stage 1 of 2: 1 of 2 approvals from privacy; then 1 from duty."
    assert told in card(request)
    assert not [line for line in card(voted(opened(), ANNA)) if "next" in line]


def test_the_card_says_when_it_was_reminded_and_escalated() -> None:
    steps = (
        Escalation(after=2 * MINUTE, groups=("board",), notify=("managers",)),
        Escalation(after=3 * MINUTE, groups=("duty", "legal")),
        Escalation(after=4 * MINUTE, notify=("desk",)),
    )
    request = opened(policy(remind=(MINUTE, 9 * MINUTE), escalate=steps))
    told = card(after(lifecycle.on_deadline(request, NOW + 5 * MINUTE)))
    assert [line.strip() for line in told if "reminded" in line or "escalated" in line] == [
        "reminded    2026-11-23 14:18:00 UTC",
        "escalated   2026-11-23 14:19:00 UTC, board may decide too, also told in managers",
        "escalated   2026-11-23 14:20:00 UTC, duty and legal may decide too",
        "escalated   2026-11-23 14:21:00 UTC, also told in desk",
    ]

"""When a card changed last, and when it is to be blanked: the same from any moment's record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals.model import ApprovalRequest
from bot.card_times import blank_at, changed_at
from tests.approvals.samples import ANNA, NOW
from tests.bot.chat.granted import (
    ended,
    granted,
    receipted,
    redeemed,
    revoked,
    time_passes,
)
from tests.bot.chat.records import MINUTE, denied, erased, expired, half_approved, opened

DAY = timedelta(hours=24)
LATE = 2 * 24 * 60  # minutes after the opening: blanked long before

# When each card last changed, and what its retention counts from, in minutes after the opening.
TIMES: dict[str, tuple[ApprovalRequest, float, float]] = {
    "denied": (denied(), 2, 2),
    "expired": (expired(opened()), 15, 15),
    "erased while it waited": (erased(opened(), 3), 3, 3),
    "erased after it was denied": (erased(denied(), LATE), LATE, 2),
    "open access": (granted(), 2, 12),
    "open access, used once": (redeemed(granted(uses=2), 5), 5, 12),
    "used": (redeemed(granted(), 5), 5, 5),
    "ended early": (ended(granted(), 6), 6, 6),
    "revoked": (revoked(granted(), ANNA, 7), 7, 7),
    "over by time": (time_passes(granted(), 99), 12, 12),
    "receipt": (receipted(redeemed(granted(), 5), minutes=8), 8, 8),
    "no receipt": (time_passes(redeemed(granted(), 5), 99), 10, 10),
    "no receipt, one after all": (
        receipted(time_passes(redeemed(granted(), 5), 99), minutes=60), 60, 60
    ),
    "receipt after it was blanked": (receipted(redeemed(granted(), 5), minutes=LATE), LATE, 5),
}  # fmt: skip
every_life = pytest.mark.parametrize("life", TIMES)


@every_life
def test_a_card_changed_when_the_last_thing_happened_that_it_tells(life: str) -> None:
    request, changed, _ = TIMES[life]
    assert changed_at(request) == NOW + changed * MINUTE


@every_life
def test_it_is_blanked_a_retention_after_its_request_settled(life: str) -> None:
    request, _, settled = TIMES[life]
    assert blank_at(request, DAY) == NOW + settled * MINUTE + DAY


def test_what_waits_is_never_blanked_and_changes_with_each_vote() -> None:
    assert blank_at(half_approved(), DAY) is None
    assert changed_at(half_approved()) == NOW + 2 * MINUTE


@pytest.mark.parametrize("retention", [MINUTE, timedelta(minutes=30), DAY])
def test_what_has_been_blanked_is_not_put_off_by_what_comes_later(retention: timedelta) -> None:
    used = redeemed(granted(), 5)
    before = blank_at(used, retention)
    assert before is not None
    first_after = (before - NOW) / MINUTE
    assert blank_at(receipted(used, minutes=first_after), retention) == before
    assert blank_at(receipted(used, minutes=first_after - 0.5), retention) != before

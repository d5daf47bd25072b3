"""P5 as a property: whatever is called in whatever order, a grant opens no more than it may."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import grants, lifecycle
from approvals.change import Change, DenyRule, Receipting, Redeeming, TakingBack, Voting
from approvals.errors import Refusal
from approvals.model import ApprovalRequest
from tests.approvals.samples import ADMIN, ANNA, CLI, GRANT_TTL, NOW, opening, policy

RIGHT, WRONG = ("sha256:" + digit * 64 for digit in "01")
DENIES = DenyRule("closed", None, "4b0c")
SECONDS = int(GRANT_TTL.total_seconds())

_calls = st.lists(
    st.tuples(
        st.sampled_from(["redeem", "redeem", "redeem", "end", "revoke", "receipt", "time"]),
        st.sampled_from(["a", "b", "c", "d"]),  # the nonce
        st.sampled_from([RIGHT, RIGHT, RIGHT, WRONG]),
        st.sampled_from([None, None, None, None, DENIES]),
        st.integers(0, SECONDS),  # how much later than the call before it
    ),
    max_size=25,
)


def _call(
    request: ApprovalRequest,
    what: tuple[str, str, str, DenyRule | None],
    at: datetime,
) -> tuple[ApprovalRequest, bool]:
    """The request after one call, and whether the call opened the door anew."""
    name, nonce, digest, denied_by = what
    change: Change | None
    try:
        if name == "redeem":
            how = Redeeming(digest, nonce, {}, "")
            change = grants.redeem(request, how, at, policy="3f9a", denied_by=denied_by)
        elif name == "receipt":
            change = grants.give_receipt(request, Receipting(1, "succeeded"), at)
        elif name == "time":
            change = lifecycle.on_deadline(request, at)
        else:
            taken = TakingBack(ADMIN, CLI)
            change = grants.end(request, at) if name == "end" else grants.revoke(request, taken, at)
    except Refusal:
        return request, False
    if change is None:
        return request, False
    return change.request, any(event.type == "grant.redeemed" for event in change.events)


@settings(deadline=None)
@given(uses=st.integers(1, 4), calls=_calls)
def test_no_sequence_of_calls_opens_more_than_was_granted(
    uses: int, calls: list[tuple[str, str, str, DenyRule | None, int]]
) -> None:
    under = policy(quick_approve=True, receipt_within=timedelta(minutes=2))
    opened = lifecycle.open_request(opening(under=under, uses=uses), NOW).request
    request = lifecycle.review(opened, Voting(ANNA, CLI, "approve"), NOW).request
    at, opens, is_over = NOW, 0, False
    for *call, later in calls:
        what = cast("tuple[str, str, str, DenyRule | None]", tuple(call))
        at += timedelta(seconds=later)
        before = request
        request, is_new = _call(request, what, at)
        assert request.grant is not None
        assert before.grant is not None
        if is_new:
            opens += 1
            assert what[2] == RIGHT
            assert what[3] is None
            assert NOW <= at < NOW + GRANT_TTL
            assert not is_over
            assert what[1] not in [use.nonce for use in before.grant.redemptions]
        is_over = is_over or request.grant.status in ("ended", "revoked")
        assert opens == len(request.grant.redemptions) <= uses
        assert request.grant.uses_left == uses - opens
        assert request.decision == before.decision
        if before.grant.status != "active":
            assert request.grant.status == before.grant.status

"""Whether anybody was shown a request: queued, presented or undeliverable, and what is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals import lifecycle
from approvals.change import Change
from approvals.events import RequestPresented, RequestUndeliverable
from approvals.model import ApprovalRequest
from tests.approvals.samples import NOW, pending, policy

LATER = NOW + timedelta(seconds=3)
MUCH_LATER = NOW + timedelta(minutes=3)


def queued(**changes: object) -> ApprovalRequest:
    return pending(policy(notify=("desk", "duty")), **changes)


def presented(request: ApprovalRequest) -> Change:
    change = lifecycle.on_presented(request, "desk", LATER)
    assert change is not None
    return change


def undeliverable() -> ApprovalRequest:
    change = lifecycle.on_undeliverable(queued())
    assert change is not None
    assert change.events == (RequestUndeliverable(),)
    return change.request


def test_the_first_card_that_stands_presents_the_request_at_that_time() -> None:
    change = presented(queued())
    assert change.request.delivery == "presented"
    assert change.request.presented_at == LATER
    assert change.events == (RequestPresented(place="desk"),)


def test_a_second_card_changes_nothing() -> None:
    after = presented(queued()).request
    assert lifecycle.on_presented(after, "duty", MUCH_LATER) is None


def test_a_request_that_no_place_takes_stays_pending() -> None:
    after = undeliverable()
    assert (after.status, after.delivery, after.presented_at) == ("pending", "undeliverable", None)
    assert lifecycle.on_undeliverable(after) is None


def test_a_mended_channel_presents_it_after_all() -> None:
    after = presented(undeliverable()).request
    assert (after.delivery, after.presented_at) == ("presented", LATER)


def test_the_time_of_the_first_card_is_kept() -> None:
    again = lifecycle.on_presented(
        undeliverable().model_copy(update={"first_shown_at": LATER}), "desk", MUCH_LATER
    )
    assert again is not None
    assert again.request.presented_at == LATER


def test_a_request_that_somebody_was_shown_is_never_undeliverable() -> None:
    assert lifecycle.on_undeliverable(presented(queued()).request) is None


@pytest.mark.parametrize("change", [presented(queued()), Change(undeliverable(), ())])
def test_neither_calls_the_service_back_nor_touches_what_approvers_see(change: Change) -> None:
    assert change.callback is None
    assert change.request.revision == 1
    assert not change.guarded

"""Words are forgotten in every state, by an admin or by time; what people decided stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from approvals import grants, lifecycle
from approvals.change import Change, Receipting, Redeeming, TakingBack, Voting
from approvals.forgetting import forget_at, without_words
from approvals.model import (
    ERASED_WORDS,
    ApprovalRequest,
    Encrypted,
    GrantStatus,
    MatchedPolicy,
    Status,
)
from tests.approvals.samples import ADMIN, ANNA, CLI, JONAS, NOW, SAID, opening, policy

MINUTE = timedelta(minutes=1)
AT = NOW + MINUTE
WITHIN = timedelta(minutes=30)
KEPT = timedelta(days=30)
KEEPING = policy(
    quick_approve=True, receipt_within=WITHIN, personal_retention=KEPT, remind=(timedelta(hours=9),)
)
DIGEST = "sha256:" + "0" * 64


def pending(under: MatchedPolicy = KEEPING, uses: int = 2) -> ApprovalRequest:
    change = lifecycle.open_request(opening(under=under, uses=uses), NOW)
    asked = change.request.asked.model_copy(update={"personal": SAID, "likeness": "a1b2"})
    return change.request.model_copy(update={"asked": asked})


def approved(uses: int = 2) -> ApprovalRequest:
    vote = Voting(ANNA, CLI, "approve", reason=SAID)
    return lifecycle.review(pending(uses=uses), vote, NOW).request


def redeemed(uses: int = 2, at: datetime = AT) -> ApprovalRequest:
    use = Redeeming(DIGEST, "n1", {}, "127.0.0.1")
    return after(grants.redeem(approved(uses), use, at, policy="3f9a"))


def revoked() -> ApprovalRequest:
    return grants.revoke(redeemed(), TakingBack(ADMIN, CLI, SAID), AT + MINUTE).request


def receipted() -> ApprovalRequest:
    given = Receipting(1, "succeeded", SAID)
    return grants.give_receipt(redeemed(1), given, AT + MINUTE).request


def after(change: Change | None) -> ApprovalRequest:
    assert change is not None
    return change.request


def by_time(request: ApprovalRequest) -> ApprovalRequest:
    due = lifecycle.next_deadline(request)
    assert due is not None
    return after(lifecycle.on_deadline(request, due))


STATES: dict[str, Callable[[], ApprovalRequest]] = {
    "pending": pending,
    "half approved": lambda: (
        lifecycle.review(
            pending(KEEPING.model_copy(update={"threshold": 2})),
            Voting(ANNA, CLI, "approve", reason=SAID),
            AT,
        ).request
    ),
    "denied by a person": lambda: (
        lifecycle.review(pending(), Voting(ANNA, CLI, "deny", reason=SAID), AT).request
    ),
    "denied by a rule": lambda: (
        lifecycle.open_request(
            opening(under=KEEPING.model_copy(update={"decision": "deny"})), NOW
        ).request
    ),
    "cancelled with a note": lambda: (
        lifecycle.cancel_by_person(pending(), TakingBack(JONAS, CLI, SAID), AT).request
    ),
    "expired": lambda: after(lifecycle.on_deadline(pending(), pending().expires_at)),
    "active": approved,
    "active, one use made": redeemed,
    "used": lambda: redeemed(1),
    "used, with its receipt": receipted,
    "used, its receipt missed": lambda: by_time(redeemed(1)),
    "ended by its service": lambda: grants.end(approved(), AT).request,
    "ended by time": lambda: by_time(approved()),
    "revoked": revoked,
}
# What erasing makes of each: the request's state, the grant's, and who is called back.
ERASED: dict[str, tuple[Status, GrantStatus | None, str | None]] = {
    "pending": ("cancelled", None, "request.cancelled"),
    "half approved": ("cancelled", None, "request.cancelled"),
    "denied by a person": ("denied", None, None),
    "denied by a rule": ("denied", None, None),
    "cancelled with a note": ("cancelled", None, None),
    "expired": ("expired", None, None),
    "active": ("approved", "revoked", "grant.revoked"),
    "active, one use made": ("approved", "revoked", "grant.revoked"),
    "used": ("approved", "used", None),
    "used, with its receipt": ("approved", "used", None),
    "used, its receipt missed": ("approved", "used", None),
    "ended by its service": ("approved", "ended", None),
    "ended by time": ("approved", "ended", None),
    "revoked": ("approved", "revoked", None),
}
# When time takes the words: so long after this; None while something may still come of them.
COUNTED_FROM: dict[str, datetime | None] = {
    "pending": None,
    "half approved": None,
    "denied by a person": AT,
    "denied by a rule": NOW,
    "cancelled with a note": AT,
    "expired": pending().expires_at,
    "active": None,
    "active, one use made": None,
    "used": AT,
    "used, with its receipt": AT,
    "used, its receipt missed": AT,
    "ended by its service": AT,
    "ended by time": NOW + timedelta(minutes=10),
    "revoked": AT + MINUTE,
}


def erase(request: ApprovalRequest, at: datetime = AT + 2 * MINUTE) -> Change | None:
    return lifecycle.erase(request, TakingBack(ADMIN, CLI), at)


def words_of(request: ApprovalRequest) -> list[Encrypted]:
    """Everything that somebody said, wherever it stands."""
    decision, grant = request.decision, request.grant
    said = [request.asked.personal, *(review.reason for review in request.reviews)]
    said.append(decision.note if decision else None)
    said.append(grant.closing.note if grant and grant.closing else None)
    said.append(grant.receipt.note if grant and grant.receipt else None)
    return [words for words in said if words]


def bare(request: ApprovalRequest) -> ApprovalRequest:
    """A request but for what erasing takes away, so that what must stay can be compared."""
    return without_words(request, NOW)


def test_every_state_is_in_both_tables() -> None:
    assert set(STATES) == set(ERASED) == set(COUNTED_FROM)


@pytest.mark.parametrize("state", STATES)
def test_erasing_leaves_no_words_and_no_salt_in_any_state(state: str) -> None:
    before = STATES[state]()
    request = after(erase(before))
    assert len(words_of(request)) == len(words_of(before))
    assert set(words_of(request)) == {ERASED_WORDS}
    assert SAID not in request.model_dump_json()
    assert (request.salt, request.asked.likeness) == (None, "")
    assert request.erased_at == AT + 2 * MINUTE


@pytest.mark.parametrize("state", STATES)
def test_erasing_stops_what_was_still_to_happen_and_nothing_else(state: str) -> None:
    before, change = STATES[state](), erase(STATES[state]())
    assert change is not None
    request, (status, grant, callback) = change.request, ERASED[state]
    assert (request.status, request.grant and request.grant.status) == (status, grant)
    assert (change.callback, change.forgets) == (callback, True)
    if callback is None:
        assert bare(request) == bare(before)
        assert [event.type for event in change.events] == ["request.erased"]
    else:
        assert [event.type for event in change.events] == ["request.erased", callback]


@pytest.mark.parametrize("state", STATES)
def test_what_is_erased_is_erased_once(state: str) -> None:
    request = after(erase(STATES[state]()))
    assert erase(request) is None
    assert erase(request, NOW + timedelta(days=400)) is None
    assert forget_at(request) is None


@pytest.mark.parametrize("state", STATES)
def test_what_is_erased_says_who_asked_and_holds_no_words(state: str) -> None:
    change = erase(STATES[state]())
    assert change is not None
    first = change.events[0].model_dump()
    assert (first["person"], first["reason"], first["origin"]["via"]) == (
        "alma",
        "by_admin",
        "cli",
    )
    assert SAID not in "".join(event.model_dump_json() for event in change.events)


def test_a_pending_request_is_cancelled_for_its_subject_s_sake() -> None:
    request = after(erase(pending()))
    assert request.decision is not None
    assert (request.decision.reason, request.decision.by, request.decision.note) == (
        "subject_erased",
        (),
        None,
    )


def test_a_grant_is_revoked_for_its_subject_s_sake() -> None:
    grant = after(erase(redeemed())).grant
    assert grant is not None
    assert grant.closing is not None
    assert (grant.closing.reason, grant.closing.person) == ("subject_erased", "alma")
    assert [use.at for use in grant.redemptions] == [AT]


@pytest.mark.parametrize(
    ("before", "at", "status", "grant", "callback"),
    [
        (pending(), pending().expires_at, "expired", None, "request.expired"),
        (approved(), NOW + timedelta(minutes=10), "approved", "ended", "grant.ended"),
        (approved(), NOW + timedelta(days=9), "approved", "ended", "grant.ended"),
    ],
    ids=["a deadline", "a grant's end", "long after it"],
)
def test_what_time_had_ended_and_nobody_had_written_down_ended_by_time(
    before: ApprovalRequest,
    at: datetime,
    status: str,
    grant: str | None,
    callback: str,
) -> None:
    change = erase(before, at)
    assert change is not None
    request = change.request
    assert (request.status, request.grant and request.grant.status) == (status, grant)
    assert change.callback == callback
    assert change.events[0].type == "request.erased"
    assert set(words_of(request)) == {ERASED_WORDS}


def test_a_decision_by_erasing_is_not_valid_once_time_has_decided() -> None:
    change = erase(pending())
    assert change is not None
    assert change.valid_before == pending().expires_at
    of_grant = erase(approved())
    assert of_grant is not None
    assert of_grant.valid_before == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("state", ["pending", "active"])
def test_what_a_clock_gone_wrong_has_made_is_erased_too(state: str) -> None:
    request = after(erase(STATES[state](), NOW - timedelta(days=1)))
    assert set(words_of(request)) == {ERASED_WORDS}
    assert request.is_final


def test_a_missed_receipt_is_still_noticed_after_erasing() -> None:
    request = after(erase(redeemed(1)))
    assert lifecycle.next_deadline(request) == AT + WITHIN
    noticed = after(lifecycle.on_deadline(request, AT + WITHIN))
    assert noticed.grant is not None
    assert noticed.grant.receipt_missed
    assert lifecycle.next_deadline(noticed) is None


@pytest.mark.parametrize("state", STATES)
def test_policy_s_time_counts_from_the_last_that_happened(state: str) -> None:
    request, since = STATES[state](), COUNTED_FROM[state]
    assert forget_at(request) == (since + KEPT if since else None)


@pytest.mark.parametrize("state", [name for name, since in COUNTED_FROM.items() if since])
def test_time_forgets_at_its_moment_and_not_before(state: str) -> None:
    request, since = STATES[state](), COUNTED_FROM[state]
    assert since is not None
    while (due := lifecycle.next_deadline(request)) != since + KEPT:
        assert due is not None
        assert due < since + KEPT  # a receipt comes first
        request = after(lifecycle.on_deadline(request, due))
    assert lifecycle.on_deadline(request, due - timedelta(milliseconds=1)) is None
    change = lifecycle.on_deadline(request, due)
    assert change is not None
    assert (change.callback, change.forgets, change.valid_before) == (None, True, None)
    (event,) = change.events
    assert event.model_dump() == {
        "type": "request.erased", "person": None, "origin": None, "reason": "retention",
    }  # fmt: skip
    assert set(words_of(change.request)) == {ERASED_WORDS}
    assert bare(change.request) == bare(request)
    assert lifecycle.next_deadline(change.request) is None


@pytest.mark.parametrize("state", STATES)
def test_where_policy_says_nothing_time_forgets_nothing(state: str) -> None:
    under = KEEPING.model_copy(update={"personal_retention": None})
    request = began = STATES[state]().model_copy(update={"policy": under})
    assert forget_at(request) is None
    while due := lifecycle.next_deadline(request):
        request = after(lifecycle.on_deadline(request, due))
    assert set(words_of(request)) == set(words_of(began))


def test_a_receipt_due_after_the_words_go_is_noticed_all_the_same() -> None:
    soon = KEEPING.model_copy(update={"personal_retention": MINUTE})
    request = redeemed(1).model_copy(update={"policy": soon})
    assert forget_at(request) == AT + MINUTE
    assert lifecycle.next_deadline(request) == AT + WITHIN


@pytest.mark.parametrize("state", [name for name, since in COUNTED_FROM.items() if since])
def test_after_a_reset_of_the_clock_words_wait_for_their_time(state: str) -> None:
    assert lifecycle.on_deadline(STATES[state](), NOW - timedelta(days=1)) is None


def test_receipts_and_words_follow_in_their_order_when_both_are_overdue() -> None:
    late = NOW + timedelta(days=400)
    noticed = after(lifecycle.on_deadline(redeemed(1), late))
    assert noticed.grant is not None
    assert noticed.grant.receipt_missed
    assert noticed.erased_at is None
    assert after(lifecycle.on_deadline(noticed, late)).erased_at == late


def test_a_receipt_after_erasing_is_taken_and_its_note_is_what_was_given() -> None:
    request = after(erase(redeemed(1)))
    given = grants.give_receipt(request, Receipting(1, "succeeded", ERASED_WORDS), AT + 3 * MINUTE)
    assert given.request.grant is not None
    assert given.request.grant.receipt is not None
    assert given.request.grant.receipt.records == 1

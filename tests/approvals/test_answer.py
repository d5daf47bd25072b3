"""A request as others see it: its own service hears an approver's words, a callback does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from approvals import lifecycle
from approvals.answer import answer, callback_data, moment
from approvals.change import DenyRule, Voting
from approvals.model import ApprovalRequest, Encrypted
from tests.approvals.samples import ANNA, CLI, NOW, opening, pending, policy

WORDS = "The customer withdrew"


def denied() -> ApprovalRequest:
    return lifecycle.review(
        pending(), Voting(ANNA, CLI, "deny", reason=Encrypted(WORDS)), NOW
    ).request


def test_a_moment_is_utc_with_milliseconds() -> None:
    assert moment(datetime(2026, 11, 3, 4, 5, 6, 7999, tzinfo=UTC)) == "2026-11-03T04:05:06.007Z"


def test_a_pending_request_has_every_member_of_the_contract() -> None:
    assert answer(pending()) == {
        "id": "req_1",
        "status": "pending",
        "delivery": "presented",
        "revision": 1,
        "service": "crm",
        "action": "customer.view",
        "requester": {"id": "okta:00u1"},
        "digest": "sha256:" + "0" * 64,
        "salt": "c2FsdA==",
        "created_at": "2026-11-23T14:17:00.123Z",
        "expires_at": "2026-11-23T14:32:00.123Z",
        "presented_at": "2026-11-23T14:17:00.123Z",
        "policy": {"version": "3f9a", "rule": "one-approver", "why": "Somebody else looks first"},
        "approvals": {"needed": 1, "given": 0},
        "context_ignored": [],
        "text_findings": [],
        "decision": None,
        "grant": None,
    }


def test_the_service_s_own_answer_carries_words_and_salt_and_a_callback_neither() -> None:
    own, called_back = answer(denied(), said=WORDS), callback_data(denied())
    assert isinstance(own["decision"], dict)
    assert own["decision"]["reason"] == WORDS
    assert "salt" not in called_back
    assert WORDS not in repr(called_back)
    assert isinstance(called_back["decision"], dict)
    assert called_back["decision"]["reason"] == "denied_by_approver"
    assert called_back["decision"]["by"] == [{"person": "anna", "via": "cli"}]


@pytest.mark.parametrize(
    ("decision", "say", "reason"), [("deny", "Never", "Never"), ("approve", None, None)]
)
def test_what_policy_says_is_told_to_all_and_needed_no_approval(
    decision: str, say: str | None, reason: str | None
) -> None:
    rule = policy(decision=decision, say=say, threshold=2)
    request = lifecycle.open_request(opening(under=rule), NOW).request
    for told in (answer(request), callback_data(request)):
        assert isinstance(told["decision"], dict)
        assert told["decision"]["reason"] == reason
        assert told["approvals"] == {"needed": 0, "given": 0}


def test_what_a_later_deny_rule_ended_needed_no_approval() -> None:
    request = lifecycle.view(pending(policy(threshold=2)), ANNA, CLI, "shown", NOW).request
    assert answer(request)["approvals"] == {"needed": 2, "given": 0}
    rule = DenyRule(rule="frozen", say="Access is frozen", policy="v2")
    voting = Voting(ANNA, CLI, "approve")
    ended = lifecycle.review(request, voting, NOW, denied_by=rule).request
    for told in (answer(ended), callback_data(ended)):
        assert told["approvals"] == {"needed": 0, "given": 0}


def test_what_people_or_time_ended_needed_as_many_as_before() -> None:
    expired = lifecycle.on_deadline(pending(), pending().expires_at)
    assert expired is not None
    for request in (denied(), expired.request):
        assert answer(request)["approvals"] == {"needed": 1, "given": 0}


def test_a_grant_is_told_without_a_token() -> None:
    request = lifecycle.open_request(opening(under=policy(decision="approve")), NOW).request
    assert callback_data(request)["grant"] == {
        "id": "grt_1",
        "status": "active",
        "expires_at": "2026-11-23T14:27:00.123Z",
        "uses_left": 1,
        "receipt_due_at": None,
        "receipt": None,
    }


def test_a_request_not_yet_shown_was_presented_at_no_time() -> None:
    told = answer(pending(policy(notify=("slack:C1",)), delivery="queued"))
    assert told["presented_at"] is None

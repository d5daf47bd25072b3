"""The state machine, as a table over every state and every command, and rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from approvals import lifecycle
from approvals.answer import public_decision
from approvals.change import Change, DenyRule, TakingBack, Voting
from approvals.errors import (
    AlreadyFinal,
    AlreadyReviewed,
    NotAllowed,
    NotApprover,
    NotReviewed,
    OwnRequest,
    ReasonRequired,
    Refusal,
    StaleRevision,
)
from approvals.events import GrantEnded, RequestDecided, RequestOpened, RequestReviewed
from approvals.model import (
    ApprovalRequest,
    Encrypted,
    GrantStatus,
    Person,
    PersonId,
    Requester,
    Vote,
    grant_id,
)
from approvals.standing import may_decide
from tests.approvals.samples import (
    ADMIN,
    ANNA,
    BEN,
    CLEO,
    CLI,
    DORA,
    EXPIRES_IN,
    GRANT_TTL,
    JONAS,
    NOW,
    OLGA,
    SLACK,
    asked,
    in_stages,
    opening,
    pending,
    person,
    policy,
)

MINUTE = timedelta(minutes=1)
SAID = Encrypted("what was said, encrypted")
LATER = NOW + MINUTE
DEADLINE = NOW + EXPIRES_IN
NOTIFYING = policy(notify=("desk",))
IN_STAGES = policy(stages=in_stages((1, "privacy"), (1, "duty")), threshold=2,
                   groups=("privacy", "duty"))  # fmt: skip
REMINDING = policy(remind=(MINUTE, 2 * MINUTE))
DENY_RULE = DenyRule(rule="never-sell", say="We do not sell customer data", policy="v2")


def view(request: ApprovalRequest, who: Person, at: datetime = LATER) -> Change:
    return lifecycle.view(request, who, CLI, "f" * 64, at)


def approve(
    request: ApprovalRequest,
    who: Person,
    at: datetime = LATER,
    *,
    revision: int | None = None,
    denied_by: DenyRule | None = None,
) -> Change:
    voting = Voting(who, SLACK, "approve", revision=revision)
    return lifecycle.review(request, voting, at, denied_by=denied_by)


def deny(request: ApprovalRequest, who: Person, reason: Encrypted | None = SAID) -> Change:
    return lifecycle.review(request, Voting(who, CLI, "deny", reason=reason), LATER)


def cancel(request: ApprovalRequest, who: Person, reason: Encrypted | None = None) -> Change:
    return lifecycle.cancel_by_person(request, TakingBack(who, CLI, reason), LATER)


def viewed(request: ApprovalRequest, *people: Person) -> ApprovalRequest:
    for who in people:
        request = view(request, who).request
    return request


def approved(request: ApprovalRequest | None = None) -> ApprovalRequest:
    return approve(viewed(request or pending(), ANNA), ANNA).request


def denied() -> ApprovalRequest:
    return deny(pending(), ANNA).request


def at_deadline(request: ApprovalRequest, at: datetime) -> Change:
    change = lifecycle.on_deadline(request, at)
    assert change is not None
    return change


def with_grant(status: GrantStatus) -> ApprovalRequest:
    request = approved()
    assert request.grant is not None
    return request.model_copy(update={"grant": request.grant.model_copy(update={"status": status})})


STATES: dict[str, Callable[[], ApprovalRequest]] = {
    "pending": pending,
    "queued": lambda: pending(NOTIFYING),
    "undeliverable": lambda: pending(NOTIFYING, delivery="undeliverable"),
    "viewed": lambda: viewed(pending(), ANNA),
    "half approved": lambda: approve(viewed(pending(policy(threshold=2)), BEN), BEN).request,
    "second stage": lambda: approve(viewed(pending(IN_STAGES), ANNA, DORA), DORA).request,
    "reminded": lambda: at_deadline(pending(REMINDING), LATER).request,
    "approved": approved,
    "grant used": lambda: with_grant("used"),
    "grant ended": lambda: with_grant("ended"),
    "grant revoked": lambda: with_grant("revoked"),
    "denied": denied,
    "expired": lambda: at_deadline(pending(), DEADLINE).request,
    "cancelled": lambda: lifecycle.cancel_by_service(pending(), LATER).request,
}
COMMANDS: dict[str, Callable[[ApprovalRequest], Change | None]] = {
    "view": lambda request: view(request, ANNA),
    "approve": lambda request: approve(request, ANNA),
    "deny": lambda request: deny(request, ANNA),
    "service cancels": lambda request: lifecycle.cancel_by_service(request, LATER),
    "requester cancels": lambda request: cancel(request, JONAS),
    "admin cancels": lambda request: cancel(request, ADMIN),
    "presented": lambda request: lifecycle.on_presented(request, "desk", LATER),
    "undeliverable": lifecycle.on_undeliverable,
    "time, early": lambda request: lifecycle.on_deadline(request, NOW + 2 * MINUTE),
    "time, far on": lambda request: lifecycle.on_deadline(request, NOW + timedelta(days=9)),
}
Outcome = str | type[Refusal] | None  # the state after it, the refusal, or nothing to do
OPEN: dict[str, Outcome] = {
    "deny": "denied",
    "service cancels": "cancelled",
    "requester cancels": "cancelled",
    "admin cancels": "cancelled",
    "presented": None,
    "undeliverable": None,
    "time, early": None,
    "time, far on": "expired",
}
UNSHOWN: dict[str, Outcome] = {**OPEN, "view": "pending", "approve": NotReviewed}
FINAL: dict[str, Outcome] = {
    **dict.fromkeys(COMMANDS, AlreadyFinal),
    "presented": None,
    "undeliverable": None,
    "time, early": None,
    "time, far on": None,
}
TABLE: dict[str, dict[str, Outcome]] = {
    "pending": {**OPEN, "view": "pending", "approve": NotReviewed},
    "queued": {**UNSHOWN, "presented": "pending", "undeliverable": "pending"},
    "undeliverable": {**UNSHOWN, "presented": "pending"},
    "viewed": {**OPEN, "view": "pending", "approve": "approved"},
    "half approved": {**OPEN, "view": "pending", "approve": NotReviewed},
    "second stage": {**OPEN, "view": "pending", "approve": NotApprover},
    "reminded": {**OPEN, "view": "pending", "approve": NotReviewed, "time, early": "pending"},
    "approved": {**FINAL, "view": "approved", "time, far on": "approved"},
    "grant used": {**FINAL, "view": "approved"},
    "grant ended": {**FINAL, "view": "approved"},
    "grant revoked": {**FINAL, "view": "approved"},
    "denied": {**FINAL, "view": "denied"},
    "expired": {**FINAL, "view": "expired"},
    "cancelled": {**FINAL, "view": "cancelled"},
}
CELLS = [(state, command, TABLE[state][command]) for state in STATES for command in COMMANDS]


@pytest.mark.parametrize(("state", "command", "outcome"), CELLS)
def test_every_command_does_to_every_state_what_the_table_says(
    state: str, command: str, outcome: Outcome
) -> None:
    before = STATES[state]()
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            COMMANDS[command](before)
        return
    change = COMMANDS[command](before)
    assert (change.request.status if change else None) == outcome
    if change and before.is_final:
        assert change.request.decision == before.decision


@pytest.mark.parametrize(
    ("state", "callback"),
    [
        ("denied", "request.denied"),
        ("expired", "request.expired"),
        ("cancelled", "request.cancelled"),
        ("approved", "request.approved"),
    ],
)
def test_each_outcome_is_called_back_by_its_own_name(state: str, callback: str) -> None:
    changes = {
        "denied": lambda: deny(pending(), ANNA),
        "expired": lambda: at_deadline(pending(), DEADLINE),
        "cancelled": lambda: cancel(pending(), JONAS),
        "approved": lambda: approve(viewed(pending(), ANNA), ANNA),
    }
    change = changes[state]()
    assert change.callback == callback
    assert [event.type for event in change.events][-1] == callback


def test_opening_a_request_leaves_it_pending_and_calls_nobody() -> None:
    change = lifecycle.open_request(opening(), NOW)
    request = change.request
    assert (request.status, request.revision, request.grant) == ("pending", 1, None)
    assert (request.created_at, request.expires_at) == (NOW, DEADLINE)
    assert change.callback is None
    assert change.guarded
    assert change.valid_before is None
    (opened,) = change.events
    assert isinstance(opened, RequestOpened)
    assert (opened.requester, opened.owner, opened.rule) == ("jonas", None, "one-approver")


def test_a_request_that_notifies_no_channel_counts_as_presented() -> None:
    assert (pending().delivery, pending().presented_at) == ("presented", NOW)
    request = pending(policy(notify=("slack:C1",)))
    assert (request.delivery, request.presented_at) == ("queued", None)


def test_a_machine_is_audited_by_its_own_name_and_its_owner() -> None:
    machine = asked(requester=Requester(id="job:export", owner=PersonId("ben")))
    (opened,) = lifecycle.open_request(opening(asked_for=machine), NOW).events
    assert isinstance(opened, RequestOpened)
    assert (opened.requester, opened.owner) == ("job:export", "ben")


def test_a_rule_that_approves_does_so_at_once_and_names_no_person() -> None:
    rule = policy(decision="approve", say="The report holds no personal data", threshold=0)
    change = lifecycle.open_request(opening(under=rule), NOW)
    decision = change.request.decision
    assert decision is not None
    assert (decision.outcome, decision.by, decision.rule) == ("approved", (), "one-approver")
    assert decision.reason == "The report holds no personal data"
    assert change.request.grant is not None
    assert change.callback == "request.approved"
    assert change.guarded
    assert [event.type for event in change.events] == ["request.opened", "request.approved"]


@pytest.mark.parametrize(
    ("say", "why", "told"), [("Never", "Because", "Never"), (None, "Because", "Because"),
                             (None, "", None)]
)  # fmt: skip
def test_a_rule_that_denies_says_so_or_why(say: str | None, why: str, told: str | None) -> None:
    rule = policy(decision="deny", say=say, why=why)
    change = lifecycle.open_request(opening(under=rule), NOW)
    decision = change.request.decision
    assert decision is not None
    assert (decision.outcome, decision.reason, decision.by) == ("denied", told, ())
    assert change.request.grant is None
    decided = change.events[-1]
    assert isinstance(decided, RequestDecided)
    assert decided.reason == "denied_by_policy"


def test_the_threshold_counts_distinct_persons() -> None:
    request = viewed(pending(policy(threshold=2)), ANNA, BEN)
    first = approve(request, ANNA)
    assert first.request.status == "pending"
    assert first.callback is None
    with pytest.raises(AlreadyReviewed):
        approve(first.request, ANNA)
    second = approve(first.request, BEN)
    assert second.request.status == "approved"
    assert second.request.decision is not None
    assert [who.person for who in second.request.decision.by] == ["anna", "ben"]
    assert [event.type for event in second.events] == ["request.reviewed", "request.approved"]


def test_a_denial_after_an_approval_ends_the_request_and_names_the_denier_alone() -> None:
    request = approve(viewed(pending(policy(threshold=2)), ANNA), ANNA).request
    change = deny(request, BEN)
    assert change.request.status == "denied"
    assert change.request.decision is not None
    assert [who.person for who in change.request.decision.by] == ["ben"]
    assert change.request.grant is None


@pytest.mark.parametrize("vote", ["approve", "deny"])
def test_the_requester_never_decides(vote: Vote) -> None:
    request = pending(policy(quick_approve=True))
    with pytest.raises(OwnRequest):
        lifecycle.review(request, Voting(JONAS, CLI, vote, reason=SAID), LATER)


def test_the_owner_of_a_machine_never_decides_what_it_asks() -> None:
    machine = asked(requester=Requester(id="job:export", owner=PersonId("ben")))
    request = lifecycle.open_request(opening(asked_for=machine), NOW).request
    with pytest.raises(OwnRequest):
        deny(request, BEN)
    with pytest.raises(OwnRequest):
        view(request, BEN)
    assert approved(request).status == "approved"


@pytest.mark.parametrize(
    "who",
    [
        person("anna"),
        person("anna", "support"),
        person("anna", "privacy", roles=()),
        person("anna", "privacy", roles=("admin", "auditor")),
    ],
    ids=["left the group", "another group", "lost the role", "other roles give no vote"],
)
def test_who_is_not_entitled_today_does_not_decide(who: Person) -> None:
    request = viewed(pending(), ANNA)
    assert not may_decide(request, who)
    with pytest.raises(NotApprover):
        approve(request, who)
    with pytest.raises(NotApprover):
        deny(request, who)


def test_who_joined_a_frozen_group_after_the_opening_may_decide() -> None:
    request = viewed(pending(policy(groups=("privacy", "duty"))), CLEO)
    assert approve(request, CLEO).request.status == "approved"


def test_who_may_not_decide_does_not_learn_that_the_request_is_final() -> None:
    with pytest.raises(NotApprover):
        approve(denied(), CLEO)


def test_an_approval_needs_a_view_of_the_current_revision() -> None:
    request = viewed(pending(), ANNA)
    with pytest.raises(NotReviewed):
        approve(request, DORA)
    changed = request.model_copy(update={"revision": 2})
    with pytest.raises(NotReviewed):
        approve(changed, ANNA)
    assert approve(viewed(changed, ANNA), ANNA).request.status == "approved"


def test_quick_approve_needs_no_view() -> None:
    change = approve(pending(policy(quick_approve=True)), ANNA)
    assert change.request.status == "approved"
    assert change.request.views == ()


@pytest.mark.parametrize("vote", ["approve", "deny"])
def test_a_vote_on_another_revision_than_the_current_is_stale(vote: Vote) -> None:
    request = viewed(pending(policy(quick_approve=True), revision=2), ANNA)
    for revision in (1, 3):
        voting = Voting(ANNA, SLACK, vote, reason=SAID, revision=revision)
        with pytest.raises(StaleRevision):
            lifecycle.review(request, voting, LATER)
    voting = Voting(ANNA, SLACK, vote, reason=SAID, revision=2)
    assert lifecycle.review(request, voting, LATER).request.is_final


@pytest.mark.parametrize("reason", [None, Encrypted("")])
def test_a_denial_needs_a_reason(reason: Encrypted | None) -> None:
    with pytest.raises(ReasonRequired):
        deny(pending(), ANNA, reason)


def test_a_denial_needs_no_view_and_keeps_its_words_out_of_the_audit() -> None:
    change = deny(pending(), ANNA, SAID)
    assert change.request.decision is not None
    assert change.request.decision.reason == "denied_by_approver"
    assert [review.reason for review in change.request.reviews] == [SAID]
    decided = change.events[-1]
    assert isinstance(decided, RequestDecided)
    assert (decided.reason, decided.by) == ("denied_by_approver", ("anna",))
    assert "withdrew" not in "".join(event.model_dump_json() for event in change.events)


def test_a_loser_learns_who_decided_but_not_in_whose_words() -> None:
    with pytest.raises(AlreadyFinal) as refused:
        approve(denied(), DORA)
    decision = refused.value.facts["decision"]
    assert refused.value.facts["status"] == "denied"
    assert isinstance(decision, dict)
    assert decision["by"] == [{"person": "anna", "via": "cli"}]
    assert decision["reason"] == "denied_by_approver"


def test_the_service_that_asked_comes_too_late_and_learns_who_was_first() -> None:
    with pytest.raises(AlreadyFinal) as refused:
        lifecycle.cancel_by_service(denied(), NOW)
    assert refused.value.facts["status"] == "denied"
    assert refused.value.facts["decision"] == public_decision(denied())


def test_a_person_who_cancels_too_late_does_not_learn_in_whose_words() -> None:
    with pytest.raises(AlreadyFinal) as refused:
        lifecycle.cancel_by_person(denied(), TakingBack(ADMIN, CLI), NOW)
    assert refused.value.facts["decision"] == public_decision(denied())
    assert SAID not in repr(refused.value.facts)


def test_the_grant_is_made_at_the_approval_with_a_clock_of_its_own() -> None:
    request = lifecycle.open_request(opening("req_7", uses=3), NOW).request
    at = DEADLINE - MINUTE
    change = approve(viewed(request, ANNA), ANNA, at)
    grant = change.request.grant
    assert grant is not None
    assert (grant.id, grant.status, grant.uses_left) == (grant_id(request.id), "active", 3)
    assert grant.expires_at == at + GRANT_TTL
    assert grant.expires_at > request.expires_at
    decided = change.events[-1]
    assert isinstance(decided, RequestDecided)
    assert (decided.grant, decided.grant_expires_at, decided.uses) == (
        grant.id,
        grant.expires_at,
        3,
    )


def test_a_grant_ends_with_its_time_and_the_approval_stays() -> None:
    request = approved()
    end = LATER + GRANT_TTL
    assert lifecycle.on_deadline(request, end - timedelta(milliseconds=1)) is None
    change = at_deadline(request, end)
    assert change.request.status == "approved"
    assert change.request.grant is not None
    assert change.request.grant.status == "ended"
    assert change.callback == "grant.ended"
    assert change.events == (GrantEnded(grant=change.request.grant.id, reason="time"),)
    assert lifecycle.on_deadline(change.request, end + MINUTE) is None


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        ("presented", "no_decision"),
        ("queued", "not_presented"),
        ("undeliverable", "undeliverable"),
    ],
)
def test_an_expiry_says_whether_anybody_was_shown_the_request(delivery: str, reason: str) -> None:
    change = at_deadline(pending(delivery=delivery), DEADLINE)
    assert change.request.decision is not None
    assert change.request.decision.reason == reason
    assert change.request.decision.at == DEADLINE


def test_a_deadline_is_reached_when_the_time_equals_it() -> None:
    assert lifecycle.on_deadline(pending(), DEADLINE - timedelta(milliseconds=1)) is None
    assert at_deadline(pending(), DEADLINE).request.status == "expired"


@pytest.mark.parametrize(
    ("state", "deadline"),
    [
        ("pending", DEADLINE),
        ("queued", DEADLINE),
        ("undeliverable", DEADLINE),
        ("half approved", DEADLINE),
        ("second stage", DEADLINE),
        ("reminded", NOW + 2 * MINUTE),
        ("approved", LATER + GRANT_TTL),
        ("grant used", None),
        ("grant ended", None),
        ("grant revoked", None),
        ("denied", None),
        ("expired", None),
        ("cancelled", None),
    ],
)
def test_the_next_deadline_is_computed_from_the_whole_record(
    state: str, deadline: datetime | None
) -> None:
    assert lifecycle.next_deadline(STATES[state]()) == deadline


@pytest.mark.parametrize("state", STATES)
def test_time_acts_exactly_from_the_next_deadline_on(state: str) -> None:
    request = STATES[state]()
    due = lifecycle.next_deadline(request)
    if due is None:
        assert lifecycle.on_deadline(request, NOW + timedelta(days=999)) is None
    else:
        assert lifecycle.on_deadline(request, due - timedelta(milliseconds=1)) is None
        assert lifecycle.on_deadline(request, due) is not None


@pytest.mark.parametrize(
    ("change", "guarded", "valid_before"),
    [
        (lambda: lifecycle.open_request(opening(), NOW), True, None),
        (lambda: lifecycle.open_request(opening(under=policy(decision="deny")), NOW), True, None),
        (lambda: view(pending(), ANNA), False, None),
        (lambda: approve(viewed(pending(policy(threshold=2)), ANNA), ANNA), True, DEADLINE),
        (lambda: approve(viewed(pending(), ANNA), ANNA), True, DEADLINE),
        (lambda: approve(viewed(pending(), ANNA), ANNA, denied_by=DENY_RULE), False, DEADLINE),
        (lambda: deny(pending(), ANNA), False, DEADLINE),
        (lambda: lifecycle.cancel_by_service(pending(), LATER), False, DEADLINE),
        (lambda: cancel(pending(), JONAS), False, DEADLINE),
        (lambda: at_deadline(pending(), DEADLINE), False, None),
        (lambda: at_deadline(approved(), LATER + GRANT_TTL), False, None),
    ],
    ids=["open", "open, denied by a rule", "view", "first approval", "last approval", "deny rule",
         "denial", "service cancels", "requester cancels", "expiry", "grant's end"],
)  # fmt: skip
def test_only_openings_and_approvals_are_guarded_and_no_decision_is_valid_at_the_deadline(
    change: Callable[[], Change], guarded: bool, valid_before: datetime | None
) -> None:
    assert (change().guarded, change().valid_before) == (guarded, valid_before)


@pytest.mark.parametrize(
    ("who", "cause"), [(JONAS, "by_requester"), (ADMIN, "by_admin"), (BEN, "by_admin")]
)
def test_a_cancellation_says_by_whom_and_keeps_the_note_in_the_record(
    who: Person, cause: str
) -> None:
    change = cancel(pending(), who, SAID)
    decision = change.request.decision
    assert decision is not None
    assert (decision.reason, decision.note, decision.by) == (cause, SAID, ())
    (decided,) = change.events
    assert isinstance(decided, RequestDecided)
    assert (decided.actor, decided.reason) == (who.id, cause)
    assert SAID not in decided.model_dump_json()


def test_a_requester_who_is_an_admin_cancels_as_the_requester() -> None:
    change = cancel(pending(), person("jonas", roles=("admin",)))
    assert change.request.decision is not None
    assert change.request.decision.reason == "by_requester"


@pytest.mark.parametrize("who", [ANNA, OLGA, person("nobody", roles=())])
def test_nobody_else_cancels(who: Person) -> None:
    with pytest.raises(NotAllowed):
        cancel(pending(), who)
    with pytest.raises(NotAllowed):
        cancel(denied(), who)


def test_a_view_is_on_record_once_per_person_and_revision_but_audited_each_time() -> None:
    first = view(pending(), ANNA)
    again = view(first.request, ANNA)
    assert len(again.request.views) == 1
    assert [event.type for event in again.events] == ["request.viewed"]
    assert first.callback is None
    newer = view(again.request.model_copy(update={"revision": 2}), ANNA)
    assert [seen.revision for seen in newer.request.views] == [1, 2]


def test_an_auditor_may_look_and_may_not_vote() -> None:
    request = viewed(pending(), OLGA)
    with pytest.raises(NotApprover):
        approve(request, OLGA)


@pytest.mark.parametrize(
    ("who", "refusal"), [(JONAS, OwnRequest), (CLEO, NotApprover), (ADMIN, NotApprover)]
)
def test_nobody_else_sees_the_details(who: Person, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        view(pending(), who)


def test_a_review_records_what_was_said_of_which_revision() -> None:
    change = deny(pending(), ANNA)
    reviewed, decided = change.events
    assert isinstance(reviewed, RequestReviewed)
    assert (reviewed.person, reviewed.vote, reviewed.revision) == ("anna", "deny", 1)
    assert decided.type == "request.denied"
    (given_vote,) = change.request.reviews
    assert (given_vote.at, given_vote.via, given_vote.reason) == (LATER, "cli", SAID)

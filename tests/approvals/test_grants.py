"""The state machine of a grant, as a table over every state and command, then row by row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from pydantic import JsonValue

from approvals import grants, lifecycle
from approvals.change import Change, DenyRule, Receipting, Redeeming, TakingBack, Voting
from approvals.errors import (
    ContextChanged,
    DigestMismatch,
    GrantEnded,
    GrantExpired,
    GrantRevoked,
    GrantUsed,
    NotAllowed,
    NotFound,
    NotRedeemed,
    ReceiptExists,
    Refusal,
)
from approvals.model import ApprovalRequest, Encrypted, Grant, Person, PersonId, Requester
from tests.approvals.samples import (
    ADMIN,
    ANNA,
    BEN,
    CLEO,
    CLI,
    GRANT_TTL,
    JONAS,
    NOW,
    OLGA,
    asked,
    opening,
    policy,
)

Context = dict[str, JsonValue]
DIGEST = "sha256:" + "0" * 64
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
AT = NOW + MINUTE
WITHIN = timedelta(minutes=5)
RULE = DenyRule("no-more-exports", "Exports are closed", "4b0c")


def approved(*, uses: int = 2, count: int | None = 10, **terms: object) -> ApprovalRequest:
    """A request that Anna has approved at `NOW`, with a grant of some uses."""
    context: dict[str, JsonValue] = {"geo.country": "DE", "requester.roles": ["lead", "support"]}
    said = asked(record_count=count, context=context, address="127.0.0.1")
    under = policy(**({"quick_approve": True, "receipt_within": WITHIN} | terms))
    request = lifecycle.open_request(opening(asked_for=said, under=under, uses=uses), NOW).request
    return lifecycle.review(request, Voting(ANNA, CLI, "approve"), NOW).request


CONTEXT: Context = {"geo.country": "DE", "requester.roles": ["support", "lead"]}


def redeem(
    request: ApprovalRequest,
    nonce: str = "n1",
    at: datetime = AT,
    *,
    by: DenyRule | None = None,
    digest: str = DIGEST,
    context: Context = CONTEXT,
    address: str = "127.0.0.1",
) -> Change | None:
    how = Redeeming(digest, nonce, context, address)
    return grants.redeem(request, how, at, policy="3f9a", denied_by=by)


def redeemed(request: ApprovalRequest, nonce: str = "n1", at: datetime = AT) -> ApprovalRequest:
    change = redeem(request, nonce, at)
    assert change is not None
    return change.request


def grant_of(request: ApprovalRequest) -> Grant:
    assert request.grant is not None
    return request.grant


def receipted(request: ApprovalRequest, records: int = 10, at: datetime = AT) -> Change:
    return grants.give_receipt(request, Receipting(records, "succeeded"), at)


def revoked(request: ApprovalRequest, who: Person = ADMIN, at: datetime = AT) -> Change:
    return grants.revoke(request, TakingBack(who, CLI, Encrypted("Not needed")), at)


STATES: dict[str, Callable[[], ApprovalRequest]] = {
    "pending": lambda: lifecycle.open_request(opening(), NOW).request,
    "active": approved,
    "active, one use made": lambda: redeemed(approved()),
    "used": lambda: redeemed(approved(uses=1)),
    "ended by time": lambda: by_time(approved()),
    "ended by its service": lambda: grants.end(approved(), AT).request,
    "ended by its service, one use made": lambda: grants.end(redeemed(approved()), AT).request,
    "closed by its receipt": lambda: receipted(redeemed(approved())).request,
    "revoked": lambda: revoked(approved()).request,
    "revoked, one use made": lambda: revoked(redeemed(approved())).request,
}
COMMANDS: dict[str, Callable[[ApprovalRequest], Change | None]] = {
    "redeem": lambda request: redeem(request, "n2"),
    "end": lambda request: grants.end(request, AT),
    "revoke": revoked,
    "receipt": receipted,
}
# What each state makes of redeem, end, revoke, receipt: the state that follows, or the refusal.
TABLE: dict[str, tuple[str | type[Refusal], ...]] = {
    "pending": (NotFound, NotFound, NotFound, NotFound),
    "active": ("active", "ended", "revoked", NotRedeemed),
    "active, one use made": ("used", "ended", "revoked", "ended"),
    "used": (GrantUsed, GrantUsed, GrantUsed, "used"),
    "ended by time": (GrantExpired, GrantExpired, GrantExpired, NotRedeemed),
    "ended by its service": (GrantEnded, GrantEnded, GrantEnded, NotRedeemed),
    "ended by its service, one use made": (GrantEnded, GrantEnded, GrantEnded, "ended"),
    "closed by its receipt": (GrantEnded, GrantEnded, GrantEnded, ReceiptExists),
    "revoked": (GrantRevoked, GrantRevoked, GrantRevoked, NotRedeemed),
    "revoked, one use made": (GrantRevoked, GrantRevoked, GrantRevoked, "revoked"),
}


def by_time(request: ApprovalRequest) -> ApprovalRequest:
    change = grants.on_deadline(request, grant_of(request).expires_at, is_wrong=False)
    assert change is not None
    return change.request


@pytest.mark.parametrize(
    ("state", "command", "expected"),
    [
        (state, command, expected)
        for state, row in TABLE.items()
        for command, expected in zip(COMMANDS, row, strict=True)
    ],
)
def test_the_table_of_states_and_commands(
    state: str, command: str, expected: str | type[Refusal]
) -> None:
    request = STATES[state]()
    if not isinstance(expected, str):
        with pytest.raises(expected) as refusal:
            COMMANDS[command](request)
        assert type(refusal.value) is expected
        return
    change = COMMANDS[command](request)
    assert change is not None
    grant = grant_of(change.request)
    assert grant.status == expected
    assert change.request.model_copy(update={"grant": None}) == request.model_copy(
        update={"grant": None}
    )


def test_every_state_is_in_the_table() -> None:
    assert set(TABLE) == set(STATES)


def test_a_refusal_of_a_grant_that_is_over_shows_it_as_it_stands() -> None:
    with pytest.raises(GrantUsed) as refusal:
        redeem(redeemed(approved(uses=1)), "n2")
    told = refusal.value.facts["grant"]
    assert isinstance(told, dict)
    assert (told["status"], told["uses_left"]) == ("used", 0)


def test_a_use_is_counted_and_told_with_all_that_it_stood_on() -> None:
    change = redeem(approved(must_hold=("geo.country",)))
    assert change is not None
    grant = grant_of(change.request)
    assert (grant.uses_left, [use.at for use in grant.redemptions]) == (1, [AT])
    assert (change.callback, change.guarded) == ("grant.redeemed", True)
    assert change.valid_before == grant.expires_at
    (event,) = change.events
    assert event.model_dump() == {
        "type": "grant.redeemed", "grant": "grt_1", "service": "crm", "requester": "jonas",
        "digest": DIGEST, "use": 1, "uses_left": 1, "policy": "3f9a", "address": "127.0.0.1",
        "context": {"geo.country": "DE", "requester.roles": ["support", "lead"]},
        "held": ("geo.country",),
    }  # fmt: skip


# In the order in which they are looked for: each row breaks its own check and all those below it.
def test_the_checks_come_in_their_order() -> None:
    request = approved(must_hold=("geo.country",), uses=1)
    other = "sha256:" + "1" * 64
    late = NOW + GRANT_TTL
    with pytest.raises(GrantRevoked):
        redeem(revoked(redeemed(approved())).request, "n1", late, by=RULE, digest=other, context={})
    used = redeemed(request)
    with pytest.raises(DigestMismatch):
        redeem(used, "n1", late, by=RULE, digest=other, context={})
    assert redeem(used, "n1", by=RULE, context={}) is None
    with pytest.raises(GrantUsed):
        redeem(used, "n2", late, by=RULE, context={})
    with pytest.raises(GrantExpired):
        redeem(request, "n1", late, by=RULE, context={})
    denied = redeem(request, "n1", by=RULE, context={})
    assert denied is not None
    assert grant_of(denied.request).status == "revoked"
    with pytest.raises(ContextChanged):
        redeem(request, "n1", context={})


def test_a_deny_rule_now_in_force_revokes_and_says_which() -> None:
    change = redeem(approved(), by=RULE)
    assert change is not None
    (event,) = change.events
    assert event.type == "grant.revoked"
    assert event.model_dump(exclude_defaults=True) == {
        "grant": "grt_1", "reason": "denied_by_policy", "rule": "no-more-exports", "policy": "4b0c",
    }  # fmt: skip
    assert change.callback == "grant.revoked"
    assert grant_of(change.request).uses_left == 2


@pytest.mark.parametrize("late_by", [timedelta(0), SECOND])
def test_from_its_end_on_nothing_is_redeemed(late_by: timedelta) -> None:
    request = approved()
    redeemed(request, at=NOW + GRANT_TTL - timedelta(milliseconds=1))
    with pytest.raises(GrantExpired):
        redeem(request, at=NOW + GRANT_TTL + late_by)
    with pytest.raises(GrantUsed):  # nor is a first result repeated
        redeem(redeemed(approved(uses=1)), at=NOW + GRANT_TTL + late_by)


def test_what_a_clock_that_ran_ahead_has_granted_opens_nothing() -> None:
    request = approved()
    with pytest.raises(GrantExpired):
        redeem(request, at=NOW - SECOND)
    change = grants.on_deadline(request, NOW - SECOND, is_wrong=True)
    assert change is not None
    assert grant_of(change.request).status == "ended"


def test_a_repeated_nonce_has_its_first_result_whatever_came_after() -> None:
    once = redeemed(approved(), "n1")
    twice = redeemed(once, "n2", AT + SECOND)
    assert redeem(twice, "n1") is None
    first, second = (grants.as_of(twice, nonce) for nonce in ("n1", "n2"))
    assert first is not None
    assert second is not None
    assert (first.status, first.uses_left) == ("active", 1)
    assert (second.status, second.uses_left) == ("used", 0)
    assert grants.as_of(twice, "n3") is None
    assert grants.as_of(STATES["pending"](), "n1") is None


def test_a_repeated_nonce_of_an_ended_grant_is_refused() -> None:
    with pytest.raises(GrantEnded):
        redeem(grants.end(redeemed(approved()), AT).request, "n1")


@pytest.mark.parametrize(
    ("held", "context", "address"),
    [
        ("geo.country", {"geo.country": "FR"}, "127.0.0.1"),
        ("geo.country", {}, "127.0.0.1"),
        ("requester.roles", {"requester.roles": ["support"]}, "127.0.0.1"),
        ("requester.roles", {"requester.roles": []}, "127.0.0.1"),
        ("client.ip", CONTEXT, "127.0.0.2"),
        ("client.ip", CONTEXT, ""),
        ("device.managed", {"device.managed": False}, "127.0.0.1"),  # never known before
    ],
)
def test_what_must_hold_is_compared_and_absent_is_changed(
    held: str, context: Context, address: str
) -> None:
    request = approved(must_hold=(held,))
    with pytest.raises(ContextChanged) as refusal:
        redeem(request, context=context, address=address)
    assert refusal.value.facts == {"changed": [held]}
    assert held in refusal.value.detail


@pytest.mark.parametrize("held", ["geo.country", "requester.roles", "client.ip"])
def test_what_holds_opens(held: str) -> None:
    assert redeem(approved(must_hold=(held,)))  # roles in whatever order


def test_an_address_that_was_never_known_does_not_hold() -> None:
    request = approved(must_hold=("client.ip",))
    nowhere = request.model_copy(update={"asked": request.asked.model_copy(update={"address": ""})})
    with pytest.raises(ContextChanged):
        redeem(nowhere, address="")


MACHINE = Requester(id="job:nightly", owner=PersonId("cleo"))


@pytest.mark.parametrize(
    ("who", "reason"),
    [(JONAS, "by_requester"), (BEN, "by_approver"), (ANNA, "by_approver"), (ADMIN, "by_admin")],
)
def test_requester_approver_and_admin_may_revoke(who: Person, reason: str) -> None:
    request = approved()
    assert grants.may_revoke(request, who)
    change = revoked(request, who)
    closing = grant_of(change.request).closing
    assert closing is not None
    assert (closing.reason, closing.person, closing.note) == (
        reason,
        who.id,
        Encrypted("Not needed"),
    )
    assert change.events[0].model_dump(include={"reason", "person"}) == {
        "reason": reason,
        "person": who.id,
    }
    assert change.valid_before == grant_of(request).expires_at
    assert not change.guarded  # taking back is safe on any clock
    assert not grants.may_revoke(change.request, who)


def test_the_owner_of_a_machine_may_take_back_what_it_was_granted() -> None:
    request = approved()
    of_machine = request.model_copy(
        update={"asked": request.asked.model_copy(update={"requester": MACHINE})}
    )
    assert grant_of(revoked(of_machine, CLEO).request).status == "revoked"


@pytest.mark.parametrize("who", [OLGA, CLEO])
def test_nobody_else_may_revoke(who: Person) -> None:
    assert not grants.may_revoke(approved(), who)
    with pytest.raises(NotAllowed):
        revoked(approved(), who)


def test_a_request_without_a_grant_has_nothing_to_revoke() -> None:
    assert not grants.may_revoke(STATES["pending"](), ADMIN)


def test_a_receipt_is_told_against_what_was_asked() -> None:
    change = receipted(redeemed(approved(uses=1)), 11)
    (event,) = change.events
    assert event.model_dump(exclude={"type", "grant", "service"}) == {
        "records": 11, "outcome": "succeeded", "asked": 10, "is_larger": True, "is_late": False,
    }  # fmt: skip
    assert change.callback is None
    assert change.request.is_overused
    assert not receipted(redeemed(approved()), 10).request.is_overused
    assert not receipted(redeemed(approved(count=None)), 99).request.is_overused


def test_a_receipt_closes_a_grant_that_has_uses_left() -> None:
    change = receipted(redeemed(approved()))
    assert [event.type for event in change.events] == ["receipt.given", "grant.ended"]
    assert change.callback == "grant.ended"
    closing = grant_of(change.request).closing
    assert closing is not None
    assert closing.reason == "receipt"


def test_a_second_receipt_shows_the_first_one() -> None:
    with pytest.raises(ReceiptExists) as refusal:
        receipted(receipted(redeemed(approved())).request, 99)
    told = refusal.value.facts["grant"]
    assert isinstance(told, dict)
    assert told["receipt"]["records"] == 10


def test_a_receipt_is_due_from_the_last_use_and_missed_once() -> None:
    request = redeemed(redeemed(approved()), "n2", AT + MINUTE)
    due = AT + MINUTE + WITHIN
    assert grants.next_deadline(request) == due
    assert grants.on_deadline(request, due - SECOND, is_wrong=False) is None
    change = grants.on_deadline(request, due, is_wrong=False)
    assert change is not None
    assert [event.type for event in change.events] == ["receipt.missed"]
    assert change.callback is None
    missed = change.request
    assert missed.is_unreceipted
    assert grants.next_deadline(missed) is None
    assert grants.on_deadline(missed, due + WITHIN, is_wrong=False) is None
    late = receipted(missed, at=due + MINUTE)
    assert late.events[0].model_dump()["is_late"] is True
    assert grant_of(late.request).receipt_missed
    assert not late.request.is_unreceipted


def test_a_receipt_at_its_very_deadline_is_late_and_a_moment_before_is_not() -> None:
    request = redeemed(approved(uses=1))
    for at, is_late in ((AT + WITHIN, True), (AT + WITHIN - timedelta(milliseconds=1), False)):
        assert receipted(request, at=at).events[0].model_dump()["is_late"] is is_late


def test_without_receipt_within_none_is_due() -> None:
    request = redeemed(approved(uses=1, receipt_within=None))
    assert grants.next_deadline(request) is None
    assert receipted(request, at=AT + GRANT_TTL).events[0].model_dump()["is_late"] is False


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("pending", None),
        ("active", NOW + GRANT_TTL),
        ("active, one use made", AT + WITHIN),
        ("used", AT + WITHIN),
        ("ended by time", None),
        ("ended by its service", None),
        ("ended by its service, one use made", AT + WITHIN),
        ("closed by its receipt", None),
        ("revoked", None),
        ("revoked, one use made", AT + WITHIN),
    ],
)
def test_when_time_next_changes_a_grant(state: str, expected: datetime | None) -> None:
    request = STATES[state]()
    assert grants.next_deadline(request) == expected
    if state != "pending":
        assert lifecycle.next_deadline(request) == expected


def test_time_ends_a_grant_at_its_end_though_seen_late() -> None:
    change = grants.on_deadline(approved(), NOW + GRANT_TTL + MINUTE, is_wrong=False)
    assert change is not None
    closing = grant_of(change.request).closing
    assert closing is not None
    assert (closing.at, closing.reason) == (NOW + GRANT_TTL, "time")
    assert change.valid_before is None


def test_a_grant_ended_before_this_was_kept_has_expired() -> None:
    request = by_time(approved())
    old = grant_of(request).model_copy(update={"closing": None})
    with pytest.raises(GrantExpired):
        redeem(request.model_copy(update={"grant": old}))

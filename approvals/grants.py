"""The state machine of a grant, pure, as `lifecycle` is of its request.

active ─ redeemed (uses left) ─▶ active
       ├ redeemed (the last use) ─▶ used
       ├ time, its service, or a receipt ─▶ ended
       └ a person, or a deny rule now in force ─▶ revoked
A receipt may follow in every state, once the grant was redeemed; time notices where it is missing.
No await, no clock, no store: `now` is an argument, and only the store's commit makes it true.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import JsonValue

from approvals import errors
from approvals.answer import Json, grant_data, receipt_due_at
from approvals.change import Change, DenyRule, Receipting, Redeeming, TakingBack
from approvals.errors import ContextChanged, DigestMismatch, NotAllowed, NotFound
from approvals.events import (
    Event,
    GrantEnded,
    GrantRedeemed,
    GrantRevoked,
    ReceiptGiven,
    ReceiptMissed,
)
from approvals.model import (
    ApprovalRequest,
    Closed,
    Closing,
    Grant,
    GrantStatus,
    Person,
    Receipt,
    Redemption,
    grant_id,
)
from approvals.standing import may_decide

ADDRESS = "client.ip"


def granted(request: ApprovalRequest, now: datetime) -> Grant:
    """The grant of a request that is approved now."""
    return Grant(
        id=grant_id(request.id),
        status="active",
        expires_at=now + request.grant_ttl,
        uses_left=request.uses,
    )


def redeem(
    request: ApprovalRequest,
    redeeming: Redeeming,
    now: datetime,
    *,
    policy: str,
    denied_by: DenyRule | None = None,
) -> Change | None:
    """One use of the grant. None for a nonce that has redeemed it before: `as_of` has its result.

    `denied_by` is a deny rule now in force: the grant is revoked by it. `policy` is the version
    whose deny rules were asked. Raises `NotFound`, `GrantOver`, `DigestMismatch`,
    `ContextChanged`.
    """
    grant = _grant_of(request)
    if grant.status == "revoked":
        raise _over(request, grant)
    if redeeming.digest != request.digest:
        # Told apart from every other refusal, because it is one of two: a mistake, or an attack.
        raise DigestMismatch(
            "What is to be done is not what was approved. Do exactly what was asked for, or ask "
            "for this as a new request."
        )
    if as_of(request, redeeming.nonce) and grant.status != "ended" and _is_in_time(request, now):
        return None
    _check_active(request, grant, now)
    if denied_by:
        rule, version = denied_by.rule, denied_by.policy
        event = GrantRevoked(grant=grant.id, reason="denied_by_policy", rule=rule, policy=version)
        closing = Closing(at=now, reason="denied_by_policy")
        return _closed(request, grant, "revoked", closing, (event,))
    _check_context(request, redeeming)
    return _used_once(request, grant, redeeming, now, policy)


def _used_once(
    request: ApprovalRequest, grant: Grant, redeeming: Redeeming, now: datetime, policy: str
) -> Change:
    left = grant.uses_left - 1
    redemption = Redemption(nonce=redeeming.nonce, at=now)
    after = grant.model_copy(
        update={
            "uses_left": left,
            "status": "active" if left else "used",
            "redemptions": (*grant.redemptions, redemption),
        }
    )
    event = GrantRedeemed(
        grant=grant.id,
        service=request.service,
        requester=request.asked.requester.person or request.asked.requester.id,
        digest=redeeming.digest,
        use=len(after.redemptions),
        uses_left=left,
        policy=policy,
        address=redeeming.address,
        context=dict(redeeming.context),
        held=request.policy.must_hold,
    )
    return Change(
        request.model_copy(update={"grant": after}),
        (event,),
        callback="grant.redeemed",
        guarded=True,
        valid_before=grant.expires_at,
    )


def as_of(request: ApprovalRequest, nonce: str) -> Grant | None:
    """The grant as the redeem with `nonce`, a keyed hash, left it; None where there was none."""
    grant = request.grant
    for number, use in enumerate(grant.redemptions if grant else (), start=1):
        if grant and use.nonce == nonce:
            left = request.uses - number
            status = "active" if left else "used"
            uses = grant.redemptions[:number]
            then = {"status": status, "uses_left": left, "redemptions": uses, "receipt": None}
            return grant.model_copy(update=then)
    return None


def give_receipt(request: ApprovalRequest, given: Receipting, now: datetime) -> Change:
    """The service says what it has done: once, and an active grant is over then.

    What would be done after it would stand in no receipt. Raises `NotFound`, `NotRedeemed`,
    `ReceiptExists`.
    """
    grant = _grant_of(request)
    if not grant.redemptions:
        raise errors.NotRedeemed("There is nothing to account for: redeem the grant, then act.")
    if grant.receipt:
        raise errors.ReceiptExists(
            "This grant has its receipt; it is not changed.", facts=_facts(request, grant)
        )
    due_at = receipt_due_at(request, grant)
    receipt = Receipt(records=given.records, outcome=given.outcome, note=given.note, at=now)
    grant = grant.model_copy(update={"receipt": receipt})
    after = request.model_copy(update={"grant": grant})
    event = ReceiptGiven(
        grant=grant.id,
        service=request.service,
        records=given.records,
        outcome=given.outcome,
        asked=request.asked.record_count,
        is_larger=after.is_overused,
        is_late=due_at is not None and now >= due_at,
    )
    if grant.status != "active":
        return Change(after, (event,))
    ended = GrantEnded(grant=grant.id, reason="receipt", actor=request.service)
    return _closed(after, grant, "ended", Closing(at=now, reason="receipt"), (event, ended))


def end(request: ApprovalRequest, now: datetime) -> Change:
    """The service needs it no longer. Raises `NotFound`, `GrantOver`."""
    grant = _grant_of(request)
    _check_active(request, grant, now)
    event = GrantEnded(grant=grant.id, reason="by_service", actor=request.service)
    return _closed(request, grant, "ended", Closing(at=now, reason="by_service"), (event,))


def revoke(request: ApprovalRequest, revoking: TakingBack, now: datetime) -> Change:
    """A person takes it back. Raises `NotFound`, `NotAllowed`, `GrantOver`."""
    grant = _grant_of(request)
    cause = _cause(request, revoking.person)
    _check_active(request, grant, now)
    person = revoking.person.id
    event = GrantRevoked(grant=grant.id, reason=cause, person=person, origin=revoking.origin)
    closing = Closing(at=now, reason=cause, person=person, note=revoking.reason)
    return _closed(request, grant, "revoked", closing, (event,))


def erase(request: ApprovalRequest, erasing: TakingBack, now: datetime) -> Change | None:
    """The subject is forgotten, so nothing may be done to their data. None where nothing could."""
    grant = request.grant
    if grant is None or grant.status != "active" or now >= grant.expires_at:
        return None
    person, origin = erasing.person.id, erasing.origin
    event = GrantRevoked(grant=grant.id, reason="subject_erased", person=person, origin=origin)
    closing = Closing(at=now, reason="subject_erased", person=person)
    return _closed(request, grant, "revoked", closing, (event,))


def may_revoke(request: ApprovalRequest, person: Person) -> bool:
    """Whether `person` may take the grant back, as it stands."""
    is_active = request.grant is not None and request.grant.status == "active"
    return is_active and _right_to_revoke(request, person) is not None


def next_deadline(request: ApprovalRequest) -> datetime | None:
    """When time next changes the grant; None when it does no more."""
    return min(_deadlines(request), default=None)


def on_deadline(request: ApprovalRequest, now: datetime, *, is_wrong: bool) -> Change | None:
    """What time does: it ends the grant, and notices that no receipt came.

    `is_wrong`: the grant was given by a clock that ran ahead, so its window is not to be trusted.
    """
    grant = _grant_of(request)
    if grant.status == "active" and (is_wrong or now >= grant.expires_at):
        event = GrantEnded(grant=grant.id, reason="time")
        closing = Closing(at=min(now, grant.expires_at), reason="time")
        return _closed(request, grant, "ended", closing, (event,))
    due_at = _receipt_deadline(request, grant)
    if due_at is None or now < due_at:
        return None
    missed = grant.model_copy(update={"receipt_missed": True})
    return Change(
        request.model_copy(update={"grant": missed}),
        (ReceiptMissed(grant=grant.id, due_at=due_at),),
    )


def _deadlines(request: ApprovalRequest) -> Iterator[datetime]:
    grant = request.grant
    if grant is None:
        return
    if grant.status == "active":
        yield grant.expires_at
    if due_at := _receipt_deadline(request, grant):
        yield due_at


def _receipt_deadline(request: ApprovalRequest, grant: Grant) -> datetime | None:
    return None if grant.receipt_missed else receipt_due_at(request, grant)


def _grant_of(request: ApprovalRequest) -> Grant:
    if request.grant is None:
        raise NotFound("There is no such grant.")
    return request.grant


def _is_in_time(request: ApprovalRequest, now: datetime) -> bool:
    # Given by a clock that ran ahead, and then it was set back: that window is not to be trusted.
    began = request.decision.at if request.decision else request.created_at
    return request.grant is not None and began <= now < request.grant.expires_at


def _check_active(request: ApprovalRequest, grant: Grant, now: datetime) -> None:
    if grant.status != "active":
        raise _over(request, grant)
    if not _is_in_time(request, now):
        raise errors.GrantExpired(_EXPIRED, facts=_facts(request, grant))


_EXPIRED = "The grant's time is up. Ask again; nothing may be done under it."


def _over(request: ApprovalRequest, grant: Grant) -> errors.GrantOver:
    facts = _facts(request, grant)
    if grant.status == "used":
        said = "The grant was used as often as it may be. Ask again for another use."
        return errors.GrantUsed(said, facts=facts)
    if grant.status == "revoked":
        said = "The grant was revoked. Stop what is being done under it, and ask again."
        return errors.GrantRevoked(said, facts=facts)
    # Ended by time in versions that kept no closing.
    if grant.closing is None or grant.closing.reason == "time":
        return errors.GrantExpired(_EXPIRED, facts=facts)
    return errors.GrantEnded("Your service ended the grant early. Ask again.", facts=facts)


def _facts(request: ApprovalRequest, grant: Grant) -> Json:
    return {"grant": grant_data(request, grant)}


def _check_context(request: ApprovalRequest, redeeming: Redeeming) -> None:
    changed = [name for name in request.policy.must_hold if not _holds(request, redeeming, name)]
    if changed:
        named = ", ".join(changed)
        raise ContextChanged(
            f"What had to hold since the opening has changed or is absent: {named}. Send it as "
            "`context`; where it has really changed, ask again.",
            facts={"changed": changed},
        )


def _holds(request: ApprovalRequest, redeeming: Redeeming, name: str) -> bool:
    """Whether an attribute is what it was. What is absent, then or now, is not known to hold."""
    if name == ADDRESS:
        return bool(redeeming.address) and redeeming.address == request.asked.address
    then, now = request.asked.context.get(name), redeeming.context.get(name)
    return then is not None and _in_any_order(then) == _in_any_order(now)


def _in_any_order(value: JsonValue) -> JsonValue | frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list) else value


def _right_to_revoke(request: ApprovalRequest, person: Person) -> Closed | None:
    if person.id == request.asked.requester.responsible:
        return "by_requester"
    if may_decide(request, person):
        return "by_approver"
    return "by_admin" if "admin" in person.roles else None


def _cause(request: ApprovalRequest, person: Person) -> Closed:
    cause = _right_to_revoke(request, person)
    if cause is None:
        told = "Only the requester, an approver of this request or an admin may revoke its grant."
        raise NotAllowed(told)
    return cause


def _closed(
    request: ApprovalRequest,
    grant: Grant,
    status: GrantStatus,
    closing: Closing,
    events: tuple[Event, ...],
) -> Change:
    """The grant as it is over. Not once its time is up: then it was time that ended it."""
    after = grant.model_copy(update={"status": status, "closing": closing})
    return Change(
        request.model_copy(update={"grant": after}),
        events,
        callback=f"grant.{status}",
        valid_before=None if closing.reason == "time" else grant.expires_at,
    )

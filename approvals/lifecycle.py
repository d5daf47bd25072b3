"""The state machine of a request, pure: `(record, command, now) -> Change` or a refusal.

pending ─ approve (threshold met) ─▶ approved, with a grant: see `grants`
        ├ deny, or a deny rule now in force ─▶ denied
        ├ cancel, or its subject is erased ─▶ cancelled
        ├ deadline ─▶ expired
        └ time before it: reminded, escalated, and pending still
Words are forgotten in every final state: when the subject is erased, or when policy's time is up.
No await, no clock, no store: `now` is an argument, and only the store's commit makes it true.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

from approvals import grants
from approvals.answer import public_decision
from approvals.change import Change, DenyRule, Opening, TakingBack, Voting
from approvals.digest import digest_of_words
from approvals.errors import (
    AlreadyFinal,
    AlreadyReviewed,
    NotAllowed,
    NotApprover,
    NotReviewed,
    OwnRequest,
    ReasonRequired,
    StaleRevision,
)
from approvals.events import (
    RequestDecided,
    RequestErased,
    RequestOpened,
    RequestPresented,
    RequestReviewed,
    RequestUndeliverable,
    RequestViewed,
)
from approvals.forgetting import forget, forget_at, forgotten
from approvals.model import (
    ApprovalRequest,
    DecidedBy,
    Decision,
    Encrypted,
    Grant,
    Origin,
    Person,
    Review,
    Status,
    View,
)
from approvals.standing import has_viewed, may_decide, open_stage, why_no_approval
from approvals.timetable import next_step, take_steps


def open_request(opening: Opening, now: datetime) -> Change:
    """A new request: pending, or final at once where a rule approves or denies."""
    request = ApprovalRequest(
        id=opening.id,
        service=opening.caller.service,
        key_id=opening.caller.key_id,
        asked=opening.asked,
        digest=opening.digest,
        salt=opening.salt,
        policy=opening.policy,
        created_at=now,
        expires_at=now + opening.expires_in,
        grant_ttl=opening.grant_ttl,
        uses=opening.uses,
        delivery="queued" if opening.policy.notify else "presented",
    )
    opened = Change(request, (_opened(opening, request),), guarded=True)
    policy = opening.policy
    if policy.decision == "approve":
        return _approve(opened, now, reason=policy.say, rule=policy.rule)
    if policy.decision == "deny":
        return _deny(opened, now, reason=policy.say or policy.why or None, rule=policy.rule)
    return opened


def view(
    request: ApprovalRequest, person: Person, origin: Origin, shown: str, now: datetime
) -> Change:
    """A person opens the full details. Raises `NotAllowed` for who has no right to them."""
    if "auditor" not in person.roles:
        _check_may_decide(request, person)
    event = RequestViewed(person=person.id, origin=origin, revision=request.revision, shown=shown)
    if has_viewed(request, person):
        return Change(request, (event,))
    seen = View(person=person.id, via=origin.via, revision=request.revision, at=now)
    return Change(request.model_copy(update={"views": (*request.views, seen)}), (event,))


def review(
    request: ApprovalRequest, voting: Voting, now: datetime, *, denied_by: DenyRule | None = None
) -> Change:
    """A person's vote. One deny ends the request; approvals count distinct persons, stage by stage.

    `denied_by` is a deny rule now in force: an approval then ends the request as denied by it.
    """
    _check_may_decide(request, voting.person)
    _check_pending(request)
    if any(given.person == voting.person.id for given in request.reviews):
        raise AlreadyReviewed("You have already voted on this request. A vote cannot be changed.")
    if voting.revision not in (None, request.revision):
        raise StaleRevision("The request has changed since you looked at it. View it again.")
    if voting.vote == "deny":
        return _vote_against(request, voting, now)
    if why_not := why_no_approval(request, voting.person):
        raise NotApprover(why_not)
    if not (request.policy.quick_approve or has_viewed(request, voting.person)):
        raise NotReviewed("View the full request before you approve it.")
    if denied_by:
        pending = Change(request, (), valid_before=request.expires_at)
        say, rule, policy = denied_by.say, denied_by.rule, denied_by.policy
        return _deny(pending, now, reason=say, rule=rule, policy=policy)
    return _vote_for(request, voting, now)


CancelCause = Literal["by_service", "by_requester", "by_admin", "subject_erased"]


def cancel_by_service(request: ApprovalRequest, now: datetime) -> Change:
    """The service that asked takes its request back."""
    _check_pending(request)
    event = RequestDecided(type="request.cancelled", actor=request.service, reason="by_service")
    return _cancel(request, now, "by_service", event)


def cancel_by_person(request: ApprovalRequest, cancelling: TakingBack, now: datetime) -> Change:
    """The requester or an admin takes it back. Raises `NotAllowed` for anybody else."""
    person = cancelling.person
    is_requester = person.id == request.asked.requester.person
    if not (is_requester or "admin" in person.roles):
        raise NotAllowed("Only the requester or an admin may cancel this request.")
    _check_pending(request)
    cause: CancelCause = "by_requester" if is_requester else "by_admin"
    event = RequestDecided(
        type="request.cancelled", actor=person.id, origin=cancelling.origin, reason=cause
    )
    return _cancel(request, now, cause, event, cancelling.reason)


def erase(request: ApprovalRequest, erasing: TakingBack, now: datetime) -> Change | None:
    """The data subject is forgotten: no words, no salt; what was still to happen does not.

    None where they are forgotten already. Who may ask for it is for the caller to check.
    """
    if request.erased_at:
        return None
    person, origin = erasing.person.id, erasing.origin
    erased = RequestErased(person=person, origin=origin, reason="by_admin")
    stopped = grants.erase(request, erasing, now)
    if not request.is_final and now < request.expires_at:
        event = RequestDecided(
            type="request.cancelled", actor=person, origin=origin, reason="subject_erased"
        )
        stopped = _cancel(request, now, "subject_erased", event)
    return forgotten(stopped or _on_time(request, now) or Change(request, ()), erased, now)


def _on_time(request: ApprovalRequest, now: datetime) -> Change | None:
    """The end that time has made and nobody has written down yet."""
    is_over = not request.is_final or (request.grant and request.grant.status == "active")
    return on_deadline(request, now) if is_over else None


def on_presented(request: ApprovalRequest, place: str, now: datetime) -> Change | None:
    """A card stands at `place`. None when it makes no difference: one stood before, or it is over.

    What was undeliverable is presented too: a channel has been mended.
    """
    if request.is_final or request.delivery == "presented":
        return None
    shown = {"delivery": "presented", "first_shown_at": request.first_shown_at or now}
    # A card that came after the deadline has shown nobody what they could have decided.
    return Change(
        request.model_copy(update=shown),
        (RequestPresented(place=place),),
        valid_before=request.expires_at,
    )


def on_undeliverable(request: ApprovalRequest) -> Change | None:
    """No place takes the card; people may still decide elsewhere. None where one has taken it."""
    if request.is_final or request.delivery != "queued":
        return None
    after = request.model_copy(update={"delivery": "undeliverable"})
    return Change(after, (RequestUndeliverable(),))


def on_deadline(request: ApprovalRequest, now: datetime) -> Change | None:
    """What time itself does: reminders and escalations, expiry, then the grant's end.

    None when nothing is due. Expiry wins over all that is overdue with it.
    """
    due = next_deadline(request)
    is_wrong = _is_from_the_future(request, now)
    if due is None or (now < due and not is_wrong):
        return None
    if request.is_final:
        changed = grants.on_deadline(request, now, is_wrong=is_wrong) if request.grant else None
        return changed or forget(request, now)
    if now < request.expires_at and not is_wrong:
        return take_steps(request, now)
    return _expire(request, now)


def _is_from_the_future(request: ApprovalRequest, now: datetime) -> bool:
    # Made while the store's clock ran ahead, and then it was set back: the window it was given
    # would stand open for as long as the clock was wrong.
    began = request.decision.at if request.decision else request.created_at
    return began > now


def next_deadline(request: ApprovalRequest) -> datetime | None:
    """When time next changes this request, always computed from the whole record."""
    if not request.is_final:
        return next_step(request) or request.expires_at
    return grants.next_deadline(request) or forget_at(request)


def already_final(request: ApprovalRequest) -> AlreadyFinal:
    """The refusal that tells a loser who decided, and how."""
    facts = {"status": request.status, "decision": public_decision(request)}
    return AlreadyFinal(f"This request is already {request.status}.", facts=facts)


def _check_may_decide(request: ApprovalRequest, person: Person) -> None:
    if person.id == request.asked.requester.responsible:
        raise OwnRequest("Nobody decides their own request, or that of a machine they own.")
    if not may_decide(request, person):
        raise NotApprover("You are not an approver of this request.")


def _check_pending(request: ApprovalRequest) -> None:
    if request.is_final:
        raise already_final(request)


def _voted(
    request: ApprovalRequest, given: Review, origin: Origin, policy: str | None = None
) -> Change:
    event = RequestReviewed(
        person=given.person,
        origin=origin,
        vote=given.vote,
        revision=given.revision,
        stage=given.stage,
        groups=given.groups,
        policy=policy,
    )
    after = request.model_copy(update={"reviews": (*request.reviews, given)})
    return Change(after, (event,), valid_before=request.expires_at)


def _vote(request: ApprovalRequest, voting: Voting, now: datetime) -> Review:
    return Review(
        person=voting.person.id,
        via=voting.origin.via,
        vote=voting.vote,
        revision=request.revision,
        at=now,
        reason=voting.reason,
    )


def _vote_for(request: ApprovalRequest, voting: Voting, now: datetime) -> Change:
    given = _vote(request, voting, now)
    if stage := open_stage(request):
        groups = tuple(group for group in stage.groups if group in voting.person.groups)
        given = given.model_copy(update={"stage": stage.index, "groups": groups})
    # A denial is safe on any clock; an approval is not given while the store's clock is in doubt.
    voted = replace(_voted(request, given, voting.origin, voting.policy), guarded=True)
    if open_stage(voted.request):
        return voted
    by = tuple(DecidedBy(person=r.person, via=r.via) for r in voted.request.approvals)
    policy = request.policy
    return _approve(voted, now, by=by, reason=policy.say, rule=policy.rule)


def _vote_against(request: ApprovalRequest, voting: Voting, now: datetime) -> Change:
    if not voting.reason:
        raise ReasonRequired("Say why: a denial needs a reason.")
    voted = _voted(request, _vote(request, voting, now), voting.origin)
    by = (DecidedBy(person=voting.person.id, via=voting.origin.via),)
    return _deny(voted, now, by=by, reason="denied_by_approver", rule=request.policy.rule)


def _approve(
    before: Change,
    now: datetime,
    *,
    by: tuple[DecidedBy, ...] = (),
    reason: str | None,
    rule: str,
) -> Change:
    request = before.request
    grant = grants.granted(request, now)
    event = RequestDecided(
        type="request.approved",
        by=tuple(who.person for who in by),
        rule=rule,
        grant=grant.id,
        grant_expires_at=grant.expires_at,
        uses=grant.uses_left,
    )
    decision = Decision(outcome="approved", at=now, by=by, reason=reason, rule=rule)
    return _final(before, decision, event, grant=grant)


def _deny(
    before: Change,
    now: datetime,
    *,
    by: tuple[DecidedBy, ...] = (),
    reason: str | None,
    rule: str,
    policy: str | None = None,
) -> Change:
    event = RequestDecided(
        type="request.denied",
        by=tuple(who.person for who in by),
        rule=rule,
        policy=policy,
        reason="denied_by_approver" if by else "denied_by_policy",
    )
    decision = Decision(outcome="denied", at=now, by=by, reason=reason, rule=rule, policy=policy)
    return _final(before, decision, event)


def _cancel(
    request: ApprovalRequest,
    now: datetime,
    cause: CancelCause,
    event: RequestDecided,
    note: Encrypted | None = None,
) -> Change:
    before = Change(request, (), valid_before=request.expires_at)
    decision = Decision(outcome="cancelled", at=now, reason=cause, note=note)
    return _final(before, decision, event)


def _expire(request: ApprovalRequest, now: datetime) -> Change:
    reasons = {
        "presented": "no_decision",
        "queued": "not_presented",
        "undeliverable": "undeliverable",
    }
    reason = reasons[request.delivery]
    event = RequestDecided(type="request.expired", reason=reason)
    decision = Decision(outcome="expired", at=now, reason=reason)
    return _final(Change(request, ()), decision, event)


def _final(
    before: Change, decision: Decision, event: RequestDecided, *, grant: Grant | None = None
) -> Change:
    status: Status = decision.outcome
    after = before.request.model_copy(
        update={"status": status, "decision": decision, "grant": grant}
    )
    return Change(
        after,
        (*before.events, event),
        callback=f"request.{status}",
        guarded=before.guarded,
        valid_before=before.valid_before,
    )


def _opened(opening: Opening, request: ApprovalRequest) -> RequestOpened:
    asked = opening.asked
    return RequestOpened(
        service=opening.caller.service,
        key=opening.caller.key_id,
        address=opening.caller.address,
        action=asked.action,
        requester=asked.requester.person or asked.requester.id,
        owner=asked.requester.owner,
        subject=asked.subject_mark,
        body=opening.body_mark,
        words=digest_of_words(asked.personal),
        findings=tuple(dict.fromkeys(finding.kind for finding in asked.findings)),
        digest=opening.digest,
        rule=opening.policy.rule,
        policy=opening.policy.version,
        decision=opening.policy.decision,
        context=asked.context,
        ignored=asked.context_ignored,
        shadow=opening.policy.shadow,
        shadow_failed=opening.policy.shadow_failed,
        expires_at=request.expires_at,
    )

"""The cards of a request, for a channel, for one person, and in full. Words only, no platform.

A pending channel card holds policy's words, service, requester, counts, data classes, times, state
and id (DESIGN decision 9), and the justification where policy says so. A final one holds who, what,
when and the outcome. Subject, fields and reasons are in the review form alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from approvals.grants import may_revoke
from approvals.model import (
    ApprovalRequest,
    Decision,
    Escalation,
    Person,
    PersonId,
    PiiInText,
    Requester,
    Review,
    TextFinding,
)
from approvals.policy.people import People
from approvals.privacy.full_view import FullView
from approvals.privacy.masking import Shown, said
from approvals.standing import (
    all_of,
    asked_next,
    may_approve,
    may_vote,
    why_no_approval,
)
from bot.chat import details
from bot.chat.access import access, receipt
from bot.chat.access import steps as access_steps
from bot.chat.buttons import button, buttons_for, channel_buttons, revoke_button
from bot.chat.card import (
    Button,
    Card,
    Fact,
    Form,
    Input,
    Item,
    Line,
    Listing,
    Moment,
    Quote,
    Said,
    Step,
    Who,
    many,
    plain,
)
from bot.chat.findings import taken_out, taken_out_of_own

_TRIAL = "Trial: the store of this deployment may lose decisions."
_BY_MISTAKE = "This card was posted twice by mistake."
_WHY = "Why, in the requester's words"
_NO_ACCESS = " No access was given."
_REASON = "Do not write personal data here."
_WHY_DENIED = Input(name="reason", label="Why is it denied?", hint=_REASON, is_required=True)
_WHY_REVOKED = Input(name="reason", label="Reason, if you revoke the access", hint=_REASON)
_CANCELLED_BY = {
    "by_service": "by the service",
    "by_requester": "by the requester",
    "by_admin": "by an admin",
    "subject_erased": "because its subject was erased",
}
_EXPIRED = {
    "not_presented": " It reached no approver in time.",
    "undeliverable": " It could not be delivered to any approver.",
}


class Messages:
    """Makes cards. `people` answers today's people.yaml, `pii_in_text` how policy takes it today.

    `is_trial`: durability is `none`.
    """

    def __init__(
        self,
        people: Callable[[], People],
        *,
        pii_in_text: Callable[[], PiiInText] = lambda: "mask",
        is_trial: bool = False,
    ) -> None:
        self._people = people
        self._pii_in_text = pii_in_text
        self._is_trial = is_trial

    def channel_card(self, request: ApprovalRequest, justification: Shown | None = None) -> Card:
        """The card that everybody in a channel sees, whatever state the request is in.

        `justification` is for where policy shows it; a final card holds none.
        """
        card = self._card(request, channel_buttons(request))
        if justification is None or request.is_final:
            return card
        return card.model_copy(update={"quotes": (Quote(label=_WHY, text=justification),)})

    def blank(self, request: ApprovalRequest) -> Card:
        """What a channel card is in the end: without title and names."""
        closed, kept = f"Request {request.id} is closed", "Its record is kept in the audit."
        return Card(
            state="info", title=closed, text=f"{closed}. {kept}", request=request.id,
            notes=((kept,),),
        )  # fmt: skip

    def personal_card(self, request: ApprovalRequest, person: Person) -> Card:
        """The card as one person sees it who may see it: with what they can do, and its story."""
        card = self._card(request, buttons_for(request, person))
        return card.model_copy(update={"steps": tuple(self.steps(request))})

    def superseded(self, request: ApprovalRequest) -> Card:
        """In place of a card that was posted twice: no button, and where to look.

        Nobody comes back to blank it, so it holds neither title nor names from the start.
        """
        title = f"Request {request.id}"
        return Card(
            state="info", title=title, text=f"{title}: {_BY_MISTAKE} Another one counts.",
            request=request.id, notes=((f"{_BY_MISTAKE} Use the other one.",),),
        )  # fmt: skip

    def review_form(self, request: ApprovalRequest, view: FullView, person: Person) -> Form:
        """All that an entitled person may see, with Approve and Deny for who may still vote."""
        card = self._card(request, ()).model_copy(
            update={
                "facts": (*self._facts(request), *details.facts(view)),
                "quotes": tuple(details.quotes(view, lambda person: self.who(person).name)),
                "notes": (*details.notes(view, self._pii_in_text()), *self._notes(request)),
                "steps": tuple(self.steps(request)),
            }
        )
        if not may_vote(request, person):
            return _only_read(request, card, person)
        deny = button("deny", "Deny", request, "danger")
        if not may_approve(request, person):
            why_not = (why_no_approval(request, person) or "",)
            card = card.model_copy(update={"notes": (*card.notes, why_not)})
            form = Form(title="Review this request", card=card)
            return form.model_copy(update={"inputs": (_WHY_DENIED,), "submits": (deny,)})
        approve = button("approve", "Approve", request, "primary")
        reason = Input(name="reason", label="Reason or comment (a denial needs one)", hint=_REASON)
        return Form(
            title="Review this request", card=card, inputs=(reason,), submits=(approve, deny)
        )

    def deny_form(self, request: ApprovalRequest) -> Form:
        """Asks for the reason that a denial needs."""
        card = self._card(request, ())
        deny = button("deny", "Deny", request, "danger")
        return Form(title="Deny this request", card=card, inputs=(_WHY_DENIED,), submits=(deny,))

    def listing(self, requests: Sequence[ApprovalRequest], person: Person, most: int) -> Listing:
        """The requests that wait, the next to expire first; at most `most` rows."""
        count = len(requests)
        title = "Nothing waits for a decision" if not count else f"{many(count, 'request')} waiting"
        items = tuple(self._item(request, person) for request in requests[:most])
        note = f"The next {most} to expire are shown." if count > most else ""
        return Listing(title=title, text=f"{title}. {note}".strip(), items=items, note=note)

    def steps(self, request: ApprovalRequest) -> Iterator[Step]:
        """What has happened so far, oldest first."""
        yield from sorted(self._steps(request), key=lambda step: step.at)

    def outcome(self, request: ApprovalRequest) -> Line:
        """How a final request ended: by whom, when, and what follows."""
        decision = request.decision
        if decision is None:
            return ()
        return (*self._decided(request, decision), *access(request, self.who))

    def _decided(self, request: ApprovalRequest, decision: Decision) -> Line:
        at: Line = (" at ", Moment(at=decision.at), ".")
        if decision.outcome == "approved":
            return ("Approved", *self._by(request), *at)
        if decision.outcome == "denied":
            return ("Denied", *self._by(request), *at, _NO_ACCESS)
        if decision.outcome == "cancelled":
            why = _CANCELLED_BY.get(decision.reason or "", "")
            return (f"Cancelled {why}".rstrip(), *at, _NO_ACCESS)
        late = _EXPIRED.get(decision.reason or "", "")
        return (f"Expired with {votes(request)}", *at, late, _NO_ACCESS)

    def missing(self, request: ApprovalRequest) -> Line:
        """Whose approvals a pending request still lacks, and until when."""
        is_plain = len(request.policy.stages) <= 1 and not request.policy.distinct_groups
        told = asked_next(request) + (" by " if is_plain else ", by ")
        return (told, Moment(at=request.expires_at, is_deadline=True), ".")

    def warnings(self, request: ApprovalRequest, own: Sequence[TextFinding] = ()) -> Iterator[Line]:
        """What a private reply adds: what was taken out of `own` words, and policy's warning."""
        mode = self._pii_in_text()
        if told := taken_out_of_own(own, mode):
            yield (told,)
        if mode == "warn" and (told := taken_out(request.asked.findings, mode)):
            yield (told,)

    def who(self, person: PersonId) -> Who:
        """A person by the name of people.yaml, or by id when they are no longer listed."""
        known = self._people().person(person)
        return Who(person=person, name=known.name if known else person)

    def requester(self, requester: Requester) -> Line:
        """Who asks: a person, or a machine with its owner."""
        if requester.person:
            return (self.who(requester.person),)
        machine = Said(text=said(requester.id))
        return (
            (machine, ", a machine of ", self.who(requester.owner))
            if requester.owner
            else (machine,)
        )

    def _card(self, request: ApprovalRequest, buttons: tuple[Button, ...]) -> Card:
        return Card(
            state=request.status,
            title=request.asked.title,
            text=self._sentence(request),
            request=request.id,
            facts=() if request.is_final else tuple(self._facts(request)),
            notes=tuple(self._closing(request) if request.is_final else self._notes(request)),
            buttons=buttons,
        )

    def _facts(self, request: ApprovalRequest) -> Iterator[Fact]:
        asked = request.asked
        yield Fact(label="Asked by", line=self.requester(asked.requester))
        yield Fact(label="Service", line=(request.service,))
        if asked.record_count is not None:
            yield Fact(label="Records", line=(f"{asked.record_count:,}",))
        if asked.data_classes:
            classes = Said(text=said(", ".join(asked.data_classes)))
            yield Fact(label="Data", line=(classes,))
        if request.policy.decision == "review":
            yield Fact(label="Approvals", line=(votes(request),))
        if not request.is_final:
            until = Moment(at=request.expires_at, is_deadline=True)
            yield Fact(label="Decide by", line=(until,))

    def _closing(self, request: ApprovalRequest) -> Iterator[Line]:
        """All that is left to say in public once a request is final."""
        yield from self._ended(request)
        who = self.requester(request.asked.requester)
        yield ("Asked by ", *who, f" through {request.service}. Request {request.id}")
        yield from self._trial()

    def _ended(self, request: ApprovalRequest) -> Iterator[Line]:
        if request.decision:
            yield self._decided(request, request.decision)
            # A line of its own: below "Approved", it is what one looks for.
            yield from filter(None, (access(request, self.who)[1:], receipt(request)))

    def _notes(self, request: ApprovalRequest) -> Iterator[Line]:
        if request.is_final:
            yield from self._ended(request)
        else:
            for review in request.approvals:
                yield (self.who(review.person), " approved at ", Moment(at=review.at), ".")
            yield (f"{asked_next(request)}.",)
            yield from _steps_taken(request)
        why = request.policy.why
        rule = f"Rule {request.policy.rule}: {why}" if why else f"Rule {request.policy.rule}"
        yield (f"{rule}. Request {request.id}",)
        yield from self._trial()

    def _trial(self) -> Iterator[Line]:
        if self._is_trial:
            yield (_TRIAL,)

    def _sentence(self, request: ApprovalRequest) -> str:
        asked = request.asked
        count = None if request.is_final else asked.record_count
        records = "" if count is None else f", {many(count, 'record')}"
        who = plain(self.requester(asked.requester))
        state = self.outcome(request) or (f"{votes(request)}. ", *self.missing(request))
        state = (*state, " ", *receipt(request)) if receipt(request) else state
        about = f"{asked.title}, asked by {who} through {request.service}{records}"
        heading = "Approval needed: " if not request.is_final else ""
        return f"{heading}{about}. {plain(state)} Request {request.id}."

    def _steps(self, request: ApprovalRequest) -> Iterator[Step]:
        asked_by = ("Asked by ", *self.requester(request.asked.requester))
        yield Step(at=request.created_at, line=asked_by)
        if request.first_shown_at:
            yield Step(at=request.first_shown_at, line=("Shown to the approvers",))
        for seen in request.views:
            yield Step(at=seen.at, line=(self.who(seen.person), " looked at the details"))
        for review in request.reviews:
            yield Step(at=review.at, line=(self.who(review.person), _verb(request, review)))
        for number, at in enumerate(request.reminders, start=1):
            yield Step(at=at, line=(f"Reminder {number}: it still waited",))
        for number, escalation in enumerate(request.escalations, start=1):
            at = request.created_at + escalation.after
            yield Step(at=at, line=(f"Escalation {number}: {_added(escalation)}",))
        if request.decision:
            yield Step(at=request.decision.at, line=(_OUTCOMES[request.decision.outcome],))
        yield from access_steps(request, self.who)
        if request.erased_at:
            yield Step(at=request.erased_at, line=("Words erased",))

    def _by(self, request: ApprovalRequest) -> Line:
        by = request.decision.by if request.decision else ()
        if not by:
            rule = request.decision.rule if request.decision else None
            return (f" by rule {rule}",)
        people: list[str | Who] = []
        for who in by:
            joint = " by " if not people else " and " if who is by[-1] else ", "
            people += [joint, self.who(who.person)]
        return tuple(people)

    def _item(self, request: ApprovalRequest, person: Person) -> Item:
        who = self.requester(request.asked.requester)
        until = Moment(at=request.expires_at, is_deadline=True)
        line: Line = (request.asked.title, ", asked by ", *who, f". {votes(request)}, by ", until)
        buttons = buttons_for(request, person)
        review = next((button for button in buttons if button.action == "review"), None)
        return Item(line=line, button=review)


_OUTCOMES = {
    "approved": "The request is approved",
    "denied": "The request is denied",
    "expired": "The request has expired",
    "cancelled": "The request is cancelled",
}


def _only_read(request: ApprovalRequest, card: Card, person: Person) -> Form:
    """For who has no vote: the request, and the access to take back for who may."""
    form = Form(title="Request in full", card=card)
    if not may_revoke(request, person):
        return form
    submits = (revoke_button(request),)
    return form.model_copy(update={"inputs": (_WHY_REVOKED,), "submits": submits})


def votes(request: ApprovalRequest) -> str:
    """`1 of 2 approvals`."""
    return f"{len(request.approvals)} of {many(request.policy.threshold, 'approval')}"


def _steps_taken(request: ApprovalRequest) -> Iterator[Line]:
    """What time has done to a request that still waits; of the reminders the last."""
    for escalation in request.escalations:
        at = Moment(at=request.created_at + escalation.after)
        yield ("Escalated at ", at, f": {_added(escalation)}.")
    if request.reminders:
        at = Moment(at=request.reminders[-1])
        yield (f"Reminder {request.reminded} at ", at, ": this request still waits.")


def _added(escalation: Escalation) -> str:
    asked = f"{all_of(escalation.groups)} may decide too" if escalation.groups else ""
    told = f"also told in {all_of(escalation.notify)}" if escalation.notify else ""
    return ", ".join(part for part in (asked, told) if part)


def _verb(request: ApprovalRequest, review: Review) -> str:
    if review.vote == "deny":
        return " denied"
    stages = len(request.policy.stages)
    return f" approved in stage {review.stage + 1} of {stages}" if stages > 1 else " approved"

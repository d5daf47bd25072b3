"""Requests in words for a terminal: who, what, how many, how long. Decides nothing.

`card` holds what anybody at the terminal may see; `details` what only an entitled person may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from approvals.answer import (
    Json,
    callback_data,
    grant_story,
    public_decision,
    receipt_due_at,
    receipt_missed_at,
)
from approvals.model import ApprovalRequest, Grant, PersonId, PiiInText, Requester
from approvals.policy.people import People
from approvals.privacy.full_view import FullView
from approvals.privacy.masking import ERASED, Shown, said, scanned
from approvals.standing import all_of, any_of, asked_next, open_stage
from bot.chat.asker import shown_id
from bot.chat.card import many
from bot.chat.details import ERASED_WORDS
from bot.chat.findings import taken_out
from bot.terminal import wrapped

_MARGIN, _LABEL = 2, 12  # the widths of the left columns
_CAUSES = {
    "no_decision": "nobody decided in time",
    "not_presented": "it reached no approver in time",
    "undeliverable": "it could not be delivered to any approver",
    "by_service": "by the service",
    "by_requester": "by the requester",
    "by_admin": "by an admin",
    "subject_erased": "the subject was erased",
    "denied_by_approver": "",
}

_CLOSINGS = {
    "time": "by time",
    "by_service": "early by {service}",
    "receipt": "with its receipt",
    "by_requester": "the requester",
    "by_approver": "an approver",
    "by_admin": "an admin",
    "denied_by_policy": "by a deny rule now in force",
    "subject_erased": "because its subject was erased",
}

Row = tuple[str, str]  # a label and its text; further rows of one label have an empty one


class Naming:
    """People as others know them: the name of people.yaml, and the id that does not change."""

    def __init__(self, people: People) -> None:
        self._people = people

    def person(self, person: PersonId) -> str:
        """`Anna Ek (anna)`; the bare id of somebody no longer listed."""
        known = self._people.person(person)
        return f"{known.name} ({person})" if known else person

    def requester(self, requester: Requester) -> str:
        """`Jonas Berg (okta:00u1)`, or a machine with its owner."""
        if requester.owner:
            return f"{shown_id(requester)}, a machine of {self.person(requester.owner)}"
        known = self._people.person(requester.person) if requester.person else None
        return f"{known.name} ({requester.id})" if known else requester.id


def card_data(request: ApprovalRequest, naming: Naming) -> Json:
    """The facts of a card for machines."""
    asked, grant = request.asked, request.grant
    return {
        **callback_data(request),
        "requester": {"id": shown_id(asked.requester)},
        "grant": grant_story(request, grant) if grant else None,
        "title": asked.title,
        "requester_name": naming.requester(asked.requester),
        "record_count": asked.record_count,
        "data_classes": list(map(said, asked.data_classes)),
    }


def card(request: ApprovalRequest, naming: Naming, now: datetime, width: int) -> list[str]:
    """The facts of a card: policy's words, who asks, counts, times and state."""
    rows = (*_who(request, naming), *_state(request, naming, now))
    return [_head(request), *_laid_out(rows, width)]


def details(
    view: FullView,
    request: ApprovalRequest,
    naming: Naming,
    now: datetime,
    width: int,
    *,
    pii_in_text: PiiInText = "mask",
) -> list[str]:
    """Everything an entitled person may see, masked. `pii_in_text` is how policy takes it today."""
    rows = [*_who(request, naming), *_why(view, pii_in_text)]
    rows += _row("named as", f"{view.given_name} (by the service)") if view.given_name else []
    for label, value in (("subject", view.subject), ("ticket", view.ticket)):
        rows += _row(label, value) if value else []
    rows += _row("purpose", view.purpose) if view.purpose else []
    rows += _row("fields", *(f"{field.name}: {field.value}" for field in view.fields))
    if view.hidden_fields:
        rows += _row("not shown", count(view.hidden_fields, "more field"))
    says = f"(says {request.service})"
    rows += _row(
        "context", *(f"{name}: {scanned(one)} {says}" for name, one in view.context.items())
    )
    rows += _row("ignored", *(f"{name} {says}, not believed" for name in view.context_ignored))
    rows += _state(request, naming, now)
    rows += _words(view, naming)
    return [_head(request), *_laid_out(rows, width)]


def _why(view: FullView, pii_in_text: PiiInText) -> Iterator[Row]:
    yield from _row("why", ERASED_WORDS if view.is_erased else view.justification)
    if view.is_erased:
        return
    if told := taken_out(view.masked, pii_in_text):
        yield from _row("scan", told)


def _words(view: FullView, naming: Naming) -> Iterator[Row]:
    """What people and the service wrote later; of what is erased nothing."""
    told: list[tuple[str, str, Shown | None]] = [
        ("comment", f"{naming.person(each.person)}: ", each.text) for each in view.comments
    ]
    told += [("in words", "", view.said), ("revoking", "", view.revoking)]
    told += [("noted", "", view.receipt_note)]
    for label, whose, text in told:
        if text and text != ERASED:
            yield from _row(label, whose + text)


def state_of(request: ApprovalRequest, naming: Naming) -> str:
    """How a request stands, in one sentence without its subject: `approved by Anna Ek (anna)`."""
    decision, told = request.decision, public_decision(request)
    if decision is None or told is None:
        return "pending"
    people = " and ".join(naming.person(who.person) for who in decision.by)
    reason = str(told["reason"] or "")
    reason = " ".join(_CAUSES.get(reason, reason).split())
    by = f" by {people}" if people else ""
    if not by and decision.outcome in ("approved", "denied"):
        by = f" by rule {decision.rule}"
    return f"{decision.outcome}{by}" + (f" ({reason})" if reason else "")


def grant_state(request: ApprovalRequest, grant: Grant, naming: Naming, now: datetime) -> str:
    """How a grant stands: `revoked by Anna Ek (anna), an approver, 2026-11-23 14:22:00 UTC`."""
    until = clock(grant.expires_at)
    if grant.status == "active" and now >= grant.expires_at:
        return f"over, its time was up at {until}"
    if grant.status == "active":
        return f"active until {until}, {time_left(grant.expires_at, now)}"
    if grant.status == "used":
        return f"used, {clock(grant.redemptions[-1].at)}"
    closing = grant.closing
    if closing is None:
        return f"{grant.status}, its time ended {until}"
    how = _CLOSINGS[closing.reason].format(service=request.service)
    by = f" by {naming.person(closing.person)}," if closing.person else ""
    return f"{grant.status}{by} {how}, {clock(closing.at)}"


def votes(request: ApprovalRequest) -> str:
    """`1/2`."""
    return f"{len(request.approvals)}/{request.policy.threshold}"


def progress(request: ApprovalRequest) -> str:
    """`1/3, stage 1 of 2: privacy`: the votes, and whose are asked next where that is told."""
    stage, policy = open_stage(request), request.policy
    if stage is None or not (policy.distinct_groups or len(policy.stages) > 1):
        return votes(request)
    where = f"stage {stage.index + 1} of {len(policy.stages)}" if policy.stages else "next"
    return f"{votes(request)}, {where}: {any_of(stage.free)}"


def time_left(until: datetime, now: datetime) -> str:
    """`in 12m 03s`; two units at most."""
    seconds = int((until - now) / timedelta(seconds=1))
    if seconds <= 0:
        return "now"
    if seconds < 60:
        return f"in {seconds}s"
    for size, unit, small, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if seconds >= size:
            return f"in {seconds // size}{unit} {seconds % size // small:02d}{smaller}"
    return f"in {seconds // 60}m {seconds % 60:02d}s"


def clock(at: datetime) -> str:
    """`2026-11-23 14:32:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def count(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`, `no rules`."""
    return f"{number or 'no'} {noun}" + ("" if number == 1 else "s")


def _head(request: ApprovalRequest) -> str:
    return f"{request.asked.title}: {request.status}"


def _who(request: ApprovalRequest, naming: Naming) -> Iterator[Row]:
    asked = request.asked
    yield from _row("id", request.id)
    yield from _row("asked by", f"{naming.requester(asked.requester)}, through {request.service}")
    if asked.record_count is not None:
        yield from _row("records", f"{asked.record_count:,}")
    if asked.data_classes:
        yield from _row("data", said(", ".join(asked.data_classes)))


def _state(request: ApprovalRequest, naming: Naming, now: datetime) -> Iterator[Row]:
    policy = request.policy
    yield from _row("rule", f"{policy.rule}: {policy.why}" if policy.why else policy.rule)
    if policy.decision == "review":
        given = [naming.person(review.person) for review in request.approvals]
        of_whom = f" ({', '.join(given)})" if given else ""
        yield from _row("approvals", f"{len(given)} of {policy.threshold}{of_whom}")
        if not request.is_final:
            yield from _row("next", f"{asked_next(request)}.")
    yield from _row("asked at", clock(request.created_at))
    yield from _steps_taken(request)
    if request.decision:
        yield from _row("outcome", f"{state_of(request, naming)}, {clock(request.decision.at)}")
    else:
        left = time_left(request.expires_at, now)
        yield from _row("expires", f"{clock(request.expires_at)}, {left}")
    if request.grant:
        yield from _row("grant", grant_state(request, request.grant, naming, now))
        yield from _uses(request, request.grant)
        yield from _receipt(request, request.grant, now)
    if request.erased_at:
        yield from _row("erased", f"nobody's words are kept, {clock(request.erased_at)}")


def _uses(request: ApprovalRequest, grant: Grant) -> Iterator[Row]:
    told = [clock(use.at) for use in grant.redemptions]
    if request.uses > 1:
        told = [f"{at}, use {number} of {request.uses}" for number, at in enumerate(told, start=1)]
        if grant.status == "active":
            told.append(f"{grant.uses_left} of {request.uses} uses left")
    elif grant.status == "used":
        return  # that is its state
    if not told and grant.status != "active":
        told = ["never"]
    yield from _row("redeemed", *told)


def _receipt(request: ApprovalRequest, grant: Grant, now: datetime) -> Iterator[Row]:
    told = []
    missed_at, due_at = receipt_missed_at(request, grant), receipt_due_at(request, grant)
    if grant.receipt:
        given, asked = grant.receipt, request.asked.record_count
        how = "done" if given.outcome == "succeeded" else "failed"
        count = many(given.records, "record")
        if asked is not None and not request.is_overused:
            count = f"{given.records:,} of {many(asked, 'record')}"
        told.append(f"{how}, {count}, {clock(given.at)}")
        told += [f"larger than asked, which was {asked:,}"] if request.is_overused else []
        told += [f"late, it was due by {clock(missed_at)}"] if missed_at else []
    elif missed_at:
        told.append(f"missing, it was due by {clock(missed_at)}")
    elif due_at:
        told.append(f"due by {clock(due_at)}, {time_left(due_at, now)}")
    yield from _row("receipt", *told)


def _steps_taken(request: ApprovalRequest) -> Iterator[Row]:
    for at in request.reminders:
        yield from _row("reminded", clock(at))
    for step in request.escalations:
        asked = f", {all_of(step.groups)} may decide too" if step.groups else ""
        told = f", also told in {all_of(step.notify)}" if step.notify else ""
        when = clock(request.created_at + step.after)
        yield from _row("escalated", f"{when}{asked}{told}")


def _row(label: str, *texts: str) -> list[Row]:
    labels = [label, *[""] * len(texts)]
    return list(zip(labels, texts, strict=False))


def _laid_out(rows: Iterable[Row], width: int) -> Iterator[str]:
    """Each text right of its label, broken by us, so that none can pose as a row."""
    for label, text in rows:
        first, *more = wrapped(text, width - _MARGIN - _LABEL)
        yield f"{'':{_MARGIN}}{label:{_LABEL}}{first}".rstrip()
        yield from (f"{'':{_MARGIN + _LABEL}}{line}" for line in more)

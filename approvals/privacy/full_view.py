"""What an entitled person sees when they open a request: every declared field through its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import JsonValue

from approvals.answer import Json, callback_data, grant_story
from approvals.digest import canonical
from approvals.model import ApprovalRequest, Decision, Frozen, PersonId
from approvals.policy.document import ShownField
from approvals.privacy.masking import masked
from approvals.signing import Marks


class ViewedField(Frozen):
    """One declared field as shown."""

    name: str
    show: str
    value: str


class Comment(Frozen):
    """What a person wrote beside their approval."""

    person: PersonId
    text: str


class FullView(Frozen):
    """The full details of one revision, masked. `given_name` is the service's word for who asks.

    `context` is what the service asserts, `context_ignored` what it may not. `said` is what the
    person said who denied or cancelled, `revoking` who took the grant back; `receipt_note` is what
    the service said with its receipt.
    """

    request: dict[str, JsonValue]
    title: str
    revision: int
    justification: str
    given_name: str | None
    ticket: str | None
    purpose: str | None
    subject: str | None
    record_count: int | None
    data_classes: tuple[str, ...]
    fields: tuple[ViewedField, ...]
    hidden_fields: int
    context: dict[str, JsonValue]
    context_ignored: tuple[str, ...]
    comments: tuple[Comment, ...]
    said: str | None
    revoking: str | None
    receipt_note: str | None

    def fingerprint(self) -> str:
        """`sha256:<hex>` of exactly what was shown, for the audit."""
        shown = canonical(self.model_dump(mode="json"))
        return "sha256:" + hashlib.sha256(shown).hexdigest()


def full_view(request: ApprovalRequest, fields: Mapping[str, ShownField], marks: Marks) -> FullView:
    """`request` as an entitled person may see it. `fields` are the action's declared ones today."""
    asked, grant = request.asked, request.grant

    def pseudonym(name: str, value: str) -> str:
        field = fields.get(name)
        scopes = {"global": "global", "day": f"{request.created_at:%Y-%m-%d}"}
        scope = scopes.get(field.scope, request.id) if field else request.id
        return marks.pseudonym(scope, name, value)

    shown = []
    for name, value in asked.params.items():
        # A field no longer declared is hidden, whatever it was when the request opened.
        show = fields[name].show if name in fields else "hidden"
        text = masked(show, value, lambda text, name=name: pseudonym(name, text))  # type: ignore[misc]
        shown.append(ViewedField(name=name, show=show, value=text))
    return FullView(
        request=_told(request),
        title=asked.title,
        revision=request.revision,
        justification=asked.justification,
        given_name=asked.requester.given_name,
        ticket=asked.ticket,
        purpose=asked.purpose,
        subject=pseudonym("subject", asked.subject) if asked.subject else None,
        record_count=asked.record_count,
        data_classes=asked.data_classes,
        fields=tuple(shown),
        hidden_fields=asked.hidden_fields,
        context=asked.context,
        context_ignored=asked.context_ignored,
        comments=tuple(
            Comment(person=given.person, text=given.reason)
            for given in request.approvals
            if given.reason
        ),
        said=_said(request.decision),
        revoking=grant.closing.note if grant and grant.closing else None,
        receipt_note=grant.receipt.note if grant and grant.receipt else None,
    )


def _told(request: ApprovalRequest) -> Json:
    """As others see it, and what became of its grant."""
    grant = request.grant
    return callback_data(request) | {"grant": grant_story(request, grant) if grant else None}


def _said(decision: Decision | None) -> str | None:
    if decision is None:
        return None
    is_spoken = decision.outcome == "denied" and decision.by
    return decision.reason if is_spoken else decision.note

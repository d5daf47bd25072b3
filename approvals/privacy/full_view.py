"""What an entitled person sees when they open a request: every declared field through its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from approvals.answer import Json, callback_data, grant_story
from approvals.digest import canonical
from approvals.model import ApprovalRequest, Frozen, PersonId, TextFinding
from approvals.policy.document import ShownField
from approvals.privacy.masking import HIDDEN, Shown, as_kept, said
from approvals.privacy.personal import KeptField
from approvals.privacy.vault import Reading
from approvals.signing import Marks


class ViewedField(Frozen):
    """One declared field as shown."""

    name: str
    show: str
    value: Shown


class Comment(Frozen):
    """What a person wrote beside their approval."""

    person: PersonId
    text: Shown


class FullView(Frozen):
    """The full details of one revision, masked. `given_name` is the service's word for who asks.

    `context` is what the service asserts, `context_ignored` what it may not. `said` is what the
    person said who denied or cancelled, `revoking` who took the grant back; `receipt_note` is what
    the service said with its receipt. `masked` is what the scan took out of the request's texts;
    of a request that `is_erased` nobody's words are left.
    """

    request: dict[str, JsonValue]
    title: str
    revision: int
    justification: Shown
    given_name: Shown | None
    ticket: Shown | None
    purpose: Shown | None
    subject: Shown | None
    record_count: int | None
    data_classes: tuple[Shown, ...]
    fields: tuple[ViewedField, ...]
    hidden_fields: int
    is_erased: bool
    masked: tuple[TextFinding, ...]
    context: dict[str, JsonValue]
    context_ignored: tuple[str, ...]
    comments: tuple[Comment, ...]
    said: Shown | None
    revoking: Shown | None
    receipt_note: Shown | None

    def fingerprint(self) -> str:
        """`sha256:<hex>` of exactly what was shown, for the audit."""
        shown = canonical(self.model_dump(mode="json"))
        return "sha256:" + hashlib.sha256(shown).hexdigest()


def full_view(
    request: ApprovalRequest,
    reading: Reading,
    fields: Mapping[str, ShownField],
    marks: Marks,
) -> FullView:
    """`request` as an entitled person may see it. `fields` are the action's declared ones today."""
    asked, personal = request.asked, reading.personal()
    mark = asked.subject_mark
    subject = as_kept(marks.pseudonym(request.id, "subject", mark)) if mark else None
    return FullView(
        request=_told(request),
        title=asked.title,
        revision=request.revision,
        justification=reading.justification(),
        given_name=_said(personal.given_name if personal else None),
        ticket=_said(personal.ticket if personal else None),
        purpose=_said(asked.purpose),
        subject=subject,
        record_count=asked.record_count,
        data_classes=tuple(map(said, asked.data_classes)),
        fields=tuple(_shown(kept, fields) for kept in (personal.fields if personal else ())),
        hidden_fields=asked.hidden_fields,
        is_erased=personal is None,
        masked=asked.findings,
        context=asked.context,
        context_ignored=asked.context_ignored,
        comments=tuple(_comments(request, reading)),
        said=reading.denied() or reading.cancelled(),
        revoking=reading.revoked(),
        receipt_note=reading.receipt(),
    )


def _shown(kept: KeptField, fields: Mapping[str, ShownField]) -> ViewedField:
    """A field that policy declares otherwise than when the request opened is hidden."""
    field = fields.get(kept.name)
    if field is None or field.show != kept.show:
        return ViewedField(name=kept.name, show="hidden", value=HIDDEN)
    return ViewedField(name=kept.name, show=kept.show, value=as_kept(kept.value))


def _comments(request: ApprovalRequest, reading: Reading) -> Iterator[Comment]:
    for given in request.approvals:
        if text := reading.reviewed(given.person):
            yield Comment(person=given.person, text=text)


def _said(text: str | None) -> Shown | None:
    return said(text) if text else None


def _told(request: ApprovalRequest) -> Json:
    """As others see it, and what became of its grant."""
    grant = request.grant
    return callback_data(request) | {"grant": grant_story(request, grant) if grant else None}

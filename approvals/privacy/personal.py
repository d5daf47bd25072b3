"""The personal part of a request: what is encrypted under its subject's key. Knows no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic import JsonValue

from approvals.model import Frozen, RequestId
from approvals.policy.document import Show, ShownField
from approvals.privacy.masking import Pseudonym, masked, text_of
from approvals.privacy.screening import Screening
from approvals.signing import Marks

Pseudonyms = Callable[[str, ShownField], Pseudonym]
PLACE = "personal"  # where in the record these words stand


class KeptField(Frozen):
    """One declared field: its class when the request opened, and the value through that mask."""

    name: str
    show: Show
    value: str


class Personal(Frozen):
    """The words of an opening, the texts among them as the scan left them."""

    justification: str
    ticket: str | None = None
    given_name: str | None = None
    fields: tuple[KeptField, ...] = ()


def kept_fields(
    params: Mapping[str, JsonValue],
    declared: Mapping[str, ShownField],
    screening: Screening,
    pseudonym: Pseudonyms,
) -> tuple[KeptField, ...]:
    """The declared and not hidden ones of `params`, each as its mask leaves it."""
    return tuple(
        KeptField(
            name=name,
            show=field.show,
            value=masked(
                field.show, _screened(name, field, value, screening), pseudonym(name, field)
            ),
        )
        for name, value in params.items()
        if (field := declared.get(name)) and field.show != "hidden"
    )


def _screened(name: str, field: ShownField, value: JsonValue, screening: Screening) -> JsonValue:
    pointer = "/params/" + name.replace("~", "~0").replace("/", "~1")
    if field.show == "scan":
        return screening.text(pointer, text_of(value))
    if field.show == "plain":  # an admin says that it identifies nobody; a secret it may still be
        screening.look(pointer, text_of(value))
    return value


def pseudonyms(marks: Marks, request: RequestId, at: datetime) -> Pseudonyms:
    """How fields of a request opened at `at` get their pseudonyms, each within its scope."""

    def of(name: str, field: ShownField) -> Pseudonym:
        scope = {"global": "global", "day": f"{at:%Y-%m-%d}"}.get(field.scope, request)
        return lambda value: marks.pseudonym(scope, name, value, is_global=scope == "global")

    return of

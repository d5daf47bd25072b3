"""Somebody's words as records keep them, and how they are read again: under one known key."""

from __future__ import annotations

from approvals.encryption import SubjectKey
from approvals.model import ApprovalRequest, Encrypted, RequestId
from approvals.privacy.personal import PLACE, KeptField, Personal
from approvals.privacy.vault import Reading, locked

KEY = SubjectKey(b"k" * 32)
JUSTIFICATION = "Customer asked for a copy of their data"


def words(text: str, place: str = "", request: str = "req_1") -> Encrypted:
    """`text` as it stands at `place` of a request."""
    return locked(KEY, RequestId(request), place, text)


def personal(
    justification: str = JUSTIFICATION,
    *fields: KeptField,
    ticket: str | None = None,
    given_name: str | None = None,
    request: str = "req_1",
) -> Encrypted:
    """What the service said."""
    said = Personal(
        justification=justification, ticket=ticket, given_name=given_name, fields=fields
    )
    return words(said.model_dump_json(), PLACE, request)


def reading(request: ApprovalRequest) -> Reading:
    """The words of a request whose subject has the known key."""
    return Reading(request, KEY)

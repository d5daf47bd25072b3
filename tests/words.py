"""Somebody's words in records that tests make themselves: one fixed key, and what it encrypts."""

from __future__ import annotations

from approvals.encryption import SubjectKey
from approvals.model import ApprovalRequest, Encrypted, RequestId
from approvals.privacy.personal import PLACE, KeptField, Personal
from approvals.privacy.vault import CANCELLING, RECEIPT, REVOKING, Reading, locked, review_place
from tests.configurations import ask

KEY = SubjectKey(b"k" * 32)
REQUEST = RequestId("req_1")  # as `tests/approvals/samples.py` names one
JUSTIFICATION = str(ask()["justification"])  # of a request that a story asks for


def personal(
    justification: str = "Case 4711 needs it",
    *,
    request: RequestId = REQUEST,
    ticket: str | None = None,
    given_name: str | None = None,
    fields: tuple[KeptField, ...] = (),
) -> Encrypted:
    """`Asked.personal` of `request`, as the scan and the masks would have left it."""
    said = Personal(
        justification=justification, ticket=ticket, given_name=given_name, fields=fields
    )
    return words(PLACE, said.model_dump_json(exclude_defaults=True), request=request)


def words(place: str, text: str, *, request: RequestId = REQUEST) -> Encrypted:
    """`text` for `place` of `request`."""
    return locked(KEY, request, place, text)


def reviewing(person: str, text: str, *, request: RequestId = REQUEST) -> Encrypted:
    """What `person` says with their vote."""
    return words(review_place(person), text, request=request)


def cancelling(text: str, *, request: RequestId = REQUEST) -> Encrypted:
    """What somebody says when cancelling."""
    return words(CANCELLING, text, request=request)


def revoking(text: str, *, request: RequestId = REQUEST) -> Encrypted:
    """What somebody says when revoking a grant."""
    return words(REVOKING, text, request=request)


def receipt_note(text: str, *, request: RequestId = REQUEST) -> Encrypted:
    """What a service says with its receipt."""
    return words(RECEIPT, text, request=request)


def reading(request: ApprovalRequest, key: SubjectKey | None = KEY) -> Reading:
    """The words of a request that were encrypted here; without `key` they are erased."""
    return Reading(request, key)

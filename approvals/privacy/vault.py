"""Words under their subjects' keys: encrypted on the way in, read again as far as they may be.

What is forgotten reads `[erased]`, never an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvals.answer import is_denied_by_person
from approvals.encryption import SubjectKey, Undecipherable
from approvals.model import (
    ERASED_WORDS,
    ApprovalRequest,
    Encrypted,
    RequestId,
)
from approvals.privacy.masking import ERASED, Shown, said
from approvals.privacy.personal import PLACE, Personal
from approvals.store.scripts import UnreadableRecord
from approvals.store.subject_keys import SubjectKeys

CANCELLING, REVOKING, RECEIPT = "cancelling", "revoking", "receipt"


class Reading:
    """The words of one request, as they may be shown. `key` is None once it is deleted."""

    def __init__(self, request: ApprovalRequest, key: SubjectKey | None) -> None:
        self._request = request
        self._key = key

    def personal(self) -> Personal | None:
        """What the service said; None once it is erased. Raises `UnreadableRecord`."""
        text = self._opened(self._request.asked.personal, PLACE)
        return Personal.model_validate_json(text) if text else None

    def justification(self) -> Shown:
        """Why the data is needed, in the requester's words."""
        personal = self.personal()
        return said(personal.justification) if personal else ERASED

    def reviewed(self, person: str) -> Shown | None:
        """What a person said with their vote."""
        given = (review.reason for review in self._request.reviews if review.person == person)
        return self._said(next(given, None), review_place(person))

    def denied(self) -> Shown | None:
        """What the denier said; None where no person has denied it."""
        decision = self._request.decision
        if decision is None or not is_denied_by_person(self._request):
            return None
        return self.reviewed(decision.by[0].person)

    def cancelled(self) -> Shown | None:
        """What a person said when cancelling."""
        decision = self._request.decision
        return self._said(decision.note if decision else None, CANCELLING)

    def revoked(self) -> Shown | None:
        """What a person said when revoking the grant."""
        grant = self._request.grant
        return self._said(grant.closing.note if grant and grant.closing else None, REVOKING)

    def receipt(self) -> Shown | None:
        """What the service said with its receipt."""
        grant = self._request.grant
        return self._said(grant.receipt.note if grant and grant.receipt else None, RECEIPT)

    def _said(self, words: Encrypted | None, place: str) -> Shown | None:
        if words is None:
            return None
        text = self._opened(words, place)
        return ERASED if text is None else said(text)

    def _opened(self, words: Encrypted, place: str) -> str | None:
        if self._key is None or words == ERASED_WORDS or self._request.erased_at:
            return None
        try:
            return self._key.decrypt(words, _place(self._request.id, place))
        except Undecipherable:
            raise UnreadableRecord(
                "Words of this request cannot be read; nothing is shown."
            ) from None


class Vault:
    """Encrypts the words of requests and reads them again."""

    def __init__(self, keys: SubjectKeys) -> None:
        self._keys = keys

    async def encrypted(self, request: ApprovalRequest, place: str, text: str) -> Encrypted:
        """`text` for `place` of a request; what concerns an erased subject is not kept."""
        key = None if request.erased_at else await self._keys.of(request)
        return locked(key, request.id, place, text) if key else ERASED_WORDS

    def own(self, text: str) -> Encrypted:
        """Words that concern no data subject."""
        return self._keys.own(text)

    async def reading(self, request: ApprovalRequest) -> Reading:
        """The words of one request."""
        return Reading(request, await self._keys.of(request))

    async def readings(self, requests: Sequence[ApprovalRequest]) -> list[Reading]:
        """The words of several requests, in order."""
        keys = await self._keys.of_all(requests)
        return [Reading(request, key) for request, key in zip(requests, keys, strict=True)]


def locked(key: SubjectKey, request: RequestId, place: str, text: str) -> Encrypted:
    """`text` under `key`, to be read at this place of this request alone."""
    return key.encrypt(text, _place(request, place))


def review_place(person: str) -> str:
    """Where a person's words with their vote stand."""
    return f"review {person}"


def _place(request: RequestId, place: str) -> str:
    return f"{request}\0{place}"

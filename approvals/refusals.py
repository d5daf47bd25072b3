"""Notes for the audit that somebody tried what they have no right to. Decides nothing.

Wrapped around what may refuse: the refusal passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from approvals.errors import (
    ActionNotAllowed,
    ContextChanged,
    DigestMismatch,
    FoundInText,
    GrantOver,
    NotAllowed,
    NotApprover,
    NotYours,
    OwnRequest,
    PlacetError,
)
from approvals.events import RightRefused
from approvals.model import Caller, Origin, PersonId, RequestId
from approvals.policy.people import People
from approvals.store.seals import UnsealedRecord
from approvals.store.system import SystemRecord

_UNSEALED = "unsealed_record"


class Refusals:
    """Notes refused rights in the system record. `people` answers today's."""

    def __init__(self, system: SystemRecord, people: Callable[[], People]) -> None:
        self._system = system
        self._people = people

    @contextmanager
    def of_service(self, caller: Caller) -> Iterator[None]:
        """A service asks for an action that its entry lacks, or with a text that is refused."""
        try:
            yield
        except (ActionNotAllowed, FoundInText) as refusal:
            event = RightRefused(
                actor=caller.service, code=refusal.code, wanted="open", found=_found(refusal)
            )
            self._system.note_refusal(event)
            raise

    @contextmanager
    def of_grant(self, caller: Caller, wanted: str, request: RequestId) -> Iterator[None]:
        """A service wants of a grant what it does not give: a mistake, or somebody trying."""
        try:
            yield
        except (
            NotYours,
            GrantOver,
            DigestMismatch,
            ContextChanged,
            FoundInText,
            UnsealedRecord,
        ) as refusal:
            event = RightRefused(
                actor=caller.service,
                code=_code(refusal),
                wanted=wanted,
                request=request,
                found=_found(refusal),
            )
            self._system.note_refusal(event)
            raise

    @contextmanager
    def of_person(
        self, person: PersonId, wanted: str, request: RequestId | None, origin: Origin
    ) -> Iterator[None]:
        """A person wants what is not theirs; who is in no file goes by `unknown`."""
        try:
            yield
        except (NotAllowed, NotApprover, OwnRequest, FoundInText, UnsealedRecord) as refusal:
            is_known = self._people().person(person) is not None
            event = RightRefused(
                actor=person if is_known else "unknown",
                code=_code(refusal),
                wanted=wanted,
                request=request,
                origin=origin,
                found=_found(refusal),
            )
            self._system.note_refusal(event)
            raise

    def of_stranger(self, wanted: str, request: RequestId, origin: Origin) -> None:
        """Somebody whom a platform knows and people.yaml does not; that was refused already."""
        event = RightRefused(
            actor="unknown", code=NotAllowed.code, wanted=wanted, request=request, origin=origin
        )
        self._system.note_refusal(event)


def _code(refusal: PlacetError) -> str:
    """To the caller a forged record is a failure of the store; here it goes by its own name."""
    return _UNSEALED if isinstance(refusal, UnsealedRecord) else refusal.code


def _found(refusal: PlacetError) -> tuple[str, ...]:
    """The kinds of what a refused text held; never more of it."""
    return refusal.found if isinstance(refusal, FoundInText) else ()

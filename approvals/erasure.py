"""Forgetting a data subject: no words about them can be read again, and the log still verifies.

Requests end first, the key goes then: who is stopped half-way calls again, and that ends it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from approvals import lifecycle
from approvals.change import Change, TakingBack
from approvals.commits import Commits
from approvals.encryption import SubjectKey
from approvals.errors import NotAllowed, NotFound, Refusal
from approvals.events import SubjectErased
from approvals.model import ApprovalRequest, Encrypted, Origin, PersonId, RequestId
from approvals.policy.loader import Configuration
from approvals.refusals import Refusals
from approvals.store.records import LOADED_AT_ONCE, Stored
from approvals.store.rewriting import Rewritten
from approvals.store.store import Store
from approvals.words import Words


class HasSubject(Refusal):
    """A request by itself cannot be erased where it is about a data subject."""

    code = "has_subject"


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure did: so many `requests` lost their words, of which some were stopped.

    `before` had lost theirs already. `rewritten` is what became of the store's append-only file.
    """

    requests: int
    cancelled: int
    revoked: int
    before: int
    rewritten: Rewritten = field(default="none", compare=False)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Who wants which key's words forgotten."""

    name: str
    taking: TakingBack
    words: Encrypted
    subject: str | None = None
    request: RequestId | None = None


class ErasureService:
    """What admins may have forgotten. `configuration` answers today's."""

    def __init__(
        self,
        store: Store,
        commits: Commits,
        refusals: Refusals,
        words: Words,
        configuration: Callable[[], Configuration],
    ) -> None:
        self._store = store
        self._commits = commits
        self._refusals = refusals
        self._words = words
        self._configuration = configuration

    async def erase_subject(
        self, subject: str, person: PersonId, origin: Origin, *, reason: str
    ) -> Erased:
        """Forgets a data subject, named as services send it after NFKC and trimming.

        What is pending is cancelled, what is granted revoked, and both are called back. Raises
        `NotAllowed`, `NotFound` where no request ever was about them.
        """
        with self._refusals.of_person(person, "erase", None, origin):
            taking = self._admin(person, origin)
            words = self._words.of_admin(reason)
        mark = self._store.marks.subject(subject)
        found = [request async for request in self._about(mark)]
        if not found:
            raise NotFound("No request is about this subject, as it is spelled here.")
        return await self._erased(_Wanted(mark, taking, words, subject=mark), found)

    async def erase_request(
        self, request: RequestId, person: PersonId, origin: Origin, *, reason: str
    ) -> Erased:
        """Forgets the words of one request that is about no data subject.

        Raises `NotAllowed`, `NotFound`, `HasSubject` where it is about one.
        """
        with self._refusals.of_person(person, "erase", request, origin):
            taking = self._admin(person, origin)
            words = self._words.of_admin(reason)
        found = (await self._commits.load(request)).request
        if found.asked.subject_mark:
            raise HasSubject(
                "This request is about a data subject. Erase the subject, spelled as the service "
                "sent it: that forgets all requests about them."
            )
        name = self._store.subject_keys.name(None, request)
        return await self._erased(_Wanted(name, taking, words, request=request), [found])

    async def _erased(self, wanted: _Wanted, found: list[ApprovalRequest]) -> Erased:
        done = [after for one in found if (after := await self._without_words(one, wanted.taking))]
        event = SubjectErased(
            person=wanted.taking.person.id,
            origin=wanted.taking.origin,
            subject=wanted.subject,
            request=wanted.request,
            requests=len(done),
            cancelled=sum(_is_stopped(one, "cancelled") for one in done),
            revoked=sum(_is_stopped(one, "revoked") for one in done),
        )
        await self._store.system.forget_subject(event, wanted.words, wanted.name)
        if wanted.subject:
            await self._rest(wanted.subject, wanted.taking)
        return Erased(
            event.requests,
            event.cancelled,
            event.revoked,
            before=len(found) - len(done),
            rewritten=await self._store.append_only.rewrite(),
        )

    async def _rest(self, mark: str, taking: TakingBack) -> None:
        """Those that opened meanwhile under the old key; what opened after it is another matter."""
        async for request in self._about(mark):
            key = await self._store.subject_keys.of(request)
            if not _is_readable(request, key):
                await self._without_words(request, taking)

    async def _without_words(
        self, request: ApprovalRequest, taking: TakingBack
    ) -> ApprovalRequest | None:
        """The request after it; None where they were gone before."""
        is_new = False

        def decide(stored: Stored) -> Change | None:
            nonlocal is_new
            change = lifecycle.erase(stored.request, taking, stored.now)
            is_new = change is not None
            return change

        after = await self._commits.change(request.id, decide)
        return after if is_new else None

    async def _about(self, mark: str) -> AsyncIterator[ApprovalRequest]:
        before = ""
        while page := await self._store.records.of_subject(mark, before, LOADED_AT_ONCE):
            for stored in await self._store.records.load_all(page):
                yield stored.request
            before = page[-1]

    def _admin(self, person: PersonId, origin: Origin) -> TakingBack:
        found = self._configuration().people.listed(person)
        if "admin" not in found.roles:
            raise NotAllowed("Only an admin may have a data subject forgotten.")
        return TakingBack(found, origin)


def _is_readable(request: ApprovalRequest, key: SubjectKey | None) -> bool:
    return key is not None and key.has_made(request.asked.personal)


def _is_stopped(request: ApprovalRequest, how: str) -> bool:
    """Whether this erasure cancelled the request, or revoked its grant."""
    if how == "cancelled":
        return request.decision is not None and request.decision.reason == "subject_erased"
    closing = request.grant.closing if request.grant else None
    return closing is not None and closing.reason == "subject_erased"

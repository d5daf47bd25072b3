"""The use cases, one method each: load, decide, commit. Requests change only here.

Knows no transport: who calls has been authenticated, and every refusal is one of `errors`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from approvals import lifecycle
from approvals.answer import is_denied_by_person, own_decision
from approvals.ask import Ask
from approvals.change import Change, DenyRule, TakingBack, Voting
from approvals.commits import Commits, NothingDue, by_time, check_own
from approvals.encryption import SubjectKey
from approvals.erasure import ErasureService
from approvals.errors import (
    AlreadyFinal,
    DeniedByPolicy,
    NotAllowed,
    NotFound,
    StoreUnavailable,
)
from approvals.events import ClockReset
from approvals.granting import GrantService
from approvals.model import (
    ApprovalRequest,
    Caller,
    Encrypted,
    Origin,
    Person,
    PersonId,
    RequestId,
    Status,
    TextFinding,
    Vote,
)
from approvals.opening import Opened, Openings
from approvals.policy.document import Policy
from approvals.policy.inquiry import inquiry_of
from approvals.policy.loader import Configuration
from approvals.privacy.full_view import FullView, full_view
from approvals.privacy.masking import ERASED
from approvals.privacy.scanner import Scanner
from approvals.privacy.vault import CANCELLING, Reading, Vault, review_place
from approvals.refusals import Refusals
from approvals.store.listing import Filter, Page, page_of
from approvals.store.records import Lease, Leased, Stored
from approvals.store.scripts import Answer
from approvals.store.store import Store
from approvals.words import Words

SWEEP_AFTER = timedelta(seconds=5)


class ApprovalService:
    """What services, people and time may do. `configuration` is swapped as a whole on reload."""

    def __init__(
        self, store: Store, configuration: Configuration, scanner: Scanner | None = None
    ) -> None:
        self.configuration = configuration
        self._store = store
        self._commits = commits = Commits(store.records)
        self._refusals = refusals = Refusals(store.system, lambda: self.configuration.people)
        self._vault = Vault(store.subject_keys)
        scanner = scanner or Scanner()
        self._words = words = Words(self._vault, commits, scanner, lambda: self.configuration)
        self._openings = Openings(store, commits, refusals, scanner, lambda: self.configuration)
        self.grants = GrantService(store, commits, refusals, words, lambda: self.configuration)
        self.erasure = ErasureService(store, commits, refusals, words, lambda: self.configuration)

    async def open(
        self, caller: Caller, ask: Ask, *, body: bytes, idempotency_key: str | None
    ) -> Opened:
        """Opens a request, or answers the one that the same key and body opened before.

        With `reuse_pending` also one that waits and asks the same. Raises what `prepare` does,
        `RateLimited`, `TooManyPending`, `IdempotencyConflict`.
        """
        return await self._openings.open(caller, ask, body=body, idempotency_key=idempotency_key)

    async def get_own(self, caller: Caller, request: RequestId) -> ApprovalRequest:
        """A request of the caller's service. Raises `NotFound`, also for another service's."""
        stored = await self._commits.load(request)
        check_own(caller, stored.request)
        return stored.request

    async def list_own(
        self,
        caller: Caller,
        *,
        status: Status | None,
        action: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page:
        """The caller's requests, newest first; `cursor` is the `next_cursor` of the page before."""
        wanted = Filter(status, action)
        return await page_of(self._store.records, caller.service, wanted, limit, cursor)

    async def cancel_by_service(self, caller: Caller, request: RequestId) -> ApprovalRequest:
        """The service takes its request back. Raises `AlreadyFinal`, `NotFound`."""

        def decide(stored: Stored) -> Change:
            check_own(caller, stored.request)
            return lifecycle.cancel_by_service(stored.request, stored.now)

        try:
            return await self._commits.change(request, decide)
        except AlreadyFinal as refusal:
            found = await self.get_own(caller, request)
            (said,) = await self.denied_because([found])
            facts = {**refusal.facts, "decision": own_decision(found, said)}
            raise AlreadyFinal(refusal.detail, facts=facts) from None

    async def denied_because(self, requests: Sequence[ApprovalRequest]) -> list[str | None]:
        """What the person who denied each of them said, for the service that asked.

        None where nobody has; `erased` once it is forgotten.
        """
        spoken = [request for request in requests if is_denied_by_person(request)]
        readings = await self._vault.readings(spoken)
        told = {one.id: reading.denied() for one, reading in zip(spoken, readings, strict=True)}
        said = (told.get(request.id) for request in requests)
        return ["erased" if words == ERASED else words for words in said]

    async def view(self, request: RequestId, person: PersonId, origin: Origin) -> FullView:
        """The full details for an entitled person; the view is on record before it is shown."""
        policy = self.configuration.policy  # of one reload: what is shown is what is on record

        with self._refusals.of_person(person, "view", request, origin):
            # Of what is erased meanwhile the key is gone, or the record says so: both are seen.
            key = await self._key(request)

            def decide(stored: Stored) -> Change:
                shown = self._full_view(stored.request, key, policy).fingerprint()
                viewer = self._person(person)
                return lifecycle.view(stored.request, viewer, origin, shown, stored.now)

            after = await self._commits.change(request, decide)
            return self._full_view(after, key, policy)

    async def review(
        self,
        request: RequestId,
        person: PersonId,
        origin: Origin,
        vote: Vote,
        *,
        reason: str | None = None,
        revision: int | None = None,
    ) -> ApprovalRequest:
        """A person's vote. Losers of a race learn who decided."""
        if vote == "approve":
            self._store.health.check_approving()

        words: Encrypted | None = None

        def decide(stored: Stored) -> Change:
            version = self.configuration.version
            voting = Voting(self._person(person), origin, vote, words, revision, version)
            denied_by = self._deny_rule(stored.request)
            return lifecycle.review(stored.request, voting, stored.now, denied_by=denied_by)

        with self._refusals.of_person(person, vote, request, origin):
            words = await self._words.reason(request, review_place(person), reason)
            after = await self._commits.change(request, decide)
        is_by_policy = after.decision is not None and not after.decision.by
        if vote == "approve" and after.status == "denied" and is_by_policy:
            rule = after.decision.rule if after.decision else None
            raise DeniedByPolicy(f"Rule {rule}, now in force, denies this request; it has ended.")
        return after

    async def cancel_by_person(
        self, request: RequestId, person: PersonId, origin: Origin, *, reason: str | None = None
    ) -> ApprovalRequest:
        """The requester or an admin takes a request back."""
        words: Encrypted | None = None

        def decide(stored: Stored) -> Change:
            cancelling = TakingBack(self._person(person), origin, words)
            return lifecycle.cancel_by_person(stored.request, cancelling, stored.now)

        with self._refusals.of_person(person, "cancel", request, origin):
            words = await self._words.reason(request, CANCELLING, reason)
            return await self._commits.change(request, decide)

    def note_stranger(self, wanted: str, request: RequestId, origin: Origin) -> None:
        """Somebody wanted something whom a chat platform knows and people.yaml does not."""
        self._refusals.of_stranger(wanted, request, origin)

    async def pending(self, limit: int = 200) -> tuple[ApprovalRequest, ...]:
        """Pending requests, the next to expire first. Card facts only may be shown of them."""
        ids = await self._store.records.pending(limit)
        return tuple(request for request in await self._load_all(ids) if not request.is_final)

    async def card_facts(self, request: RequestId) -> ApprovalRequest:
        """One request, for who may see a card's facts. Raises `NotFound`."""
        return (await self._commits.load(request)).request

    async def on_presented(self, request: RequestId, place: str) -> None:
        """A card stands at `place`; told again, or after the end, it presents nothing."""

        def decide(stored: Stored) -> Change | None:
            return lifecycle.on_presented(stored.request, place, stored.now)

        await self._commits.change(request, decide)

    async def on_undeliverable(self, request: RequestId) -> None:
        """No place takes the card, and who waits for the request is to learn of it."""

        def decide(stored: Stored) -> Change | None:
            return lifecycle.on_undeliverable(stored.request)

        await self._commits.change(request, decide)

    async def on_deadline(self, lease: Lease) -> Change | None:
        """What time does to a request; the lease is given back in the same commit.

        Answers the change that was made, None when nothing was due.
        """
        made: list[Change] = []

        def decide(stored: Stored) -> Change:
            made.append(by_time(stored))
            return made[-1]

        try:
            await self._commits.change(lease.member, decide, lease)
            return made[-1]
        except (NotFound, NothingDue) as reason:
            due = reason.next_deadline if isinstance(reason, NothingDue) else None
            await self._store.deadlines.finish(lease.member, lease.end, due)
            return None

    async def on_deadlines(self, leases: Sequence[Lease]) -> list[Change]:
        """As `on_deadline` for many of one claim, in few round trips; answers what was changed.

        Who lost a race, or cannot be read, is worked off singly.
        """
        waiting = {lease.member: lease for lease in leases}
        due: list[Leased] = []
        not_due: dict[str, datetime | None] = {}
        for stored in await self._store.records.load_all(list(waiting)):
            change = lifecycle.on_deadline(stored.request, stored.now)
            if change:
                due.append((stored, change, waiting[stored.request.id]))
            else:  # after a reset of the clock that is most of them
                del waiting[stored.request.id]
                not_due[stored.request.id] = lifecycle.next_deadline(stored.request)
        answers = await self._store.records.commit_all(due, secrets.token_hex(8))
        made = []
        for (_, change, lease), answer in zip(due, answers, strict=True):
            if isinstance(answer, Answer) and answer.code in ("OK", "DUP"):  # it was our own
                made.append(change)
                del waiting[lease.member]
        if not_due:
            await self._store.deadlines.finish_all(leases[0].end, not_due)
        for lease in waiting.values():
            with suppress(StoreUnavailable):  # a bad record, or a busy one: it comes back
                change_of_one = await self.on_deadline(lease)
                made += [change_of_one] if change_of_one else []
        return made

    async def reset_clock(self, person: PersonId, origin: Origin, *, reason: str) -> timedelta:
        """An admin lets the store's time follow its clock again; answers how far it was behind."""
        with self._refusals.of_person(person, "reset clock", None, origin):
            words = self._words.of_admin(reason)
            if "admin" not in self._person(person).roles:
                raise NotAllowed("Only an admin may reset the clock.")
        behind = (await self._store.records.read_clock()).behind
        milliseconds = behind // timedelta(milliseconds=1)
        event = ClockReset(person=person, origin=origin, behind_ms=milliseconds)
        await self._store.system.reset_clock(event, words)
        return behind

    async def sweep(self, limit: int = 200) -> tuple[RequestId, ...]:
        """Expires what is overdue although the queue should have; answers what it found.

        Reads `limit` at a time.
        """
        swept: list[RequestId] = []
        bad, is_end = 0, False
        while not is_end:
            found = await self._store.records.overdue(SWEEP_AFTER, bad, limit)
            is_end = len(found) < limit
            for request in found:
                try:
                    await self._commits.change(request, by_time)
                    swept.append(request)
                except (NotFound, NothingDue, StoreUnavailable):
                    bad += 1  # it stays where it is, and must not hide the others
        return tuple(swept)

    async def _load_all(self, ids: list[RequestId]) -> list[ApprovalRequest]:
        return [stored.request for stored in await self._store.records.load_all(ids)]

    def _person(self, person: PersonId) -> Person:
        return self.configuration.people.listed(person)

    async def reading(self, request: ApprovalRequest) -> Reading:
        """The words of a request. To whom they may be shown is for the caller to know."""
        return await self._vault.reading(request)

    def taken_out(self, reason: str | None) -> tuple[TextFinding, ...]:
        """What the scan takes out of a person's reason. Told to that person alone."""
        return self._words.taken_out(reason)

    async def _key(self, request: RequestId) -> SubjectKey | None:
        stored = await self._commits.load(request)
        return await self._store.subject_keys.of(stored.request)

    def _full_view(
        self, request: ApprovalRequest, key: SubjectKey | None, policy: Policy
    ) -> FullView:
        action = policy.actions.get(request.asked.action)
        declared = action.fields if action else {}
        return full_view(request, Reading(request, key), declared, self._store.marks)

    def _deny_rule(self, request: ApprovalRequest) -> DenyRule | None:
        inquiry = inquiry_of(request.asked, request.service, request.created_at)
        return self.configuration.rulebook.denial(inquiry)

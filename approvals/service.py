"""The use cases, one method each: load, decide, commit. Requests change only here.

Knows no transport: who calls has been authenticated, and every refusal is one of `errors`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvals import lifecycle
from approvals.allowance import Allowance, terms_of, too_many_pending
from approvals.ask import Ask, reason_text
from approvals.change import Change, DenyRule, TakingBack, Voting
from approvals.commits import (
    MOST_TRIES,
    Commits,
    NothingDue,
    before_next_try,
    by_time,
    check_own,
    too_busy,
)
from approvals.errors import (
    DeniedByPolicy,
    IdempotencyConflict,
    NotAllowed,
    NotFound,
    StoreUnavailable,
)
from approvals.events import ClockReset
from approvals.granting import GrantService
from approvals.intake import Chance, prepare, request_id
from approvals.model import (
    ApprovalRequest,
    Caller,
    Origin,
    Person,
    PersonId,
    RequestId,
    Status,
    Vote,
)
from approvals.policy.document import Policy
from approvals.policy.inquiry import inquiry_of
from approvals.policy.loader import Configuration
from approvals.privacy.full_view import FullView, full_view
from approvals.quota import Quota
from approvals.refusals import Refusals
from approvals.store.listing import Filter, Page, page_of
from approvals.store.receipts import History
from approvals.store.records import Lease, Leased, Stored, Tried, used_key
from approvals.store.scripts import Answer
from approvals.store.store import Store

SWEEP_AFTER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Opened:
    """A request, whether this call opened it, and how the caller's budgets stand."""

    request: ApprovalRequest
    is_new: bool
    quotas: tuple[Quota, ...] = ()


class ApprovalService:
    """What services, people and time may do. `configuration` is swapped as a whole on reload."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self.configuration = configuration
        self._store = store
        self._commits = Commits(store.records)
        self._allowance = Allowance(store.budgets)
        self._refusals = Refusals(store.system, lambda: self.configuration.people)
        self.grants = GrantService(store, self._commits, self._refusals, lambda: self.configuration)

    async def open(
        self, caller: Caller, ask: Ask, *, body: bytes, idempotency_key: str | None
    ) -> Opened:
        """Opens a request, or answers the one that the same key and body opened before.

        With `reuse_pending` also one that waits and asks the same. Raises what `prepare` does,
        `RateLimited`, `TooManyPending`, `IdempotencyConflict`.
        """
        marks = self._store.marks
        body_mark = marks.body(body)
        key = marks.idempotency(idempotency_key) if idempotency_key else None
        allowed, history = await asyncio.gather(  # in one round trip
            self._allowance.take(self.configuration.services, caller, ask, key),
            self._history(ask),
        )
        if allowed.used:
            return await self._repeated(allowed.used, body_mark, allowed.quotas)
        self._store.health.check_opening()  # a repeat wants nothing new, and is answered above
        at = allowed.now
        chance = Chance(id=request_id(at, os.urandom(10)), salt=os.urandom(16))
        for attempt in range(MOST_TRIES):
            with self._refusals.of_service(caller):  # at the time it opens: rules may look at it
                opening = prepare(
                    self.configuration,
                    caller,
                    ask,
                    now=at,
                    marks=marks,
                    body=body,
                    chance=chance,
                    conduct=history.conduct(at),
                )
            change = lifecycle.open_request(opening, at)
            terms = terms_of(self.configuration.services, caller, ask, change.request)
            used = (key, body_mark) if key else None
            answer = await self._store.records.open(change, at, used, terms)
            if answer.code == "EXISTS":
                return await self._repeated(used_key(answer.value), body_mark, allowed.quotas)
            if answer.code == "CROWDED":
                raise too_many_pending(int(answer.value), terms, allowed.quotas)
            if found := await self._found(answer):
                is_new = found.id == opening.id
                return Opened(found, is_new=is_new, quotas=allowed.quotas)
            await before_next_try(answer, attempt)
            at = await self._store.records.now()
        raise too_busy()

    async def _history(self, ask: Ask) -> History:
        person = self.configuration.people.by_requester_id(ask.requester.id)
        known = person.id if person else None
        return await self._store.receipts.history(ask.requester.id, known)

    async def _found(self, answer: Tried) -> ApprovalRequest | None:
        """The request that an opening has led to: the new one, or one that asks the same."""
        if answer.code == "OK":
            return answer.request
        if answer.code == "DUP":
            return (await self._commits.load(answer.request.id)).request
        if answer.code == "SAME":
            return (await self._commits.load(RequestId(answer.value))).request
        return None

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

        return await self._commits.change(request, decide)

    async def view(self, request: RequestId, person: PersonId, origin: Origin) -> FullView:
        """The full details for an entitled person; the view is on record before it is shown."""
        policy = self.configuration.policy  # of one reload: what is shown is what is on record

        def decide(stored: Stored) -> Change:
            shown = self._full_view(stored.request, policy).fingerprint()
            viewer = self._person(person)
            return lifecycle.view(stored.request, viewer, origin, shown, stored.now)

        with self._refusals.of_person(person, "view", request, origin):
            return self._full_view(await self._commits.change(request, decide), policy)

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
        words = reason_text(reason)
        if vote == "approve":
            self._store.health.check_approving()

        def decide(stored: Stored) -> Change:
            version = self.configuration.version
            voting = Voting(self._person(person), origin, vote, words, revision, version)
            denied_by = self._deny_rule(stored.request)
            return lifecycle.review(stored.request, voting, stored.now, denied_by=denied_by)

        with self._refusals.of_person(person, vote, request, origin):
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
        words = reason_text(reason)

        def decide(stored: Stored) -> Change:
            cancelling = TakingBack(self._person(person), origin, words)
            return lifecycle.cancel_by_person(stored.request, cancelling, stored.now)

        with self._refusals.of_person(person, "cancel", request, origin):
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
        words = reason_text(reason) or ""
        with self._refusals.of_person(person, "reset clock", None, origin):
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

    async def _repeated(
        self, used: tuple[RequestId, str], body_mark: str, quotas: tuple[Quota, ...]
    ) -> Opened:
        request, first_body = used
        if first_body != body_mark:
            raise IdempotencyConflict(
                "This Idempotency-Key was used with another body. Use a new key for a new request."
            )
        found = (await self._commits.load(request)).request
        return Opened(found, is_new=False, quotas=quotas)

    def _person(self, person: PersonId) -> Person:
        return self.configuration.people.listed(person)

    def _full_view(self, request: ApprovalRequest, policy: Policy) -> FullView:
        action = policy.actions.get(request.asked.action)
        return full_view(request, action.fields if action else {}, self._store.marks)

    def _deny_rule(self, request: ApprovalRequest) -> DenyRule | None:
        inquiry = inquiry_of(request.asked, request.service, request.created_at)
        return self.configuration.rulebook.denial(inquiry)

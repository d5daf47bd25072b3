"""How a request opens: budgets, its subject's key, policy, then one commit; or what it repeats.

Like `service`, of which it is the part that services call most.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from approvals import lifecycle
from approvals.allowance import Allowance, Allowed, terms_of, too_many_pending
from approvals.ask import Ask
from approvals.change import Opening
from approvals.commits import MOST_TRIES, Commits, before_next_try, too_busy
from approvals.errors import IdempotencyConflict
from approvals.intake import Chance, prepare, request_id
from approvals.model import ApprovalRequest, Caller, RequestId
from approvals.policy.loader import Configuration
from approvals.privacy.scanner import Scanner
from approvals.quota import Quota
from approvals.refusals import Refusals
from approvals.store.receipts import History
from approvals.store.records import Tried, used_key
from approvals.store.store import Store
from approvals.store.subject_keys import Ready


@dataclass(frozen=True, slots=True)
class Opened:
    """A request, whether this call opened it, and how the caller's budgets stand."""

    request: ApprovalRequest
    is_new: bool
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asking:
    """One call, and what is known before the first try."""

    caller: Caller
    ask: Ask
    body: bytes
    used: tuple[str, str] | None  # the marks of its idempotency key and of its body
    allowed: Allowed
    history: History
    chance: Chance
    name: str  # of the key of its words


class Openings:
    """Opens requests. `configuration` answers today's."""

    def __init__(
        self,
        store: Store,
        commits: Commits,
        refusals: Refusals,
        scanner: Scanner,
        configuration: Callable[[], Configuration],
    ) -> None:
        self._store = store
        self._commits = commits
        self._refusals = refusals
        self._scanner = scanner
        self._configuration = configuration
        self._allowance = Allowance(store.budgets)

    async def open(
        self, caller: Caller, ask: Ask, *, body: bytes, idempotency_key: str | None
    ) -> Opened:
        """As `ApprovalService.open`."""
        marks = self._store.marks
        body_mark = marks.body(body)
        key = marks.idempotency(idempotency_key) if idempotency_key else None
        subject = marks.subject(ask.subject) if ask.subject else None
        allowed, history, ready = await asyncio.gather(  # in one round trip
            self._allowance.take(self._configuration().services, caller, ask, key),
            self._history(ask),
            self._known_key(subject),
        )
        if allowed.used:
            return await self._repeated(allowed.used, body_mark, allowed.quotas)
        self._store.health.check_opening()  # a repeat wants nothing new, and is answered above
        chance = Chance(id=request_id(allowed.now, os.urandom(10)), salt=os.urandom(16))
        name = self._store.subject_keys.name(subject, chance.id)
        used = (key, body_mark) if key else None
        asking = _Asking(caller, ask, body, used, allowed, history, chance, name)
        return await self._opened(asking, ready or self._store.subject_keys.fresh(name))

    async def _opened(self, asking: _Asking, ready: Ready) -> Opened:
        caller, ask, quotas = asking.caller, asking.ask, asking.allowed.quotas
        at = asking.allowed.now
        for attempt in range(MOST_TRIES):
            with self._refusals.of_service(caller):  # at the time it opens: rules may look at it
                opening = self._prepared(asking, ready, at)
            change = lifecycle.open_request(opening, at)
            terms = terms_of(self._configuration().services, caller, ask, change.request)
            answer = await self._store.records.open(change, at, asking.used, terms, ready.keyed)
            if answer.code == "EXISTS":
                body_mark = self._store.marks.body(asking.body)
                return await self._repeated(used_key(answer.value), body_mark, quotas)
            if answer.code == "CROWDED":
                raise too_many_pending(int(answer.value), terms, quotas)
            if found := await self._found(answer):
                return Opened(found, is_new=found.id == opening.id, quotas=quotas)
            if answer.code == "REKEYED":  # made, or deleted, by somebody else meanwhile
                ready = await self._store.subject_keys.ready(asking.name)
            await before_next_try(answer, attempt)
            at = await self._store.records.now()
        raise too_busy()

    def _prepared(self, asking: _Asking, ready: Ready, at: datetime) -> Opening:
        return prepare(
            self._configuration(),
            asking.caller,
            asking.ask,
            now=at,
            marks=self._store.marks,
            body=asking.body,
            chance=asking.chance,
            key=ready.key,
            scanner=self._scanner,
            conduct=asking.history.conduct(at),
        )

    async def _history(self, ask: Ask) -> History:
        person = self._configuration().people.by_requester_id(ask.requester.id)
        known = person.id if person else None
        return await self._store.receipts.history(ask.requester.id, known)

    async def _known_key(self, subject: str | None) -> Ready | None:
        """The key of a subject's words; about no subject the request has one of its own."""
        return await self._store.subject_keys.ready(subject) if subject else None

    async def _found(self, answer: Tried) -> ApprovalRequest | None:
        """The request that an opening has led to: the new one, or one that asks the same."""
        if answer.code == "OK":
            return answer.request
        if answer.code == "DUP":
            return (await self._commits.load(answer.request.id)).request
        if answer.code == "SAME":
            return (await self._commits.load(RequestId(answer.value))).request
        return None

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

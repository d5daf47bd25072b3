"""The way through the gate: ask, wait, redeem, then the guarded body, then its receipt.

The body runs after a sound answer to redeem, and after nothing else. What the caller breaks off is
taken back as far as Placet can be reached.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeVar

from approvals.client_answers import Grant, Request
from approvals.client_errors import (
    About,
    ClientError,
    GrantRefused,
    NotApproved,
    NotSendable,
    ReceiptFailed,
    Refused,
)
from approvals.client_exchange import BRIEF, Patience, Steps
from approvals.client_steps import Conversation, WhenUndeliverable, Wish

LOG = logging.getLogger("placet.client")
NOTHING_DONE = "The answer to redeem did not arrive, so nothing was done"
STILL_ACTIVE = frozenset({"digest-mismatch", "context-changed"})  # refusals that leave the grant

T = TypeVar("T")
Context = Mapping[str, Any]


@dataclass
class Access:
    """What the guarded body is handed. Set `records` to how many were touched, if not as asked.

    After the block, `receipt_error` is what kept the receipt from being recorded, if anything.
    """

    request: Request
    grant: Grant
    records: int
    note: str | None = field(repr=False, default=None)
    receipt_error: ReceiptFailed | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a guard asks and waits. `context` may be a function: asked now, and again at redeem."""

    context: Context | Callable[[], Context] | None = field(repr=False, default=None)
    idempotency_key: str | None = None
    timeout: float | None = None
    undeliverable: WhenUndeliverable = "raise"

    def context_now(self) -> Context | None:
        """The claims as they are now."""
        return self.context() if callable(self.context) else self.context


class Passage:
    """One way through the gate, in steps for a driver. Remembers how far it came."""

    def __init__(self, talk: Conversation, wish: Wish, waiting: Waiting) -> None:
        self._talk = talk
        self._wish = wish
        self._waiting = waiting
        self._request: Request | None = None
        self._approved: Request | None = None
        self._is_redeeming = False
        self._is_entered = False
        self._access: Access | None = None

    def enter(self) -> Steps[Access]:
        """Asks, waits and redeems. Whatever is no redeemed grant is an error."""
        wish, waiting, talk = self._wish, self._waiting, self._talk
        if self._is_entered:
            cause = "a guard is entered once; make a new one for each time"
            raise NotSendable(About(action=wish.action), cause)
        self._is_entered = True
        self._request = yield from talk.open(wish, waiting.context_now(), waiting.idempotency_key)
        approved = yield from talk.wait(self._request, waiting.timeout, waiting.undeliverable)
        self._approved = approved
        context = waiting.context_now()
        self._is_redeeming = True
        grant = yield from talk.redeem(
            approved, action=wish.action, subject=wish.subject, params=wish.params, context=context
        )
        self._access = Access(approved, grant, wish.details.get("record_count", 1))
        return self._access

    def abandon(self, error: BaseException) -> Steps[None]:
        """The body will not run: takes back what is open, best effort and briefly.

        Not where others may wait for the same request, or the caller come back to it: with a key
        of the caller's own, and with `reuse_pending`.
        """
        is_shared = self._waiting.idempotency_key or self._wish.details.get("reuse_pending")
        if self._request is None or is_shared or _is_over(error):
            return
        try:
            yield from self._take_back(self._request, error)
        except ClientError as failure:
            LOG.info("Not taken back: %s", failure)

    def _take_back(self, request: Request, error: BaseException) -> Steps[None]:
        approved = self._approved or (yield from self._cancelled_or_approved(request))
        if approved is None:
            return
        if self._is_redeeming and not isinstance(error, Refused):
            try:
                yield from self._talk.receipt(
                    approved, records=0, outcome="failed", note=NOTHING_DONE, patience=BRIEF
                )
            except Refused:
                pass  # it was not redeemed
            else:
                return  # its receipt has ended the grant
        yield from self._talk.end(approved, BRIEF)

    def _cancelled_or_approved(self, request: Request) -> Steps[Request | None]:
        """The request where it was approved before it could be cancelled."""
        try:
            yield from self._talk.cancel(request.id, BRIEF)
        except Refused as error:
            if error.slug == "already-final" and error.outcome == "approved":
                return (yield from self._talk.show(request.id, 0, BRIEF))
        return None

    def leave(self, error: BaseException | None) -> Steps[None]:
        """The body is over: its receipt, and the end of what is left of the grant."""
        access = self._access
        if access is None:
            return
        is_broken_off = error is not None and not isinstance(error, Exception)
        patience = BRIEF if is_broken_off else None
        outcome = "succeeded" if error is None else "failed"
        grant = access.grant
        try:
            grant = yield from self._talk.receipt(
                access.request,
                records=access.records,
                outcome=outcome,
                note=access.note,
                patience=patience,
            )
        except ClientError as failure:
            access.receipt_error = ReceiptFailed(failure)
            _tell(access.receipt_error, error)
        if grant.status == "active":
            yield from self._end(access.request, patience)

    def _end(self, request: Request, patience: Patience | None) -> Steps[None]:
        try:
            yield from self._talk.end(request, patience)
        except ClientError as failure:
            LOG.info("The rest of the grant was not ended: %s", failure)


def _is_over(error: BaseException) -> bool:
    """Whether nothing is left that could be taken back."""
    if isinstance(error, GrantRefused):
        return error.slug not in STILL_ACTIVE
    return isinstance(error, NotApproved)


def _tell(failure: ReceiptFailed, error: BaseException | None) -> None:
    """In the log, and on the body's own error, which is not replaced."""
    LOG.error("%s", failure)
    if error is not None:
        error.add_note(str(failure))


class Run(Protocol):
    """Carries out steps."""

    def __call__(self, steps: Steps[T], /) -> T:
        """The result of the steps."""
        ...


class RunAsync(Protocol):
    """The same, awaited."""

    def __call__(self, steps: Steps[T], /) -> Awaitable[T]:
        """The result of the steps."""
        ...


class Guard:
    """`with placet.guard(...) as access:`"""

    def __init__(self, passage: Passage, run: Run) -> None:
        self._passage = passage
        self._run = run

    def __enter__(self) -> Access:
        try:
            return self._run(self._passage.enter())
        except BaseException as error:
            self._run(self._passage.abandon(error))
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._passage.leave(error))


class AsyncGuard:
    """`async with placet.guard(...) as access:`

    `finish` carries out its steps to the end even when the task is cancelled meanwhile.
    """

    def __init__(self, passage: Passage, run: RunAsync, finish: RunAsync) -> None:
        self._passage = passage
        self._run = run
        self._finish = finish

    async def __aenter__(self) -> Access:
        try:
            return await self._run(self._passage.enter())
        except BaseException as error:
            await self._finish(self._passage.abandon(error))
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._finish(self._passage.leave(error))

"""Placet's client for services: ask, wait, redeem, and act on nothing else.

    placet = Placet.from_environment()
    with placet.guard("customer.view", f"customer:{number}", None, why, requester=agent) as access:
        show(number)  # runs after an approval was redeemed, and else never

`AsyncPlacet` is the same for asyncio. Every error is a `ClientError` and means: do not act.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, Self, TypeVar, Unpack

import httpx

from approvals.client_answers import Grant, Request
from approvals.client_decorator import Fitted, Work, guarded, guarded_async
from approvals.client_errors import (
    BadAnswer,
    Cancelled,
    ClientError,
    Denied,
    Expired,
    GrantRefused,
    NotApproved,
    NotDecided,
    NotSendable,
    ReceiptFailed,
    Refused,
    Unavailable,
    Undeliverable,
    Unreachable,
)
from approvals.client_exchange import Patience
from approvals.client_guard import Access, AsyncGuard, Context, Guard, Passage, Waiting
from approvals.client_steps import Conversation, Details, WhenUndeliverable, Wish
from approvals.client_transport import (
    SETTINGS,
    AsyncDriver,
    Driver,
    Options,
    Target,
    clock_of,
    jitter_of,
)

__all__ = [
    "Access",
    "AsyncPlacet",
    "BadAnswer",
    "Cancelled",
    "ClientError",
    "Denied",
    "Expired",
    "Grant",
    "GrantRefused",
    "NotApproved",
    "NotDecided",
    "NotSendable",
    "Patience",
    "Placet",
    "ReceiptFailed",
    "Refused",
    "Request",
    "Unavailable",
    "Undeliverable",
    "Unreachable",
]

P = ParamSpec("P")
R = TypeVar("R")
Params = Mapping[str, Any]


class WaitDetails(Details, total=False):
    """What a guard takes besides: a key of your own, and how it waits.

    With an `idempotency_key` of your own, or `reuse_pending`, nothing is taken back when the
    waiting ends: others may wait for the same request, and the same call finds it again.
    """

    idempotency_key: str
    timeout: float
    undeliverable: WhenUndeliverable


class _Client:
    """What both clients share: where calls go, and what is said."""

    def __init__(self, base_url: str, api_key: str, **options: Unpack[Options]) -> None:
        self._target = Target.checked(base_url, api_key, options)
        patience = options.get("patience", Patience())
        self._talk = Conversation(patience, clock_of(options), jitter_of(options))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target!r})"

    @classmethod
    def from_environment(cls, **options: Unpack[Options]) -> Self:
        """From `PLACET_URL` and `PLACET_API_KEY`."""
        found = [os.environ.get(name, "") for name in ("PLACET_URL", "PLACET_API_KEY")]
        if not all(found):
            raise NotSendable(SETTINGS, "PLACET_URL and PLACET_API_KEY must both be set")
        return cls(*found, **options)

    def _passage(
        self, wish: Wish, context: Context | Callable[[], Context] | None, details: WaitDetails
    ) -> Passage:
        waiting = Waiting(
            context,
            details.pop("idempotency_key", None),
            details.pop("timeout", None),
            details.pop("undeliverable", "raise"),
        )
        return Passage(self._talk, replace(wish, details=details), waiting)


class Placet(_Client):
    """The client for code without asyncio. It may be shared between threads."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(base_url, api_key, **options)
        self._driver = Driver(self._target, options, transport, sleep)

    def request(
        self,
        *,
        action: str,
        requester: str,
        justification: str,
        subject: str | None = None,
        params: Params | None = None,
        context: Context | None = None,
        idempotency_key: str | None = None,
        **details: Unpack[Details],
    ) -> Request:
        """Asks. Retries send the same bytes under the same key, so people are asked once."""
        return self._driver.run(
            self._talk.open(
                Wish(action, requester, justification, subject, params, details),
                context,
                idempotency_key,
            )
        )

    def show(self, request_id: str) -> Request:
        """The request as it stands."""
        return self._driver.run(self._talk.show(request_id))

    def wait(
        self,
        request: Request,
        timeout: float | None = None,
        *,
        undeliverable: WhenUndeliverable = "raise",
    ) -> Request:
        """The approved request; anything else, and the end of `timeout` seconds, is an error."""
        return self._driver.run(self._talk.wait(request, timeout, undeliverable))

    def cancel(self, request_id: str) -> Request:
        """Takes a pending request back."""
        return self._driver.run(self._talk.cancel(request_id))

    def redeem(
        self,
        grant: str | Request,
        *,
        action: str,
        subject: str | None = None,
        params: Params | None = None,
        context: Context | None = None,
        nonce: str | None = None,
    ) -> Grant:
        """Takes one use of a grant, for exactly what will be done now. Nothing else permits it.

        A grant is named by its id, or by the approved request that `wait` answers.
        """
        return self._driver.run(
            self._talk.redeem(
                grant,
                action=action,
                subject=subject,
                params=params,
                context=context,
                nonce=nonce,
            )
        )

    def receipt(
        self,
        grant: str | Request,
        *,
        records: int,
        outcome: str = "succeeded",
        note: str | None = None,
    ) -> Grant:
        """Says what was really done: `succeeded` or `failed`. It ends the grant."""
        return self._driver.run(
            self._talk.receipt(grant, records=records, outcome=outcome, note=note)
        )

    def end(self, grant: str | Request) -> Grant:
        """Ends a grant early."""
        return self._driver.run(self._talk.end(grant))

    def guard(
        self,
        action: str,
        subject: str | None = None,
        params: Params | None = None,
        justification: str = "",
        *,
        requester: str,
        context: Context | Callable[[], Context] | None = None,
        **details: Unpack[WaitDetails],
    ) -> Guard:
        """`with` it: the block runs after an approval was redeemed, and else never."""
        wish = Wish(action, requester, justification, subject, params)
        passage = self._passage(wish, context, details)
        return Guard(passage, self._driver.run)

    def requires_approval(
        self, *, records: Callable[[Any], int] | None = None, **given: Fitted
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Guards every call of a function. Takes what `guard` takes, by name.

        Each is a value, or a function that names the arguments it needs:
        `subject=lambda customer: f"customer:{customer}"`. `records` counts those in the result.
        """
        return lambda function: guarded(function, self.guard, given, records)

    def close(self) -> None:
        """Closes what is connected."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncPlacet(_Client):
    """The client for asyncio. It belongs to one event loop."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(base_url, api_key, **options)
        self._driver = AsyncDriver(self._target, options, transport, sleep)

    async def request(
        self,
        *,
        action: str,
        requester: str,
        justification: str,
        subject: str | None = None,
        params: Params | None = None,
        context: Context | None = None,
        idempotency_key: str | None = None,
        **details: Unpack[Details],
    ) -> Request:
        """As `Placet.request`."""
        return await self._driver.run(
            self._talk.open(
                Wish(action, requester, justification, subject, params, details),
                context,
                idempotency_key,
            )
        )

    async def show(self, request_id: str) -> Request:
        """As `Placet.show`."""
        return await self._driver.run(self._talk.show(request_id))

    async def wait(
        self,
        request: Request,
        timeout: float | None = None,  # noqa: ASYNC109 - until a decision, not of one call
        *,
        undeliverable: WhenUndeliverable = "raise",
    ) -> Request:
        """As `Placet.wait`."""
        return await self._driver.run(self._talk.wait(request, timeout, undeliverable))

    async def cancel(self, request_id: str) -> Request:
        """As `Placet.cancel`."""
        return await self._driver.run(self._talk.cancel(request_id))

    async def redeem(
        self,
        grant: str | Request,
        *,
        action: str,
        subject: str | None = None,
        params: Params | None = None,
        context: Context | None = None,
        nonce: str | None = None,
    ) -> Grant:
        """As `Placet.redeem`."""
        return await self._driver.run(
            self._talk.redeem(
                grant,
                action=action,
                subject=subject,
                params=params,
                context=context,
                nonce=nonce,
            )
        )

    async def receipt(
        self,
        grant: str | Request,
        *,
        records: int,
        outcome: str = "succeeded",
        note: str | None = None,
    ) -> Grant:
        """As `Placet.receipt`."""
        return await self._driver.run(
            self._talk.receipt(grant, records=records, outcome=outcome, note=note)
        )

    async def end(self, grant: str | Request) -> Grant:
        """As `Placet.end`."""
        return await self._driver.run(self._talk.end(grant))

    def guard(
        self,
        action: str,
        subject: str | None = None,
        params: Params | None = None,
        justification: str = "",
        *,
        requester: str,
        context: Context | Callable[[], Context] | None = None,
        **details: Unpack[WaitDetails],
    ) -> AsyncGuard:
        """As `Placet.guard`, with `async with`."""
        wish = Wish(action, requester, justification, subject, params)
        passage = self._passage(wish, context, details)
        return AsyncGuard(passage, self._driver.run, self._driver.finish)

    def requires_approval(
        self, *, records: Callable[[Any], int] | None = None, **given: Fitted
    ) -> Callable[[Work[P, R]], Work[P, R]]:
        """As `Placet.requires_approval`, for async functions."""
        return lambda function: guarded_async(function, self.guard, given, records)

    async def aclose(self) -> None:
        """Waits for receipts that are under way, then closes what is connected."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

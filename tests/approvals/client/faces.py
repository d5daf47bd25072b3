"""Both clients behind one face, on a clock that only their own pauses move."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from approvals.client import Access, AsyncPlacet, Patience, Placet
from tests.servers.fake_placet import API_KEY, URL, FakePlacet

KINDS = ("sync", "async")
WISH: dict[str, Any] = {
    "action": "customer.view",
    "subject": "customer:48213",
    "params": {"email": "dana@example.com"},
    "justification": "Because the customer asked for it",
    "requester": "okta:00u1",
}
ACT: dict[str, Any] = {name: WISH[name] for name in ("action", "subject", "params")}


@dataclass
class Clock:
    """Stands still until somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass
class Face:
    """One of the two clients over a fake Placet."""

    kind: str
    placet: FakePlacet = field(default_factory=FakePlacet)
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        transport = httpx.MockTransport(self.placet.handle)
        self.client: Placet | AsyncPlacet
        if self.kind == "sync":
            self.client = Placet(
                URL, API_KEY, transport=transport, sleep=self.clock.sleep,
                clock=self.clock, jitter=lambda: 1.0, patience=self.patience,
            )  # fmt: skip
        else:
            self.client = AsyncPlacet(
                URL, API_KEY, transport=transport, sleep=self.clock.sleep_async,
                clock=self.clock, jitter=lambda: 1.0, patience=self.patience,
            )  # fmt: skip

    async def call(self, name: str, *args: object, **named: object) -> Any:  # noqa: ANN401 - as it is
        """Calls a method of whichever client it is."""
        return await done(getattr(self.client, name)(*args, **named))

    async def guarded(self, body: Callable[[Access], object], **changes: object) -> Access:
        """The body behind a guard of this client."""
        wish = WISH | changes
        if isinstance(self.client, Placet):
            with self.client.guard(**wish) as access:
                body(access)
        else:
            async with self.client.guard(**wish) as access:
                await done(body(access))
        return access


async def done(result: object) -> Any:  # noqa: ANN401 - handed on
    return await result if inspect.isawaitable(result) else result

"""Long-polls wake when a request is settled: one subscription for all of them, and no polling.

A wake-up is a hint and carries no state: who is woken reads the record. Knows no record.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis

from approvals.model import RequestId
from approvals.store.keys import Keys
from approvals.store.subscription import Subscription

READS_AT_ONCE = 256  # a crowd woken together must not fill the store's queue


class Watch:
    """One waiter. Make it before the record is read, so that no wake-up falls in between."""

    def __init__(self, crowd: asyncio.Semaphore) -> None:
        self._event = asyncio.Event()
        self.turn = crowd
        self.is_over = False

    def wake(self) -> None:
        """Something may have changed."""
        self._event.set()

    def end(self) -> None:
        """There is no more waiting: the process stops, or the client has left."""
        self.is_over = True
        self._event.set()

    async def woken(self, until: float) -> bool:
        """Waits for the next wake-up; False when `until` (the loop's time) came first."""
        try:
            async with asyncio.timeout_at(until):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return not self.is_over


class Waiting:
    """Everyone who waits in this process. Who is `close`d waits no more."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._watches: defaultdict[RequestId, set[Watch]] = defaultdict(set)
        self._crowd = asyncio.Semaphore(READS_AT_ONCE)
        self._is_closed = False
        pool = client.connection_pool
        self._subscription = Subscription(
            pool, keys.settled_channel, heard=self._wake, gap=self._wake_all
        )

    def __len__(self) -> int:
        return sum(map(len, self._watches.values()))

    @property
    def is_listening(self) -> asyncio.Event:
        """Set while wake-ups arrive."""
        return self._subscription.is_listening

    async def run(self) -> None:
        """Listens, on a connection of its own, until it is cancelled."""
        await self._subscription.run()

    async def close(self) -> None:
        """Answers all waiters, now and from now on, with the current state: we are stopping."""
        self._is_closed = True
        for watch in self._everyone():
            watch.end()

    @contextmanager
    def watch(self, request: RequestId) -> Iterator[Watch]:
        """A waiter for one request, for as long as the context lasts."""
        watch = Watch(self._crowd)
        if self._is_closed:
            watch.end()
        self._watches[request].add(watch)
        try:
            yield watch
        finally:
            self._watches[request].discard(watch)
            if not self._watches[request]:
                del self._watches[request]

    def _wake(self, request: str) -> None:
        for watch in self._watches.get(RequestId(request), ()):
            watch.wake()

    def _wake_all(self) -> None:
        for watch in self._everyone():
            watch.wake()

    def _everyone(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]

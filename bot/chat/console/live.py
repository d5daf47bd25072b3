"""Server-sent events: open pages hear which requests changed. A hint is an id and nothing else.

A hint may be lost. Who has missed some is told to draw everything anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from redis.asyncio import ConnectionPool

from approvals.store.keys import Keys
from approvals.store.subscription import Subscription
from bot.web.requests import REQUEST_ID

BEAT_S = 15.0  # a page that hears nothing for longer knows that its stream is lost
MOST_AT_ONCE = 50  # more changes at once are told as "draw everything anew"


class Stream:
    """What one open page has not been told yet."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._is_over = False

    def tell(self, request: str) -> None:
        """One request changed; '' stands for any number of them."""
        if len(self._changed) <= MOST_AT_ONCE:  # beyond it, which ones makes no difference
            self._changed[request] = None
        self._woken.set()

    def end(self) -> None:
        """There is nothing more to hear: the process stops."""
        self._is_over = True
        self._woken.set()

    async def events(self) -> AsyncIterator[bytes]:
        """The bytes of the stream until it ends or is closed."""
        yield b"retry: 1000\n\n" + _event("beat", _now())
        while not self._is_over:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._woken.wait()
            except TimeoutError:
                yield _event("beat", _now())
                continue
            self._woken.clear()
            changed, self._changed = self._changed, {}
            if "" in changed or len(changed) > MOST_AT_ONCE:
                yield _event("resync", _now())
            elif changed:
                yield _event("changed", " ".join(changed))


class Live:
    """All open pages of this process, and the two channels of the store they hear."""

    def __init__(self, pool: ConnectionPool, keys: Keys) -> None:
        self._streams: set[Stream] = set()
        self._is_over = False
        channels = (keys.console_channel, keys.settled_channel)
        self._subscriptions = [
            Subscription(pool, channel, heard=self._heard, gap=self._resync) for channel in channels
        ]

    def __len__(self) -> int:
        return len(self._streams)

    async def run(self) -> None:
        """Listens until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for subscription in self._subscriptions:
                tasks.create_task(subscription.run())

    async def wait_until_listening(self) -> None:
        """Returns once no hint can be missed any more."""
        for subscription in self._subscriptions:
            await subscription.is_listening.wait()

    def close(self) -> None:
        """Ends every stream, now and from now on."""
        self._is_over = True
        for stream in self._streams:
            stream.end()

    async def stream(self) -> AsyncIterator[bytes]:
        """The events of one page, for as long as it listens."""
        stream = Stream()
        if self._is_over:
            stream.end()
        self._streams.add(stream)
        try:
            async for event in stream.events():
                yield event
        finally:
            self._streams.discard(stream)

    def _heard(self, word: str) -> None:
        # The store's health check publishes a word of its own, which is no request.
        if REQUEST_ID.fullmatch(word):
            self._tell_all(word)

    def _tell_all(self, request: str) -> None:
        for stream in self._streams:
            stream.tell(request)

    def _resync(self) -> None:
        self._tell_all("")


def _now() -> str:
    # A page's countdown goes by this clock and not by its own; what is decided goes by neither.
    return str(int(time.time() * 1000))


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()

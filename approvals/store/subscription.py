"""Listens to one channel of the store. A message may be lost; no listener relies on one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
QUIET_S = 5.0  # after so long without a word the connection is asked whether it still lives

_log = logging.getLogger(__name__)


class Subscription:
    """Calls `heard` with each message, and `gap` after each (re)connection.

    What was published while nobody listened is lost: at a gap a listener looks for itself.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        channel: str,
        *,
        heard: Callable[[str], None],
        gap: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._channel = channel
        self._heard = heard
        self._gap = gap
        self.is_listening = asyncio.Event()

    async def run(self) -> None:
        """Listens until cancelled; a lost connection is replaced."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with Redis(connection_pool=self._pool).pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    await self._listen(subscription)
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("channel lost", extra={"error": type(error).__name__})
            _end_if_cancelled()
            if self.is_listening.is_set():
                pause = FIRST_PAUSE_S
            self.is_listening.clear()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _listen(self, subscription: PubSub) -> None:
        """Hands on messages until the connection is lost, which raises."""
        is_asked = False
        while True:
            _end_if_cancelled()
            message = await subscription.get_message(timeout=QUIET_S)
            if message is None:
                if is_asked:  # a peer that vanished without a word looks like silence
                    raise TimeoutError
                await subscription.ping()
                is_asked = True
                continue
            is_asked = False
            if message["type"] == "subscribe":
                self.is_listening.set()
                self._gap()
            elif message["type"] == "message":
                self._heard(message["data"].decode(errors="replace"))


def _end_if_cancelled() -> None:
    # redis-py sends within asyncio.wait_for, which on Python 3.11 may swallow a cancellation:
    # whoever waits for this listener to stop would wait for ever.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

"""When each API key was last used, for who rotates keys. Nothing is decided by it.

Written beside the requests, never before them: a store that does not take it hinders nobody.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import cast

from approvals.errors import StoreFailure
from approvals.model import KeyId
from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline
from approvals.store.times import from_millis, millis

_log = logging.getLogger(__name__)

SELDOM = timedelta(minutes=1)  # between two writes for one key, so that it costs next to nothing


class KeyUses:
    """One hash, a field a key, shared by all processes."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline = pipeline
        self._key = keys.keys_used
        self._noted: dict[KeyId, datetime] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def note(self, key: KeyId, at: datetime) -> None:
        """The key was used, by the caller's clock. Begins a write where the last is old enough."""
        last = self._noted.get(key)
        if last is not None and abs(at - last) < SELDOM:
            return
        self._noted[key] = at
        write = asyncio.create_task(self._write(key, at))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def all(self) -> dict[KeyId, datetime]:
        """When each key was used last, give or take a minute. Raises `StoreFailure`."""
        flat = iter(cast("list[bytes]", await self._pipeline.run("HGETALL", self._key)))
        pairs = zip(flat, flat, strict=True)
        # What is no time was written by somebody else, and says nothing of a key's use.
        return {
            KeyId(key.decode(errors="replace")): from_millis(at)
            for key, at in pairs
            if at.isdigit() and len(at) < 15
        }

    async def close(self) -> None:
        """Waits for what is on its way."""
        if self._writes:
            await asyncio.wait(self._writes)

    async def _write(self, key: KeyId, at: datetime) -> None:
        try:
            await self._pipeline.run("HSET", self._key, key, millis(at))
        except StoreFailure as error:
            _log.warning("a key's use was not noted", extra={"code": error.code})

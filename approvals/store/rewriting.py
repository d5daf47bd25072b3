"""Rewriting the append-only file, which else goes on holding what was deleted from the store.

Asks the server; decides nothing, and no failure here undoes what is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, cast

from approvals.errors import StoreFailure
from approvals.store.pipeline import Pipeline

# "none": the server keeps no such file. "refused": it does not let us, or could not be asked.
Rewritten = Literal["done", "started", "none", "refused"]

LOOK_EVERY_S = 0.2
LOOKS = 50  # ten seconds; a large file is rewritten after we have stopped looking


class AppendOnlyFile:
    """The server's append-only file, without a confirmation: a replica rewrites its own."""

    def __init__(self, pipeline: Pipeline, pause_s: float = LOOK_EVERY_S) -> None:
        self._pipeline = pipeline
        self._pause_s = pause_s

    async def rewrite(self) -> Rewritten:
        """Has it rewritten from what the store holds now, and waits a while until that is done."""
        try:
            if (await self._state()).get("aof_enabled") != "1":
                return "none"
            # One that is under way began before the deletion, and would keep what was deleted.
            await self._until(_is_idle)
            await self._pipeline.run("BGREWRITEAOF")
            return "done" if await self._until(_is_idle) else "started"
        except StoreFailure:
            return "refused"

    async def _until(self, is_so: Callable[[dict[str, str]], bool]) -> bool:
        for _ in range(LOOKS):
            if is_so(await self._state()):
                return True
            await asyncio.sleep(self._pause_s)
        return False

    async def _state(self) -> dict[str, str]:
        reply = await self._pipeline.run("INFO", "persistence")
        text = cast("bytes", reply).decode(errors="replace")
        pairs = (line.partition(":") for line in text.splitlines())
        return {name: value.strip() for name, _, value in pairs}


def _is_idle(state: dict[str, str]) -> bool:
    waiting = state.get("aof_rewrite_in_progress"), state.get("aof_rewrite_scheduled")
    return waiting == ("0", "0")

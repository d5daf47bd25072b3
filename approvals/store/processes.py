"""The running processes of a deployment, and the policy each runs with: told anew, or forgotten.

Nothing is decided by it: it warns, and shows admins who runs what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline, raise_first
from approvals.store.times import from_millis, millis

Half = Literal["web", "worker", "both"]
SILENT_AFTER = timedelta(seconds=20)
_KEY_LIVES_MS = 60_000
_HALVES: Mapping[str, Half] = {"web": "web", "worker": "worker", "both": "both"}


@dataclass(frozen=True, slots=True, order=True)
class ProcessName:
    """Which process: its host, its pid there, and which half it is."""

    host: str
    pid: int
    half: Half

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.half}"


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """What a process told of itself last. `fault` says why newer files were not taken over."""

    name: ProcessName
    version: str
    at: datetime
    fault: str | None = None


class ProcessRegistry:
    """One hash, a field a process. Times are the store's. Raises `StoreFailure`."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline = pipeline
        self._key = keys.processes
        self._channel = keys.configuration_channel

    async def tell(self, name: ProcessName, version: str, fault: str | None) -> None:
        """The process lives and runs `version`; to be told more often than `SILENT_AFTER`."""
        at = _time(await self._pipeline.run("TIME"))
        told = json.dumps({"version": version, "at": millis(at), "fault": fault})
        replies = await self._pipeline.run_together(
            [("HSET", self._key, str(name), told), ("PEXPIRE", self._key, _KEY_LIVES_MS)]
        )
        raise_first(replies)

    async def leave(self, name: ProcessName) -> None:
        """The process ends: nobody need wait for it to fall silent."""
        await self._pipeline.run("HDEL", self._key, str(name))

    async def call(self, name: ProcessName) -> None:
        """Asks all processes that listen to look at their files; `name` is who asks."""
        await self._pipeline.run("PUBLISH", self._channel, str(name))

    async def alive(self) -> list[RunningProcess]:
        """Every process that told of itself lately, in order of name; the others are removed."""
        replies = await self._pipeline.run_all([("TIME",), ("HGETALL", self._key)])
        raise_first(replies)
        oldest = _time(replies[0]) - SILENT_AFTER
        flat = iter(cast("list[bytes]", replies[1]))
        found = {field: _read(field, value) for field, value in zip(flat, flat, strict=True)}
        silent = [field for field, each in found.items() if each is None or each.at < oldest]
        if silent:
            await self._pipeline.run("HDEL", self._key, *silent)
        alive = [each for field, each in found.items() if each and field not in silent]
        return sorted(alive, key=lambda each: each.name)


def _read(field: bytes, value: bytes) -> RunningProcess | None:
    """What stands there, or None where another version of us or nobody wrote it."""
    try:
        host, pid, half = field.decode().rsplit(":", 2)
        told = json.loads(value)
        name = ProcessName(host, int(pid), _HALVES[half])
        at, fault = from_millis(str(told["at"]).encode()), told["fault"]
        return RunningProcess(name, str(told["version"]), at, None if fault is None else str(fault))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _time(reply: object) -> datetime:
    seconds, micros = cast("list[bytes]", reply)
    return from_millis(str(int(seconds) * 1000 + int(micros) // 1000).encode())

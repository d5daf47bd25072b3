"""The other processes of the deployment: tells them of this one, and notes who runs another policy.

Only warns. Without the store it says nothing: that is told as the store's own fault.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic

from approvals.errors import StoreFailure
from approvals.store.processes import Half, ProcessName, ProcessRegistry, RunningProcess
from bot.policy_status import PolicyStatus

APART_S = 10.0  # so long two processes may run different policies before it is said
LEAVE_S = 0.5  # a store that does not answer must not hold up a stop


def own_name(half: Half) -> ProcessName:
    """The name of this process among the others."""
    return ProcessName(socket.gethostname(), os.getpid(), half)


class Fellows:
    """What this process knows of the others. `warnings` are as of the last look."""

    def __init__(
        self,
        registry: ProcessRegistry,
        name: ProcessName,
        status: Callable[[], PolicyStatus],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._registry = registry
        self._name = name
        self._status = status
        self._clock = clock
        self._apart_since: dict[tuple[ProcessName, str, str], float] = {}
        self.warnings: tuple[str, ...] = ()

    async def meet(self) -> None:
        """Tells what this process runs with, and looks at what the others run with."""
        own = self._status()
        with suppress(StoreFailure):
            await self._registry.tell(self._name, own.version, own.fault)
            alive = await self._registry.alive()
            self._compare(own, [each for each in alive if each.name != self._name])

    async def leave(self) -> None:
        """Takes this process off the list."""
        with suppress(StoreFailure, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._registry.leave(self._name)

    def _compare(self, own: PolicyStatus, others: Iterable[RunningProcess]) -> None:
        now = self._clock()
        told: list[str] = []
        apart: dict[tuple[ProcessName, str, str], float] = {}
        for other in others:
            if other.version != own.version:
                key = (other.name, other.version, own.version)
                apart[key] = self._apart_since.get(key, now)
                if now - apart[key] >= APART_S:
                    told.append(_apart(other, own))
            if other.fault and not own.fault:
                told.append(f"{_process(other.name)}: {other.fault}")
        self._apart_since, self.warnings = apart, tuple(told)


def _apart(other: RunningProcess, own: PolicyStatus) -> str:
    return (
        f"{_process(other.name)} runs policy {other.version}, this process {own.version}; "
        "give both the same files."
    )


def _process(name: ProcessName) -> str:
    half = "web and worker" if name.half == "both" else name.half
    return f"Process {name.pid} on {name.host} ({half})"

"""What tests of the reload share: a process's configuration on disk, and what it runs with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from approvals.service import ApprovalService
from approvals.store.store import Store
from bot.configuration_files import ConfigurationFiles
from bot.reload import Pace, Reload
from bot.telemetry import Metrics
from tests.approvals.store.support import log_of
from tests.configurations import CALLBACK_SECRET, POLICY, write_configuration
from tests.conftest import Engine, Placet

ENVIRONMENT = {"CRM_CALLBACK_SECRET": CALLBACK_SECRET}
CLOSED = POLICY.replace(
    "then: {decision: approve, say: The report holds no personal data}",
    "then: {decision: deny, say: Reports are closed}",
)
BROKEN = POLICY.replace("threshold: 2", "threshold: two", 1)
TORN = POLICY[: len(POLICY) // 2]
BRISK = Pace(look_s=0.01, tell_s=0.02)
FIRST_START = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.now = FIRST_START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Process:
    """One process of a deployment, as `bot.bootstrap` joins it."""

    directory: Path
    placet: Placet
    reload: Reload
    metrics: Metrics
    clock: Clock

    @property
    def service(self) -> ApprovalService:
        return self.placet.service

    @property
    def store(self) -> Store:
        return self.placet.store

    @property
    def version(self) -> str:
        return self.service.configuration.version

    def save(self, policy: str) -> None:
        save(self.directory / "policy.yaml", policy)

    def figure(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)

    async def entries(self, kind: str) -> list[dict[str, Any]]:
        """The audit's facts of one kind, once all that is noted is written."""
        await self.store.system.close()
        async with self.placet.engine.client() as client:
            entries = [json.loads(text) for text in await log_of(client, self.store.keys)]
        return [entry["data"] for entry in entries if entry["type"] == kind]


def save(path: Path, text: str) -> None:
    """Writes a file as most editors do: a new one in its place."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


async def process(
    engine: Engine,
    store: Store,
    directory: Path,
    *,
    environment: Mapping[str, str] = ENVIRONMENT,
    pace: Pace = BRISK,
) -> Process:
    """A process that has just started over the files in `directory`, which are written at first."""
    await asyncio.to_thread(_written, directory)
    files = ConfigurationFiles(directory, environment, is_demo=True)
    stamps, loaded = files.stamps(), files.load()
    service, metrics, clock = ApprovalService(store, loaded.configuration), Metrics(), Clock()
    reload = Reload(files, loaded, service, store, metrics, pace=pace, clock=clock)
    await reload.begin(stamps)
    placet = Placet(service, store, loaded.configuration, engine)
    return Process(directory, placet, reload, metrics, clock)


def _written(directory: Path) -> None:
    if not directory.exists():
        write_configuration(directory)

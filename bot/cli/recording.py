"""One fact of the command line for the `system` record of the deployment it concerns.

For commands that work without a store too: they say where nothing could be recorded, and go on.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from approvals.errors import ConfigurationInvalid, StoreFailure, StoreRefused
from approvals.events import Event, RightRefused
from bot.deployment import NothingRuns, OtherSetting, open_store, reached
from bot.settings import Settings
from bot.terminal import Terminal


def record(
    event: Event,
    words: str | None,
    config_dir: Path,
    settings: Settings,
    terminal: Terminal,
) -> None:
    """Writes the entry, or says that no deployment of this configuration was reached.

    `words`, why a person did it, are kept beside the entry. Raises `OtherKey`, `SeveralRun`,
    `DamagedFile`: then nobody knows which deployment is meant.
    """
    if not _is_recorded(event, words, config_dir, settings):
        terminal.complain("No Placet of this configuration was reached: this is not on record.")


def _is_recorded(event: Event, words: str | None, config_dir: Path, settings: Settings) -> bool:
    try:
        found = reached(settings)
        if found.config_dir.resolve() != config_dir.resolve():
            return False
        asyncio.run(_write(event, words, found))
    except (NothingRuns, OtherSetting, StoreFailure, StoreRefused, ConfigurationInvalid):
        return False
    return True


async def _write(event: Event, words: str | None, settings: Settings) -> None:
    store = open_store(settings)
    try:
        await store.health.require()
        if isinstance(event, RightRefused):
            store.system.note_refusal(event)
        else:
            store.system.note(event, store.subject_keys.own(words) if words else None)
    finally:
        await store.close()

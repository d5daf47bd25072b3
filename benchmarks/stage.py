"""What every measurement stands on: an embedded store, web, worker, a receiver, and the driver's
own use of the store.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from approvals.policy.loader import load_configuration
from approvals.service import ApprovalService
from approvals.signing_keys import SigningKey
from approvals.store.store import Store
from benchmarks.company import CALLBACK_SECRET, QUIET, SECRET_VARIABLE, write_configuration
from benchmarks.processes import WEB, WORKER, Weighed, running
from benchmarks.receiver import Receiver, receiving
from bot.api_keys import new_api_key
from bot.deployment import open_store
from bot.embedded import EmbeddedStore
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs. `store` and `service` are the driver's own, as the CLI uses them."""

    directory: Path
    environment: dict[str, str]
    api_key: str
    embedded: EmbeddedStore
    web: Weighed
    worker: Weighed
    receiver: Receiver
    store: Store
    service: ApprovalService

    async def facts(self, section: str) -> dict[str, str]:
        """One section of INFO."""
        reply = cast("bytes", await self.store.pipeline.run("INFO", section))
        lines = (line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
        return dict(lines)

    async def count_entries(self) -> int:
        """How many audit entries there are."""
        return cast("int", await self.store.pipeline.run("XLEN", self.store.keys.log))

    async def empty(self) -> None:
        """Forgets everything, and waits until the server has nothing left to do for it."""
        await self.store.pipeline.run("FLUSHALL", "SYNC")
        while await self._is_rewriting():  # noqa: ASYNC110 - the server offers no event
            await asyncio.sleep(0.05)

    async def _is_rewriting(self) -> bool:
        return (await self.facts("persistence"))["aof_rewrite_in_progress"] != "0"


@asynccontextmanager
async def staged(directory: Path) -> AsyncIterator[Stage]:
    """A stage in an empty directory; all that it starts ends with the context."""
    async with AsyncExitStack() as undo:
        receiver, port = await undo.enter_async_context(receiving())
        api_key = new_api_key(QUIET.key_id)
        write_configuration(directory / "config", api_key, None)
        write_configuration(directory / "config-told", api_key, port)
        embedded = await EmbeddedStore.start(directory / "store")
        undo.push_async_callback(embedded.stop)
        environment = _environment(directory, embedded.url)
        store = open_store(Settings.from_environment(environment))
        undo.push_async_callback(store.close)
        await store.health.require()
        configuration = load_configuration(directory / "config-told", loopback=True)
        told = environment | {"PLACET_CONFIG_DIR": str(directory / "config-told")}
        yield Stage(
            directory=directory,
            environment=environment,
            api_key=api_key,
            embedded=embedded,
            web=await undo.enter_async_context(running(WEB, environment, directory / "web.log")),
            worker=await undo.enter_async_context(running(WORKER, told, directory / "worker.log")),
            receiver=receiver,
            store=store,
            service=ApprovalService(store, configuration),
        )


def _environment(directory: Path, redis_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLACET_")}
    return kept | {
        "PLACET_REDIS_URL": redis_url,
        "PLACET_AUDIT_KEY": secrets.token_urlsafe(32),
        "PLACET_PSEUDONYM_KEY": secrets.token_urlsafe(32),
        "PLACET_VAULT_KEY": secrets.token_urlsafe(32),
        "PLACET_SIGNING_KEY": SigningKey.new().text(),
        "PLACET_CONFIG_DIR": str(directory / "config"),
        "PLACET_DATA_DIR": str(directory / "data"),
        "PLACET_HOST": "127.0.0.1",
        "PLACET_PORT": "0",
        SECRET_VARIABLE: CALLBACK_SECRET,
    }

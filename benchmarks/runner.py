"""Two processes that no command offers, built of the product's own parts.

`worker`: `placet worker` that may call back to loopback, as the demo's may.
`floor`: `placet web` without a store: commits are answered at once, reads find nothing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import uvloop

from approvals.service import ApprovalService
from benchmarks.floor import without_store
from bot.bootstrap import (
    Parts,
    Surroundings,
    address_of,
    listen,
    opened,
    run_web,
    run_worker,
)
from bot.settings import Settings
from bot.signals import signals_heard
from bot.telemetry import configure_logging

WORKS = "works"


async def worker(settings: Settings) -> None:
    """Works until told to stop."""
    async with opened(settings, Surroundings(os.environ, is_demo=True)) as parts:
        print(WORKS)
        await run_worker(parts, signals_heard().stop)


async def floor(settings: Settings) -> None:
    """Serves until told to stop. The store is used for its health and wake-ups, as always."""
    async with opened(settings, Surroundings(os.environ)) as parts:
        listener = listen(settings.host, settings.port)
        await run_web(
            _floored(parts),
            listener,
            signals_heard().stop,
            lambda: print("ready at", address_of(listener, settings)),
        )


def _floored(parts: Parts) -> Parts:
    store = without_store(parts.store, parts.settings)
    return replace(parts, store=store, service=ApprovalService(store, parts.service.configuration))


if __name__ == "__main__":
    read = Settings.from_environment(os.environ)
    keys = read.keys()
    configure_logging(
        read.log_level, (keys.audit.get_secret_value(), keys.pseudonym.get_secret_value())
    )
    uvloop.run({"worker": worker, "floor": floor}[sys.argv[1]](read))

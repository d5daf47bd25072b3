"""One process of a deployment, to be killed: `python -m tests.faults.runners ROLE`.

Joins the same parts as the composition root. First line on stdout: the port, or `ready`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from approvals.act import Redeem
from approvals.destinations import Destinations
from approvals.granting import GrantService, Redeemed
from approvals.model import Caller, RequestId
from approvals.store.pipeline import connection_pool
from approvals.store.store import Store
from bot.bootstrap import Parts, Surroundings, listen, opened, run_web, run_worker
from bot.callbacks import CallbackSender
from bot.deployment import store_url
from bot.egress import Egress, Reply
from bot.settings import Settings
from bot.signals import Signals, signals_heard
from bot.telemetry import configure_logging
from bot.worker import Worker

LEASE = "FAULTS_LEASE_S"  # a dead worker's leases must run out within a test


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def web(parts: Parts, signals: Signals) -> None:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    await run_web(parts, listener, signals.stop, lambda: say(port))


async def worker(parts: Parts, signals: Signals) -> None:
    say("ready")
    await run_worker(parts, signals.stop)


class Stalled(Egress):
    """Stands still between the claim and the first byte, and says for which event."""

    async def post(
        self,
        service: str,
        destinations: Destinations,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Reply:
        say(headers["webhook-id"])
        while True:
            await asyncio.Event().wait()


class Mute(GrantService):
    """Redeems, and then says so here alone: the service that asked hears nothing."""

    async def redeem(self, caller: Caller, request: RequestId, sent: Redeem) -> Redeemed:
        await super().redeem(caller, request, sent)
        say(request)
        while True:
            await asyncio.Event().wait()


async def mute(parts: Parts, signals: Signals) -> None:
    """A web process that never answers a redeem."""
    service = parts.service
    service.grants.__class__ = Mute
    await web(parts, signals)


async def stalled(parts: Parts, _: Signals) -> None:
    """A worker that claims callbacks and never sends one."""
    store = parts.store
    sender = CallbackSender(
        store.outbox, store.callbacks, Stalled(), lambda: parts.receivers, parts.metrics
    )
    pool = connection_pool(store_url(parts.settings))
    say("ready")
    await Worker(store, parts.service, sender, pool, parts.metrics).run()


def with_lease(store: Store, lease: timedelta) -> Store:
    """The same store; what is claimed from it is free again after `lease`."""
    return replace(
        store,
        deadlines=replace(store.deadlines, own_lease=lease),
        callbacks=replace(store.callbacks, own_lease=lease),
    )


async def main(role: str) -> None:
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_level, ())
    signals = signals_heard()
    surroundings = Surroundings(os.environ, is_demo=True, reload=signals.reload)
    run = {"web": web, "worker": worker, "stalled": stalled, "mute": mute}[role]
    async with opened(settings, surroundings) as parts:
        if lease := os.environ.get(LEASE):
            store = with_lease(parts.store, timedelta(seconds=float(lease)))
            await run(replace(parts, store=store), signals)
        else:
            await run(parts, signals)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""One process of a deployment, to be killed: `python -m tests.faults.runners ROLE`.

Joins the same parts as the composition root. First line on stdout: the port, or `ready`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from approvals.act import Redeem
from approvals.destinations import Destinations
from approvals.granting import GrantService, Redeemed
from approvals.model import Caller, Origin, PersonId, RequestId
from approvals.store.pipeline import Argument, Pipeline, Reply, connection_pool
from approvals.store.store import Store
from bot.bootstrap import Parts, Surroundings, listen, opened, run_web, run_worker
from bot.callbacks import CallbackSender
from bot.deployment import store_url
from bot.egress import Egress
from bot.egress import Reply as Answered
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
    ) -> Answered:
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


class Halting(Pipeline):
    """Stands still after so many replies of the store, and says so."""

    left: int

    async def run_all(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        replies = await super().run_all(commands)
        self.left -= 1
        if self.left == 0:
            say("halted")
            await asyncio.Event().wait()
        return replies


async def erase(parts: Parts, steps: int, subject: str) -> None:
    """An admin's command: forgets `subject`, and says when it is done, if it comes so far."""
    pipeline = parts.store.pipeline
    pipeline.__class__ = Halting
    assert isinstance(pipeline, Halting)
    pipeline.left = steps
    admin, cli = PersonId("ben"), Origin(via="cli")
    await parts.service.erasure.erase_subject(subject, admin, cli, reason="They asked for it")
    say("done")


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
    if role.startswith("erase "):
        _, steps, subject = role.split(" ")
        async with opened(settings, surroundings) as parts:
            await erase(parts, int(steps), subject)
        return
    run = {"web": web, "worker": worker, "stalled": stalled, "mute": mute}[role]
    async with opened(settings, surroundings) as parts:
        if lease := os.environ.get(LEASE):
            store = with_lease(parts.store, timedelta(seconds=float(lease)))
            await run(replace(parts, store=store), signals)
        else:
            await run(parts, signals)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

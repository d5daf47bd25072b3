"""What tests of callbacks share: two services with real receivers, and the worker's rounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

from approvals.model import EventId
from approvals.policy.loader import Configuration, load_configuration
from approvals.store.outbox import Outbox
from approvals.store.times import from_millis
from bot.callbacks import CallbackSender
from bot.egress import Egress
from bot.receivers import receivers_of
from bot.telemetry import Metrics
from tests.configurations import CALLBACK_SECRET, write_configuration
from tests.conftest import Placet
from tests.stories.telling import set_store_time

NEXT_SECRET = "whsec_" + "dGhlIG5leHQgc2VjcmV0IG9mIGNybSwgbWFkZSB1cCE="
BILLING_SECRET = "whsec_" + "dGhlIHNlY3JldCBvZiBiaWxsaW5nLCBtYWRlIHVwISE="
SECRETS_OF_CRM = (CALLBACK_SECRET, NEXT_SECRET)  # rotation: both are live
ENVIRONMENT = {
    "CRM_CALLBACK_SECRET": CALLBACK_SECRET,
    "CRM_NEXT_SECRET": NEXT_SECRET,
    "BILLING_SECRET": BILLING_SECRET,
}
_BILLING = """\
    callback:
      default: http://127.0.0.1:{port}/billing
      origins: ["http://127.0.0.1:{port}"]
      secrets: [{{env: BILLING_SECRET}}]
"""
NO_PORT = 9  # discard: nothing listens there


def write_calling(directory: Path, crm: int, billing: int = NO_PORT) -> None:
    """The three files; crm and billing are called back on these ports of 127.0.0.1."""
    write_configuration(directory, port=crm)
    services = directory / "services.yaml"
    one = "{env: CRM_CALLBACK_SECRET}"
    text = services.read_text().replace(one, one + ", {env: CRM_NEXT_SECRET}")
    assert "NEXT" in text
    services.write_text(text + _BILLING.format(port=billing))


def calling(directory: Path, crm: int, billing: int = NO_PORT) -> Configuration:
    """The same, loaded as the demo loads it."""
    write_calling(directory, crm, billing)
    return load_configuration(directory, loopback=True)


@dataclass
class Postman:
    """The worker's callback half, one round at a time."""

    placet: Placet
    sender: CallbackSender

    async def goes_round(self) -> int:
        """Makes one attempt for each callback that is due; answers how many there were."""
        rounds = 0
        while True:
            claimed = await self.placet.store.callbacks.claim()
            if not claimed.members:
                return rounds
            rounds += len(claimed.members)
            await asyncio.gather(
                *(
                    self.sender.deliver(EventId(member), claimed.lease_end, claimed.now)
                    for member in claimed.members
                )
            )

    async def waits_for_the_next_try(self) -> None:
        """Lets the store's time pass until the next callback is due."""
        (_, due), *_ = await due_callbacks(self.placet)
        await set_store_time(self.placet, from_millis(due))


@asynccontextmanager
async def postman(
    placet: Placet,
    *,
    environment: Mapping[str, str] = ENVIRONMENT,
    outbox: Outbox | None = None,
    total: timedelta = timedelta(seconds=10),
) -> AsyncIterator[Postman]:
    """A worker's callback half over `placet`; `total` bounds one attempt."""
    receivers = receivers_of(placet.configuration, environment, is_demo=True)
    egress = Egress(total=total)
    sender = CallbackSender(
        outbox or placet.store.outbox, placet.store.callbacks, egress, lambda: receivers, Metrics()
    )
    try:
        yield Postman(placet, sender)
    finally:
        await egress.close()


async def due_callbacks(placet: Placet) -> list[tuple[str, int]]:
    """What waits in the callbacks queue, with its due time in milliseconds."""
    key = placet.store.keys.queue("callbacks").due
    reply = await placet.store.pipeline.run("ZRANGE", key, 0, -1, "WITHSCORES")
    flat = iter(cast("list[bytes]", reply))
    return [(member.decode(), int(score)) for member, score in zip(flat, flat, strict=True)]


async def leases_run_out(placet: Placet) -> None:
    """As when the worker that held them has been dead for as long as a lease lasts."""
    key = placet.store.keys.queue("callbacks").leased
    for member in cast("list[bytes]", await placet.store.pipeline.run("ZRANGE", key, 0, -1)):
        await placet.store.pipeline.run("ZADD", key, "XX", 1, member)


@asynccontextmanager
async def working(run: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Something that runs until cancelled, while the context lasts."""
    task = asyncio.create_task(run)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

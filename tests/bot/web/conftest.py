"""The web half over a service on both engines, called without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvloop

from bot.settings import Settings
from bot.telemetry import Metrics
from bot.web.app import create_app
from bot.web.ops import Condition
from bot.web.waiting import Waiting
from tests.configurations import ask
from tests.conftest import Engine, Placet
from tests.servers.asgi_client import Answered, AsgiClient
from tests.signing import grant_tokens


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops where bytes meet the socket; elsewhere they make no difference."""
    plain = {"asyncio": asyncio.new_event_loop}
    return {**plain, "uvloop": uvloop.new_event_loop} if "test_server" in item.nodeid else plain


@dataclass
class Web:
    """One web process: its client speaks as the service crm unless told otherwise."""

    placet: Placet
    waiting: Waiting
    metrics: Metrics
    client: AsgiClient
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def auth(self, service: str = "crm") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.placet.api_key(service)}"}

    async def open(self, **changes: object) -> Answered:
        return await self.open_with({}, **changes)

    async def open_with(self, headers: dict[str, str], **changes: object) -> Answered:
        return await self.client.post("/v1/requests", ask(**changes), {**self.auth(), **headers})

    async def opened(self, **changes: object) -> dict[str, Any]:
        answered = await self.open(**changes)
        assert answered.status == 201, answered.body
        return answered.json()

    async def get(self, target: str, service: str = "crm") -> Answered:
        return await self.client.get(target, self.auth(service))

    async def keys(self) -> list[bytes]:
        """Every key there is but the clock, budgets of the minute, and uses of API keys."""
        store = self.placet.engine.client()
        pattern = self.placet.store.keys.clock.replace("clock:seen", "*")
        names = cast("list[bytes]", await store.keys(pattern))
        await store.aclose()
        keys = self.placet.store.keys
        passing = (keys.clock, keys.keys_used, pattern.replace("*", "budget:"))
        return [name for name in names if not name.decode().startswith(passing)]

    async def assert_refused(
        self, answered: Answered, status: int, slug: str, pointer: str | None = None
    ) -> dict[str, Any]:
        """A problem of this kind was answered, and nothing of the request is in the store."""
        told = answered.json()
        assert answered.status == told["status"] == status, told
        assert answered.headers["content-type"] == "application/problem+json"
        assert told["type"] == f"urn:placet:problem:{slug}"
        assert told["title"]
        assert told["detail"]
        if pointer is not None:
            assert pointer in [each["pointer"] for each in told["errors"]]
            assert all(each["message"] for each in told["errors"])
        left = await self.keys()
        if status == 403:  # that a right was refused is written down, and nothing else
            audit = (self.placet.store.keys.log, self.placet.store.keys.system)
            left = [name for name in left if name.decode() not in audit]
        assert left == []
        return told


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for offers no event
            await asyncio.sleep(0.005)


def make_web(placet: Placet, engine: Engine, settings: Settings | None = None) -> Web:
    """A web process over `placet`; its `waiting` does not run yet."""
    waiting = Waiting(engine.client(), placet.store.keys)
    metrics = Metrics()
    faults: list[str] = []
    warnings: list[str] = []
    app = create_app(
        service=placet.service,
        waiting=waiting,
        readiness=lambda: Condition(faults, warnings),
        metrics=metrics,
        settings=settings or Settings(durability="none"),
        tokens=grant_tokens(),
        noted=placet.store.key_uses.note,
    )
    return Web(placet, waiting, metrics, AsgiClient(app), faults, warnings)


@pytest.fixture
async def web(placet: Placet, engine: Engine) -> AsyncIterator[Web]:
    made = make_web(placet, engine)
    listening = asyncio.create_task(made.waiting.run())
    yield made
    await made.waiting.close()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening

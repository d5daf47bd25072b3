"""A service's own receiver: real HTTP on loopback, which keeps every byte and plays a script.

Knows nothing of our signer: what it verifies, it verifies with the library receivers use.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web
from standardwebhooks import Webhook

Event = dict[str, Any]
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
HUGE = 8 * 1024 * 1024


@dataclass(frozen=True)
class Delivery:
    """One POST as it came: the path, every header as sent, the raw body."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        (value,) = (value for key, value in self.headers if key.lower() == name)
        return value

    @property
    def id(self) -> str:
        return self.header("webhook-id")

    def told(self) -> Event:
        return cast("Event", json.loads(self.body))

    def verified(self, secret: str) -> Event:
        """The event, checked as a service checks it. Raises `WebhookVerificationError`."""
        return cast("Event", Webhook(secret).verify(self.body, dict(self.headers)))


def answers(status: int, **headers: str) -> Behaviour:
    """Answers at once; `Retry_After` is the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=named)

    return answer


def hangs_until(released: asyncio.Event, status: int = 204) -> Behaviour:
    """Takes the request and says nothing until `released`."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response(status=status)

    return answer


def trickles_until(released: asyncio.Event) -> Behaviour:
    """Status 200, then a body that comes byte by byte and does not end before `released`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while not released.is_set():
                await response.write(b".")
                await asyncio.sleep(0.005)  # the trickle itself
        return response

    return answer


async def closes_without_a_word(request: web.Request) -> web.StreamResponse:
    """Reads the request and closes the connection."""
    _connection(request).close()
    return web.Response()


async def closes_mid_body(request: web.Request) -> web.StreamResponse:
    """Promises a body, sends a part of it and closes the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half of it")
    _connection(request).close()
    return response


async def answers_hugely(request: web.Request) -> web.StreamResponse:
    """Status 200 and megabytes nobody asked for."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(HUGE // 65536):
            await response.write(b"x" * 65536)
    return response


def _connection(request: web.Request) -> asyncio.BaseTransport:
    assert request.transport is not None
    return request.transport


@dataclass
class CallbackReceiver:
    """Plays `script` delivery by delivery, and after its end `otherwise`."""

    port: int = 0
    script: deque[Behaviour] = field(default_factory=deque)
    otherwise: Behaviour = field(default_factory=lambda: answers(204))
    deliveries: list[Delivery] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, event: str) -> list[Delivery]:
        """Every delivery of one event, in the order of arrival."""
        return [delivery for delivery in self.deliveries if delivery.id == event]

    async def arrived(self, is_so: Callable[[], bool], what: str) -> None:
        """Waits until something that a delivery brings about is so."""
        try:
            async with asyncio.timeout(15), self._arrived:
                await self._arrived.wait_for(is_so)
        except TimeoutError:
            raise AssertionError(f"it never came about that {what}") from None

    async def got(self, count: int) -> None:
        """Waits for `count` deliveries."""
        await self.arrived(lambda: len(self.deliveries) >= count, f"{count} deliveries came")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = tuple(request.headers.items())
        delivery = Delivery(request.path_qs, headers, await request.read())
        async with self._arrived:
            self.deliveries.append(delivery)
            self._arrived.notify_all()
        behaviour = self.script.popleft() if self.script else self.otherwise
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            return await behaviour(request)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def callback_receiver(*script: Behaviour) -> AsyncIterator[CallbackReceiver]:
    """A receiver on a free port of 127.0.0.1, which plays `script` first."""
    receiver = CallbackReceiver(script=deque(script))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()

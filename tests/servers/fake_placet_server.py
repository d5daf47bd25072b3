"""The fake Placet over real HTTP, for faults that only a real connection has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
from aiohttp import web

from tests.servers.callback_receiver import Behaviour
from tests.servers.fake_placet import FakePlacet


@dataclass
class Served:
    """Where it listens. `faults` play for every call of a name, until they are taken out."""

    url: str
    placet: FakePlacet
    faults: dict[str, Behaviour] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = httpx.Request(
            request.method, f"{self.url}{request.path}", headers=dict(request.headers), content=body
        )
        self.placet.calls.append(call)
        if behaviour := self.faults.get(self.placet.names()[-1]):
            return await behaviour(request)
        answer = self.placet.carry_out(call)
        return web.Response(
            status=answer.status_code, body=answer.content, content_type="application/json"
        )


async def closes_mid_head(request: web.Request) -> web.StreamResponse:
    """Half a status line, and the end."""
    assert request.transport is not None
    assert isinstance(request.transport, asyncio.WriteTransport)
    request.transport.write(b"HTTP/1.1 20")
    request.transport.close()
    return web.Response()


async def is_no_http(request: web.Request) -> web.StreamResponse:
    """Something else listens there."""
    assert isinstance(request.transport, asyncio.WriteTransport)
    with suppress(ConnectionError):
        request.transport.write(b"220 mail.example ESMTP\r\n")
        request.transport.close()
    return web.Response()


@asynccontextmanager
async def fake_placet_server() -> AsyncIterator[Served]:
    """On a free port of 127.0.0.1."""
    served = Served("", FakePlacet())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield served
    finally:
        await runner.cleanup()

"""A service's end of callbacks: reads a POST, notes when its last byte came, answers 200."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import cast

from approvals.model import RequestId

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_ABOUT = re.compile(rb"\r\nwebhook-id: evt_(req_\w+)_\d+\r\n", re.IGNORECASE)
_FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver:
    """When the first callback of each request had arrived, by `perf_counter`."""

    def __init__(self) -> None:
        self.arrivals: dict[RequestId, float] = {}
        self._awaited: dict[RequestId, asyncio.Future[float]] = {}

    async def arrival(self, request: RequestId) -> float:
        """Waits for a request's callback."""
        if request not in self.arrivals:
            self._awaited[request] = asyncio.get_running_loop().create_future()
            return await self._awaited[request]
        return self.arrivals[request]

    def note(self, request: RequestId) -> None:
        """A callback has come as a whole; a repeat changes nothing."""
        now = self.arrivals.setdefault(request, perf_counter())
        waiter = self._awaited.pop(request, None)
        if waiter and not waiter.done():
            waiter.set_result(now)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, int]]:
    """A receiver and the free port of loopback it listens on."""
    receiver = Receiver()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Call(receiver), "127.0.0.1", 0, backlog=1024)
    try:
        yield receiver, int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


class _Call(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._text = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._text += data
        head = self._text.find(b"\r\n\r\n")
        if head < 0:
            return
        length, about = (pattern.search(self._text, 0, head + 2) for pattern in (_LENGTH, _ABOUT))
        if length is None or about is None:
            self._transport.abort()
        elif len(self._text) >= head + 4 + int(length[1]):
            self._receiver.note(RequestId(about[1].decode()))
            self._text = b""
            self._transport.write(_FINE)

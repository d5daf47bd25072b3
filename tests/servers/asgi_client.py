"""Calls an ASGI application in this process, byte by byte as a server would. Knows no route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | AsyncIterator[bytes]


@dataclass
class Answered:
    """What the application answered, and the error it raised after that, if any."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: Exception | None = None

    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass
class AsgiClient:
    """Sends requests from `address`. Set `left` to close the connection while it waits."""

    app: ASGIApp
    address: str = "127.0.0.1"
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: Body = b"",
    ) -> Answered:
        path, _, query = target.partition("?")
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
        if isinstance(body, bytes) and body and not any(n == b"content-length" for n, _ in raw):
            raw.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": raw,
            "client": (self.address, 50000),
            "server": ("127.0.0.1", 8080),
        }
        exchange = _Exchange(body, self.left)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - the framework answers 500 and raises again
            exchange.answered.error = error
        return exchange.answered

    async def post(self, target: str, sent: object, headers: Mapping[str, str]) -> Answered:
        """Sends `sent` as JSON; bytes are sent as they are."""
        body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return await self.call(
            "POST", target, {"Content-Type": "application/json", **headers}, body
        )

    async def get(self, target: str, headers: Headers = ()) -> Answered:
        return await self.call("GET", target, headers)


class _Exchange:
    def __init__(self, body: Body, left: asyncio.Event) -> None:
        self.answered = Answered()
        self._chunks = _one(body) if isinstance(body, bytes) else body
        self._is_sent = False
        self._left = left

    async def receive(self) -> MutableMapping[str, Any]:
        if self._is_sent:
            await self._left.wait()
            return {"type": "http.disconnect"}
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._is_sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.answered.status = message["status"]
            pairs = message.get("headers", [])
            self.answered.headers = {name.decode(): value.decode() for name, value in pairs}
        else:
            self.answered.body += message.get("body", b"")


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body

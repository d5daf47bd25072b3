"""The console over a store on both engines, as the composition root joins it, without a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from approvals.inbox import Inbox
from approvals.policy.people import People
from bot.chat.console.adapter import ConsolePort
from bot.chat.console.live import Live
from bot.chat.console.routes import ConsoleParts, ConsoleRoutes
from bot.chat.console.sessions import TOKEN_HEADER, Sessions
from bot.chat.identity import Identities
from bot.chat.interactions import Interactions
from bot.chat.messages import Messages
from bot.policy_status import PolicyStatus
from bot.settings import Settings
from bot.telemetry import Metrics
from bot.web.app import create_app
from bot.web.front import Handlers
from bot.web.ops import Condition
from bot.web.waiting import Waiting
from tests.conftest import Engine, Placet
from tests.servers.asgi_client import Answered, AsgiClient, Headers
from tests.signing import grant_tokens

HOST = "127.0.0.1:8080"
POLICY_SINCE = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)
KEY = b"k" * 32
NO_REQUEST = "req_" + "0" * 26
JSON = {"Content-Type": "application/json"}


@dataclass
class Console:
    """One web process with the console, and what it stands on."""

    placet: Placet
    app: ASGIApp
    live: Live
    port: ConsolePort
    sessions: Sessions
    client: Redis
    policy: PolicyStatus = field(default_factory=lambda: PolicyStatus("3f9a0c1d27ab", POLICY_SINCE))

    def browser(self) -> Browser:
        return Browser(self)

    async def call(
        self, method: str, target: str, headers: Headers = (), body: bytes = b""
    ) -> Answered:
        """A call as it is, but with our host where none is named."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if not any(name.lower() == "host" for name, _ in pairs):
            pairs.append(("Host", HOST))
        return await AsgiClient(self.app).call(method, target, pairs, body)

    async def get_as(self, person: str, target: str) -> Answered:
        """A script reads as `person`."""
        return await self.call("GET", target, {"X-Placet-Person": person})

    async def post_as(self, person: str, target: str, body: bytes = b"") -> Answered:
        """A script changes something as `person`."""
        return await self.call("POST", target, {"X-Placet-Person": person, **JSON}, body)

    async def trace(self) -> dict[str, object]:
        """All that is stored, but the store's time, which a read may write, and budgets."""
        await self.placet.store.system.close()
        async with self.placet.engine.client() as client:
            names = cast("list[bytes]", await client.keys(self.placet.store.keys.pattern))
            clock = self.placet.store.keys.clock.encode()
            wanted = sorted(n for n in set(names) - {clock} if b":budget:" not in n)
            return {name.decode(): await client.dump(name) for name in wanted}


@dataclass
class Browser:
    """A browser: it keeps the cookie, and its page keeps the token."""

    console: Console
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    person: str = ""

    async def opens(self) -> Answered:
        """Opens the page, as a person does who types its address."""
        page = await self.get("/console")
        text = page.body.decode()
        if page.status == 200:
            (self.token,) = re.findall(r'name="placet-token" content="([0-9a-f]+)"', text)
            (self.person,) = re.findall(r'<body data-person="([^"]*)"', text)
        return page

    async def sits(self, person: str) -> Browser:
        """Opens the page and becomes `person`."""
        await self.opens()
        if self.person != person:
            assert (await self.post("/console/person", {"person": person})).status == 200
            await self.opens()
        assert self.person == person
        return self

    async def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answered:
        return self._keep(await self.console.call("GET", target, self._sent(headers or {})))

    async def post(
        self, target: str, sent: object = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """As the page's script posts; `headers` replace its own."""
        theirs = {name.lower(): value for name, value in (headers or {}).items()}
        ours = {TOKEN_HEADER: self.token, "origin": f"http://{HOST}"}
        client = AsgiClient(self.console.app)
        named = self._sent({**ours, **theirs, "host": HOST})
        return self._keep(await client.post(target, {} if sent is None else sent, named))

    async def clicks(self, action: str, request: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Presses a button; answers what the page is told."""
        sent = {"action": action, "request": request, "revision": 1, **more}
        answered = await self.post("/console/clicks", sent)
        assert answered.status == 200, answered.body
        return answered.json()

    def _sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {**({"Cookie": cookie} if cookie else {}), **headers}

    def _keep(self, answered: Answered) -> Answered:
        for name, morsel in SimpleCookie(answered.headers.get("set-cookie", "")).items():
            self.cookies[name] = morsel.value
        return answered


def pages_of(console: Console) -> Mapping[str, Handlers]:
    """The routes, as `bot.bootstrap` makes them."""
    placet = console.placet

    def people() -> People:
        return placet.service.configuration.people

    messages = Messages(people)
    parts = ConsoleParts(
        service=placet.service,
        inbox=Inbox(placet.store, lambda: placet.service.configuration),
        interactions=Interactions(placet.service, Identities(people), messages),
        messages=messages,
        port=console.port,
        sessions=console.sessions,
        live=console.live,
        people=people,
        policy=lambda: console.policy,
    )
    return ConsoleRoutes(parts).routes()


def application(placet: Placet, pages: Mapping[str, Handlers]) -> ASGIApp:
    """The whole application, with or without a console."""
    return create_app(
        service=placet.service,
        waiting=Waiting(placet.engine.client(), placet.store.keys),
        readiness=lambda: Condition([], []),
        metrics=Metrics(),
        settings=Settings(durability="none"),
        tokens=grant_tokens(),
        pages=pages,
    )


@pytest.fixture
async def console(placet: Placet, engine: Engine) -> AsyncIterator[Console]:
    pool = engine.pool()
    client = Redis(connection_pool=pool)
    live = Live(pool, placet.store.keys)
    port = ConsolePort(client, placet.store.keys.console_channel)
    sessions = Sessions(KEY, lambda: placet.service.configuration.people)

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("replaced below")

    made = Console(placet, refuse, live, port, sessions, client)
    made.app = application(placet, pages_of(made))
    yield made
    await pool.aclose()


@asynccontextmanager
async def listening(console: Console) -> AsyncIterator[None]:
    """Within it, the process hears what is published."""
    task = asyncio.create_task(console.live.run())
    async with asyncio.timeout(10):
        await console.live.wait_until_listening()
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass
class Heard:
    """One open stream of events."""

    status: int
    headers: dict[str, str]
    _chunks: asyncio.Queue[bytes | None]

    async def event(self) -> tuple[str, str] | None:
        """The next event and its data; None when the stream has ended."""
        async with asyncio.timeout(10):
            chunk = await self._chunks.get()
        if chunk is None:
            return None
        fields = dict(line.split(": ", 1) for line in chunk.decode().strip().splitlines() if line)
        return fields["event"], fields["data"]


@asynccontextmanager
async def stream(console: Console, headers: Mapping[str, str]) -> AsyncIterator[Heard]:
    """An open `/console/events`; it is left at the end."""
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
    begun: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def tapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                begun.set_result(message)
            elif message.get("body"):
                chunks.put_nowait(message["body"])

        await console.app(scope, receive, send_on)
        chunks.put_nowait(None)

    client = AsgiClient(tapped)
    pairs = {"Host": HOST, **headers}
    call = asyncio.create_task(client.get("/console/events", pairs))
    async with asyncio.timeout(10):
        start = await begun
    named = {name.decode(): value.decode() for name, value in start["headers"]}
    yield Heard(start["status"], named, chunks)
    client.left.set()
    async with asyncio.timeout(10):
        await call

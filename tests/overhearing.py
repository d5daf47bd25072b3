"""A whole deployment in this process, with an ear at everything that leaves it, channel by channel.

Real HTTP, a real store and real receivers; the worker's rounds are made by hand. What may be heard
where is the story's matter.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import aiohttp
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.bootstrap import Parts, Surroundings, listen, opened, own_address, run_web
from bot.chat.card import Card, Form, Listing
from bot.chat.console.render import card_html, form_html, reply_html
from bot.chat.identity import Identities
from bot.chat.interactions import Interactions
from bot.chat.messages import Messages
from bot.chat.port import ChatUser, Click, Command, MessageRef
from bot.notifier import Faces
from bot.settings import Settings
from bot.telemetry import JsonLines
from tests.calling_back import ENVIRONMENT, Postman, postman
from tests.canaries import Canaries
from tests.configurations import API_KEY
from tests.conftest import Engine, Placet, RealServer
from tests.notifying import Cards
from tests.servers.callback_receiver import CallbackReceiver, callback_receiver
from tests.servers.recording_port import RecordingPort
from tests.signing import SIGNING_KEY

Channel = Literal[
    "card",  # of a channel, every revision, as data and as HTML; the lists of the page
    "reply",  # to one person, on a click
    "view",  # the full details, for who is entitled
    "console",  # the console's other answers
    "answer",  # to the service whose request it is
    "problem",
    "callback",  # to the receiver of the service whose request it is
    "other callback",
    "log",
    "metric",
    "key name",
    "value",
    "entry",  # of the audit
    "policy",  # as kept for the audit
    "terminal",
]
Sighting = tuple[str, Channel]  # a canary's place, and where it was seen
KEYS = {
    name: SecretStr(f"{name}-0123456789-abcdefghijklmnop")
    for name in ("audit_key", "pseudonym_key", "vault_key", "session_key")
}
_KEPT_POLICY = "policy:"


@dataclass
class Heard:
    """Every text that went out."""

    texts: defaultdict[Channel, set[str | bytes]] = field(default_factory=lambda: defaultdict(set))

    def note(self, channel: Channel, *texts: str | bytes) -> None:
        self.texts[channel].update(texts)

    def sightings(self, canaries: Canaries) -> set[Sighting]:
        """Which canaries were heard where."""
        return {
            (place, channel)
            for channel, texts in self.texts.items()
            for text in texts
            for place in canaries.in_text(text)
        }


@dataclass
class KeepingPort(RecordingPort):
    """Keeps every revision of every card, form and reply, also of what was refused."""

    heard: Heard = field(default_factory=Heard)

    async def post(self, channel: str, card: Card) -> MessageRef:
        self.heard.note("card", *_told(card))
        return await super().post(channel, card)

    async def update(self, ref: MessageRef, card: Card) -> None:
        self.heard.note("card", *_told(card))
        await super().update(ref, card)

    async def reply_privately(self, to: Click | Command, reply: Card | Listing) -> None:
        self.heard.note("reply", reply.model_dump_json(), reply_html(reply))

    async def ask(self, click: Click, form: Form) -> None:
        channel: Channel = "view" if click.action == "review" else "reply"
        self.heard.note(channel, form.model_dump_json(), form_html(form))


def _told(card: Card) -> tuple[str, str]:
    return card.model_dump_json(), card_html(card, "waiting", 0)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    text: str

    @property
    def data(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.text))


@dataclass
class Overheard:
    """One deployment. `crm` and `billing` are the receivers of its two services."""

    heard: Heard
    parts: Parts
    placet: Placet
    origin: str
    session: aiohttp.ClientSession
    port: KeepingPort
    cards: Cards
    post: Postman
    crm: CallbackReceiver
    billing: CallbackReceiver
    log: io.StringIO

    def __repr__(self) -> str:  # or hypothesis shows all that was heard
        return "Overheard(...)"

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        service: str = "crm",
    ) -> Answer:
        """A call as a service makes it; `body` is JSON, or bytes as they are."""
        sent = {"Authorization": f"Bearer {API_KEY[service]}", "Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        return await self._answered("answer", method, path, sent | {**(headers or {})}, content)

    async def sees(self, person: str, path: str, body: object = None) -> Answer:
        """A call of the console's API as `person`; a POST where there is a body."""
        sent = {"X-Placet-Person": person, "Content-Type": "application/json"}
        channel: Channel = "view" if path.endswith("/view") else "console"
        if body is None:
            return await self._answered(channel, "GET", path, sent)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._answered(channel, "POST", path, sent, content)

    async def page(self, person: str) -> None:
        """The lists of the page, which are the cards in another dress."""
        sent = {"X-Placet-Person": person}
        await self._answered("card", "GET", "/console/board", sent)
        await self._answered("card", "GET", "/console", sent)

    async def _answered(
        self,
        channel: Channel,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> Answer:
        url = self.origin + path
        data = None if content is None else io.BytesIO(content)  # a large body draws a warning
        async with self.session.request(method, url, headers=headers, data=data) as response:
            text = await response.text()
        is_problem = response.content_type == "application/problem+json"
        # What a service is told of a decision that was there first is an answer of CONTRACT 1.
        is_own_decision = channel == "answer" and "already-final" in text
        told = "problem" if is_problem and not is_own_decision else channel
        self.heard.note(told, text, str(response.raw_headers))
        return Answer(response.status, text)

    async def says(self, sent: bytes) -> bytes:
        """What bytes that may be no HTTP are answered, until the connection is closed."""
        host, port = self.origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        writer.write_eof()
        answered = await reader.read()
        writer.close()
        self.heard.note("problem", answered)
        return answered

    async def clicks(self, person: str, action: str, request: str, **inputs: str) -> None:
        """A button pressed, or a form sent, on a chat platform."""
        people = self.placet.service.configuration.people
        identities, messages = Identities(lambda: people), Messages(lambda: people)
        click = Click(
            user=ChatUser(platform="console", id=person),
            action=cast("Any", action),
            request=cast("Any", request),
            revision=1,
            inputs=inputs,
        )
        await Interactions(self.placet.service, identities, messages).on_click(self.port, click)

    async def works(self) -> None:
        """The worker's rounds for what is due now."""
        await self.cards.goes_round()
        await self.post.goes_round()

    async def listens(self) -> None:
        """Takes down all that is to be seen at this moment: store, figures, log, receivers."""
        await self._answered("metric", "GET", "/metrics", {})
        await self._answered("problem", "GET", "/readyz", {})
        self.heard.note("metric", self.parts.metrics.text())
        self.heard.note("log", self.log.getvalue())
        receivers: tuple[tuple[Channel, CallbackReceiver], ...] = (
            ("callback", self.crm),
            ("other callback", self.billing),
        )
        for channel, receiver in receivers:
            for delivery in receiver.deliveries:
                self.heard.note(channel, delivery.path, str(delivery.headers), delivery.body)
        await self.placet.store.system.close()
        async with self.placet.engine.client() as client:
            await dump(client, self.placet.store.keys.pattern, self.heard)


async def dump(client: Redis, pattern: str, heard: Heard) -> None:
    """Takes down every key of the store that fits `pattern`, and all that it holds."""
    async for key in client.scan_iter(pattern):
        heard.note("key name", key)
        kind = await client.type(key)
        if kind == b"hash":
            found = cast("Any", await client.hgetall(key))  # its stub allows a sync client's answer
            channel: Channel = "policy" if _KEPT_POLICY in key.decode() else "value"
            heard.note(channel, *found, *found.values())
        elif kind == b"stream":
            for _, fields in cast("Any", await client.xrange(key)):
                heard.note("entry", *fields, *fields.values())
        elif kind == b"zset":
            heard.note("value", *await client.zrange(key, 0, -1))
        else:
            found = await client.get(key)
            assert found is not None, f"what kind of value is {key!r}, {kind!r}?"
            heard.note("policy" if _KEPT_POLICY in key.decode() else "value", found)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Every log line from the finest level up, as the processes write them."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(JsonLines([key.get_secret_value() for key in KEYS.values()]))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@asynccontextmanager
async def receivers() -> AsyncIterator[tuple[CallbackReceiver, CallbackReceiver]]:
    """Those of crm and of billing."""
    async with callback_receiver() as crm, callback_receiver() as billing:
        yield crm, billing


@asynccontextmanager
async def overheard(
    folder: Path, server: RealServer, crm: CallbackReceiver, billing: CallbackReceiver
) -> AsyncIterator[Overheard]:
    """A deployment over the configuration in `folder`, in a namespace of its own on `server`."""
    namespace = "t" + uuid.uuid4().hex[:12]
    settings = Settings(
        redis_url=SecretStr(server.url),
        namespace=namespace,
        config_dir=folder,
        data_dir=folder.parent / "data",
        signing_key=SecretStr(SIGNING_KEY),
        **cast("Any", KEYS),
    )
    heard, stop, is_ready = Heard(), asyncio.Event(), asyncio.Event()
    with logged() as log, listen("127.0.0.1", 0) as listener:
        async with opened(settings, Surroundings(ENVIRONMENT, is_demo=True)) as parts:
            configuration = parts.service.configuration
            engine = Engine("valkey", namespace, None, server.url)
            placet = Placet(parts.service, parts.store, configuration, engine)
            port = KeepingPort(heard=heard)
            messages = Messages(lambda: configuration.people)
            faces = Faces(messages.channel_card, messages.blank, messages.superseded)
            cards = Cards(placet, port, faces=faces)
            serving = asyncio.create_task(run_web(parts, listener, stop, is_ready.set))
            await is_ready.wait()
            async with postman(placet) as post, aiohttp.ClientSession() as session:
                yield Overheard(
                    heard, parts, placet, own_address(listener, settings), session, port, cards,
                    post, crm, billing, log,
                )  # fmt: skip
            stop.set()
            await serving
        heard.note("log", log.getvalue())

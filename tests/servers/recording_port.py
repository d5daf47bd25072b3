"""A chat platform that keeps to the port's contract, remembers all, and can fail in every way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeVar

from bot.chat.card import Card, Form, Listing
from bot.chat.port import (
    BotIdentity,
    ChatBusy,
    ChatRefused,
    Click,
    Command,
    MessageGone,
    MessageRef,
    Platform,
)

T = TypeVar("T")
Verb = Literal["post", "update"]


class ReplyLost(ConnectionError):
    """The platform took the message, and its answer was lost. Holds what must reach no log."""


@dataclass
class Fault:
    """What the next call of a verb meets. A lost reply is an accepted call."""

    error: Exception | None = None
    is_accepted: bool = False
    stands_still: asyncio.Event | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)


def busy(retry_after: timedelta | None = None) -> Fault:
    return Fault(ChatBusy("ratelimited", retry_after))


def refused(code: str = "not_in_channel") -> Fault:
    return Fault(ChatRefused(code))


def loses_the_reply() -> Fault:
    return Fault(ReplyLost("the text of dana@example.com"), is_accepted=True)


def breaks() -> Fault:
    return Fault(ValueError("the text of dana@example.com"))


def stands_still(until: asyncio.Event) -> Fault:
    return Fault(stands_still=until)


@dataclass
class RecordingPort:
    """Channels with their messages as they stand. `faults` are met in order, one a call."""

    platform: Platform = "slack"
    channels: dict[str, dict[str, Card]] = field(default_factory=dict)
    calls: list[tuple[Verb, str]] = field(default_factory=list)
    faults: dict[Verb, deque[Fault]] = field(
        default_factory=lambda: {"post": deque(), "update": deque()}
    )
    closed: dict[str, str] = field(default_factory=dict)
    _posted: int = 0

    def cards(self, channel: str) -> list[Card]:
        """What people see in a channel, oldest first."""
        return list(self.channels.get(channel, {}).values())

    def live(self, channel: str) -> list[Card]:
        """The cards that still have buttons."""
        return [card for card in self.cards(channel) if card.buttons]

    def count(self, verb: Verb) -> int:
        return sum(made == verb for made, _ in self.calls)

    async def post(self, channel: str, card: Card) -> MessageRef:
        def put() -> MessageRef:
            self._posted += 1
            ref = MessageRef(platform=self.platform, channel=channel, id=f"{self._posted}.0")
            self.channels.setdefault(channel, {})[ref.id] = card
            return ref

        return await self._take("post", channel, put)

    async def update(self, ref: MessageRef, card: Card) -> None:
        assert ref.platform == self.platform

        def edit() -> None:
            if ref.id not in self.channels.get(ref.channel, {}):
                raise MessageGone("message_not_found")
            self.channels[ref.channel][ref.id] = card

        await self._take("update", ref.channel, edit)

    async def reply_privately(self, to: Click | Command, reply: Card | Listing) -> None:
        raise AssertionError("the notifier answers nobody")

    async def ask(self, click: Click, form: Form) -> None:
        raise AssertionError("the notifier asks nobody")

    async def whoami(self) -> BotIdentity:
        return BotIdentity(platform=self.platform, name="recorder")

    async def _take(self, verb: Verb, channel: str, accept: Callable[[], T]) -> T:
        self.calls.append((verb, channel))
        fault = self.faults[verb].popleft() if self.faults[verb] else Fault()
        fault.began.set()
        if fault.stands_still:
            await fault.stands_still.wait()
        if channel in self.closed:
            raise ChatRefused(self.closed[channel])
        if fault.error is None:
            return accept()
        if fault.is_accepted:
            accept()
        raise fault.error

"""The one port that every chat platform is reached through: five verbs, and what comes back.

An adapter knows its platform and nothing of requests; who calls it knows no platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from approvals.model import Frozen, RequestId
from bot.chat.card import Action, Card, Form, Listing

Platform = Literal["slack", "teams", "console"]


class MessageRef(Frozen):
    """A message that stands on a platform, by which it is edited."""

    platform: Platform
    channel: str
    id: str


@dataclass(frozen=True, slots=True)
class ChatUser:
    """Who acted, as the platform's authenticated payload says it: ids that do not change."""

    platform: Platform
    id: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Click:
    """A button pressed, or a form sent. `handle` is the adapter's own, to answer through."""

    user: ChatUser
    action: Action
    request: RequestId
    revision: int | None
    inputs: Mapping[str, str] = field(default_factory=dict)
    handle: object = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command typed. `handle` is the adapter's own, to answer through."""

    user: ChatUser
    text: str
    handle: object = None


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """As whom we act on a platform, for checks."""

    platform: Platform
    name: str
    tenant: str = ""


class ChatFailed(Exception):
    """A platform did not take a message; `code` is the platform's own word, free of our data."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ChatBusy(ChatFailed):
    """It may work later; not before `retry_after` where the platform named it."""

    def __init__(self, code: str, retry_after: timedelta | None = None) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class ChatRefused(ChatFailed):
    """It will not work until somebody mends it: no such channel, not a member, a revoked token."""


class MessageGone(ChatRefused):
    """There is no such message any more, so that nobody sees it; nothing is to be mended."""


class ChatPort(Protocol):
    """One platform. Each verb ends within 10 s, `ask` within 2 s; failures are `ChatFailed`."""

    async def post(self, channel: str, card: Card) -> MessageRef:
        """Puts a card into a channel."""
        ...

    async def update(self, ref: MessageRef, card: Card) -> None:
        """Draws a card anew in place."""
        ...

    async def reply_privately(self, to: Click | Command, reply: Card | Listing) -> None:
        """Answers one person alone."""
        ...

    async def ask(self, click: Click, form: Form) -> None:
        """Opens a form for who clicked."""
        ...

    async def whoami(self) -> BotIdentity:
        """Proves the credentials."""
        ...

"""A chat platform that keeps what it is told, and takes no more than a real one does."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.chat.card import Card, Form, Listing
from bot.chat.port import (
    BotIdentity,
    ChatFailed,
    ChatRefused,
    Click,
    Command,
    MessageGone,
    MessageRef,
    Platform,
)


@dataclass
class RecordingPort:
    """`ChatPort` that answers each click once, as a platform's trigger allows, to who clicked.

    `failure` is what the platform answers instead of taking anything.
    """

    platform: Platform = "console"
    failure: ChatFailed | None = None
    posted: list[tuple[str, Card]] = field(default_factory=list)
    updated: list[tuple[MessageRef, Card]] = field(default_factory=list)
    replies: list[Card | Listing] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    _answered: set[int] = field(default_factory=set)
    _held: list[object] = field(default_factory=list)  # so that no id is given to another click

    async def post(self, channel: str, card: Card) -> MessageRef:
        self._take()
        self.posted.append((channel, card))
        return MessageRef(platform=self.platform, channel=channel, id=f"m{len(self.posted)}")

    async def update(self, ref: MessageRef, card: Card) -> None:
        self._take()
        if not (ref.platform == self.platform and ref.id in self._ids()):
            raise MessageGone("message_not_found")
        self.updated.append((ref, card))

    async def reply_privately(self, to: Click | Command, reply: Card | Listing) -> None:
        self._answer(to)
        self.replies.append(reply)

    async def ask(self, click: Click, form: Form) -> None:
        self._answer(click)
        self.forms.append(form)

    async def whoami(self) -> BotIdentity:
        self._take()
        return BotIdentity(platform=self.platform, name="Placet")

    def _answer(self, to: Click | Command) -> None:
        self._take()
        if to.user.platform != self.platform:
            raise ChatRefused("user_not_found")
        if id(to) in self._answered:
            raise ChatRefused("trigger_exchanged")
        self._answered.add(id(to))
        self._held.append(to)

    def _take(self) -> None:
        if self.failure:
            raise self.failure

    def _ids(self) -> set[str]:
        return {f"m{number + 1}" for number in range(len(self.posted))}

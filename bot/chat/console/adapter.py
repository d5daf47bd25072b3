"""The console as a chat platform: the port's five verbs on a page that draws from the record.

A posted card needs no copy: the page draws each request as it is. So posting and updating only
tell the open pages which request to draw anew, and a page that missed it looks when it returns.
"""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.chat.card import Card, Form, Listing
from bot.chat.port import BotIdentity, ChatBusy, Click, Command, MessageRef


@dataclass
class Answer:
    """What one click is answered: a form to open, or a reply to that person alone."""

    form: Form | None = None
    reply: Card | Listing | None = None


class ConsolePort:
    """`ChatPort` over one channel of the store, so that every web process hears of it."""

    def __init__(self, client: Redis, live_channel: str) -> None:
        self._client = client
        self._channel = live_channel

    async def post(self, channel: str, card: Card) -> MessageRef:
        """Lets open pages draw a request that is new to them."""
        await self._publish(card.request or "")
        return MessageRef(platform="console", channel=channel, id=card.request or "")

    async def update(self, ref: MessageRef, card: Card) -> None:  # noqa: ARG002 - drawn on demand
        """Lets open pages draw a request anew."""
        await self._publish(ref.id)

    async def reply_privately(self, to: Click | Command, reply: Card | Listing) -> None:
        """Puts the reply into the answer to the click."""
        _answer_of(to).reply = reply

    async def ask(self, click: Click, form: Form) -> None:
        """Puts the form into the answer to the click."""
        _answer_of(click).form = form

    async def whoami(self) -> BotIdentity:
        """There are no credentials to prove."""
        return BotIdentity(platform="console", name="Placet")

    async def _publish(self, request: str) -> None:
        try:
            await self._client.publish(self._channel, request)
        except (RedisError, OSError) as error:
            raise ChatBusy(type(error).__name__) from None


def _answer_of(to: Click | Command) -> Answer:
    if not isinstance(to.handle, Answer):
        raise TypeError("A click of the console carries its answer.")
    return to.handle

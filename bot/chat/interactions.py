"""A click or a form becomes one use case and one private answer. Knows no platform.

Who clicked comes from the platform's authenticated payload; the button brings request and revision.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from approvals.errors import AlreadyFinal, GrantOver, NotAllowed, PlacetError, ReasonRequired
from approvals.model import ApprovalRequest, Origin, Person, TextFinding
from approvals.service import ApprovalService
from bot.chat.card import Action
from bot.chat.identity import Identities
from bot.chat.messages import Messages
from bot.chat.port import ChatPort, Click
from bot.chat.replies import Replies

_log = logging.getLogger(__name__)

UseCase = Callable[[ChatPort, Click, Person], Awaitable[None]]


class Interactions:
    """What each button does. Rights are the service's matter, and every refusal is answered."""

    def __init__(
        self, service: ApprovalService, identities: Identities, messages: Messages
    ) -> None:
        self._service = service
        self._identities = identities
        self._messages = messages
        self._replies = Replies(messages)
        self._use_cases: dict[Action, UseCase] = {
            "review": self._review,
            "approve": self._approve,
            "deny": self._deny,
            "cancel": self._cancel,
            "revoke": self._revoke,
        }

    async def on_click(self, port: ChatPort, click: Click) -> None:
        """Carries out one click and answers through `port`; nothing but a `ChatFailed` passes."""
        try:
            person = self._who(click)
            await self._use_cases[click.action](port, click, person)
        except PlacetError as error:
            reply = self._replies.refused(error, await self._as_it_is(click, error))
            await port.reply_privately(click, reply)

    def _who(self, click: Click) -> Person:
        try:
            return self._identities.person(click.user)
        except NotAllowed:  # the service notes refused rights, but it never hears of this one
            wanted = "view" if click.action == "review" else click.action
            self._service.note_stranger(wanted, click.request, _origin(click))
            raise

    async def _review(self, port: ChatPort, click: Click, person: Person) -> None:
        view = await self._service.view(click.request, person.id, _origin(click))
        request = await self._service.card_facts(click.request)
        await port.ask(click, self._messages.review_form(request, view, person))

    async def _approve(self, port: ChatPort, click: Click, person: Person) -> None:
        after = await self._service.review(
            click.request, person.id, _origin(click), "approve",
            reason=click.inputs.get("reason"), revision=click.revision,
        )  # fmt: skip
        await port.reply_privately(click, self._replies.approved(after, self._taken_out(click)))

    async def _deny(self, port: ChatPort, click: Click, person: Person) -> None:
        # Without a reason the service checks everything else first, and notes who has no right:
        # so nobody is asked for a reason that could not count.
        try:
            after = await self._service.review(
                click.request, person.id, _origin(click), "deny",
                reason=click.inputs.get("reason"), revision=click.revision,
            )  # fmt: skip
        except ReasonRequired:
            request = await self._service.card_facts(click.request)
            await port.ask(click, self._messages.deny_form(request))
            return
        await port.reply_privately(click, self._replies.denied(after, self._taken_out(click)))

    async def _cancel(self, port: ChatPort, click: Click, person: Person) -> None:
        after = await self._service.cancel_by_person(
            click.request, person.id, _origin(click), reason=click.inputs.get("reason")
        )
        await port.reply_privately(click, self._replies.cancelled(after, self._taken_out(click)))

    async def _revoke(self, port: ChatPort, click: Click, person: Person) -> None:
        after = await self._service.grants.revoke(
            click.request, person.id, _origin(click), reason=click.inputs.get("reason")
        )
        await port.reply_privately(click, self._replies.revoked(after, self._taken_out(click)))

    def _taken_out(self, click: Click) -> tuple[TextFinding, ...]:
        return self._service.taken_out(click.inputs.get("reason"))

    async def _as_it_is(self, click: Click, error: PlacetError) -> ApprovalRequest | None:
        """The request that a refusal tells of, where it says who was first."""
        if not isinstance(error, AlreadyFinal | GrantOver):
            return None
        try:
            return await self._service.card_facts(click.request)
        except PlacetError as failure:
            _log.warning("refusal told without outcome", extra={"code": failure.code})
            return None


def _origin(click: Click) -> Origin:
    return Origin(via=click.user.platform)

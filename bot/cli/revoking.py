"""`revoke`: taking back what a grant still opens.

Rights are the service's matter; this only tells in plain words what came of it.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from approvals.errors import GrantOver, NotFound
from approvals.model import ApprovalRequest, PersonId, RequestId
from bot.cli import wording
from bot.cli.command import (
    FINE,
    Add,
    Deployment,
    add_actor,
    changing_command,
    checked_reason,
    deployment,
    granted_id,
    origin,
    taken_out_of,
    tell_done,
)
from bot.terminal import Terminal, wrapped


def add_to(add: Add) -> None:
    """The command of this module."""
    about = "take an active grant back (requester, an approver of it, or admin)"
    revoke = changing_command(add, "revoke", _revoke, about)
    revoke.add_argument("id", metavar="ID", help="of the request (req_...) or the grant (grt_...)")
    add_actor(revoke)


def _revoke(arguments: Namespace, terminal: Terminal) -> int:
    checked_reason(arguments.reason)
    request, person = granted_id(arguments.id), PersonId(arguments.person)

    async def revoked() -> None:
        async with deployment(terminal) as at:
            try:
                after = await at.service.grants.revoke(
                    request, person, origin(), reason=arguments.reason
                )
            except GrantOver as refusal:
                raise await _over(refusal, request, at) from None
            except NotFound:
                raise await _nothing_given(request, at) from None
            tell_done(
                terminal,
                "The grant is revoked.",
                is_json=arguments.json,
                data=wording.card_data(after, at.naming),
                lines=[
                    *wrapped(_told(after), terminal.width),
                    *taken_out_of(arguments.reason, at, terminal.width),
                ],
            )

    asyncio.run(revoked())
    return FINE


def _told(request: ApprovalRequest) -> str:
    uses = request.grant.redemptions if request.grant else ()
    how = "is told now" if request.asked.callback_url else "sees it when it asks or redeems"
    done = f" It was used before, last at {wording.clock(uses[-1].at)}." if uses else ""
    return f"The grant is revoked and opens nothing any more. {request.service} {how}.{done}"


async def _over(refusal: GrantOver, request: RequestId, at: Deployment) -> GrantOver:
    """The refusal in words for people: those of the state machine are for a service."""
    found, now = await at.service.card_facts(request), await at.store.records.now()
    if found.grant is None:
        return refusal
    state = wording.grant_state(found, found.grant, at.naming, now)
    told = f"There is nothing left to revoke: the grant is {state}."
    return type(refusal)(told, facts=refusal.facts)


async def _nothing_given(request: RequestId, at: Deployment) -> NotFound:
    """Why there is no grant. Raises `NotFound` where there is no such request either."""
    found = await at.service.card_facts(request)
    if not found.is_final:
        return NotFound(
            "The request is still pending, so there is no grant yet. "
            "`placet cancel` takes the request back, `placet deny` denies it."
        )
    state = wording.state_of(found, at.naming)
    return NotFound(f"The request is {state}: there is no grant to revoke.")

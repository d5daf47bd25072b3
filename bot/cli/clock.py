"""`clock reset`: the store's time follows its clock again, after that clock had run ahead."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from datetime import timedelta

from approvals.model import PersonId
from bot.cli.command import (
    FINE,
    Add,
    add_actor,
    changing_command,
    checked_reason,
    deployment,
    origin,
    tell_done,
)
from bot.terminal import Terminal


def add_to(add: Add) -> None:
    """The commands of this module."""
    about = "the store's time"
    parser = add("clock", help=about, description=about)
    within = parser.add_subparsers(metavar="COMMAND", required=True).add_parser
    about = "let the store's time follow its clock again, once that was put right (admin)"
    add_actor(changing_command(within, "reset", _reset, about))


def _reset(arguments: Namespace, terminal: Terminal) -> int:
    person, why = PersonId(arguments.person), checked_reason(arguments.reason)

    async def reset() -> None:
        async with deployment(terminal) as at:
            behind = await at.service.reset_clock(person, origin(), reason=why)
            milliseconds = behind // timedelta(milliseconds=1)
            told = f"The store's time follows its clock again, {milliseconds} ms back."
            data = {"behind_ms": milliseconds}
            tell_done(terminal, told, is_json=arguments.json, data=data, lines=[told])

    asyncio.run(reset())
    return FINE

"""Who may do what admins alone may, also where no store is at hand to ask.

While people.yaml has no admin, anybody who can run the command may: there is nobody to ask yet.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from approvals.errors import NotAllowed
from approvals.events import Event, RightRefused
from approvals.model import PersonId
from approvals.policy.loader import Configuration
from bot.cli.command import UNKNOWN_PERSON, WrongUsage, origin


def acting_admin(
    configuration: Configuration,
    arguments: Namespace,
    note: Callable[[Event], None],
    *,
    wanted: str,
    only: str,
) -> PersonId | None:
    """Who acts; None where people.yaml does not know them and has no admin yet.

    Raises `NotAllowed` with the words `only`, after the refusal of what was `wanted` is on record.
    """
    known = configuration.people.person(PersonId(arguments.person or ""))
    admins = configuration.people.admins()
    if admins and (arguments.person is None or arguments.reason is None):
        raise WrongUsage(
            "people.yaml has an admin, so say who you are and why: --as PERSON --reason TEXT."
        )
    if not admins or (known and known.id in admins):
        return known.id if known else None
    refusal = NotAllowed(only if known else UNKNOWN_PERSON)
    actor = known.id if known else "unknown"
    note(RightRefused(actor=actor, code=refusal.code, wanted=wanted, origin=origin()))
    raise refusal

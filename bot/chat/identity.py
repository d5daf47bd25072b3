"""From a chat user to the person of people.yaml, by ids that do not change. Decides no right."""

from __future__ import annotations

from collections.abc import Callable

from approvals.errors import NotAllowed
from approvals.model import Person, PersonId
from approvals.policy.people import People
from bot.chat.port import ChatUser


class Identities:
    """Who acts. `people` answers today's people.yaml."""

    def __init__(self, people: Callable[[], People]) -> None:
        self._people = people

    def person(self, user: ChatUser) -> Person:
        """The person behind an authenticated chat user. Raises `NotAllowed` for nobody known.

        The console's users are persons already; other platforms come with their adapters.
        """
        known = _by_platform(self._people(), user)
        if known is None:
            raise NotAllowed("Placet does not know you. Ask an admin to add you to people.yaml.")
        return known


def _by_platform(people: People, user: ChatUser) -> Person | None:
    return people.person(PersonId(user.id)) if user.platform == "console" else None

"""people.yaml: who is who, by ids that do not change, and who may decide. Knows no request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, model_validator

from approvals.errors import NotAllowed
from approvals.model import Frozen, Person, PersonId, Role
from approvals.policy.values import Name, PersonName, Title, Word, fault, not_carried_out


def _somebody(members: tuple[str, ...]) -> tuple[str, ...]:
    if not members:
        raise fault(
            "is empty: nobody may approve, never everybody", "Add a person, or remove the group"
        )
    return members


class SlackUser(Frozen):
    """Slack's ids, which it writes in capitals."""

    team: Annotated[Word, AfterValidator(str.upper)]
    user: Annotated[Word, AfterValidator(str.upper)]


class TeamsUser(Frozen):
    """Entra ids; their letters' case means nothing."""

    tenant: Annotated[Word, AfterValidator(str.lower)]
    object: Annotated[Word, AfterValidator(str.lower)]


class PersonEntry(Frozen):
    """A person as written. Names and addresses identify nobody; the ids do."""

    id: PersonName
    name: Title
    roles: tuple[Role, ...] = ()
    requester_ids: tuple[Word, ...] = ()
    slack: SlackUser | None = None
    teams: TeamsUser | None = None


class Group(Frozen):
    members: Annotated[tuple[PersonName, ...], AfterValidator(_somebody)]

    @model_validator(mode="before")
    @classmethod
    def _listed_here(cls, entry: object) -> object:
        if isinstance(entry, dict) and "slack_usergroup" in entry:
            raise not_carried_out("names a `slack_usergroup`", "List the members here")
        return entry


class PeopleDocument(Frozen):
    """people.yaml as a whole."""

    people: tuple[PersonEntry, ...]
    groups: dict[Name, Group] = {}


class People:
    """The persons of people.yaml and today's groups, found by any of their ids."""

    def __init__(self, document: PeopleDocument) -> None:
        self._members = {
            name: frozenset(PersonId(member) for member in group.members)
            for name, group in document.groups.items()
        }
        self._persons = {PersonId(entry.id): self._person_of(entry) for entry in document.people}
        self._by_requester_id = {
            requester: PersonId(entry.id)
            for entry in document.people
            for requester in entry.requester_ids
        }

    def person(self, person: PersonId) -> Person | None:
        """The person with today's groups."""
        return self._persons.get(person)

    def listed(self, person: PersonId) -> Person:
        """As `person`, for who wants something: raises `NotAllowed` for nobody of the file."""
        known = self.person(person)
        if known is None:
            raise NotAllowed("No such person in people.yaml.")
        return known

    def everyone(self) -> list[Person]:
        """Everybody, in the order of the file."""
        return list(self._persons.values())

    def by_requester_id(self, requester: str) -> Person | None:
        """The one person a service means by `requester`."""
        person = self._by_requester_id.get(requester)
        return None if person is None else self._persons[person]

    def who_may_decide(
        self, groups: Iterable[str], excluding: PersonId | None
    ) -> frozenset[PersonId]:
        """Approvers who are in one of `groups`; no group, or an unknown one, means nobody."""
        members: set[PersonId] = set()
        for group in groups:
            members |= self._members.get(group, frozenset())
        return frozenset(members & self._with_role("approver")) - {excluding}

    def groups_of_deciders(
        self, groups: Iterable[str], excluding: PersonId | None
    ) -> dict[PersonId, frozenset[str]]:
        """Who may decide, as in `who_may_decide`, each with all the groups they are in."""
        able = self.who_may_decide(groups, excluding)
        return {who: self._persons[who].groups for who in able}

    def has_groups(self, groups: Iterable[str]) -> bool:
        """Whether all of `groups` exist."""
        return self._members.keys() >= set(groups)

    def admins(self) -> frozenset[PersonId]:
        """Everybody with role admin."""
        return self._with_role("admin")

    def _with_role(self, role: Role) -> frozenset[PersonId]:
        return frozenset(who for who, person in self._persons.items() if role in person.roles)

    def _person_of(self, entry: PersonEntry) -> Person:
        person = PersonId(entry.id)
        groups = frozenset(name for name, members in self._members.items() if person in members)
        return Person(id=person, name=entry.name, roles=frozenset(entry.roles), groups=groups)

"""What differs in people.yaml and services.yaml: who may decide, and what may be asked by whom.

People are told by their ids. Of keys, secrets and accounts only that they changed is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from approvals.policy.changes import Change, difference, ordered, presence
from approvals.policy.comparing import Direction
from approvals.policy.globs import matches_any
from approvals.policy.leaning import gaining
from approvals.policy.people import PeopleDocument, PersonEntry
from approvals.policy.services import Rate, ServiceEntry, ServicesDocument

_ACCOUNTS = ("requester_ids", "slack", "teams")


def people_changes(old: PeopleDocument, new: PeopleDocument) -> list[Change]:
    """Persons with their roles, and groups with their members, looser first."""
    return ordered([*_persons(old, new), *_groups(old, new)])


def services_changes(old: ServicesDocument, new: ServicesDocument) -> list[Change]:
    """Services and what each may do, looser first."""
    before, after = old.services, new.services
    changes = list(presence("service", before, after))
    for name in (name for name in before if name in after):
        changes += _service(f"service `{name}`", before[name], after[name])
    return ordered(changes)


def _persons(old: PeopleDocument, new: PeopleDocument) -> Iterator[Change]:
    before = {one.id: one for one in old.people}
    after = {one.id: one for one in new.people}
    yield from presence("person", before, after)
    for name, now in after.items():
        was = before.get(name)
        # A new person who may decide is as much as a role gained.
        yield from _named(f"person `{name}`: roles", was.roles if was else (), now.roles)
        if was is not None:
            yield from _accounts(was, now)


def _accounts(old: PersonEntry, new: PersonEntry) -> Iterator[Change]:
    for key in _ACCOUNTS:
        if getattr(old, key) != getattr(new, key):
            yield Change("other", f"person `{old.id}`: `{key}` changed")


def _groups(old: PeopleDocument, new: PeopleDocument) -> Iterator[Change]:
    yield from presence("group", old.groups, new.groups)
    for name in (name for name in old.groups if name in new.groups):
        before, after = old.groups[name].members, new.groups[name].members
        yield from _named(f"group `{name}`", before, after)


def _service(place: str, old: ServiceEntry, new: ServiceEntry) -> Iterator[Change]:
    yield from _patterns(f"{place}: `actions`", old.actions, new.actions)
    yield from _patterns(f"{place}: `requesters`", old.requesters, new.requesters)
    machines = [
        [f"{one.match} (owner {one.owner})" for one in entry.machine_requesters]
        for entry in (old, new)
    ]
    yield from _named(f"{place}: `machine_requesters`", *machines)
    yield from _named(f"{place}: `asserts`", old.asserts, new.asserts)
    for key in ("keys", "callback"):
        if getattr(old, key) != getattr(new, key):
            yield Change("other", f"{place}: `{key}` changed")
    yield from _rate(f"{place}: `rate`", old.rate, new.rate)


def _rate(place: str, old: Rate, new: Rate) -> Iterator[Change]:
    """Who may ask more often tires approvers sooner."""
    for key in Rate.model_fields:
        was, now = getattr(old, key), getattr(new, key)
        if was != now:
            direction: Direction = "looser" if now > was else "stricter"
            yield Change(direction, f"{place}: `{key}` {was} → {now}")


def _named(place: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    if told := difference(old, new):
        yield Change(gaining(old, new), f"{place} {told}")


def _patterns(place: str, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[Change]:
    """Patterns count by what they fit: `a.b` gains nothing where `a.*` stands."""
    if told := difference(old, new):
        yield Change(gaining(_uncovered(old, new), _uncovered(new, old)), f"{place} {told}")


def _uncovered(patterns: Collection[str], by: tuple[str, ...]) -> list[str]:
    # Only a star fits a star, so a pattern that fits another one fits all that the other one does.
    return [one for one in patterns if not matches_any(by, one)]

"""Names in the three files that must exist, and ids that may stand only once.

Works on the plain data, so that a fault of shape elsewhere hides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from approvals.policy.attributes import CLAIMABLE, MAY_BE_HELD, is_reserved
from approvals.policy.globs import matches
from approvals.policy.issues import Issue, suggestion
from approvals.policy.people import SlackUser, TeamsUser
from approvals.policy.source import ANY, Source
from approvals.policy.values import KeyHash, KeyName, Name, PersonName, Word

Id = TypeVar("Id", bound=Hashable)

_THEN = ("rules", ANY, "then")
# Where a group, or a channel, is named in policy.yaml.
_GROUPS = (
    ("defaults", "groups", ANY),
    (*_THEN, "groups", ANY),
    (*_THEN, "stages", ANY, "groups", ANY),
    (*_THEN, "escalate", ANY, "groups", ANY),
)
_CHANNELS = (
    ("defaults", "notify", ANY),
    (*_THEN, "notify", ANY),
    (*_THEN, "escalate", ANY, "notify", ANY),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """The three files as plain data."""

    policy: Source
    people: Source
    services: Source


def wrong_names(files: Sources) -> Iterator[Issue]:
    """Every name that points at nothing, and every id given twice."""
    yield from _unknown_names(files)
    yield from _unknown_actions(files.policy, ("rules", ANY, "actions", ANY), files.policy)
    yield from _unknown_actions(files.services, ("services", ANY, "actions", ANY), files.policy)
    yield from _unknown_attributes(files.services)
    yield from _repeated_ids(files)


def _unknown_names(files: Sources) -> Iterator[Issue]:
    policy, people, services = files.policy, files.people, files.services
    groups, channels = people.keys("groups"), policy.keys("channels")
    persons = people.names("people", ANY, "id")
    owners = ("services", ANY, "machine_requesters", ANY, "owner")
    if people.data is not None:
        for pattern in _GROUPS:
            yield from _unknown(policy, pattern, "group", groups)
        yield from _unknown(people, ("groups", ANY, "members", ANY), "person", persons)
        yield from _unknown(services, owners, "person", persons)
    for pattern in _CHANNELS:
        yield from _unknown(policy, pattern, "channel", channels)
    kept = ("rules", ANY, "then", "must_hold", ANY)
    yield from _unknown(policy, kept, "attribute that can be kept", MAY_BE_HELD)


def _unknown(
    source: Source, pattern: tuple[str, ...], kind: str, known: Collection[str]
) -> Iterator[Issue]:
    for steps, name in source.find(*pattern):
        if isinstance(name, str) and name not in known:
            yield source.issue(steps, f"no {kind} is called `{name}`", suggestion(name, known))


def _unknown_actions(source: Source, pattern: tuple[str, ...], policy: Source) -> Iterator[Issue]:
    known = policy.keys("actions")
    if not policy.find("actions"):
        return  # told as a missing key, or a missing file
    for steps, glob in source.find(*pattern):
        if isinstance(glob, str) and not any(matches(glob, action) for action in known):
            verb = "fits" if ANY in glob else "is called"
            yield source.issue(steps, f"no action {verb} `{glob}`", suggestion(glob, known))


def _unknown_attributes(services: Source) -> Iterator[Issue]:
    for steps, name in services.find("services", ANY, "asserts", ANY):
        if not isinstance(name, str) or name in CLAIMABLE:
            continue
        if is_reserved(name):
            message = f"`{name}` is set by Placet, and no service may assert it"
            yield services.issue(steps, message, "Remove it")
        else:
            message = f"no attribute is called `{name}`"
            yield services.issue(steps, message, suggestion(name, CLAIMABLE))


def _repeated_ids(files: Sources) -> Iterator[Issue]:
    policy, people, services = files.policy, files.people, files.services
    keys, persons = ("services", ANY, "keys", ANY), ("people", ANY)
    yield from _repeated(policy, ("rules", ANY, "id"), "rule id", TypeAdapter(Name))
    yield from _repeated(people, (*persons, "id"), "person id", TypeAdapter(PersonName))
    yield from _repeated(
        people, (*persons, "requester_ids", ANY), "requester id", TypeAdapter(Word)
    )
    yield from _repeated(people, (*persons, "slack"), "Slack user", TypeAdapter(SlackUser))
    yield from _repeated(people, (*persons, "teams"), "Teams user", TypeAdapter(TeamsUser))
    yield from _repeated(services, (*keys, "id"), "key id", TypeAdapter(KeyName))
    yield from _repeated(services, (*keys, "hash"), "key hash", TypeAdapter(KeyHash))


def _repeated(
    source: Source, pattern: tuple[str, ...], kind: str, adapter: TypeAdapter[Id]
) -> Iterator[Issue]:
    # Judged on what is built of it: two ways of writing one id would make one user two persons.
    first: dict[Id, int] = {}
    for steps, value in source.find(*pattern):
        try:
            built = adapter.validate_python(value)
        except ValidationError:
            continue  # told as a fault of its shape
        earlier = first.get(built)
        if earlier is None:
            first[built] = source.places[steps][0]
        else:
            message = f"this {kind} stands in line {earlier} already"
            yield source.issue(steps, message, "Each belongs to exactly one entry; remove one")

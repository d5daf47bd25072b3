"""Services that are well formed and cannot be meant: whom they name is nobody, or somebody else.

Works on built values only, so that no way of writing an id escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from approvals.policy.globs import matches
from approvals.policy.issues import Issue
from approvals.policy.people import PeopleDocument
from approvals.policy.services import ServiceEntry, ServicesDocument
from approvals.policy.shapes import Shaped
from approvals.policy.source import Source, Steps


def unsound_services(
    file: Shaped[ServicesDocument], people: Shaped[PeopleDocument], *, loopback: bool
) -> Iterator[Issue]:
    """What is wrong with whom the services may name and, outside the demo, where they are told."""
    persons = _persons(people)
    for service, entry in file.model.services.items() if file.model else ():
        steps: Steps = ("services", service)
        yield from _nobody(file.source, steps, entry)
        yield from _persons_as_machines(file.source, steps, entry, persons)
        if not loopback:
            yield from _callbacks_to_nowhere(file.source, steps, entry)


def requesters_of_nobody(
    file: Shaped[ServicesDocument], people: Shaped[PeopleDocument]
) -> Iterator[Issue]:
    """Each glob that fits no requester id of a faultless people.yaml."""
    persons = _persons(people)
    for service, entry in file.model.services.items() if file.model else ():
        for index, glob in enumerate(entry.requesters):
            if not any(matches(glob, requester) for requester in persons):
                steps: Steps = ("services", service, "requesters", index)
                message = f"`{glob}` fits no person's requester id"
                remedy = "Correct it, or add the id to a person in people.yaml"
                yield file.source.issue(steps, message, remedy)


def _persons(people: Shaped[PeopleDocument]) -> dict[str, str]:
    entries = people.model.people if people.model else ()
    return {requester: entry.id for entry in entries for requester in entry.requester_ids}


def _nobody(source: Source, steps: Steps, entry: ServiceEntry) -> Iterator[Issue]:
    # Without both keys a service is being set up, and is refused request by request.
    if entry.requesters or entry.machine_requesters:
        return
    for key in ("requesters", "machine_requesters"):
        if key in entry.model_fields_set:
            message = f"the service `{steps[-1]}` may name nobody"
            yield source.issue((*steps, key), message, "Name requesters or machine_requesters")


def _persons_as_machines(
    source: Source, steps: Steps, entry: ServiceEntry, persons: Mapping[str, str]
) -> Iterator[Issue]:
    # As a machine, whose owner alone is kept from deciding, a person could approve their own.
    for index, machine in enumerate(entry.machine_requesters):
        fitting = (who for requester, who in persons.items() if matches(machine.match, requester))
        person = next(fitting, None)
        if person is not None:
            place = (*steps, "machine_requesters", index, "match")
            whose = f"a requester id of the person `{person}`"
            message = f"`match` fits {whose}, who would pass for a machine"
            yield source.issue(place, message, "Narrow it, so that it fits machines only")


def _callbacks_to_nowhere(source: Source, steps: Steps, entry: ServiceEntry) -> Iterator[Issue]:
    # The demo's own entry has neither key where each request names its receiver; the command line
    # reads it too, and does not know that it is the demo's.
    callback = entry.callback
    if callback is None or callback.origins or callback.default is not None:
        return
    if callback.model_fields_set & {"origins", "networks"}:
        message = "`callback` names neither `origins` nor `default`, so nothing may be called"
        remedy = "Add `origins`, or remove `callback`"
        yield source.issue((*steps, "callback"), message, remedy)

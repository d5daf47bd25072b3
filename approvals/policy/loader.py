"""The configuration files, read and judged as a whole: all of them hold, or none does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from approvals.digest import canonical
from approvals.errors import ConfigurationInvalid
from approvals.policy import document
from approvals.policy.analysis import Rulebook
from approvals.policy.callers import requesters_of_nobody, unsound_services
from approvals.policy.conditions import unsound_conditions
from approvals.policy.document import Policy
from approvals.policy.fixtures import (
    CaseResult,
    FixturesDocument,
    FixturesFile,
    failed_cases,
    run_fixtures,
    unsound_fixtures,
)
from approvals.policy.issues import Issue
from approvals.policy.people import People, PeopleDocument
from approvals.policy.references import Sources, wrong_names
from approvals.policy.services import Services, ServicesDocument
from approvals.policy.shapes import shape
from approvals.policy.soundness import idle_scopes, too_few_people, unsound_rules
from approvals.policy.source import ANY, Source, Steps
from approvals.policy.yaml_source import read_source

POLICY, PEOPLE, SERVICES, FIXTURES = (
    "policy.yaml",
    "people.yaml",
    "services.yaml",
    "fixtures.yaml",
)
FILES = (POLICY, PEOPLE, SERVICES, FIXTURES)  # the last is optional


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a process runs with. `version` names the policy; `sources` know every line."""

    policy: Policy
    rulebook: Rulebook = field(compare=False, repr=False)
    people: People
    services: Services
    version: str
    directory: Path
    sources: Sources = field(compare=False, repr=False)

    @property
    def text(self) -> str:
        """policy.yaml as it was read, to be kept with its version."""
        return self.sources.policy.text


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files hold. Without a configuration there are `issues`.

    `issues` may hold failed fixtures alone, and then there is one. `fixtures` is None without a
    fixtures.yaml.
    """

    configuration: Configuration | None
    issues: Sequence[Issue]
    results: Sequence[CaseResult] = ()
    fixtures: FixturesFile | None = None


def load_configuration(directory: Path, *, loopback: bool = False) -> Configuration:
    """The files in `directory`. Reads from disk; raises `ConfigurationInvalid` with every fault.

    `loopback` lets every service be called back on this host, which only the demo does.
    """
    reading = read_configuration(directory, loopback=loopback)
    if reading.issues or reading.configuration is None:
        raise ConfigurationInvalid(reading.issues)
    return reading.configuration


def read_configuration(directory: Path, *, loopback: bool = False) -> Reading:
    """The files in `directory` with all their faults, and how the fixtures fare."""
    files = Sources(*(read_source(directory / name) for name in (POLICY, PEOPLE, SERVICES)))
    policy = shape(files.policy, Policy, document.LATER)
    people = shape(files.people, PeopleDocument)
    entries = shape(files.services, ServicesDocument)
    fixtures = _fixtures(directory)
    found = {*policy.issues, *people.issues, *entries.issues, *wrong_names(files)}
    found |= {*unsound_rules(policy), *idle_scopes(files.policy)}
    found |= {*unsound_services(entries, people, loopback=loopback)}
    found |= {*unsound_conditions(policy, files.services)}
    if all(issue.file != PEOPLE for issue in found):
        found |= {*too_few_people(policy, people), *requesters_of_nobody(entries, people)}
    if fixtures:
        found |= {*fixtures.issues, *unsound_fixtures(fixtures, policy, entries)}
    if found or policy.model is None or people.model is None or entries.model is None:
        return Reading(None, sorted(found, key=_in_order), fixtures=fixtures)
    version = policy_version(policy.model)
    configuration = Configuration(
        policy=policy.model,
        rulebook=Rulebook(policy.model, version),
        people=People(people.model),
        services=Services(entries.model, loopback=loopback),
        version=version,
        directory=directory,
        sources=files,
    )
    if fixtures is None or fixtures.model is None:
        return Reading(configuration, ())
    results = run_fixtures(fixtures.model, configuration.rulebook, configuration.services)
    return Reading(configuration, failed_cases(fixtures, results), results, fixtures)


def _in_order(issue: Issue) -> tuple[bool, Issue]:
    # What the other files have wrong may be the reason of what fixtures do.
    return issue.file == FIXTURES, issue


def _fixtures(directory: Path) -> FixturesFile | None:
    if not os.path.lexists(directory / FIXTURES):  # a link to nowhere is a fault, not an absence
        return None
    nullable = (("base", ANY), ("cases", ANY, "given", ANY))
    return shape(read_source(directory / FIXTURES), FixturesDocument, nullable=nullable)


def policy_version(policy: Policy) -> str:
    """Twelve hex digits that name a policy; comments and written-out defaults do not count."""
    model = policy.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(canonical(model)).hexdigest()[:12]


def notify_faults(
    policy: Policy, configured: frozenset[str], source: Source | None = None
) -> list[Issue]:
    """Each `notify` that reaches no configured platform, placed by the policy's `source`."""
    places = source or Source(POLICY)
    faults = []
    for steps, notify in _notified(policy):
        wanted = sorted({name for channel in notify for name in policy.channels[channel].platforms})
        if notify and configured.isdisjoint(wanted):
            message = f"`notify` reaches nobody: no credentials are set for {' or '.join(wanted)}"
            remedy = "Set them, name another channel, or remove the key"
            faults.append(places.issue(steps, message, remedy))
    return faults


def _notified(policy: Policy) -> Iterator[tuple[Steps, tuple[str, ...]]]:
    yield ("defaults", "notify"), policy.defaults.notify
    for index, rule in enumerate(policy.rules):
        then: Steps = ("rules", index, "then")
        if rule.then.notify is not None:
            yield (*then, "notify"), rule.then.notify
        for step, escalation in enumerate(rule.then.escalate):
            yield (*then, "escalate", step, "notify"), escalation.notify

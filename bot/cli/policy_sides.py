"""The two sides of `policy diff`: a directory, a policy.yaml, or a version that was in force."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from approvals.errors import ConfigurationInvalid
from approvals.policy.issues import Issue
from approvals.policy.kept import rulebook_of
from approvals.policy.loader import read_configuration
from approvals.policy.people import PeopleDocument
from approvals.policy.replaying import Access, Side
from approvals.policy.services import ServicesDocument
from approvals.policy.shapes import shape
from approvals.policy.yaml_source import read_source
from bot.cli.command import WrongUsage

_VERSION = re.compile(r"[0-9a-f]{12}")


class Faulty(Exception):  # carries the faults of one side to where they are told
    def __init__(self, issues: Sequence[Issue], directory: Path) -> None:
        super().__init__(str(directory))
        self.issues = issues
        self.directory = directory


def side_of_files(name: str) -> Side | None:
    """A side that is a path; None for a version. Raises `WrongUsage`, `Faulty`."""
    path = Path(name)
    if path.is_dir():
        return _of_directory(path)
    if path.is_file():
        return _of_file(path)
    if _VERSION.fullmatch(name) is None or path.exists():
        raise WrongUsage(
            f"{name} is no directory, no file, and no version of a policy (12 hex digits)."
        )
    return None


def _of_file(path: Path) -> Side:
    try:
        return Side(rulebook_of(read_source(path)))
    except ConfigurationInvalid as error:
        issues = [one for one in error.issues if isinstance(one, Issue)]
        raise Faulty(issues, path.parent) from None


def _of_directory(path: Path) -> Side:
    reading = read_configuration(path)
    configuration = reading.configuration
    if configuration is None:
        raise Faulty(reading.issues, path)
    people = shape(configuration.sources.people, PeopleDocument).model
    services = shape(configuration.sources.services, ServicesDocument).model
    access = Access(people, services) if people and services else None
    fixtures = reading.fixtures.model if reading.fixtures else None
    return Side(configuration.rulebook, configuration.services, fixtures, access)

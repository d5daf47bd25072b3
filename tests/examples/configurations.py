"""The example configurations, read once, and their fixtures as requests that may be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue

from approvals.model import Frozen
from approvals.policy.analysis import Rulebook, Terms
from approvals.policy.attributes import CLAIMABLE
from approvals.policy.fixtures import FixturesDocument
from approvals.policy.loader import FIXTURES, SERVICES, Configuration, Reading, read_configuration
from approvals.policy.services import Services, ServicesDocument
from approvals.policy.supposing import suppose

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("customer-support", "data-platform-exports", "third-party-processors")
Given = Mapping[str, JsonValue]
# What a service can leave out of a request. Of what is left, a request always has something, and
# data classes that it adds make it stricter.
MAY_BE_ABSENT = (
    *CLAIMABLE,
    "request.record_count",
    "request.purpose",
    "requester.id",
    "client.ip",
)


@cache
def reading(name: str) -> Reading:
    return read_configuration(EXAMPLES / name)


def configuration(name: str) -> Configuration:
    found = reading(name).configuration
    assert found is not None
    return found


def load(name: str, file: str) -> Any:  # noqa: ANN401  # plain YAML
    """One of the example's files as plain data."""
    return yaml.safe_load((EXAMPLES / name / file).read_text(encoding="utf-8"))


@cache
def givens(name: str) -> tuple[Given, ...]:
    """What each case of the fixtures gives, without what it makes absent."""
    document = FixturesDocument.model_validate(load(name, FIXTURES))
    return tuple(_said({**document.base, **case.given}) for case in document.cases)


def base(name: str) -> Given:
    return _said(load(name, FIXTURES)["base"])


def claims(given: Given) -> dict[str, JsonValue]:
    return {name: value for name, value in given.items() if name in CLAIMABLE}


def services_without(name: str, attribute: str) -> Services:
    """The example's services, none of which may assert `attribute`."""
    document = ServicesDocument.model_validate(load(name, SERVICES))
    narrow = {
        service: entry.model_copy(
            update={"asserts": tuple(one for one in entry.asserts if one != attribute)}
        )
        for service, entry in document.services.items()
    }
    return Services(document.model_copy(update={"services": narrow}))


def terms(
    name: str,
    given: Given,
    *,
    rulebook: Rulebook | None = None,
    services: Services | None = None,
) -> Terms:
    """What the example says of a request, or what `rulebook` does."""
    found = configuration(name)
    book = rulebook or found.rulebook
    return book.terms(suppose(given, book.policy, services or found.services).inquiry)


def written(policy: object) -> Iterator[str]:
    """Every key that is set somewhere in `policy`, a model or a part of it."""
    if isinstance(policy, Frozen):
        for key in policy.model_fields_set:
            yield f"{type(policy).__name__}.{key}"
            yield from written(getattr(policy, key))
    elif isinstance(policy, Mapping):
        for value in policy.values():
            yield from written(value)
    elif isinstance(policy, tuple):
        for value in policy:
            yield from written(value)


def _said(given: Given) -> Given:
    return {name: value for name, value in given.items() if value is not None}

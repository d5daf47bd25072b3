"""Requests and fixture cases judged under two policies. Pure: what differs is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from approvals.errors import UnknownAction
from approvals.model import ActionId, ApprovalRequest
from approvals.policy.analysis import Rulebook, Terms
from approvals.policy.comparing import DIRECTIONS, Comparison, Direction, compare
from approvals.policy.fixtures import FixturesDocument
from approvals.policy.inquiry import Inquiry, inquiry_of
from approvals.policy.people import PeopleDocument
from approvals.policy.services import Services, ServicesDocument
from approvals.policy.supposing import Given, faults_of, suppose
from approvals.policy.unjudged import Met, Unjudged, unjudged


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two policies; with the files beside it, where it has any."""

    rulebook: Rulebook
    services: Services | None = None
    fixtures: FixturesDocument | None = None
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """people.yaml and services.yaml as written, which only a directory has."""

    people: PeopleDocument
    services: ServicesDocument


@dataclass(frozen=True, slots=True)
class _Case:
    """A case of fixtures.yaml with its base, and the services it was written for."""

    name: str
    given: Given
    services: Services


@dataclass(frozen=True, slots=True)
class OutcomeChange:
    """A request, or a case, that two policies answer differently; None is an unknown action."""

    name: str
    action: ActionId
    old: Terms | None
    new: Terms | None
    comparison: Comparison

    @property
    def direction(self) -> Direction:
        """Whether the new policy is looser."""
        return self.comparison.direction


@dataclass(frozen=True, slots=True)
class Alike:
    """Changes of one kind: the same action, the same rules, the same differences."""

    first: OutcomeChange
    names: tuple[str, ...]


class Judgement:
    """Requests and cases judged by both policies: what differs, and which rules were met."""

    def __init__(self, old: Rulebook, new: Rulebook) -> None:
        self.old = Met(old)
        self.new = Met(new)

    def replayed(self, requests: Iterable[ApprovalRequest]) -> list[OutcomeChange]:
        """The recorded requests that the new policy would have answered differently."""
        changes = []
        for one in requests:
            inquiry = inquiry_of(one.asked, one.service, one.created_at)
            before, after = _noted(self.old, inquiry), _noted(self.new, inquiry)
            changes.append(change(one.id, inquiry.action, before, after))
        return [one for one in changes if not one.comparison.is_same]

    def cases_changed(self, old: Side, new: Side) -> tuple[int, list[OutcomeChange]]:
        """How many fixture cases of both sides were judged, and those answered differently.

        Each side judges by its own services, if it has them: what a service may assert counts.
        """
        cases = _cases(old, new)
        changes = []
        for one in cases:
            before, after = _judged(one, old, self.old), _judged(one, new, self.new)
            changes.append(change(one.name, ActionId(str(one.given["action"])), before, after))
        return len(cases), [one for one in changes if not one.comparison.is_same]

    def unjudged(self) -> Unjudged:
        """What of the change nothing met so far."""
        return unjudged(self.old, self.new)


def _cases(*sides: Side) -> Sequence[_Case]:
    """The cases of both sides; what stands in both, with the same base, counts once."""
    found: list[_Case] = []
    for side in sides:
        known = [(one.name, one.given) for one in found]
        found += [one for one in _cases_of(side) if (one.name, one.given) not in known]
    return found


def _cases_of(side: Side) -> Iterator[_Case]:
    if side.fixtures is not None and side.services is not None:
        for case in side.fixtures.cases:
            yield _Case(case.name, {**side.fixtures.base, **case.given}, side.services)


def _judged(case: _Case, side: Side, met: Met) -> Terms | None:
    policy = side.rulebook.policy
    if str(case.given["action"]) not in policy.actions:
        return None
    services = side.services or case.services
    if any(faults_of(case.given, policy, services)):
        services = case.services  # this side does not know the service that asks
    return _noted(met, suppose(case.given, policy, services).inquiry)


def _noted(met: Met, inquiry: Inquiry) -> Terms | None:
    terms = outcome(met.rulebook, inquiry)
    met.note(inquiry, terms)
    return terms


def outcome(rulebook: Rulebook, inquiry: Inquiry) -> Terms | None:
    """What `rulebook` says of `inquiry`; None where it does not have the action."""
    try:
        return rulebook.terms(inquiry)
    except UnknownAction:
        return None


def change(name: str, action: ActionId, old: Terms | None, new: Terms | None) -> OutcomeChange:
    """Two outcomes of one request side by side."""
    return OutcomeChange(name, action, old, new, compare(old, new))


def grouped(changes: Iterable[OutcomeChange]) -> list[Alike]:
    """`changes` of one kind together, looser first and then by how many there are."""
    kinds: dict[object, list[OutcomeChange]] = {}
    for one in changes:
        kind = (one.action, _rule(one.old), _rule(one.new), one.comparison)
        kinds.setdefault(kind, []).append(one)
    alike = [Alike(found[0], tuple(one.name for one in found)) for found in kinds.values()]
    return sorted(alike, key=lambda one: (DIRECTIONS.index(one.first.direction), -len(one.names)))


def _rule(terms: Terms | None) -> str | None:
    return terms.matched.rule if terms else None

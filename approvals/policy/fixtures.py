"""fixtures.yaml: what policy is expected to say of made-up requests, and what it does say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue, StrictInt, model_validator

from approvals.model import Frozen, PolicyDecision
from approvals.policy.analysis import Rulebook, Terms, Trial
from approvals.policy.document import NO_MATCH, Policy
from approvals.policy.issues import Issue, suggestion
from approvals.policy.services import Services, ServicesDocument
from approvals.policy.shapes import Shaped
from approvals.policy.source import Steps
from approvals.policy.supposing import Supposed, faults_of, suppose
from approvals.policy.values import Title, Word, fault


class Expected(Frozen):
    """What is compared; a key left out is not. `threshold` counts all stages; 0 without a review.

    `shadow` names the rules in shadow mode that fit.
    """

    decision: PolicyDecision | None = None
    rule: Word | None = None
    threshold: StrictInt | None = None
    shadow: tuple[Word, ...] | None = None

    @model_validator(mode="after")
    def _something(self) -> Expected:
        if not self.model_fields_set:
            raise fault("expects nothing", "Name decision, rule, threshold or shadow")
        return self


class Case(Frozen):
    """One made-up request: `given` changes the base; null makes an attribute absent."""

    name: Title
    given: dict[str, JsonValue] = {}
    expect: Expected


class FixturesDocument(Frozen):
    """fixtures.yaml as a whole."""

    base: dict[str, JsonValue] = {}
    cases: tuple[Case, ...]


FixturesFile = Shaped[FixturesDocument]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key whose value is not the expected one."""

    key: str
    expected: JsonValue
    got: JsonValue


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What policy says of one case. `index` is its place among the cases judged.

    `met` are the rule that decided, if its condition held, and those in shadow that would have.
    """

    index: int
    name: str
    supposed: Supposed
    terms: Terms
    differences: tuple[Difference, ...]
    met: frozenset[str] = frozenset()


def unsound_fixtures(
    file: FixturesFile, policy: Shaped[Policy], services: Shaped[ServicesDocument]
) -> Iterator[Issue]:
    """Cases that name what there is not.

    Told only where policy and services have their shape: what is set aside there is no fault here.
    """
    if policy.issues or services.issues:
        return
    if file.model is None or policy.model is None or services.model is None:
        return
    known = Services(services.model)
    first: dict[str, int] = {}
    for index, case in enumerate(file.model.cases):
        steps: Steps = ("cases", file.row("cases", index))
        given = {**file.model.base, **case.given}
        for one in faults_of(given, policy.model, known):
            place = (*steps, "given", one.name) if one.name in case.given else ("base", one.name)
            yield file.source.issue(place, one.message, one.remedy)
        yield from _unknown_rules(file, steps, case, policy.model)
        if first.setdefault(case.name, index) != index:
            message = f"another case is called `{case.name}` too"
            yield file.source.issue((*steps, "name"), message, "Give each a name of its own")


def run_fixtures(
    document: FixturesDocument, rulebook: Rulebook, services: Services
) -> tuple[CaseResult, ...]:
    """How each case of a faultless file fares."""
    results = []
    for index, case in enumerate(document.cases):
        supposed = suppose({**document.base, **case.given}, rulebook.policy, services)
        terms = rulebook.terms(supposed.inquiry)
        trials = rulebook.explain(supposed.inquiry)
        results.append(
            CaseResult(
                index,
                case.name,
                supposed,
                terms,
                differences=tuple(_differences(case.expect, terms)),
                met=frozenset(one.rule.id for one in trials if _is_met(one)),
            )
        )
    return tuple(results)


def failed_cases(file: FixturesFile, results: Sequence[CaseResult]) -> list[Issue]:
    """Each difference of a case, at the place of what was expected."""
    issues = []
    for result in results:
        steps: Steps = ("cases", file.row("cases", result.index), "expect")
        for one in result.differences:
            told = f"{one.key} is {shown(one.got)}, not {shown(one.expected)}"
            message = f"the case `{result.name}` fails: {told} (rule `{result.terms.matched.rule}`)"
            remedy = "Correct the policy, or what is expected"
            issues.append(file.source.issue((*steps, one.key), message, remedy))
    return issues


def untested_rules(policy: Policy, results: Sequence[CaseResult]) -> tuple[str, ...]:
    """The rules that no case meets: a misspelt word in their conditions would go unnoticed."""
    met = {rule for one in results for rule in one.met}
    return tuple(rule.id for rule in policy.rules if rule.id not in met)


def shown(value: JsonValue) -> str:
    """A value of `expect` as people read it."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _is_met(trial: Trial) -> bool:
    # A rule that only gave an error has shown nothing of its condition.
    return trial.truth is True and (trial.has_decided or trial.part == "shadow")


def _unknown_rules(file: FixturesFile, steps: Steps, case: Case, policy: Policy) -> Iterator[Issue]:
    rules = {NO_MATCH, *(rule.id for rule in policy.rules)}
    if case.expect.rule is not None and case.expect.rule not in rules:
        message = f"no rule is called `{case.expect.rule}`"
        remedy = suggestion(case.expect.rule, rules)
        yield file.source.issue((*steps, "expect", "rule"), message, remedy)
    shadow = {rule.id for rule in policy.rules if rule.mode == "shadow"}
    for index, name in enumerate(case.expect.shadow or ()):
        if name not in shadow:
            message = f"no rule in shadow mode is called `{name}`"
            place = (*steps, "expect", "shadow", index)
            yield file.source.issue(place, message, suggestion(name, shadow))


def _differences(expected: Expected, terms: Terms) -> Iterator[Difference]:
    matched = terms.matched
    got: dict[str, JsonValue] = {
        "decision": matched.decision,
        "rule": matched.rule,
        "threshold": matched.threshold,
        "shadow": list[JsonValue](sorted(matched.shadow)),
    }
    for key in ("decision", "rule", "threshold", "shadow"):
        wanted = getattr(expected, key)
        wanted = sorted(wanted) if isinstance(wanted, tuple) else wanted
        if wanted is not None and wanted != got[key]:
            yield Difference(key, wanted, got[key])

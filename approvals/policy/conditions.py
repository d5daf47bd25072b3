"""Conditions that do not compile, or that cannot be meant, each told at its place in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from approvals.errors import MOST_FINDINGS
from approvals.policy.attributes import CLAIMABLE, KINDS, SIZES
from approvals.policy.condition_text import Possible, looked_up, tokens, unmet_constants
from approvals.policy.document import Action, Policy, Rule
from approvals.policy.engine_words import INPUTS_DO_NOT_MATTER
from approvals.policy.expressions import BadCondition, Condition, Facts, Language, Value
from approvals.policy.globs import matches_any
from approvals.policy.issues import Issue, suggestion
from approvals.policy.shapes import Shaped
from approvals.policy.source import Source, Steps

MOST_TOGETHER = 1_000_000  # comparisons of all rules about one action, some 50 ms on one core
MOST_ITEMS_TOLD = 2  # wrong items of one list

MakeFacts = Callable[[Mapping[str, Value], Collection[str] | None], Facts]

_MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
_UNCLAIMED: Mapping[str, Value] = {name: one.default for name, one in CLAIMABLE.items()}
# Two unlike requests of which everything is known: what errs for both is not meant to.
_WHOLE: tuple[Mapping[str, Value], ...] = (
    {
        **_UNCLAIMED,
        "service": "a-service",
        "requester.id": "somebody:1",
        "request.record_count": 0,
        "request.data_classes": [],
        "request.purpose": "",
        "client.ip": "",
    },
    {
        "service": "another",
        "requester.id": "somebody:2",
        "requester.roles": ["support", "lead"],
        "requester.groups": ["support", "lead"],
        "request.record_count": 1000,
        "request.data_classes": ["contact", "health"],
        "request.purpose": "support",
        "geo.country": "DE",
        "device.managed": True,
        "device.type": "laptop",
        "client.ip": "192.0.2.1",
    },
)


def unsound_conditions(file: Shaped[Policy], services: Source) -> Iterator[Issue]:
    """Each condition that does not compile, that nobody can mean, or that takes too long."""
    if file.model is not None:
        yield from _compiled(file, file.model, services.keys("services"))


def _compiled(file: Shaped[Policy], policy: Policy, services: Collection[str]) -> Iterator[Issue]:
    # A list with a fault of its own is known all the same, so that nobody searches for it.
    known = {name: policy.lists.get(name, ()) for name in file.source.keys("lists")}
    language = Language(KINDS, SIZES, known)
    work: Counter[str] = Counter()
    for index, rule in enumerate(policy.rules):
        steps: Steps = ("rules", file.row("rules", index), "when")
        try:
            condition = language.compile(rule.when)
        except BadCondition as error:
            yield from _told(file.source, steps, error)
        else:
            about = {
                name: action
                for name, action in policy.actions.items()
                if matches_any(rule.actions, name)
            }
            possible = _possible(list(about.values()), services)
            yield from _unmet(file.source, steps, rule, possible, known)
            yield from _senseless(file.source, steps, rule, language.facts, condition)
            work.update(dict.fromkeys(about, condition.work))
    for action, together in work.items():
        if together > MOST_TOGETHER:
            told = f"the conditions about `{action}` may take {together:,} comparisons together"
            remedy = f"Stay below {MOST_TOGETHER:,}, with shorter lists or fewer rules"
            yield file.source.issue(("rules",), told, remedy)


def _unmet(
    source: Source,
    steps: Steps,
    rule: Rule,
    possible: Mapping[str, Possible],
    lists: Mapping[str, Sequence[str]],
) -> Iterator[Issue]:
    found = tokens(rule.when)
    for fault in unmet_constants(found, possible):
        yield source.issue_within(steps, fault.offset, fault.message, fault.remedy)
    for name, listed in looked_up(found):
        items = lists.get(listed, ()) if name in possible else ()
        never = [
            (place, one)
            for place, text in enumerate(items)
            if (one := possible[name].fault(name, text))
        ]
        if len(never) > MOST_ITEMS_TOLD:  # then it is rather the list that is the wrong one
            message = f"`{name}` is never what `{listed}` holds"
            yield source.issue(steps, message, f"Name another list. {never[0][1].remedy}")
        else:
            for place, one in never:
                yield source.issue(("lists", listed, place), one.message, one.remedy)


def _possible(about: Sequence[Action], services: Collection[str]) -> Mapping[str, Possible]:
    """Which texts the attributes can be for a rule about these actions, as far as is known."""
    purposes = {"", *(purpose for one in about for purpose in one.purposes)}
    known = {name: _shape_of(name) for name in ("geo.country", "device.type")}
    if services:
        known["service"] = _one_of(services)
    if about and all(action.purposes for action in about):
        known["request.purpose"] = _one_of(purposes)
    return known


def _one_of(choice: Collection[str]) -> Possible:
    named = [text for text in choice if text]
    return Possible(lambda text: text in choice, lambda text: suggestion(text, named))


def _shape_of(name: str) -> Possible:
    one = CLAIMABLE[name]
    return Possible(
        lambda text: text == one.default or one.fits(text), lambda _: f"Write {one.wanted}"
    )


def _told(source: Source, steps: Steps, error: BadCondition) -> Iterator[Issue]:
    for fault in error.faults[:MOST_FINDINGS]:
        yield source.issue_within(steps, fault.offset, fault.message, fault.remedy)


def _senseless(
    source: Source, steps: Steps, rule: Rule, facts: MakeFacts, condition: Condition
) -> Iterator[Issue]:
    whole = [{**values, "now": _MOMENT, "tz": "UTC"} for values in _WHOLE]
    judged = [condition.judge(facts(values, condition.names)) for values in whole]
    errors = [one.error for one in judged if one.error in INPUTS_DO_NOT_MATTER]
    # In shadow it decides nothing, and its error is on record.
    if len(errors) == len(judged) and rule.mode == "enforce":
        message = f"`when` gives an error for every request: {errors[0]}"
        yield source.issue(steps, message, "Correct it")
    elif condition.is_constant and judged[0].truth is False:
        yield source.issue(steps, "`when` holds for no request", "Correct it, or remove the rule")

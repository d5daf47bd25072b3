"""Conditions in CEL. The one module that knows the engine, cel-expr-python, and all its traps.

An error of the engine is a value that counts as true in Python, or an exception: here it is None.
Nothing but the engine's own true is True.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Literal

from cel_expr_python import cel
from pydantic import JsonValue

from approvals.errors import PlacetError
from approvals.policy.condition_text import (
    TextFault,
    names_in,
    refused_calls,
    shadowing,
    tokens,
    work_of,
)
from approvals.policy.engine_words import Known, faults_of, kind, reason

Kind = Literal["truth", "number", "text", "texts", "time"]
Value = JsonValue | datetime
Truth = bool | None  # None: it gives an error

_ENGINE = "cel-expr-python"
_SERIES = "0.1."  # a later one may answer otherwise; the tests of its traps decide
_TOGETHER = 50  # conditions in one evaluation
_TYPES: Mapping[Kind, cel.Type] = {
    "truth": cel.Type.BOOL,
    "number": cel.Type.INT,
    "text": cel.Type.STRING,
    "texts": cel.Type.List(cel.Type.STRING),
    "time": cel.Type.TIMESTAMP,
}


# What a policy is better without is taken out of the engine itself, whatever a text looks like.
_ZONELESS = {
    "getFullYear": "timestamp_to_year",
    "getMonth": "timestamp_to_month",
    "getDate": "timestamp_to_day_of_month_1_based",
    "getDayOfMonth": "timestamp_to_day_of_month",
    "getDayOfWeek": "timestamp_to_day_of_week",
    "getDayOfYear": "timestamp_to_day_of_year",
    "getHours": "timestamp_to_hours",
    "getMinutes": "timestamp_to_minutes",
    "getSeconds": "timestamp_to_seconds",
    "getMilliseconds": "timestamp_to_milliseconds",
}
_WITHOUT = (
    "stdlib:\n  exclude_macros: [has, map]\n  exclude_functions:\n    - name: dyn\n"
    + "".join(
        f"    - {{name: {name}, overloads: [{{id: {overload}}}]}}\n"
        for name, overload in _ZONELESS.items()
    )
)


class EngineUnfit(PlacetError):
    """Another version of the engine is installed than the one its tests have judged."""

    code = "engine_unfit"


class BadCondition(PlacetError):
    """A text is no condition; `faults` say where and why."""

    code = "bad_condition"

    def __init__(self, faults: Sequence[TextFault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a condition says of one request, and why it gives an error. `note` is for people."""

    truth: Truth
    error: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if (self.truth is None) is not bool(self.error):
            raise ValueError("an error has its reason, and nothing else has")


_NAMES_HIDDEN = TextFault(
    0,
    "`when` uses a name in a way that cannot be followed",
    "Write names plainly, without a dot before",
)
_HOLDS, _FAILS = Judged(truth=True), Judged(truth=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `names` are attributes and lists it uses, `work` as in `work_of`."""

    text: str
    names: tuple[str, ...]
    work: int
    _compiled: cel.Expression

    def judge(self, facts: Facts) -> Judged:
        """Whether the condition holds for `facts`."""
        try:
            value = self._compiled.eval(facts.activation)
        except RuntimeError as error:
            return Judged(None, reason(str(error)))
        if value.type().name() != "BOOL":
            return Judged(None, reason(str(value.value())))
        return _HOLDS if value.value() is True else _FAILS

    @property
    def is_constant(self) -> bool:
        """Whether it says the same of every request."""
        return not self.names


@dataclass(frozen=True, slots=True)
class Facts:
    """One request's values and the policy's lists as the engine has them.

    It coerces nothing: what has a wrong type, or is absent, makes an error of whoever needs it.
    """

    activation: cel.Activation


class Language:
    """What conditions may name: attributes with their kinds, and the policy's lists.

    `sizes` tells the most items of each attribute that is a list; `unsure` which may be absent.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        sizes: Mapping[str, int],
        lists: Mapping[str, Sequence[str]],
        unsure: Collection[str] = (),
    ) -> None:
        check_engine(version(_ENGINE))
        self.lists: Mapping[str, list[str]] = {name: list(items) for name, items in lists.items()}
        self._sizes = {**sizes, **{name: len(items) for name, items in lists.items()}}
        variables = {name: _TYPES[one] for name, one in kinds.items()}
        variables |= dict.fromkeys(lists, _TYPES["texts"])
        self._names = frozenset(variables)
        self._unsure = frozenset(unsure)
        self._known = Known(kinds, lists)
        self._numbers = [name for name, one in kinds.items() if one == "number"]
        self._variables = variables
        self._narrow: dict[tuple[str, ...], cel.Env] = {}
        self._env = _env(variables)

    def compile(self, text: str) -> Condition:
        """`text` as a condition. Raises `BadCondition` with every fault."""
        found = tokens(text)
        if refused := [*refused_calls(found), *shadowing(found, self._names)]:
            raise BadCondition(refused)
        try:
            compiled = self._env.compile(text)
        except RuntimeError as error:
            raise BadCondition(faults_of(str(error), text, self._known)) from None
        gives = compiled.return_type().name()
        if gives != "BOOL":
            message = f"`when` gives {kind(gives)}, not true or false"
            raise BadCondition([TextFault(0, message, "Compare it with something")])
        work = work_of(found, self._sizes)
        if isinstance(work, TextFault):
            raise BadCondition([work])
        names = names_in(found, self._names)
        self._check_names(text, names)
        return Condition(text, names, work, compiled)

    def _check_names(self, text: str, names: tuple[str, ...]) -> None:
        """Holds our reading of a text to the engine's: by the names found, it must compile too.

        Who could hide a name from us could make a rule look as if it asked for nothing.
        """
        env = self._narrow.get(names)
        if env is None:
            env = self._narrow[names] = _env({name: self._variables[name] for name in names})
        try:
            env.compile(text)
        except RuntimeError:
            raise BadCondition([_NAMES_HIDDEN]) from None

    def facts(self, values: Mapping[str, Value], names: Collection[str] | None = None) -> Facts:
        """`values` for conditions that use `names`, or any. To hand a long list over takes time."""
        used = self.lists.keys() if names is None else self.lists.keys() & names
        known = {**{name: self.lists[name] for name in used}, **values}
        for name in self._numbers:
            if isinstance(known.get(name), bool):  # the one type that the engine would coerce
                del known[name]
        return Facts(self._env.Activation(known))

    def together(self, conditions: Sequence[Condition]) -> Together:
        """`conditions`, all of this language, to be judged at once."""
        return Together(self._env, conditions, self._unsure)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the conditions that are judged together, and their places among all."""

    places: Sequence[int]
    conditions: Sequence[Condition]
    joined: cel.Expression | None


class Together:
    """Several conditions judged in few evaluations, in a fraction of the time.

    Where one of a part gives an error that part is judged singly, so that each error stays its
    own. Conditions that name what may be absent stand apart, and slow down no other.
    """

    def __init__(
        self, env: cel.Env, conditions: Sequence[Condition], unsure: Collection[str]
    ) -> None:
        is_unsure = [not set(unsure).isdisjoint(one.names) for one in conditions]
        self._parts = [
            _part(env, conditions, places[start : start + _TOGETHER])
            for wanted in (False, True)
            for places in [[place for place, one in enumerate(is_unsure) if one is wanted]]
            for start in range(0, len(places), _TOGETHER)
        ]

    def judge(self, facts: Facts) -> list[Judged]:
        """What each condition says, in their order."""
        judged: dict[int, Judged] = {}
        for part in self._parts:
            said = _at_once(part.joined, facts) or [one.judge(facts) for one in part.conditions]
            judged |= zip(part.places, said, strict=True)
        return [judged[place] for place in range(len(judged))]


def _part(env: cel.Env, conditions: Sequence[Condition], places: Sequence[int]) -> _Part:
    part = [conditions[place] for place in places]
    # Each compiles by itself, so none can close its bracket; a comment ends with its line.
    texts = ",".join(f"({one.text}\n)" for one in part)
    try:
        return _Part(places, part, env.compile(f"[{texts}]"))
    except RuntimeError:  # too deep by the brackets around it
        return _Part(places, part, None)


def _at_once(joined: cel.Expression | None, facts: Facts) -> list[Judged] | None:
    if joined is None:
        return None
    try:
        value = joined.eval(facts.activation)
    except RuntimeError:
        return None
    if not value.type().name().startswith("LIST"):
        return None
    truths = value.plain_value()
    is_clean = isinstance(truths, list) and all(one is True or one is False for one in truths)
    return [_HOLDS if one else _FAILS for one in truths] if is_clean else None


def _env(variables: Mapping[str, cel.Type]) -> cel.Env:
    return cel.NewEnv(config=_config(), variables=variables)


@cache
def _config() -> cel.EnvConfig:
    return cel.NewEnvConfigFromYaml(_WITHOUT)


def check_engine(installed: str) -> None:
    """Raises `EngineUnfit` where the engine is of another series than the tests have judged."""
    if not installed.startswith(_SERIES):
        raise EngineUnfit(
            f"{_ENGINE} {installed} is installed, and conditions are judged by {_SERIES}* only. "
            "Install what requirements.lock names."
        )

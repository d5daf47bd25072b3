"""A source judged against its document: pydantic's errors in plain words, each at its place.

What is faulty is set aside entry by entry, so that one fault hides no other. Knows no one file.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from approvals.policy.issues import Issue, suggestion
from approvals.policy.source import TRUE_WORDS, Later, Source, Steps

Model = TypeVar("Model", bound=BaseModel)
_KEY = "[key]"  # how pydantic marks that the key itself is at fault
_NULLS = {"", "~", "null", "Null", "NULL"}

_PLAIN: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "Add it"),
    "string_type": ("must be text", "Write a text"),
    "int_type": ("must be a whole number", "Write digits only, without quotes"),
    "bool_type": ("must be true or false", "Write true or false, without quotes"),
    "tuple_type": ("must be a list", "Write it in brackets: [one, two]"),
    "dict_type": ("must be a mapping", "Write keys with values below it"),
    "model_type": ("must be a mapping", "Write keys with values below it"),
    "greater_than_equal": ("is too small", "Write {ge} or more"),
    "less_than_equal": ("is too large", "Write {le} or less"),
    "literal_error": ("is not one of the known values", "Write {expected}"),
    "fault": ("{message}", "{remedy}"),
}


@dataclass(frozen=True, slots=True)
class Shaped(Generic[Model]):
    """The part of a file that is well formed, and all that is wrong with the rest.

    `model` is None when nothing is left. `rows` has, for each top-level list, the original indexes
    of the entries left; `faulty` leads to what was set aside.
    """

    source: Source
    model: Model | None
    issues: tuple[Issue, ...]
    rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    faulty: frozenset[Steps] = frozenset()

    def row(self, name: str, index: int) -> int:
        """The index in the file of the entry that `model` has at `index`."""
        return self.rows[name][index]

    def holds(self, name: str) -> bool:
        """Whether nothing is wrong below the top-level key `name`."""
        return all(steps[:1] != (name,) for steps in self.faulty)


def shape(
    source: Source,
    document: type[Model],
    later: Later = (),
    nullable: Collection[tuple[str, ...]] = (),
) -> Shaped[Model]:
    """`source` as a `document`, without the keys of `later`, which are refused by name.

    Only the values at the patterns of `nullable` may be null.
    """
    if source.data is None and source.issues:
        return Shaped(source, None, source.issues)
    may_be_null = {steps for pattern in nullable for steps, _ in source.find(*pattern)}
    faults = [*_nulls(source, may_be_null), *_later_keys(source, later)]
    unwanted = {steps for pattern, _ in later for steps, _ in source.find(*pattern)}
    data = _without((), source.data, unwanted)
    model, details = _judged(document, data)
    told = {steps for steps, _ in faults}
    faults += [_fault(source, document, detail) for detail in details if detail["loc"] not in told]
    refused = {(issue.line, issue.column) for issue in source.issues}
    faulty = {steps[:2] for steps, _ in faults}
    faulty |= {steps[:2] for steps, place in source.places.items() if place in refused}
    if faulty:
        model, _ = _judged(document, _without((), data, faulty))
    issues = {issue for _, issue in faults if (issue.line, issue.column) not in refused}
    issues |= set(source.issues)
    rows = _rows(data, faulty)
    return Shaped(source, model, tuple(sorted(issues)), rows, frozenset(faulty))


def _judged(document: type[Model], data: JsonValue) -> tuple[Model | None, list[ErrorDetails]]:
    try:
        return document.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _nulls(source: Source, may_be_null: Collection[Steps]) -> list[tuple[Steps, Issue]]:
    # An emptied `groups:` must not quietly become the default.
    remedy = "Write a value, or remove the key"
    return [
        (steps, source.issue(steps, f"{_label(steps)} has no value", remedy))
        for steps, raw in source.bare.items()
        if raw in _NULLS and isinstance(steps[-1], str) and steps not in may_be_null
    ]


def _later_keys(source: Source, later: Later) -> list[tuple[Steps, Issue]]:
    message = "{} is not carried out by this version"
    return [
        (steps, source.key_issue(steps, message.format(_label(steps)), "Remove the key"))
        for pattern, harmless in later
        for steps, value in source.find(*pattern)
        if value not in harmless
    ]


def _without(steps: Steps, value: JsonValue, unwanted: Collection[Steps]) -> JsonValue:
    if isinstance(value, dict):
        return {
            key: _without((*steps, key), item, unwanted)
            for key, item in value.items()
            if (*steps, key) not in unwanted
        }
    if isinstance(value, list):
        return [
            _without((*steps, index), item, unwanted)
            for index, item in enumerate(value)
            if (*steps, index) not in unwanted
        ]
    return value


def _rows(data: JsonValue, faulty: Collection[Steps]) -> dict[str, tuple[int, ...]]:
    members = data if isinstance(data, dict) else {}
    return {
        name: tuple(index for index in range(len(value)) if (name, index) not in faulty)
        for name, value in members.items()
        if isinstance(value, list)
    }


def _fault(source: Source, document: type[BaseModel], detail: ErrorDetails) -> tuple[Steps, Issue]:
    steps: Steps = detail["loc"]
    if steps[-1:] == (_KEY,):
        steps = steps[:-1]
        return steps, source.key_issue(steps, *_words(steps, detail))
    if detail["type"] == "extra_forbidden":
        remedy = suggestion(str(steps[-1]), _keys_at(document, steps[:-1]))
        return steps, source.key_issue(steps, f"{_label(steps)} is not a key here", remedy)
    if detail["type"] == "string_type" and source.bare.get(steps, "") not in _NULLS:
        raw = source.bare[steps]
        kind = "a number" if raw.lstrip("-").isdecimal() else str(raw.lower() in TRUE_WORDS).lower()
        message = f"`{raw}` is read by YAML as {kind}, not as text"
        return steps, source.issue(steps, message, f'Quote it: "{raw}"')
    return steps, source.issue(steps, *_words(steps, detail))


def _words(steps: Steps, detail: ErrorDetails) -> tuple[str, str]:
    message, remedy = _PLAIN.get(detail["type"], ("is not valid", detail["msg"]))
    facts = dict(detail.get("ctx", {}))
    facts["expected"] = str(facts.get("expected")).replace("'", "")
    return f"{_label(steps)} {message.format(**facts)}", remedy.format(**facts)


def _label(steps: Steps) -> str:
    """The last key, with the indexes behind it."""
    names = [place for place, step in enumerate(steps) if isinstance(step, str)]
    if not names:
        return "the file"
    indexes = "".join(f"[{step}]" for step in steps[names[-1] + 1 :])
    return f"`{steps[names[-1]]}{indexes}`"


def _keys_at(document: type[BaseModel], steps: Steps) -> Iterable[str]:
    """The keys that `document` knows at `steps`, found through its annotations."""
    found: object = document
    for step in steps:
        found = _unwrapped(found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[str(step)].annotation
        else:
            found = get_args(found)[1 if get_origin(found) is dict else 0]
    found = _unwrapped(found)
    return found.model_fields if isinstance(found, type) and issubclass(found, BaseModel) else ()


def _unwrapped(annotation: object) -> object:
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        annotation = get_args(annotation)[0]
    return annotation

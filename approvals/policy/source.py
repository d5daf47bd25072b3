"""What one configuration file holds: plain data, and the place of every value and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from approvals.policy.issues import Issue

Steps = tuple[str | int, ...]  # the keys and indexes that lead to a value
Later = tuple[tuple[tuple[str, ...], tuple[object, ...]], ...]  # pattern, values that ask nothing
TRUE_WORDS = frozenset({"true", "yes", "on"})  # of YAML 1.1, in lower case
ANY = "*"  # in a pattern of `Source.find`: every key, every entry


@dataclass(frozen=True, slots=True)
class Source:
    """What one file holds. `data` is None when the file cannot be used at all.

    `bare` keeps, as written, each unquoted value that YAML reads as something other than text;
    `text` is the whole file.
    """

    file: str
    data: JsonValue = None
    issues: tuple[Issue, ...] = ()
    places: Mapping[Steps, tuple[int, int]] = field(default_factory=dict)
    key_places: Mapping[Steps, tuple[int, int]] = field(default_factory=dict)
    bare: Mapping[Steps, str] = field(default_factory=dict)
    text: str = field(default="", repr=False)

    def issue(self, steps: Steps, message: str, remedy: str) -> Issue:
        """A fault at the value that `steps` lead to, or at the nearest one above it."""
        while steps and steps not in self.places:
            steps = steps[:-1]
        return Issue(self.file, *self.places.get(steps, (1, 1)), message, remedy)

    def key_issue(self, steps: Steps, message: str, remedy: str) -> Issue:
        """A fault of the key itself, not of what it holds."""
        return Issue(self.file, *self.key_places[steps], message, remedy)

    def issue_within(self, steps: Steps, offset: int, message: str, remedy: str) -> Issue:
        """A fault at a character of the text that `steps` lead to; `offset` counts from 0."""
        until = str(self.value(steps))[: offset + 1]
        line, column = _spot(self.text, *self.places[steps], until)
        return Issue(self.file, line, column, message, remedy)

    def value(self, steps: Steps) -> JsonValue:
        """What stands at `steps`, None where nothing does."""
        found = self.data
        for step in steps:
            if isinstance(found, dict):
                found = found.get(str(step))
            elif isinstance(found, list) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    def find(self, *pattern: str) -> list[tuple[Steps, JsonValue]]:
        """Every value at `pattern`, in which `ANY` stands for each key or entry."""
        found: list[tuple[Steps, JsonValue]] = [((), self.data)]
        for step in pattern:
            found = [inner for steps, value in found for inner in _inside(steps, value, step)]
        return found

    def names(self, *pattern: str) -> frozenset[str]:
        """The texts at `pattern`."""
        return frozenset(value for _, value in self.find(*pattern) if isinstance(value, str))

    def keys(self, name: str) -> frozenset[str]:
        """The keys of the top-level mapping `name`."""
        return frozenset(str(steps[-1]) for steps, _ in self.find(name, ANY))


def _spot(text: str, line: int, column: int, until: str) -> tuple[int, int]:
    """Where the last character of `until` stands, the beginning of a value written from there on.

    Only what is no space is counted, so that quotes, folds and indents of YAML do not matter.
    """
    lines = text.split("\n")
    begin = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    if text[begin : begin + 1] in ("|", ">"):
        begin = text.find("\n", begin)
    elif text[begin : begin + 1] in ("'", '"'):
        begin += 1
    at = begin - 1
    for letter in until:
        if not letter.isspace():
            at = max(at, text.find(letter, at + 1))
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _inside(steps: Steps, value: JsonValue, step: str) -> list[tuple[Steps, JsonValue]]:
    if isinstance(value, dict):
        return [((*steps, key), item) for key, item in value.items() if step in (ANY, key)]
    if isinstance(value, list) and step == ANY:
        return [((*steps, index), item) for index, item in enumerate(value)]
    return []

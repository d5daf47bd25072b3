"""A condition's text looked at without the engine: its names, what it may not call, its most steps.

CEL is parsed by the engine alone; here are only its tokens (cel-spec, doc/langdef.md, "Syntax").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

# The engine's own budget for one evaluation; past it every answer is an error.
MOST_STEPS = 10_000
# Deeper, a text that grows at each level could fill the memory within the budget of steps.
MOST_NESTED = 2

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>\.?[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)
      | (?P<other>\d[\w.]*|[=!<>]=|&&|\|\||\S)""",
    re.VERBOSE | re.DOTALL,
)
_LOOPS = frozenset({"all", "exists", "exists_one", "filter"})
_REFUSED: Mapping[str, tuple[str, str]] = {
    "has": ("answers the value, not whether it is there", 'Compare with "" or false instead'),
    "dyn": ("hides wrong types until a request comes", "Compare values of one kind instead"),
    "map": ("can make texts grow without bounds", "Use exists, all or exists_one instead"),
}


@dataclass(frozen=True, slots=True)
class TextFault:
    """What is wrong at one place of a condition; `offset` counts characters from 0."""

    offset: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Token:
    """A name (dots and all, without spaces), or one other mark. Constants keep their quotes."""

    kind: str
    text: str
    offset: int


@dataclass(slots=True)
class _Open:
    """A bracket not closed yet; `size` is how often what is in it runs, 0 for a plain bracket."""

    size: int = 0
    steps: int = 0
    names: list[str] = field(default_factory=list)


def tokens(text: str) -> list[Token]:
    """What stands in a condition, without comments."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind != "comment":
            plain = re.sub(r"\s", "", match[0]) if kind == "name" else match[0]
            found.append(Token(kind, plain, match.start()))
    return found


def names_in(found: Sequence[Token], known: Collection[str]) -> tuple[str, ...]:
    """Those of `known` that a condition uses, in the order of their first use."""
    used: dict[str, None] = {}
    for token in found:
        parts = token.text.split(".") if token.kind == "name" else []
        for end in range(len(parts), 0, -1):
            if (name := ".".join(parts[:end])) in known:
                used[name] = None
                break
    return tuple(used)


def refused_calls(found: Sequence[Token]) -> list[TextFault]:
    """Each call that the engine knows and a policy is better without."""
    faults = []
    for token, after in pairwise(found):
        if token.kind != "name" or after.text != "(":
            continue
        name = token.text.rpartition(".")[2]
        if name in _REFUSED:
            reason, remedy = _REFUSED[name]
            faults.append(TextFault(token.offset, f"`{name}` {reason}", remedy))
    return [*faults, *_without_zone(found)]


def _without_zone(found: Sequence[Token]) -> Iterator[TextFault]:
    for token, first, second in zip(found, found[1:], found[2:], strict=False):
        if token.text.startswith("now.get") and (first.text, second.text) == ("(", ")"):
            message = f"`{token.text}()` would tell of UTC, not of the policy's time zone"
            yield TextFault(token.offset, message, f"Write {token.text}(tz)")


@dataclass(frozen=True, slots=True)
class Possible:
    """Which texts an attribute can be, and what to write in place of one that it cannot."""

    fits: Callable[[str], bool]
    remedy: Callable[[str], str]

    def fault(self, name: str, text: str, offset: int = 0) -> TextFault | None:
        """What is wrong with comparing `name` with `text`."""
        if self.fits(text):
            return None
        return TextFault(offset, f"`{name}` is never `{text}`", self.remedy(text))


def unmet_constants(
    found: Sequence[Token], possible: Mapping[str, Possible]
) -> Iterator[TextFault]:
    """Each text that an attribute is compared with (==, !=, in [...]) and that it never is.

    The engine knows of kinds only: a misspelt text would compile, and fit nobody.
    """
    for name, constant in _compared(found):
        if name in possible:
            text = constant.text.strip("'\"")
            if fault := possible[name].fault(name, text, constant.offset):
                yield fault


def looked_up(found: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Each attribute that is looked up in a list, with the list's name."""
    for first, middle, last in zip(found, found[1:], found[2:], strict=False):
        if (first.kind, middle.text, last.kind) == ("name", "in", "name"):
            yield first.text, last.text


def _compared(found: Sequence[Token]) -> Iterator[tuple[str, Token]]:
    for first, middle, last in zip(found, found[1:], found[2:], strict=False):
        if middle.text in ("==", "!="):
            yield from _constants(first.text, [last])
            yield from _constants(last.text, [first])
    for index, token in enumerate(found):
        if [one.text for one in found[index + 1 : index + 3]] == ["in", "["]:
            listed = takewhile(lambda one: one.text != "]", found[index + 3 :])
            yield from _constants(token.text, listed)


def _constants(name: str, beside: Iterable[Token]) -> Iterator[tuple[str, Token]]:
    return ((name, token) for token in beside if token.kind == "text")


def runaway(found: Sequence[Token], sizes: Mapping[str, int]) -> TextFault | None:
    """What makes a condition take more steps than the engine allows, at the worst of inputs.

    `sizes` has the most items of each list. A list whose size cannot be told counts as the largest.
    """
    largest = max([*sizes.values(), sum(token.text == "," for token in found) + 1])
    stack = [_Open()]
    for before, token in zip([Token("other", "", 0), *found], found, strict=False):
        if token.text in "([{":
            stack.append(_Open(_runs(before, sizes, largest) if token.text == "(" else 0))
            if sum(one.size > 0 for one in stack) > MOST_NESTED:
                message = f"loops more than {MOST_NESTED} deep"
                return TextFault(before.offset, message, "Split the rule in two")
        elif token.text in ")]}" and len(stack) > 1:
            closed = stack.pop()
            stack[-1].steps += closed.size * (1 + closed.steps) if closed.size else closed.steps
            if stack[-1].steps > MOST_STEPS:
                message = f"may take more than {MOST_STEPS:,} steps"
                return TextFault(token.offset, message, "Use shorter lists, or split the rule")
    return None


def _runs(before: Token, sizes: Mapping[str, int], largest: int) -> int:
    if before.kind != "name":
        return 0
    ranged, _, called = before.text.rpartition(".")
    return sizes.get(ranged, largest) if called in _LOOPS else 0

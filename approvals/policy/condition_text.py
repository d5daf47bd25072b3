"""A condition's text looked at without the engine: its names, what it may not call, its most steps.

CEL is parsed by the engine alone; here are only its tokens (cel-spec, doc/langdef.md, "Syntax").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

# The engine's own budget of loop steps for one evaluation; past it every answer is an error.
MOST_STEPS = 10_000
# Deeper, a text that grows at each level could fill the memory within the budget of steps.
MOST_NESTED = 2
# Work in comparisons, some 50 ns each on one core: what a loop step takes, and what the engine
# does not count, looking through a list and matching a pattern (0.7 ms where it repeats by count).
MOST_WORK = 100_000
_STEP, _PATTERN, _COUNTED_PATTERN = 10, 200, 15_000

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<text>[bB]?(?:[rR][bB]?(?:"{3}.*?"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
                 |"{3}(?:\\.|(?!"{3}).)*"{3}|'{3}(?:\\.|(?!'{3}).)*'{3}
                 |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>\.?[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)
      | (?P<other>\d[\w.]*|[=!<>]=|&&|\|\||\S)""",
    re.VERBOSE | re.DOTALL,
)
# What may stand beside a comparison that is not part of a longer value.
_BEFORE = frozenset({"", "(", "[", ",", "&&", "||", "!", "?", ":"})
_AFTER = frozenset({"", ")", "]", ",", "&&", "||", "?", ":"})
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
    work: int = 0


def tokens(text: str) -> list[Token]:
    """What stands in a condition, without comments."""
    blank = _TOKEN.sub(_without_comment, text)
    return [
        Token(str(match.lastgroup), _tight(match), match.start())
        for match in _TOKEN.finditer(blank)
    ]


def _without_comment(match: re.Match[str]) -> str:
    # One may stand within a name: `geo. // where ... country`.
    return " " * len(match[0]) if match.lastgroup == "comment" else match[0]


def _tight(match: re.Match[str]) -> str:
    return re.sub(r"\s", "", match[0]) if match.lastgroup == "name" else match[0]


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
    return [*faults, *_without_zone(found), *_made_patterns(found)]


def shadowing(found: Sequence[Token], declared: Collection[str]) -> Iterator[TextFault]:
    """Items of loops that bear the name of an attribute or a list, which they would hide."""
    for call, bracket, item in zip(found, found[1:], found[2:], strict=False):
        is_loop = call.kind == "name" and call.text.rpartition(".")[2] in _LOOPS
        if is_loop and bracket.text == "(" and item.text in declared:
            message = f"`{item.text}` names an attribute or a list already"
            yield TextFault(item.offset, message, "Call the item of the loop something else")


def _made_patterns(found: Sequence[Token]) -> Iterator[TextFault]:
    closed = [*found, Token("other", "", 0)]
    for call, bracket, pattern, end in zip(
        closed, closed[1:], closed[2:], closed[3:], strict=False
    ):
        is_match = call.kind == "name" and call.text.rpartition(".")[2] == "matches"
        is_written = pattern.kind == "text" and end.text == ")"
        if is_match and bracket.text == "(" and not is_written:
            message = "`matches` needs its pattern in quotes, not one that a request has a part in"
            yield TextFault(
                call.offset, message, "Write the pattern, or use startsWith or contains"
            )


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
        is_plain = constant.text[0] in "'\"" and "\\" not in constant.text
        if name in possible and is_plain:
            text = constant.text.strip("'\"")
            if fault := possible[name].fault(name, text, constant.offset):
                yield fault


def looked_up(found: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Each attribute that is looked up in a list, with the list's name."""
    for first, middle, last in zip(found, found[1:], found[2:], strict=False):
        if (first.kind, middle.text, last.kind) == ("name", "in", "name"):
            yield first.text, last.text


def _compared(found: Sequence[Token]) -> Iterator[tuple[str, Token]]:
    edge = Token("other", "", 0)
    around = [edge, *found, edge]
    for index, token in enumerate(around[2:-2], start=2):
        if token.text in ("==", "!="):
            first, last = around[index - 1], around[index + 1]
            is_whole = around[index - 2].text in _BEFORE and around[index + 2].text in _AFTER
            yield from _constants(first.text, [last] if is_whole else [])
            yield from _constants(last.text, [first] if is_whole else [])
    for index, token in enumerate(found):
        if [one.text for one in found[index + 1 : index + 3]] == ["in", "["]:
            listed = takewhile(lambda one: one.text != "]", found[index + 3 :])
            yield from _constants(token.text, listed)


def _constants(name: str, beside: Iterable[Token]) -> Iterator[tuple[str, Token]]:
    return ((name, token) for token in beside if token.kind == "text")


def work_of(found: Sequence[Token], sizes: Mapping[str, int]) -> int | TextFault:
    """The most comparisons that a condition can take, or what makes it take too many.

    `sizes` has the most items of each list. A list whose size cannot be told counts as all those
    that are named, one behind the other.
    """
    whole = sum(sizes.get(_root(token, sizes), 0) for token in found)
    whole += sum(token.text == "," for token in found) + 1
    stack = [_Open()]
    for before, token in zip([Token("other", "", 0), *found], found, strict=False):
        stack[-1].work += _cost(before, token, sizes, whole)
        if token.text in "([{":
            stack.append(_Open(_runs(before, sizes, whole) if token.text == "(" else 0))
            if sum(one.size > 0 for one in stack) > MOST_NESTED:
                message = f"`when` loops more than {MOST_NESTED} deep"
                return TextFault(before.offset, message, "Split the rule in two")
        elif token.text in ")]}" and len(stack) > 1:
            closed, outer = stack.pop(), stack[-1]
            outer.steps += closed.size * (1 + closed.steps) if closed.size else closed.steps
            outer.work += max(closed.size, 1) * closed.work + closed.size * _STEP
        if fault := _too_much(stack[-1], token):
            return fault
    return sum(one.work for one in stack)


def _too_much(here: _Open, token: Token) -> TextFault | None:
    remedy = "Use shorter lists and fewer patterns, or split the rule"
    if here.steps > MOST_STEPS:
        return TextFault(token.offset, f"`when` may take more than {MOST_STEPS:,} steps", remedy)
    if here.work > MOST_WORK:
        message = f"`when` may take more than {MOST_WORK:,} comparisons"
        return TextFault(token.offset, message, remedy)
    return None


def _cost(before: Token, token: Token, sizes: Mapping[str, int], whole: int) -> int:
    """What the engine does besides loop steps: it looks through lists, and matches patterns."""
    if token.kind == "text" and "{" in token.text:
        return _COUNTED_PATTERN
    if before.text == "in" and token.text in "([":
        return whole
    is_match = token.kind == "name" and token.text.rpartition(".")[2] == "matches"
    return 1 + sizes.get(_root(token, sizes), 0) + (_PATTERN if is_match else 0)


def _root(token: Token, sizes: Mapping[str, int]) -> str:
    """The list that a name begins with."""
    return next(iter(names_in([token], sizes)), "")


def _runs(before: Token, sizes: Mapping[str, int], whole: int) -> int:
    if before.kind != "name":
        return 0
    ranged, _, called = before.text.rpartition(".")
    return sizes.get(ranged, whole) if called in _LOOPS else 0

"""What the engine says against a condition, in plain words and at the place that is meant.

The engine's own text never goes further: at run time it may hold what a request sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from approvals.policy.condition_text import TextFault
from approvals.policy.issues import suggestion


@dataclass(frozen=True, slots=True)
class Known:
    """The names a condition may use."""

    attributes: Collection[str]
    lists: Collection[str]


_ERROR = re.compile(r"^(?:\w+: )?ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?: \[\w+\])?$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
_OPERATORS = {"@in": "in", "_?_:_": "? :", "_[_]": "[ ]"}
_KINDS: Mapping[str, str] = {
    "bool": "true or false",
    "string": "text",
    "int": "a whole number",
    "uint": "a number with u",
    "double": "a number with a point",
    "null_type": "null",
    "list(string)": "a list of texts",
    "google.protobuf.Timestamp": "a time",
    "google.protobuf.Duration": "a duration",
}
# The functions a condition may call, for the nearest one to a misspelt name.
_FUNCTIONS = """
    all contains duration endsWith exists exists_one filter getDate getDayOfMonth getDayOfWeek
    getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds int matches
    size startsWith string timestamp
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
_REASONS: Mapping[str, str] = {
    "divide by zero": "it divides by zero",
    "Invalid timezone": "it names a time zone that there is not",
    "regular expression": "its pattern is not valid",
    "Index error": "it asks for an item that is not in the list",
    "Unexpected value type": "an attribute has the wrong type",
    "budget": "it takes too many steps",
}
# Where two unlike requests give one of these, the condition itself is at fault.
INPUTS_DO_NOT_MATTER = frozenset(
    {
        _REASONS["divide by zero"],
        _REASONS["Invalid timezone"],
        _REASONS["regular expression"],
    }
)
_SYNTAX = "Check its quotes, brackets and operators: && || ! == != < > in"
_NO_CONDITION = ("`when` is no condition", _SYNTAX)
_SIGNS: Mapping[str, tuple[str, str]] = {
    "operand of a select": (
        "`when` asks a plain value for a part of it",
        "Remove what follows the attribute's name",
    ),
    "range of a comprehension": (
        "`when` loops over what is no list",
        "Name one, as in requester.roles",
    ),
    "simple identifier": (
        "`when` loops without a name for the item",
        'Write it as requester.roles.exists(role, role == "lead")',
    ),
    "int literal": ("`when` holds a number that is too large", "Write a smaller one"),
}
_TOO_DEEP = TextFault(
    0, "`when` is nested too deeply", "Write it flatter, or split the rule in two"
)


def kind(name: str) -> str:
    """A type of the engine in plain words."""
    plain = name.lower().replace("<", "(").replace(">", ")")
    return _KINDS.get(plain, _KINDS.get(name, "a list" if plain.startswith("list") else name))


def faults_of(told: str, text: str, known: Known) -> tuple[TextFault, ...]:
    """The engine's errors about `text`, each once, the first of a syntax error only."""
    if "recursion" in told:
        return (_TOO_DEEP,)
    faults: dict[TextFault, None] = {}
    for line, column, message in _ERROR.findall(told):
        if message.startswith("Syntax error") or "reserved identifier" in message:
            return (_syntax(_offset(text, int(line), int(column)), message, text),)
        if "*error*" not in message:  # what follows from a fault that is told already
            offset = _offset(text, int(line), int(column))
            faults[_meaning(offset, message, text, known)] = None
    return tuple(faults) or (TextFault(0, *_NO_CONDITION),)


def reason(told: str) -> str:
    """Why a condition gave an error for one request, without a value."""
    if absent := re.search(r'No value with name "([\w.]+)"', told):
        return f"{absent[1]} is not known"
    return next(
        (words for sign, words in _REASONS.items() if sign in told), "it cannot be computed"
    )


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    before = sum(len(one) + 1 for one in lines[: max(0, line - 1)])
    return min(before + max(0, column - 1), max(0, len(text) - 1))


def _syntax(offset: int, message: str, text: str) -> TextFault:
    for match in re.finditer(r"\b(and|or|not)\b", text, re.IGNORECASE):
        if match[0] in _WORDS and abs(match.start() - offset) <= len(match[0]) + 1:
            operator = _WORDS[match[0]]
            return TextFault(match.start(), f"`{match[0]}` is no operator", f"Write {operator}")
    if "input '<EOF>'" in message or "at '<EOF>'" in message or not text[offset:].strip():
        return TextFault(offset, "`when` ends too early", _SYNTAX)
    if text[offset] == "=" != text[offset - 1]:
        return TextFault(offset, "`=` compares nothing", "Write ==")
    word = text[offset:].split(maxsplit=1)[0][:20]
    return TextFault(offset, f"`when` cannot be read from `{word}` on", _SYNTAX)


def _meaning(offset: int, message: str, text: str, known: Known) -> TextFault:
    if unknown := _UNDECLARED.search(message):
        return _unknown(offset, unknown[1], text, known)
    if overload := _OVERLOAD.search(message):
        return _mismatch(offset, overload[1], overload[2])
    found = next((words for sign, words in _SIGNS.items() if sign in message), _NO_CONDITION)
    return TextFault(offset, *found)


def _unknown(offset: int, name: str, text: str, known: Known) -> TextFault:
    if text[offset : offset + 1] == "(":  # the engine points behind a function's name
        start = text.rfind(name, 0, offset)
        if name in FUNCTIONS:
            remedy = "Write it behind a value, with what it needs: now.getHours(tz)"
            return TextFault(start, f"`{name}` is called in a way it does not know", remedy)
        return TextFault(start, f"no function is called `{name}`", suggestion(name, FUNCTIONS))
    start = text.rfind(name, 0, offset + len(name))
    if name.isupper():
        return TextFault(start, f"no list is called `{name}`", suggestion(name, known.lists))
    if name == "action":
        remedy = "Choose the actions with the key `actions` beside `when`"
        return TextFault(start, "`action` is no attribute", remedy)
    remedy = suggestion(name, known.attributes)
    return TextFault(max(start, 0), f"no attribute is called `{name}`", remedy)


def _mismatch(offset: int, operator: str, types: str) -> TextFault:
    plain = _OPERATORS.get(operator, operator.strip("_"))
    kinds = [kind(one) for one in re.split(r", (?![^(]*\))", types)]
    message = f"`{plain}` does not go with {' and '.join(kinds)}"
    return TextFault(offset, message, _mended(plain, types))


def _mended(operator: str, types: str) -> str:
    if operator == "in" and types.startswith("string"):
        return "Write == for a text, and `in` for a list"
    if operator.startswith("get"):
        return f"Give it the zone: now.{operator}(tz)"
    if operator == "!":
        return "Put what is denied in brackets: !(geo.country in EEA)"
    if operator in ("==", "!=") and types in ("list(string), string", "string, list(string)"):
        return 'Write "lead" in requester.roles'
    if operator == "contains" and types.startswith("list"):
        return 'Write "lead" in requester.roles'
    return "Compare it with something first" if "," not in types else "Compare values of one kind"

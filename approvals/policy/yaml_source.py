"""A YAML text as plain data with the place of every value. Knows no shape of any file.

Built on PyYAML's events and not on its loaders: what a loader settles silently (a duplicate key, an
alias, a tag) is a fault here, named where it stands. Implicit types are those of YAML 1.1, but only
decimal numbers count as numbers; times, octals and the like stay text.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import JsonValue
from yaml.error import Mark
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.reader import Reader
from yaml.resolver import Resolver

from approvals.policy.issues import Issue
from approvals.policy.source import TRUE_WORDS, Source, Steps

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark  # the C parser's own, absent where PyYAML is pure

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20

_CORE = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_BARE_MARK = re.compile(r"(?:[:-]\s+|[\[,{]\s*)([!*&%@`])")
_QUOTED_START = re.compile(r"""[:-]\s+("[^"]*"|'[^']*')\s+[^\s#,}\]]""")
_QUOTE = 'Put the whole text in quotes: "..."'
_BEGIN = "beginning with a copy of Placet's examples/config"
_RESOLVER = Resolver()
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_source(path: Path) -> Source:
    """The file at `path`. Whatever is wrong with it is in `issues`; nothing is raised."""
    try:
        raw = _bytes_of(path)
    except FileNotFoundError:
        remedy = f"Write it, {_BEGIN}, or set PLACET_CONFIG_DIR to the directory that holds it"
        return _unusable(path.name, "the file is missing", remedy)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "Make it a regular file that this user may read"
        return _unusable(path.name, f"the file cannot be read: {reason}", remedy)
    return parse_source(path.name, raw)


def _bytes_of(path: Path) -> bytes:
    # A pipe would keep whoever opens it waiting, in a thread that nothing can end.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(MAX_BYTES + 1)


def parse_source(file: str, raw: bytes, loader: type[yaml.SafeLoader] = LOADER) -> Source:
    """The YAML text `raw`. Whatever is wrong with it is in `issues`; nothing is raised."""
    if len(raw) > MAX_BYTES:
        return _unusable(file, "the file is larger than 1 MiB", "Shorten it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _unusable(file, "this line is not UTF-8", "Save the file as UTF-8", line=line)
    if control := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, control.start()) + 1
        message = "this line holds a control character"
        return _unusable(file, message, "Remove what no editor shows", line=line)
    builder = _Builder(file)
    try:
        return replace(builder.build(yaml.parse(text, Loader=loader)), text=text)
    except yaml.YAMLError as error:
        return _unreadable(builder, text, error)


def _unusable(file: str, message: str, remedy: str, *, line: int = 1) -> Source:
    return Source(file, issues=(Issue(file, line, 1, message, remedy),))


def _unreadable(builder: _Builder, text: str, error: yaml.YAMLError) -> Source:
    line, column = _spot(getattr(error, "problem_mark", None))
    problem = getattr(error, "problem", "it cannot be read")
    message, remedy = f"this is not YAML: {problem}", "Check indentation, colons and quotes"
    before = "".join(text.split("\n")[line - 1 : line])[:column]
    if bare := _BARE_MARK.search(before):
        message, remedy = f"an unquoted text cannot begin with `{bare[1]}` in YAML", _QUOTE
    elif quoted := _QUOTED_START.search("".join(text.split("\n")[line - 1 : line])):
        message = "a text that begins with a quote ends with the next one"
        remedy, column = "Put the whole text in single quotes: '...'", quoted.start(1) + 1
    issue = Issue(builder.file, line, column, message, remedy)
    return Source(builder.file, issues=(*builder.issues, issue), text=text)


class _Unfit(Exception):  # carries the issue that ends the reading of a file
    def __init__(self, issue: Issue) -> None:
        self.issue = issue


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.issues: list[Issue] = []
        self.places: dict[Steps, tuple[int, int]] = {}
        self.key_places: dict[Steps, tuple[int, int]] = {}
        self.bare: dict[Steps, str] = {}

    def build(self, events: Iterator[Event]) -> Source:
        self._events = events
        data: JsonValue = None
        try:
            data = self._document()
        except _Unfit as stop:
            data = None
            self.issues.append(stop.issue)
        issues = tuple(self.issues)
        return Source(self.file, data, issues, self.places, self.key_places, self.bare)

    def _document(self) -> JsonValue:
        next(self._events)  # the start of the stream
        start = next(self._events)
        data = None if isinstance(start, StreamEndEvent) else self._value(next(self._events), ())
        if data is None:
            raise self._unfit(start, "the file is empty", f"Write it, {_BEGIN}")
        next(self._events)  # the end of the document
        after = next(self._events)
        if isinstance(after, DocumentStartEvent):
            raise self._unfit(after, "a second document begins here", "Keep one; remove the `---`")
        return data

    def _value(self, event: Event, steps: Steps) -> JsonValue:
        self.places[steps] = _place(event)
        if len(steps) > MAX_DEPTH:
            remedy = f"Use {MAX_DEPTH} levels at most"
            raise self._unfit(event, "the file is nested too deeply", remedy)
        if isinstance(event, AliasEvent):
            # An alias of an alias of an alias is how a small file fills the memory.
            self._fault(event, "an alias (`*`) is not accepted", "Write the value out, or quote it")
            return None
        if tag := getattr(event, "tag", None):
            message = f"`{tag}` is a YAML tag here, not part of a text"
            self._fault(event, message, _QUOTE)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, steps)
        if isinstance(event, MappingStartEvent):
            return self._mapping(steps)
        return self._sequence(steps)

    def _sequence(self, steps: Steps) -> JsonValue:
        items: list[JsonValue] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, (*steps, len(items))))
        return items

    def _mapping(self, steps: Steps) -> JsonValue:
        members: dict[str, JsonValue] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event)
            inner = (*steps, key)
            if key in members:
                first = self.key_places[inner][0]
                message = f"the key `{key}` stands here twice, first in line {first}"
                self._fault(event, message, "Keep one of the two")
                inner = (*steps, f"{key} (again)")
            self.key_places[inner] = _place(event)
            value = self._value(next(self._events), inner)
            members.setdefault(key, value)
        return members

    def _key(self, event: Event) -> str:
        if not isinstance(event, ScalarEvent):
            raise self._unfit(event, "a key must be text", "Write a plain name before the colon")
        if event.tag or _type_of(event) != "str":
            shown = event.tag or event.value
            self._fault(event, f"the key `{shown}` is not text in YAML", f'Quote it: "{shown}"')
        return str(event.value)

    def _scalar(self, event: ScalarEvent, steps: Steps) -> JsonValue:
        text, kind = str(event.value), _type_of(event)
        if kind == "int" and not _DECIMAL.fullmatch(text):
            return text
        if kind not in ("bool", "int", "null"):
            return text
        self.bare[steps] = text
        if kind == "null":
            return None
        return int(text) if kind == "int" else text.lower() in TRUE_WORDS

    def _fault(self, event: Event, message: str, remedy: str) -> None:
        self.issues.append(Issue(self.file, *_place(event), message, remedy))

    def _unfit(self, event: Event, message: str, remedy: str) -> _Unfit:
        return _Unfit(Issue(self.file, *_place(event), message, remedy))


def _place(event: Event) -> tuple[int, int]:
    return _spot(event.start_mark)


def _spot(mark: Mark | CMark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _type_of(event: ScalarEvent) -> str:
    kind = yaml.ScalarNode
    tag: str = _RESOLVER.resolve(kind, event.value, event.implicit)  # type: ignore[no-untyped-call]  # PyYAML's gap
    return tag.removeprefix(_CORE)

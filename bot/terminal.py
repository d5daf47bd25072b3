"""A person's terminal: lines out, one question in. Foreign text cannot steer it.

Every line passes through `neutral`, so that an escape sequence in a justification is only text.
"""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self, TextIO

_USUAL_WIDTH = 80
_LEAST_WIDTH = 10  # columns of text, however narrow the terminal
_MARK = "| "


class OutputLost(Exception):
    """A line could not be written: whoever read us has gone, or there is no room."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or type(error).__name__)
        self.has_reader_gone = isinstance(error, BrokenPipeError)


@dataclass(frozen=True, slots=True)
class Terminal:
    """The environment and the three streams of a command.

    What cannot be written raises `OutputLost` once; later lines of that stream go nowhere. Where
    nobody need hear us it is said on standard error instead, and we go on.
    """

    environment: Mapping[str, str]
    input: TextIO
    output: TextIO
    errors: TextIO
    must_be_heard: bool = True

    @classmethod
    def of_process(cls) -> Self:
        """The process's own. A character its encoding lacks is written, or read, as another."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        return cls(os.environ, sys.stdin, sys.stdout, sys.stderr)

    def of_server(self) -> Self:
        """The same for a process that serves others: it goes on when nobody reads it."""
        return replace(self, must_be_heard=False)

    @property
    def is_interactive(self) -> bool:
        """Whether somebody can be asked."""
        return self.input.isatty()

    @property
    def width(self) -> int:
        """The columns of the narrowest stream that is a terminal; 80 without one."""
        widths = [columns for out in (self.output, self.errors) if (columns := _columns_of(out))]
        return min(widths, default=_USUAL_WIDTH)

    def say(self, *lines: str) -> None:
        """Lines for people, on standard output. Without any, what waits is written out."""
        self._write(self.output, _text(lines))

    def complain(self, *lines: str) -> None:
        """Lines for people, on standard error."""
        self._write(self.errors, _text(lines))

    def tell(self, data: object) -> None:
        """One JSON document for machines, in ASCII, on standard output."""
        self._write(self.output, json.dumps(data) + "\n")

    def confirms(self, question: str) -> bool:
        """Asks on standard error; anything but y or yes means no."""
        self._write(self.errors, f"{neutral(question)} [y/N] ")
        return self.input.readline().strip().lower() in {"y", "yes"}

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            _silence(stream)
            lost = OutputLost(error)
            if self.must_be_heard:
                raise lost from None
            if stream is self.output:
                self.complain(f"The output could not be written ({lost}). Placet goes on.")


def neutral(text: str) -> str:
    """`text` with whatever a terminal might obey, or a reader not see, written as `<U+....>`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def wrapped(text: str, width: int) -> list[str]:
    """`text` as lines of at most `width` columns, each but the first marked with `| `.

    Stops a long text with spaces in it from posing as a row of ours, where the terminal wraps it.
    """
    room = max(width - len(_MARK), _LEAST_WIDTH)
    first, *more = (line for part in text.split("\n") for line in _broken(part, room))
    return [first, *((_MARK + line).rstrip() for line in more)]


def shortened(text: str, width: int) -> str:
    """`text` as one line of at most `width` columns, for a cell of a table."""
    line = neutral(" ".join(text.split()))
    if _columns(line) <= width:
        return line
    return _pieces(line, width - 1)[0] + "…"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, the first row being the heads."""
    tidy = [[neutral(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*tidy, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in tidy]


def _broken(text: str, room: int) -> Iterator[str]:
    """At least one line; words are kept whole where they fit, runs of spaces become one."""
    line = ""
    for word in neutral(text).split():
        joined = f"{line} {word}" if line else word
        if _columns(joined) <= room:
            line = joined
            continue
        if line:
            yield line
        *full, line = _pieces(word, room)
        yield from full
    yield line


def _pieces(word: str, room: int) -> list[str]:
    pieces, used = [""], 0
    for character in word:
        wide = _columns(character)
        if used + wide > room:
            pieces.append("")
            used = 0
        pieces[-1] += character
        used += wide
    return pieces


def _columns(text: str) -> int:
    """At most so many columns are taken: what some terminals draw wide counts as two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in text)


def _columns_of(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no file, no terminal, or closed
        return 0


def _text(lines: Sequence[str]) -> str:
    return "".join(neutral(line) + "\n" for line in lines)


def _silence(stream: TextIO) -> None:
    """Sends a stream nowhere. Python flushes it once more at exit, which must not fail too."""
    with suppress(OSError, ValueError):  # no file of the system
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

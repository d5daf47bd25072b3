"""A person's terminal: lines out, one question in. Foreign text cannot steer it.

Every line passes through `neutral`, so that an escape sequence in a justification is only text.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TextIO


@dataclass(frozen=True, slots=True)
class Terminal:
    """The environment and the three streams of a command."""

    environment: Mapping[str, str]
    input: TextIO
    output: TextIO
    errors: TextIO

    @classmethod
    def of_process(cls) -> Self:
        """The process's own. A character its encoding lacks is written as an escape."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return cls(os.environ, sys.stdin, sys.stdout, sys.stderr)

    @property
    def is_interactive(self) -> bool:
        """Whether somebody can be asked."""
        return self.input.isatty()

    def say(self, *lines: str) -> None:
        """Lines for people, on standard output."""
        _write(self.output, lines)

    def complain(self, *lines: str) -> None:
        """Lines for people, on standard error."""
        _write(self.errors, lines)

    def tell(self, data: object) -> None:
        """One JSON document for machines, in ASCII, on standard output."""
        print(json.dumps(data), file=self.output, flush=True)

    def confirms(self, question: str) -> bool:
        """Asks on standard error; anything but y or yes means no."""
        print(f"{neutral(question)} [y/N] ", end="", file=self.errors, flush=True)
        return self.input.readline().strip().lower() in {"y", "yes"}


def neutral(text: str) -> str:
    """`text` with whatever a terminal might obey, or a reader not see, written as `<U+....>`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, the first row being the heads."""
    tidy = [[neutral(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*tidy, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in tidy]


def _write(stream: TextIO, lines: Sequence[str]) -> None:
    stream.write("".join(neutral(line) + "\n" for line in lines))
    stream.flush()

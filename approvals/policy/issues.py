"""Faults of the configuration as data: all are told at once, each with its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN = 12  # names in a remedy; more would bury the fault


@dataclass(frozen=True, slots=True, order=True)
class Issue:
    """One fault. Issues sort by file, then by place; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}. {self.remedy}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was most likely meant to be."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return close[0] if close else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """A remedy for a name that nobody knows: the nearest one, or the whole choice."""
    choice = sorted(known)
    if close := nearest(name, choice):
        return f"Did you mean `{close}`?"
    more = f" and {len(choice) - _SHOWN} more" if len(choice) > _SHOWN else ""
    return "Known here: " + (", ".join(choice[:_SHOWN]) or "none") + more

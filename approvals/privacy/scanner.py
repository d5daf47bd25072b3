"""Stand-in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

Kind = Literal[
    "email",
    "phone",
    "card",
    "iban",
    "national_id",
    "ip",
    "birth_date",
    "cloud_key",
    "token",
    "private_key",
    "password",
]
SECRETS: frozenset[Kind] = frozenset({"cloud_key", "token", "private_key", "password"})


class Hit(NamedTuple):
    kind: Kind
    start: int
    end: int


class Detector(Protocol):
    def detect(self, text: str) -> Iterable[Hit]: ...


class Scanner:
    def __init__(self, more: Sequence[Detector] = ()) -> None:
        self._more = tuple(more)

    def scan(self, text: str) -> tuple[Hit, ...]:
        found = [
            Hit("email", m.start(), m.end())
            for m in re.finditer(r"[a-z.]{1,40}@[a-z.]{1,40}\.[a-z]{2,9}", text)
        ]
        found += [
            Hit("cloud_key", m.start(), m.end()) for m in re.finditer(r"AKIA[A-Z0-9]{16}", text)
        ]
        return tuple(sorted(found, key=lambda h: h.start))


def replaced(text: str, hits: Sequence[Hit]) -> str:
    for hit in sorted(hits, key=lambda h: -h.start):
        text = text[: hit.start] + f"[{hit.kind.replace('_', ' ')}]" + text[hit.end :]
    return text

"""Finds personal data and secrets in foreign text: by shape, check digit and the words around.

It finds no names and no addresses, and it misses some numbers: never call a scan complete. Pure,
and linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from approvals.model import FoundKind
from approvals.privacy.normal_form import folded

Kind = FoundKind
# Refused always: one that stands in a text is no secret any more.
SECRETS: frozenset[Kind] = frozenset({"private_key", "cloud_key", "token", "password"})


class Hit(NamedTuple):
    """One find: its kind, and where it stands in the text, `end` not included."""

    kind: Kind
    start: int
    end: int


class Detector(Protocol):
    """Finds kinds of data in a text of folded characters; see `normal_form`."""

    def detect(self, text: str) -> Iterable[Hit]:
        """The finds, in any order; they may overlap."""
        ...


class Scanner:
    """All built-in detectors, and `more`, which can only add finds."""

    def __init__(self, more: Sequence[Detector] = ()) -> None:
        self._detectors = (*_built_in(), *more)

    def scan(self, text: str) -> tuple[Hit, ...]:
        """What is found in `text`, in order and without overlaps; the more certain kind wins."""
        form = folded(text)
        taken: list[Hit] = []
        for detector in self._detectors:
            found = [hit for hit in detector.detect(form.text) if hit.start < hit.end]
            if found:
                taken = _joined(taken, found)
        return tuple(Hit(hit.kind, *form.place(hit.start, hit.end)) for hit in taken)


def replaced(text: str, hits: Sequence[Hit]) -> str:
    """`text` with `[email]`, `[national id]` and so on in place of each of the `hits` of a scan."""
    pieces, last = [], 0
    for hit in hits:
        pieces += [text[last : hit.start], f"[{hit.kind.replace('_', ' ')}]"]
        last = hit.end
    return "".join((*pieces, text[last:]))


def _joined(taken: list[Hit], found: list[Hit]) -> list[Hit]:
    """Both, in order; of `found` only what overlaps with nothing before it."""
    found.sort(key=lambda hit: (hit.start, -hit.end))
    joined: list[Hit] = []
    before = iter([*taken, Hit("other", 1 << 60, 1 << 60)])
    next_taken = next(before)
    for hit in found:
        while next_taken.end <= hit.start:
            joined.append(next_taken)
            next_taken = next(before)
        if hit.end <= next_taken.start and (not joined or joined[-1].end <= hit.start):
            joined.append(hit)
    joined.append(next_taken)
    joined += before
    return joined[:-1]


def _built_in() -> tuple[Detector, ...]:
    # Imported here: they stand on `Hit`, and this is the list of them all, in order of certainty.
    from approvals.privacy import national_ids, personal_data, phones, secret_patterns  # noqa: PLC0415

    return (
        secret_patterns.Secrets(),
        personal_data.Emails(),
        personal_data.Cards(),
        personal_data.Ibans(),
        national_ids.NationalIds(),
        personal_data.IpAddresses(),
        personal_data.BirthDates(),
        phones.Phones(),
    )

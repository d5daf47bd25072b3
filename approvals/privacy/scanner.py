"""Finds personal data and secrets in foreign text. It finds no names and no addresses.

Which kinds there are, their order, and how finds become hits. How a kind looks, others know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Protocol

from approvals.privacy.finds import KINDS, SECRETS, Hit, Kind
from approvals.privacy.normal_form import BLANK, NormalForm

__all__ = ["KINDS", "SECRETS", "Detector", "Hit", "Kind", "Scanner", "replaced"]

# What a mask uncovers is found in the next pass. A long text has but one; more would take too long.
_MOST_PASSES, _LONG = 4, 4096

# What stands so close to a hit that it could be read together with it.
_BORDER_AFTER = re.compile(r"[^\x00-\x7f]|[\w@+%/=-]|:[0-9A-Fa-f:]|[.']\w|[-\s./()_]{1,3}[0-9]")
_BORDER_BEFORE = re.compile(r"(?:[^\x00-\x7f]|[\w@+%/.'-]|[0-9A-Fa-f:]:|[0-9][-\s./()_]{1,3})$")


class Detector(Protocol):
    """Finds more in a text; what it finds yields to what the scanner found itself."""

    def detect(self, text: str) -> Iterable[Hit]:
        """Finds in `text` as it was given."""
        ...


class Scanner:
    """Scans texts. Made once at the start of a process: it takes in the tables of all countries."""

    def __init__(self, more: Sequence[Detector] = ()) -> None:
        # Here and not on top: the tables take a tenth of a second, which a command that scans
        # nothing need not spend.
        from approvals.privacy import personal_data, secret_patterns  # noqa: PLC0415
        from approvals.privacy.national_ids import national_ids  # noqa: PLC0415
        from approvals.privacy.payment_numbers import cards, ibans  # noqa: PLC0415
        from approvals.privacy.phones import phones  # noqa: PLC0415

        self._more = tuple(more)
        # In the order in which the first wins. IBANs before cards: four groups of an IBAN may pass
        # for a card, a card never for an IBAN.
        self._finders: tuple[Callable[[NormalForm], Iterator[Hit]], ...] = (
            secret_patterns.secrets,
            personal_data.emails,
            ibans,
            cards,
            national_ids,
            personal_data.addresses,
            personal_data.birth_dates,
            phones,
        )

    def scan(self, text: str) -> tuple[Hit, ...]:
        """Every hit in order of place, none overlapping another. Linear in the text's length.

        Up to 4,096 characters, what is masked by these hits is not hit again.
        """
        claimed = _Claimed(text)
        claimed.add(self._found(NormalForm(text)))
        if len(text) <= _LONG:
            self._uncover(claimed)
        for detector in self._more:
            claimed.add(detector.detect(text))
        return tuple(sorted(claimed.hits, key=_start))

    def _uncover(self, claimed: _Claimed) -> None:
        for _ in range(_MOST_PASSES - 1):
            if not claimed.may_uncover():
                return
            claimed.add(self._found(NormalForm(claimed.blanked())))

    def _found(self, form: NormalForm) -> Iterator[Hit]:
        for find in self._finders:
            if form.is_as_given:
                yield from find(form)
                continue
            for hit in find(form):
                yield Hit(hit.kind, *form.original(hit.start, hit.end))


def replaced(text: str, hits: Sequence[Hit]) -> str:
    """`text` with each hit as `[email]`, `[national id]` and so on. `hits` are those of `scan`."""
    pieces, place = [], 0
    for hit in hits:
        pieces += [text[place : hit.start], f"[{hit.kind.replace('_', ' ')}]"]
        place = hit.end
    return "".join([*pieces, text[place:]])


class _Claimed:
    """The hits so far in a text, and what they took."""

    def __init__(self, text: str) -> None:
        self.hits: list[Hit] = []
        self._text = text
        self._taken = bytearray(len(text))
        self._new: list[Hit] = []
        self._lost = False  # whether a find yielded to another, so that its rest may be a find

    def add(self, found: Iterable[Hit]) -> None:
        """Takes those that overlap none before them."""
        self._lost = False
        self._new = [hit for hit in found if self._take(hit)]
        self.hits += self._new

    def may_uncover(self) -> bool:
        """Whether the last hits hid or bordered what might be a find without them."""
        return bool(self._new) and (self._lost or any(_borders(self._text, h) for h in self._new))

    def blanked(self) -> str:
        """The text with blanks in place of all hits."""
        pieces, place = [], 0
        for hit in sorted(self.hits, key=_start):
            pieces += [self._text[place : hit.start], BLANK * (hit.end - hit.start)]
            place = hit.end
        return "".join([*pieces, self._text[place:]])

    def _take(self, hit: Hit) -> bool:
        _, start, end = hit
        if not 0 <= start < end <= len(self._taken):
            return False
        if self._taken.find(1, start, end) >= 0:
            self._lost = True
            return False
        self._taken[start:end] = b"\1" * (end - start)
        return True


def _borders(text: str, hit: Hit) -> bool:
    before = text[max(0, hit.start - 4) : hit.start]
    return bool(_BORDER_AFTER.match(text, hit.end) or _BORDER_BEFORE.search(before))


_start = attrgetter("start")

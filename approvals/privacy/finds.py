"""What a find is, its kinds, and how many candidates may be judged in one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

Kind = Literal[
    "cloud_key",
    "token",
    "private_key",
    "password",
    "email",
    "card",
    "iban",
    "national_id",
    "ip",
    "birth_date",
    "phone",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SECRETS: frozenset[Kind] = frozenset({"cloud_key", "token", "private_key", "password"})


class Hit(NamedTuple):
    """A find. Its places are those of the text that was searched."""

    kind: Kind
    start: int
    end: int


class Checks:
    """Judges candidates while any judgement is left, so that no text can buy much work.

    Past that many the shape alone decides: what looks like a value is masked, never let pass.
    """

    def __init__(self, most: int) -> None:
        self.left = most

    def passes(self, judge: Callable[[str], bool], candidate: str) -> bool:
        """What `judge` says; True once there have been too many."""
        if self.left <= 0:
            return True
        self.left -= 1
        return judge(candidate)

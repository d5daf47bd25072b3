"""How much of what may be asked in a time is left: plain data, told to who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Limit = Literal["per_minute", "per_requester", "pending_per_requester"]  # as services.yaml has it


@dataclass(frozen=True, slots=True)
class Quota:
    """`left` of `most` in `window`; all of it is there again after `full_in`."""

    name: str
    most: int
    window: timedelta
    left: int
    full_in: timedelta


def whole_seconds(length: timedelta) -> int:
    """Seconds, rounded up: who waits so long has waited long enough."""
    return -(-length // timedelta(seconds=1))

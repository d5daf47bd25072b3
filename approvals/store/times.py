"""Milliseconds since 1970 exist in the store only; everywhere else times are aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def millis(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (at - _EPOCH) // _MILLISECOND


def from_millis(text: bytes | str | int) -> datetime:
    """The UTC time of whole milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=int(text))

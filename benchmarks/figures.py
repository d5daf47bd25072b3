"""Numbers made small: percentiles and medians."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Json = dict[str, object]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def milliseconds(seconds: Sequence[float], *shares: float) -> Json:
    """Percentiles of durations in ms (`p50_ms` ...), and the largest."""
    if not seconds:
        return {"count": 0}
    told: Json = {"count": len(seconds)}
    for share in shares:
        told[f"p{share * 100:g}_ms"] = round(percentile(seconds, share) * 1000, 2)
    return {**told, "max_ms": round(max(seconds) * 1000, 2)}


def middle(values: Sequence[float], digits: int = 2) -> float | None:
    """The median, None of nothing."""
    return round(statistics.median(values), digits) if values else None

"""How late an expiry becomes visible: the server's time in the log entry minus the deadline."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter, time
from typing import cast

from approvals.model import Caller, RequestId
from approvals.store.times import from_millis
from benchmarks.company import QUIET, TOLD
from benchmarks.figures import Json, milliseconds
from benchmarks.openings import open_until
from benchmarks.stage import Stage

FAR = timedelta(hours=1)
PATIENCE_S = 60.0  # beyond the last deadline; what has not expired by then is missing
OPENED_PER_SECOND = 1500  # less than any machine fit to run this opens
LEAD = timedelta(seconds=1)
_PAUSE_S = 0.05
_BATCH = 1000

_EXPIRED = b'"type":"request.expired"'

Deadlines = dict[RequestId, datetime]
Expiries = dict[RequestId, list[datetime]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    few: int
    many: int
    spread: int
    spread_over: timedelta
    at_once: int
    callbacks_within: timedelta


@dataclass(frozen=True, slots=True)
class Found:
    """The requests that were due, and when the log says that each expired."""

    opened: Deadlines
    expiries: Expiries
    load_average: list[float]

    def told(self) -> Json:
        """As JSON."""
        late = [
            (self.expiries[request][0] - due).total_seconds()
            for request, due in self.opened.items()
            if request in self.expiries
        ]
        return {
            "due": len(self.opened),
            "missing": len(self.opened) - len(late),
            "expired_twice": sum(len(times) > 1 for times in self.expiries.values()),
            "lateness": milliseconds(late, 0.5, 0.99),
            "load_average": self.load_average,
        }


async def measure(stage: Stage, sizes: Sizes, say: Callable[[str], None]) -> Json:
    """Spread deadlines among few and among many pending, then all at one instant."""
    results: Json = {}
    for pending in (sizes.few, sizes.many):
        say(f"expiry: {sizes.spread} over {sizes.spread_over}, {pending} more pending")
        results[f"spread_{pending}_pending"] = await _spread(stage, sizes, pending)
    say(f"expiry: {sizes.at_once} at once")
    results["at_once"] = await _at_once(stage, sizes)
    say(f"expiry: {sizes.at_once} at once, each with a callback")
    results["at_once_with_callbacks"] = await _at_once_called_back(stage, sizes)
    return results


async def _spread(stage: Stage, sizes: Sizes, pending: int) -> Json:
    await stage.empty()
    far = await stage.store.records.now() + FAR
    await open_until(stage, QUIET, [far] * pending)
    first = await _after_opening(stage, sizes.spread)
    apart = sizes.spread_over / sizes.spread
    deadlines = [_whole_ms(first + number * apart) for number in range(sizes.spread)]
    return {"pending": pending, **(await _expired(stage, QUIET, deadlines)).told()}


async def _at_once(stage: Stage, sizes: Sizes) -> Json:
    await stage.empty()
    due = await _after_opening(stage, sizes.at_once)
    return (await _expired(stage, QUIET, [due] * sizes.at_once)).told()


async def _at_once_called_back(stage: Stage, sizes: Sizes) -> Json:
    await stage.empty()
    due = await _after_opening(stage, sizes.at_once)
    found = await _expired(stage, TOLD, [due] * sizes.at_once)
    callbacks = await _called_back(stage, found.opened, sizes.callbacks_within)
    await stage.empty()
    return {**found.told(), "callbacks": callbacks}


async def _after_opening(stage: Stage, count: int) -> datetime:
    """A time by which so many requests are open."""
    return await stage.store.records.now() + LEAD + timedelta(seconds=count / OPENED_PER_SECOND)


async def _expired(stage: Stage, caller: Caller, deadlines: list[datetime]) -> Found:
    load = os.getloadavg()[0]
    pending = await _count_pending(stage)
    opened = await open_until(stage, caller, deadlines)
    spare = min(deadlines) - await stage.store.records.now()
    if spare < timedelta(0):
        raise SystemExit("A deadline passed before all requests were open: use fewer of them.")
    await asyncio.sleep(spare.total_seconds())
    await _until_expired(stage, pending, max(deadlines))
    return Found(opened, await _expiries(stage), [load, os.getloadavg()[0]])


async def _until_expired(stage: Stage, pending: int, last: datetime) -> None:
    until = last + timedelta(seconds=PATIENCE_S)
    while await stage.store.records.now() < until:
        if await _count_pending(stage) <= pending:
            return
        await asyncio.sleep(_PAUSE_S)


async def _count_pending(stage: Stage) -> int:
    return cast("int", await stage.store.pipeline.run("ZCARD", stage.store.keys.pending))


async def _expiries(stage: Stage) -> Expiries:
    """Every `request.expired` entry of the log, by the time in its stream id."""
    found: Expiries = {}
    start = b"-"
    while True:
        reply = await stage.store.pipeline.run(
            "XRANGE", stage.store.keys.log, start, "+", "COUNT", _BATCH
        )
        rows = cast("list[tuple[bytes, list[bytes]]]", reply)
        for entry_id, (_, text) in rows:
            if _EXPIRED in text:
                request = RequestId(json.loads(text)["record"])
                found.setdefault(request, []).append(from_millis(entry_id.split(b"-")[0]))
        if len(rows) < _BATCH:
            return found
        start = b"(" + rows[-1][0]


async def _called_back(stage: Stage, opened: Deadlines, within: timedelta) -> Json:
    """How many callbacks came in the time given, and how long after the deadline."""
    arrivals = stage.receiver.arrivals
    until = perf_counter() + within.total_seconds()
    while perf_counter() < until:
        if opened.keys() <= arrivals.keys():
            break
        await asyncio.sleep(_PAUSE_S)
    clock = time() - perf_counter()
    waits = [
        arrivals[request] + clock - due.timestamp()
        for request, due in opened.items()
        if request in arrivals
    ]
    return {
        "expected": len(opened),
        "came": len(waits),
        "per_second": round(len(waits) / max(waits)) if waits else 0,
        "after_deadline": milliseconds(waits, 0.5, 0.99),
    }


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)

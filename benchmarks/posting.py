"""POST, with the store and without: interleaved rounds, each counted against the audit log."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.company import BODY_BYTES, posts
from benchmarks.figures import Json, middle, milliseconds, percentile
from benchmarks.load import Tally, drive
from benchmarks.processes import FLOOR, Weighed, cpu_seconds, running
from benchmarks.stage import Stage

CONCURRENCIES = (1, 16, 64)
WARM_UP = 0.5  # of a run's length, once for each process


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `recorded` are the audit entries it left; None for the floor.

    `cores` tells how many cores each process kept busy.
    """

    tally: Tally
    recorded: int | None
    load_average: list[float]
    cores: dict[str, float]
    rewrites: int = 0

    @property
    def is_void(self) -> bool:
        """Whether a fault or a gap between answers and audit entries spoils the run."""
        done = self.tally.completed
        is_counted = self.recorded is None or (
            done <= self.recorded <= done + self.tally.connections
        )
        return bool(self.tally.faults) or done == 0 or not is_counted

    def told(self, round_number: int) -> Json:
        """As JSON."""
        return {
            "round": round_number,
            "what": "floor" if self.recorded is None else "with_store",
            "connections": self.tally.connections,
            "per_second": round(self.tally.per_second),
            **milliseconds(self.tally.latencies, 0.5, 0.95, 0.99),
            "completed": self.tally.completed,
            "late": self.tally.late,
            "recorded": self.recorded,
            "faults": dict(self.tally.faults),
            "is_void": self.is_void,
            "aof_rewrites": self.rewrites,
            "cores_busy": self.cores,
            "load_average": self.load_average,
        }


async def measure(stage: Stage, rounds: int, seconds: float, say: Callable[[str], None]) -> Json:
    """F X F X ... for each concurrency; ratios inside a round, then their median."""
    runs: list[tuple[int, Run, Run]] = []
    async with running(FLOOR, stage.environment, stage.directory / "floor.log") as floor:
        for port in (floor.port, stage.web.port):
            await drive(port, CONCURRENCIES[-1], posts(stage.api_key), seconds * WARM_UP)
        for number in range(1, rounds + 1):
            for connections in CONCURRENCIES:
                without = await _run(stage, floor, connections, seconds)
                whole = await _counted(stage, connections, seconds)
                runs.append((number, without, whole))
                rates = f"{whole.tally.per_second:.0f}/s, floor {without.tally.per_second:.0f}/s"
                say(f"post, round {number}, {connections} connections: {rates}")
    await stage.empty()
    return {
        "body_bytes": BODY_BYTES,
        "features": "authentication, validation, policy, digest, entry MAC, idempotency key",
        "results": {str(each): _result(runs, each) for each in CONCURRENCIES},
        "runs": [run.told(number) for number, *pair in runs for run in pair],
    }


async def _run(stage: Stage, web: Weighed, connections: int, seconds: float) -> Run:
    load = os.getloadavg()[0]
    pids = {"web": web.pid, "store": stage.embedded.pid, "load_generator": os.getpid()}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    tally = await drive(web.port, connections, posts(stage.api_key), seconds)
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    cores = {name: round(each / tally.seconds, 2) for name, each in used.items()}
    return Run(tally, None, [load, os.getloadavg()[0]], cores)


async def _counted(stage: Stage, connections: int, seconds: float) -> Run:
    await stage.empty()
    rewrites = await _rewrites(stage)
    run = await _run(stage, stage.web, connections, seconds)
    recorded = await stage.count_entries()
    return replace(run, recorded=recorded, rewrites=await _rewrites(stage) - rewrites)


async def _rewrites(stage: Stage) -> int:
    return int((await stage.facts("persistence"))["aof_rewrites"])


def _result(runs: list[tuple[int, Run, Run]], connections: int) -> Json:
    fair = [
        (without, whole)
        for _, without, whole in runs
        if whole.tally.connections == connections and not (without.is_void or whole.is_void)
    ]
    ratios = [whole.tally.per_second / without.tally.per_second for without, whole in fair]
    return {
        "with_store": _medians([whole for _, whole in fair]),
        "floor": _medians([without for without, _ in fair]),
        "ratio": middle(ratios, 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "void_rounds": sum(whole.tally.connections == connections for _, _, whole in runs)
        - len(fair),
    }


def _medians(runs: list[Run]) -> Json:
    rates = [run.tally.per_second for run in runs]
    if not rates:
        return {}
    told: Json = {
        "per_second": middle(rates, 0),
        "per_second_min_max": [round(min(rates)), round(max(rates))],
    }
    for share in (0.5, 0.95, 0.99):
        each = [percentile(run.tally.latencies, share) * 1000 for run in runs]
        told[f"p{share * 100:g}_ms"] = middle(each)
    return told

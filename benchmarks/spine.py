"""Measures the spine on real processes and prints one JSON document; progress goes to stderr.

python -m benchmarks.spine [--quick] [--only post,memory] [--rounds 5] [--seconds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import expiring, posting, redeeming, remembering, telling
from benchmarks.arguments import parser_of
from benchmarks.expiring import Sizes
from benchmarks.figures import Json
from benchmarks.goals import goals
from benchmarks.machine import described
from benchmarks.stage import Stage, staged

LONGEST_S = 1800
_ABOUT = "Measures the spine on real processes; prints one JSON document."
SECTIONS = ("post", "redeem", "decision_to_callback", "expiry", "memory")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything is measured."""

    rounds: int
    seconds: float
    redeems: int
    single_decisions: int
    rounds_of_decisions: int
    expiry: Sizes
    requests_in_memory: int


FULL = Plan(
    rounds=5,
    seconds=3.0,
    redeems=2_000,
    single_decisions=300,
    rounds_of_decisions=30,
    expiry=Sizes(
        few=1_000,
        many=100_000,
        spread=2_000,
        spread_over=timedelta(seconds=5),
        at_once=20_000,
        callbacks_within=timedelta(seconds=60),
    ),
    requests_in_memory=10_000,
)
QUICK = Plan(
    rounds=1,
    seconds=0.5,
    redeems=200,
    single_decisions=30,
    rounds_of_decisions=3,
    expiry=Sizes(
        few=100,
        many=1_000,
        spread=200,
        spread_over=timedelta(seconds=1),
        at_once=500,
        callbacks_within=timedelta(seconds=1),
    ),
    requests_in_memory=1_000,
)


def main() -> None:
    """Runs the chosen sections."""
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or plan.rounds
    seconds = arguments.seconds or plan.seconds
    with tempfile.TemporaryDirectory(prefix="placet-bench-", dir=arguments.directory) as folder:
        told = uvloop.run(_measure(Path(folder), plan, rounds, seconds, arguments.only))
    print(json.dumps(told, indent=2))


async def _measure(
    directory: Path, plan: Plan, rounds: int, seconds: float, sections: list[str]
) -> Json:
    task = cast("asyncio.Task[Json]", asyncio.current_task())
    # A SIGTERM unwinds like any error, so that every process started here ends.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(LONGEST_S), staged(directory) as stage:
        measures: dict[str, Callable[[], Awaitable[Json]]] = {
            "post": lambda: posting.measure(stage, rounds, seconds, say),
            "redeem": lambda: redeeming.measure(stage, rounds, plan.redeems, say),
            "decision_to_callback": lambda: telling.measure(
                stage, plan.single_decisions, plan.rounds_of_decisions
            ),
            "expiry": lambda: expiring.measure(stage, plan.expiry, say),
            "memory": lambda: remembering.measure(stage, plan.requests_in_memory),
        }
        told = await _head(stage, rounds, seconds)
        results: Json = {}
        for section in sections:
            say(section)
            results[section] = await measures[section]()
        told["load_average_after"] = os.getloadavg()
        return {**told, "goals": goals(results, plan.expiry), **results}


async def _head(stage: Stage, rounds: int, seconds: float) -> Json:
    load = os.getloadavg()
    return {
        "benchmark": "spine",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "seconds_per_run": seconds,
        **await described(stage),
        "load_average_before": load,
    }


def say(text: str) -> None:
    """Tells whoever waits how far we are."""
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = parser_of("benchmarks.spine", _ABOUT, SECTIONS)
    parser.add_argument("--rounds", type=int, help="interleaved rounds of POST (5)")
    parser.add_argument("--seconds", type=float, help="length of one run of POST (3)")
    parser.add_argument("--directory", type=Path, help="where the store writes (temporary files)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

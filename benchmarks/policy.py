"""Measures policy in one process and thread, without a store; prints one JSON document.

python -m benchmarks.policy [--quick] [--only load,decisions] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time

from approvals.model import Asked, ServiceId
from approvals.policy.analysis import Rulebook
from approvals.policy.inquiry import inquiry_of
from approvals.policy.loader import load_configuration
from benchmarks.arguments import parser_of
from benchmarks.figures import Json, middle
from benchmarks.goals import policy_goals
from benchmarks.machine import host
from benchmarks.policies import EXPORT, NOON, VIEW, asked, mixed, worst_case, write

_ABOUT = "Measures policy in one process and thread; prints one JSON document."
_PACKAGES = ("placet", "cel-expr-python", "pydantic", "pyyaml")
_SERVICE = ServiceId("crm")
_RULES = 20
# Memory first: what another section had freed would hide what this one takes.
SECTIONS = ("memory", "load", "decisions")
_READINGS = 10  # of the memory, the first after a tenth of the decisions, which warms up


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything is measured."""

    rounds: int
    rules: int
    fixtures: int
    decisions: int
    in_memory: int
    in_memory_with_errors: int


FULL = Plan(
    rounds=5,
    rules=500,
    fixtures=200,
    decisions=15_000,
    in_memory=1_000_000,
    in_memory_with_errors=300_000,
)
QUICK = Plan(
    rounds=1,
    rules=50,
    fixtures=20,
    decisions=500,
    in_memory=2_000,
    in_memory_with_errors=1_000,
)


def main() -> None:
    """Runs the chosen sections."""
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or plan.rounds
    sections: dict[str, Callable[[], Json]] = {
        "load": lambda: _loads(plan, rounds),
        "decisions": lambda: _decisions(plan, rounds),
        "memory": lambda: _memory(plan),
    }
    told: Json = {
        "benchmark": "policy",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        **host(_PACKAGES),
        "load_average_before": os.getloadavg(),
    }
    results: Json = {}
    for section in arguments.only:
        print(section, file=sys.stderr, flush=True)
        results[section] = sections[section]()
    told["load_average_after"] = os.getloadavg()
    print(json.dumps({**told, "goals": policy_goals(results), **results}, indent=2))


def _loads(plan: Plan, rounds: int) -> Json:
    """The whole way from four files to a configuration."""
    results: Json = {}
    for name, fixtures in (("without_fixtures", 0), ("with_fixtures", plan.fixtures)):
        with tempfile.TemporaryDirectory(prefix="placet-bench-") as folder:
            directory = Path(folder)
            write(directory, rules=plan.rules, actions=50, persons=200, fixtures=fixtures)
            took = [_timed(partial(load_configuration, directory)) for _ in range(rounds)]
        results[name] = {
            "rules": plan.rules,
            "fixtures": fixtures,
            "median_ms": middle([wall * 1000 for wall, _ in took], 1),
            "median_cpu_ms": middle([cpu * 1000 for _, cpu in took], 1),
        }
    return results


def _decisions(plan: Plan, rounds: int) -> Json:
    """Decisions on 20 rules; the cases take turns, so that what else runs troubles all alike."""
    worst, half = Rulebook(worst_case(_RULES), "worst"), Rulebook(mixed(_RULES), "mixed")
    cases: dict[str, tuple[Rulebook, Sequence[Asked]]] = {
        "worst_case": (worst, [asked()]),
        "mixed": (half, _various()),
        "errs": (worst, [asked(record_count=None)]),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (rulebook, asks) in cases.items():
            took[name].append(_timed(partial(_judge, rulebook, asks, plan.decisions)))
    return {name: _rate(plan.decisions, runs) for name, runs in took.items()}


def _rate(count: int, runs: Sequence[tuple[float, float]]) -> Json:
    return {
        "median_per_s": middle([count / wall for wall, _ in runs], 0),
        "median_per_cpu_s": middle([count / cpu for _, cpu in runs], 0),
    }


def _memory(plan: Plan) -> Json:
    """Resident memory after a warm-up, and then at even distances."""
    rulebook = Rulebook(mixed(_RULES), "mixed")
    failing = [one for ask in _various() for one in (ask, asked(record_count=None))]
    return {
        "decided": _growth(rulebook, _various(), plan.in_memory),
        "every_second_errs": _growth(rulebook, failing, plan.in_memory_with_errors),
    }


def _growth(rulebook: Rulebook, asks: Sequence[Asked], decisions: int) -> Json:
    readings = []
    for _ in range(_READINGS):
        _judge(rulebook, asks, decisions // _READINGS)
        readings.append(_resident_kib())
    return {
        "decisions": decisions,
        "rss_kib": readings,
        "growth_kib": readings[-1] - readings[0],
    }


def _various() -> list[Asked]:
    """Requests of both actions, of which some are denied, some large and some ordinary."""
    counts, countries = (1, 20, 501, 900, 7_000, 200_000), ("DE", "CH", "XA", "NO")
    return [
        asked(action, record_count=count, country=country)
        for action in (VIEW, EXPORT)
        for count in counts
        for country in countries
    ]


def _judge(rulebook: Rulebook, asks: Sequence[Asked], count: int) -> None:
    for ask in islice(cycle(asks), count):
        rulebook.terms(inquiry_of(ask, _SERVICE, NOON))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of this process alone."""
    wall, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - wall, process_time() - cpu


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _arguments() -> argparse.Namespace:
    parser = parser_of("benchmarks.policy", _ABOUT, SECTIONS)
    parser.add_argument("--rounds", type=int, help="rounds of load and decisions (5)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

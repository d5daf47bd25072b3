"""Measures the scanner of foreign text: what it finds, what it touches wrongly, how long it takes.

python -m benchmarks.scanning [--quick] [--only quality,speed,worst] [--rounds 5]
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter, process_time

from approvals.privacy.scanner import SECRETS, Hit, Scanner
from benchmarks.arguments import parser_of
from benchmarks.figures import Json
from benchmarks.goals import scanning_goals
from benchmarks.machine import host
from benchmarks.scanning_texts import KINDS, Planted, clean, planted
from benchmarks.scanning_worst import SIZE, worst_texts

_ABOUT = "Measures the scanner of foreign text; prints a table and one JSON document."
_PACKAGES = ("placet", "python-stdnum", "phonenumberslite")
SECTIONS = ("quality", "speed", "worst")
HELD_OUT = "held out"  # the seed on which nothing was tuned; the other is "tuning"
_EACH, _CLEAN = 120, 300
_SENTENCE = "Customer asked for a copy of their data, ticket ZD-48213"
_FULL_OF_DIGITS = (
    "Order 10023456 of 2026-11-30, 1.234.567,00 EUR; call 030 23125 012 or 4111 1111 1111 1111. "
)
_KINDS_OF: dict[str, frozenset[str]] = {
    "evasion": frozenset({"email", "card"}),
    "secret": frozenset(SECRETS),
}


def main() -> None:
    """Runs the chosen sections."""
    parser = parser_of("benchmarks.scanning", _ABOUT, SECTIONS)
    parser.add_argument("--rounds", type=int, help="rounds of each timing (5)")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    began = process_time()
    scanner = Scanner()
    results: Json = {"start_ms": round((process_time() - began) * 1000, 1)}
    results["million_squares_ms"] = _million_squares_ms()  # tells one machine from another
    sections: dict[str, Callable[[], Json]] = {
        "quality": lambda: _quality(scanner),
        "speed": lambda: _speed(scanner, rounds),
        "worst": lambda: _worst(scanner, rounds),
    }
    for section in arguments.only:
        results[section] = sections[section]()
    told: Json = {
        "benchmark": "scanning",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **host(_PACKAGES),
        "load_average": os.getloadavg(),
    }
    print(json.dumps({**told, "goals": scanning_goals(results), **results}))


def is_found(one: Planted, hits: tuple[Hit, ...]) -> bool:
    """Whether a hit of its kind covers a part of the value."""
    kinds = _KINDS_OF.get(one.kind, frozenset({one.kind}))
    return any(hit.kind in kinds and hit.start < one.end and hit.end > one.start for hit in hits)


def _quality(scanner: Scanner) -> Json:
    found = dict.fromkeys(KINDS, 0)
    for one in planted(HELD_OUT, _EACH):
        found[one.kind] += is_found(one, scanner.scan(one.text))
    touched = sum(bool(scanner.scan(text)) for text in clean(HELD_OUT, _CLEAN))
    _say(f"{'kind':<14}found of {_EACH}")
    for kind, count in found.items():
        _say(f"{kind:<14}{count:>4}  {count / _EACH:>6.1%}")
    _say(f"{'clean texts':<14}{touched:>4}  touched of {_CLEAN}")
    return {
        "recall": {kind: round(count / _EACH, 3) for kind, count in found.items()},
        "clean_texts_touched": round(touched / _CLEAN, 4),
    }


def _speed(scanner: Scanner, rounds: int) -> Json:
    digits = (_FULL_OF_DIGITS * 12)[:1024]
    cases = {
        "sentence": _SENTENCE,
        "kib_of_digits": digits,
        "kib_of_prose": (_SENTENCE * 19)[:1024],
    }
    return {name: _milliseconds(scanner, text, rounds, 100) for name, text in cases.items()}


def _worst(scanner: Scanner, rounds: int) -> Json:
    took = {name: _milliseconds(scanner, text, rounds, 1) for name, text in worst_texts().items()}
    slowest = sorted(took, key=lambda name: took[name]["cpu_ms"], reverse=True)[:8]
    _say(f"slowest of {len(took)} texts of {SIZE // 1024} KiB, ms of its own time")
    for name in slowest:
        _say(f"{took[name]['cpu_ms']:>8.1f}  {name!r}")
    return {"texts": len(took), "slowest_ms": took[slowest[0]]["cpu_ms"], "slowest": slowest[0]}


def _milliseconds(scanner: Scanner, text: str, rounds: int, times: int) -> dict[str, float]:
    """The best round: what else runs on the machine only ever adds."""
    wall, own = [], []
    for _ in range(rounds):
        began, own_began = perf_counter(), process_time()
        for _ in range(times):
            scanner.scan(text)
        wall.append(perf_counter() - began)
        own.append(process_time() - own_began)
    each = 1000 / times
    return {"wall_ms": round(min(wall) * each, 4), "cpu_ms": round(min(own) * each, 4)}


def _million_squares_ms() -> float:
    began = process_time()
    sum(number * number for number in range(10**6))
    return round((process_time() - began) * 1000, 1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""The aims of the design beside what was reached."""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, le, lt

from benchmarks.expiring import Sizes
from benchmarks.figures import Json


def goals(results: Json, sizes: Sizes) -> list[Json]:
    """Every aim; `is_met` is null where it was not measured."""
    spread = [("expiry", f"spread_{each}_pending") for each in (sizes.few, sizes.many)]
    p99 = ("lateness", "p99_ms")
    told = ("decision_to_callback", "one_at_a_time", "p99_ms")
    polled = ("decision_to_callback", "to_long_poll", "p99_ms")
    bytes_each = ("memory", "bytes_per_pending_request")
    return [
        _goal("POST at 64 connections, to its floor", ">=", 0.6, _at(results, *_RATIO)),
        _goal("redeem at 64 connections, to its floor", ">=", 0.6, _at(results, *_REDEEMED)),
        _goal("decision to callback, p99 ms", "<", 20, _at(results, *told)),
        _goal("decision to long-poll, p99 ms", "<", 50, _at(results, *polled)),
        *(_goal(f"{each[1]}, p99 ms late", "<", 20, _at(results, *each, *p99)) for each in spread),
        _goal(f"{sizes.at_once} at once, p99 ms late", "<", 3000, _at(results, *_AT_ONCE, *p99)),
        _goal("bytes per pending request", "<", 3072, _at(results, *bytes_each)),
    ]


def policy_goals(results: Json) -> list[Json]:
    """The aims for policy; `is_met` is null where it was not measured."""
    load, decisions, memory = "load", "decisions", "memory"
    without, whole = ("without_fixtures", "median_ms"), ("with_fixtures", "median_ms")
    told = [
        _goal("load of 500 rules, ms", "<", 1000, _at(results, load, *without)),
        _goal("the same with 200 fixtures, ms", "<", 1000, _at(results, load, *whole)),
    ]
    for case in ("worst_case", "mixed", "errs"):
        rate = _at(results, decisions, case, "median_per_s")
        told.append(_goal(f"decisions per second, {case}", ">=", 20_000, rate))
    for case in ("decided", "every_second_errs"):
        growth = _at(results, memory, case, "growth_kib")
        told.append(_goal(f"growth of memory, {case}, KiB", "<", 1024, growth))
    return told


def client_goals(results: Json) -> list[Json]:
    """The aims for what the client adds to a call; `is_met` is null where it was not measured."""
    return [
        _goal(
            f"{call}, {kind}: added, {label} ms",
            "<",
            2,
            _at(results, kind, call, f"adds_{label}_ms"),
        )
        for kind in ("sync", "async")
        for call in ("request", "show", "redeem")
        for label in ("p50", "p99", "cpu")
    ]


def scanning_goals(results: Json) -> list[Json]:
    """The aims for the scanner; `is_met` is null where it was not measured."""
    quality, speed = "quality", "speed"
    least = dict.fromkeys(("email", "iban", "ip", "card"), 0.95)
    least |= dict.fromkeys(("phone", "national_id"), 0.9)
    touched = _at(results, quality, "clean_texts_touched")
    return [
        *(
            _goal(f"recall, {kind}", ">=", aim, _at(results, quality, "recall", kind))
            for kind, aim in least.items()
        ),
        _goal("clean texts touched, share", "<=", 0.01, touched),
        _goal("a sentence, ms", "<", 0.1, _at(results, speed, "sentence", "cpu_ms")),
        _goal("1 KiB full of digits, ms", "<", 1, _at(results, speed, "kib_of_digits", "cpu_ms")),
        _goal("the worst 32 KiB, ms", "<", 20, _at(results, "worst", "slowest_ms")),
    ]


_RATIO = ("post", "results", "64", "ratio")
_REDEEMED = ("redeem", "results", "64", "ratio")
_AT_ONCE = ("expiry", "at_once")
_MET: dict[str, Callable[[float, float], bool]] = {">=": ge, "<": lt, "<=": le}


def _goal(what: str, sign: str, aim: float, reached: float | None) -> Json:
    is_met = None if reached is None else _MET[sign](reached, aim)
    return {"what": what, "aim": f"{sign} {aim}", "reached": reached, "is_met": is_met}


def _at(results: Json, *path: str) -> float | None:
    """The number at `path`."""
    found: object = results
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int | float) else None

"""`policy check`, `policy test` and `policy schema`: the files alone, without a deployment."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence

from approvals.answer import Json
from approvals.policy.fixtures import CaseResult, FixturesFile, shown, untested_rules
from approvals.policy.loader import FILES, FIXTURES, Configuration, Reading
from approvals.policy.schema import schema_of
from approvals.policy.source import Steps
from bot.cli.command import FAILED, FINE
from bot.cli.policy_files import (
    directory_meant,
    faults_data,
    reading_of,
    summary,
    tell_faults,
)
from bot.cli.policy_words import explained, trial_lines
from bot.cli.wording import count
from bot.terminal import Terminal, shortened, table, wrapped

# Columns of the table: a rule and a case's name at most, and a name however little is left.
_MOST_RULE, _MOST_NAME, _LEAST_NAME = 32, 44, 12
_HOW = (
    "Nothing shows yet that policy decides as it is meant to. Write fixtures.yaml beside it:",
    "",
    "  base: {{action: {action}, service: {service}, now: \"2026-03-02T09:00:00Z\"}}",
    "  cases:",
    "    - {{name: what it shows, given: {{geo.country: DE}}, expect: {{decision: review}}}}",
    "",
    "`placet policy explain` shows what policy says of a request.",
)  # fmt: skip


def check(arguments: Namespace, terminal: Terminal) -> int:
    """Every fault of the files at once."""
    meant = directory_meant(arguments, terminal)
    reading = reading_of(meant)
    configuration = reading.configuration
    if configuration is None or reading.issues:
        return tell_faults(reading.issues, meant.directory, terminal, is_json=arguments.json)
    if arguments.json:
        rules = configuration.policy.rules
        told: Json = {
            "ok": True,
            "version": configuration.version,
            "rules": len(rules),
            "shadow_rules": sum(rule.mode == "shadow" for rule in rules),
            "fixtures": len(reading.results),
            "faults": [],
        }
        terminal.tell(told)
    else:
        files = ", ".join(FILES if reading.fixtures else FILES[:-1])
        terminal.say(
            *wrapped(f"{files}: no faults. {summary(configuration, reading)}", terminal.width)
        )
    return FINE


def schema(arguments: Namespace, terminal: Terminal) -> int:
    """The JSON Schema of one file; it is JSON with and without `--json`."""
    made = schema_of(arguments.file)
    if arguments.json:
        terminal.tell(made)
    else:
        terminal.say(*json.dumps(made, indent=2).splitlines())
    return FINE


def test(arguments: Namespace, terminal: Terminal) -> int:
    """The fixtures, and whether each rule is met by one."""
    meant = directory_meant(arguments, terminal)
    reading = reading_of(meant)
    configuration = reading.configuration
    if configuration is None:
        return tell_faults(reading.issues, meant.directory, terminal, is_json=arguments.json)
    untested = untested_rules(configuration.policy, reading.results)
    if arguments.json:
        terminal.tell(_data(configuration, reading, untested))
    elif not reading.results:
        terminal.say(*_how_to(configuration, reading))
    else:
        terminal.say(*_report(configuration, reading, untested, terminal.width))
    return FAILED if reading.issues or untested or not reading.results else FINE


def _how_to(configuration: Configuration, reading: Reading) -> Iterator[str]:
    missing = "has no cases" if reading.fixtures else "is missing"
    yield f"{configuration.directory / FIXTURES} {missing}."
    action = next(iter(configuration.policy.actions), "ACTION")
    service = next((one.id for one in configuration.services.all()), "SERVICE")
    yield from (line.format(action=action, service=service) for line in _HOW)


def _report(
    configuration: Configuration, reading: Reading, untested: Sequence[str], width: int
) -> Iterator[str]:
    yield from _table(reading.results, width)
    for one in reading.results:
        if one.differences:
            yield ""
            yield from wrapped(f"✗ {one.name}{_place(reading.fixtures, one)}", width)
            yield from _failure(one, configuration, width)
    yield from _dropped(reading.results, width)
    yield from _hindered(reading.results, width)
    yield ""
    if untested:
        told = f"No case meets {', '.join(untested)}: a wrong word in them would go unnoticed."
        yield from wrapped(told, width)
    failed = sum(bool(one.differences) for one in reading.results)
    rules = len(configuration.policy.rules)
    passed = len(reading.results) - failed
    cases = f"{count(len(reading.results), 'case')}: {passed} pass, {failed} fail"
    yield f"{cases}. {count(rules, 'rule')}: {rules - len(untested)} met, {len(untested)} not."


def _table(results: Sequence[CaseResult], width: int) -> list[str]:
    rules = [shortened(one.terms.matched.rule, _MOST_RULE) for one in results]
    taken = len("✓ pass  ") + len("  DECISION  ") + max(map(len, rules))
    room = min(max(width - taken, _LEAST_NAME), _MOST_NAME)
    rows = [["", "CASE", "DECISION", "RULE"]]
    for one, rule in zip(results, rules, strict=True):
        mark = "✗ FAIL" if one.differences else "✓ pass"
        rows.append([mark, shortened(one.name, room), one.terms.matched.decision, rule])
    return table(rows)


def _place(file: FixturesFile | None, one: CaseResult) -> str:
    steps: Steps = ("cases", file.row("cases", one.index)) if file else ()
    return f" ({FIXTURES}:{file.source.places[steps][0]})" if file else ""


def _failure(one: CaseResult, configuration: Configuration, width: int) -> Iterator[str]:
    for difference in one.differences:
        told = f"expected {shown(difference.expected)}, got {shown(difference.got)}"
        yield f"  {difference.key:10}{told}"
    yield "  because"
    inquiry = one.supposed.inquiry
    judged = explained(inquiry, configuration.rulebook, str(inquiry.values["service"]) or "given")
    yield from ("  " + line for line in trial_lines(judged, width - 2, until_decided=True))


def _dropped(results: Sequence[CaseResult], width: int) -> Iterator[str]:
    """Attributes that counted for nothing: mostly a surprise, and never a failure by itself."""
    by_service: dict[tuple[str, tuple[str, ...]], int] = {}
    for one in results:
        if one.supposed.ignored:
            key = (str(one.supposed.inquiry.values["service"]), one.supposed.ignored)
            by_service[key] = by_service.get(key, 0) + 1
    for (service, names), cases in by_service.items():
        yield ""
        told = f"{service} may not assert {', '.join(names)}: dropped in {count(cases, 'case')}."
        yield from wrapped(told, width)


def _hindered(results: Sequence[CaseResult], width: int) -> Iterator[str]:
    """Cases that prove nothing of a real request, which would not come as far as policy."""
    hindrances = Counter(each for one in results for each in one.supposed.hindrances)
    for hindrance, cases in hindrances.items():
        yield ""
        told = f"Refused before policy is asked, as in {count(cases, 'case')}: {hindrance}."
        yield from wrapped(told, width)


def _data(configuration: Configuration, reading: Reading, untested: Sequence[str]) -> Json:
    return {
        "ok": not (reading.issues or untested) and bool(reading.results),
        "version": configuration.version,
        "cases": [_case_data(one) for one in reading.results],
        "untested_rules": list(untested),
        "faults": [*faults_data(reading.issues)],
    }


def _case_data(one: CaseResult) -> Json:
    matched = one.terms.matched
    return {
        "name": one.name,
        "passes": not one.differences,
        "decision": matched.decision,
        "rule": matched.rule,
        "threshold": matched.threshold,
        "shadow": list(matched.shadow),
        "differences": [
            {"key": each.key, "expected": each.expected, "got": each.got}
            for each in one.differences
        ],
        "ignored": list(one.supposed.ignored),
        "hindrances": list(one.supposed.hindrances),
    }

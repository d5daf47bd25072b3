"""`policy diff`: what a change of policy says and does, and whether it lets anything through."""

from __future__ import annotations

import asyncio
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from approvals.answer import Json
from approvals.errors import ConfigurationInvalid
from approvals.policy.analysis import Terms
from approvals.policy.changes import Change, changes_between
from approvals.policy.issues import Issue
from approvals.policy.kept import rulebook_of
from approvals.policy.loader import POLICY, read_configuration
from approvals.policy.replaying import Alike, Side, cases_changed, grouped, replayed
from approvals.policy.yaml_source import read_source
from bot.cli.command import FAILED, FINE, WrongUsage
from bot.cli.policy_files import tell_faults
from bot.cli.policy_store import Records, records
from bot.cli.policy_words import asked
from bot.cli.wording import count
from bot.terminal import Terminal, wrapped

NEWEST = 10_000  # requests that are judged again
_VERSION = re.compile(r"[0-9a-f]{12}")
_SHOWN = 3  # names of one group
_MARKS = {"looser": "LOOSER", "stricter": "stricter", "new": "new", "other": "other"}


@dataclass(frozen=True, slots=True)
class Judged:
    """Requests, or cases, under both policies: how many, whether all there are, what differs."""

    number: int
    changed: Sequence[Alike]
    are_all: bool = True

    @property
    def is_looser(self) -> bool:
        """Whether anything got looser."""
        return any(one.first.direction == "looser" for one in self.changed)

    @property
    def differing(self) -> int:
        """How many outcomes differ."""
        return sum(len(one.names) for one in self.changed)


@dataclass(frozen=True, slots=True)
class Report:
    """All that differs."""

    old: Side
    new: Side
    changes: Sequence[Change]
    cases: Judged
    replay: Judged | None

    @property
    def is_looser(self) -> bool:
        """Whether anything got looser, as it is written, over cases or over records."""
        judged = self.cases.is_looser or (self.replay is not None and self.replay.is_looser)
        return judged or any(one.direction == "looser" for one in self.changes)


class Faulty(Exception):  # carries the faults of one side to where they are told
    def __init__(self, issues: Sequence[Issue], directory: Path) -> None:
        super().__init__(str(directory))
        self.issues = issues
        self.directory = directory


def add_arguments(parser: ArgumentParser) -> None:
    """The two sides."""
    about = "a directory, a policy.yaml, or the version of a policy that was in force"
    parser.add_argument("old", metavar="OLD", help=about)
    parser.add_argument("new", metavar="NEW", help="the same")
    about = f"judge the newest {NEWEST:,} recorded requests again too"
    parser.add_argument("--replay", action="store_true", help=about)


def diff(arguments: Namespace, terminal: Terminal) -> int:
    """What changed in the files, then in the outcomes, looser first."""
    try:
        report = asyncio.run(_compared(arguments, terminal))
    except Faulty as faulty:
        return tell_faults(faulty.issues, faulty.directory, terminal, is_json=arguments.json)
    if arguments.json:
        terminal.tell(_data(report))
    else:
        terminal.say(*_lines(report, terminal.width))
    return FAILED if report.is_looser else FINE


async def _compared(arguments: Namespace, terminal: Terminal) -> Report:
    old, new = _of_files(arguments.old), _of_files(arguments.new)
    replay = None
    if arguments.replay or old is None or new is None:
        async with records(terminal) as at:
            old = old or Side(await at.rulebook(arguments.old))
            new = new or Side(await at.rulebook(arguments.new))
            replay = await _replayed(at, old, new) if arguments.replay else None
    cases = _cases(old, new)
    changes = changes_between(old.rulebook.policy, new.rulebook.policy)
    return Report(old, new, changes, cases, replay)


def _is_version(name: str) -> bool:
    return _VERSION.fullmatch(name) is not None and not Path(name).exists()


def _of_files(name: str) -> Side | None:
    """A side that is a path; None for a version. Raises `WrongUsage`, `Faulty`."""
    path = Path(name)
    if path.is_dir():
        return _of_directory(path)
    if path.is_file():
        return _of_file(path)
    if not _is_version(name):
        raise WrongUsage(
            f"{name} is no directory, no file, and no version of a policy (12 hex digits)."
        )
    return None


def _of_file(path: Path) -> Side:
    try:
        return Side(rulebook_of(read_source(path)))
    except ConfigurationInvalid as error:
        issues = [one for one in error.issues if isinstance(one, Issue)]
        raise Faulty(issues, path.parent) from None


def _of_directory(path: Path) -> Side:
    reading = read_configuration(path)
    configuration = reading.configuration
    if configuration is None:
        raise Faulty(reading.issues, path)
    fixtures = reading.fixtures.model if reading.fixtures else None
    return Side(configuration.rulebook, configuration.services, fixtures)


def _cases(old: Side, new: Side) -> Judged:
    number, changed = cases_changed(old, new)
    return Judged(number, grouped(changed))


async def _replayed(at: Records, old: Side, new: Side) -> Judged:
    newest = await at.newest(NEWEST)
    changed = replayed(newest.requests, old.rulebook, new.rulebook)
    return Judged(len(newest.requests), grouped(changed), newest.are_all)


def _lines(report: Report, width: int) -> Iterator[str]:
    yield f"Policy {report.old.rulebook.version} -> {report.new.rulebook.version}"
    yield ""
    yield f"{POLICY}: {count(len(report.changes), 'change')}"
    for one in report.changes:
        yield from _hung(f"  {_MARKS[one.direction]:10}", one.words, width)
    yield ""
    yield f"{count(report.cases.number, 'fixture case').capitalize()}, {_differ(report.cases)}"
    yield from _outcomes(report.cases, width, "case")
    if report.replay is not None:
        yield ""
        of = "all" if report.replay.are_all else "the newest"
        told = f"Replay of {of} recorded requests ({report.replay.number:,})"
        yield f"{told}, {_differ(report.replay)}"
        yield from _outcomes(report.replay, width, "request")
    yield ""
    yield _verdict(report)


def _verdict(report: Report) -> str:
    if report.is_looser:
        return "Something got looser."
    if report.cases.number or (report.replay is not None and report.replay.number):
        return "Nothing got looser in what was judged."
    return "Nothing was judged, so nobody knows what got looser: write fixtures, or add --replay."


def _differ(judged: Judged) -> str:
    return f"{judged.differing:,} answered otherwise" + (":" if judged.changed else ".")


def _outcomes(judged: Judged, width: int, noun: str) -> Iterator[str]:
    for one in judged.changed:
        first = one.first
        told = f"{first.action}: {_brief(first.old)} -> {_brief(first.new)}"
        yield from _hung(f"  {_MARKS[first.direction]:10}", told, width)
        yield from _hung(" " * 12, "; ".join(first.comparison.words), width)
        rest = len(one.names) - _SHOWN
        more = f" and {rest:,} more" if rest > 0 else ""
        label = f"{count(len(one.names), noun)}: "
        yield from _hung(" " * 12, label + ", ".join(one.names[:_SHOWN]) + more, width)


def _hung(head: str, text: str, width: int) -> Iterator[str]:
    first, *more = wrapped(text, width - len(head))
    yield head + first
    yield from (" " * len(head) + line for line in more)


def _brief(terms: Terms | None) -> str:
    return (
        f"{', '.join(asked(terms.matched))} ({terms.matched.rule})" if terms else "no such action"
    )


def _data(report: Report) -> Json:
    return {
        "old": report.old.rulebook.version,
        "new": report.new.rulebook.version,
        "is_looser": report.is_looser,
        "changes": [{"direction": one.direction, "words": one.words} for one in report.changes],
        "cases": _judged_data(report.cases),
        "replay": _judged_data(report.replay) if report.replay is not None else None,
    }


def _judged_data(judged: Judged) -> Json:
    return {
        "judged": judged.number,
        "are_all": judged.are_all,
        "changed": [_alike_data(one) for one in judged.changed],
    }


def _alike_data(one: Alike) -> Json:
    first = one.first
    return {
        "direction": first.direction,
        "action": first.action,
        "old": _outcome_data(first.old),
        "new": _outcome_data(first.new),
        "respects": [
            {"direction": each.direction, "words": each.words} for each in first.comparison.respects
        ],
        "names": list(one.names),
    }


def _outcome_data(terms: Terms | None) -> Json | None:
    if terms is None:
        return None
    return {"decision": terms.matched.decision, "rule": terms.matched.rule}

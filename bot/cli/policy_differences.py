"""What two policies differ in, in words and for machines. Compares nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from approvals.answer import Json
from approvals.policy.analysis import Terms
from approvals.policy.changes import Change
from approvals.policy.loader import PEOPLE, SERVICES
from approvals.policy.replaying import Alike
from approvals.policy.unjudged import Unjudged
from bot.cli.policy_words import asked
from bot.cli.wording import count
from bot.terminal import wrapped

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
    """All that differs: the versions, the changes by file, the outcomes, what nobody judged."""

    versions: tuple[str, str]
    changes: Mapping[str, Sequence[Change]]
    cases: Judged
    replay: Judged | None
    unjudged: Unjudged

    @property
    def has_looser(self) -> bool:
        """Whether anything got looser for sure: as it is written, over cases or over records."""
        written = [one for changes in self.changes.values() for one in changes]
        judged = self.cases.is_looser or (self.replay is not None and self.replay.is_looser)
        return judged or any(one.direction == "looser" for one in written)

    @property
    def is_looser(self) -> bool:
        """Whether anything got looser, or may have, since nobody judged it."""
        return self.has_looser or bool(self.unjudged.maybe_looser)


def report_lines(report: Report, width: int) -> Iterator[str]:
    """What changed as it is written, then the outcomes, then what it comes to."""
    yield f"Policy {' -> '.join(report.versions)}"
    for file, changes in report.changes.items():
        yield ""
        yield f"{file}: {count(len(changes), 'change')}"
        for one in changes:
            yield from _hung(_head(one.direction), one.words, width)
    if PEOPLE not in report.changes:
        yield ""
        told = f"{PEOPLE} and {SERVICES} are not compared: that takes two directories."
        yield from wrapped(told, width)
    yield ""
    yield f"{count(report.cases.number, 'fixture case').capitalize()}, {_differ(report.cases)}"
    yield from _outcomes(report.cases, width, "case")
    if report.replay is not None:
        yield ""
        yield from _replay(report.replay, width)
    yield from _unjudged(report.unjudged, width)
    yield ""
    yield from wrapped(_verdict(report), width)


def _replay(replay: Judged, width: int) -> Iterator[str]:
    of = "all" if replay.are_all else "the newest"
    told = f"Replay of {of} recorded requests ({replay.number:,})"
    yield f"{told}, {_differ(replay)}"
    yield from wrapped(f"Only those of services in {SERVICES} today are looked at.", width)
    yield from _outcomes(replay, width, "request")


def _unjudged(unjudged: Unjudged, width: int) -> Iterator[str]:
    if unjudged.rules:
        yield ""
        yield from wrapped(f"Nobody judged: {', '.join(unjudged.rules)}", width)
    if unjudged.maybe_looser:
        names = ", ".join(unjudged.maybe_looser)
        yield from wrapped(f"Possibly looser, since nothing judged meets it: {names}", width)


def _verdict(report: Report) -> str:
    if report.has_looser:
        return "Something got looser."
    if report.is_looser:
        return (
            "Something may have got looser: write a case that meets each rule named, "
            "or add --replay."
        )
    if report.cases.number or (report.replay is not None and report.replay.number):
        return "Nothing got looser in what was judged."
    return "Nothing was judged, so nobody knows what got looser: write fixtures, or add --replay."


def _differ(judged: Judged) -> str:
    return f"{judged.differing:,} answered otherwise" + (":" if judged.changed else ".")


def _outcomes(judged: Judged, width: int, noun: str) -> Iterator[str]:
    for one in judged.changed:
        first = one.first
        told = f"{first.action}: {_outcome(first.old)} -> {_outcome(first.new)}"
        yield from _hung(_head(first.direction), told, width)
        yield from _hung(" " * 12, "; ".join(first.comparison.words), width)
        rest = len(one.names) - _SHOWN
        more = f" and {rest:,} more" if rest > 0 else ""
        label = f"{count(len(one.names), noun)}: "
        yield from _hung(" " * 12, label + ", ".join(one.names[:_SHOWN]) + more, width)


def _head(direction: str) -> str:
    return f"  {_MARKS[direction]:10}"


def _hung(head: str, text: str, width: int) -> Iterator[str]:
    first, *more = wrapped(text, width - len(head))
    yield head + first
    yield from (" " * len(head) + line for line in more)


def _outcome(terms: Terms | None) -> str:
    return (
        f"{', '.join(asked(terms.matched))} ({terms.matched.rule})" if terms else "no such action"
    )


def report_data(report: Report) -> Json:
    """The whole for machines; `is_looser` is what the exit code says."""
    old, new = report.versions
    return {
        "old": old,
        "new": new,
        "is_looser": report.is_looser,
        "changes": [
            {"file": file, "direction": one.direction, "words": one.words}
            for file, changes in report.changes.items()
            for one in changes
        ],
        "compared": list(report.changes),
        "unjudged": list(report.unjudged.rules),
        "maybe_looser": list(report.unjudged.maybe_looser),
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

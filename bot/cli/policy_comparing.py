"""`policy diff`: what a change of policy says and does, and whether it lets anything through."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace

from approvals.policy.access_changes import people_changes, services_changes
from approvals.policy.changes import changes_between
from approvals.policy.loader import PEOPLE, POLICY, SERVICES
from approvals.policy.replaying import Judgement, Side, grouped
from bot.cli.command import FAILED, FINE
from bot.cli.policy_differences import Judged, Report, report_data, report_lines
from bot.cli.policy_files import tell_faults
from bot.cli.policy_sides import Faulty, side_of_files
from bot.cli.policy_store import Records, records
from bot.terminal import Terminal

NEWEST = 10_000  # requests that are judged again


def add_arguments(parser: ArgumentParser) -> None:
    """The two sides."""
    about = "a directory, a policy.yaml, or the version of a policy that was in force"
    parser.add_argument("old", metavar="OLD", help=about)
    parser.add_argument("new", metavar="NEW", help="the same")
    about = f"judge the newest {NEWEST:,} recorded requests of today's services again too"
    parser.add_argument("--replay", action="store_true", help=about)


def diff(arguments: Namespace, terminal: Terminal) -> int:
    """What changed in the files, then in the outcomes, looser first."""
    try:
        report = asyncio.run(_compared(arguments, terminal))
    except Faulty as faulty:
        return tell_faults(faulty.issues, faulty.directory, terminal, is_json=arguments.json)
    if arguments.json:
        terminal.tell(report_data(report))
    else:
        terminal.say(*report_lines(report, terminal.width))
    return FAILED if report.is_looser else FINE


async def _compared(arguments: Namespace, terminal: Terminal) -> Report:
    old, new = side_of_files(arguments.old), side_of_files(arguments.new)
    if arguments.replay or old is None or new is None:
        async with records(terminal) as at:
            old = old or Side(await at.rulebook(arguments.old))
            new = new or Side(await at.rulebook(arguments.new))
            return await _report(old, new, at if arguments.replay else None)
    return await _report(old, new, None)


async def _report(old: Side, new: Side, at: Records | None) -> Report:
    """The whole; over recorded requests too where there is `at`."""
    judgement = Judgement(old.rulebook, new.rulebook)
    number, changed = judgement.cases_changed(old, new)
    cases, replay = Judged(number, grouped(changed)), None
    if at is not None:
        newest = await at.newest(NEWEST)
        again = grouped(judgement.replayed(newest.requests))
        replay = Judged(len(newest.requests), again, newest.are_all)
    changes = {POLICY: changes_between(old.rulebook.policy, new.rulebook.policy)}
    if old.access and new.access:
        changes[PEOPLE] = people_changes(old.access.people, new.access.people)
        changes[SERVICES] = services_changes(old.access.services, new.access.services)
    versions = old.rulebook.version, new.rulebook.version
    return Report(versions, changes, cases, replay, judgement.unjudged())

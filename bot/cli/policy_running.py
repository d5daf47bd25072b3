"""Bare `policy`: what runs, where, and what its rules ask; what its shadow rules would change."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals.answer import Json, moment
from approvals.errors import PlacetError
from approvals.model import ApprovalRequest
from approvals.policy.analysis import Rulebook, voters
from approvals.policy.document import Policy, Rule
from approvals.store.processes import RunningProcess
from bot.cli.command import FINE
from bot.cli.policy_store import Newest, Records, records
from bot.cli.wording import clock
from bot.terminal import Terminal, shortened, table, wrapped

NEWEST = 1000  # requests over which shadow rules are counted
_MOST_ID = 40  # columns of a rule's id


@dataclass(frozen=True, slots=True)
class State:
    """What runs. `rulebook` is None where it cannot be told, and `problem` says why."""

    rulebook: Rulebook | None
    problem: str | None
    first_used: datetime | None
    processes: Sequence[RunningProcess]
    newest: Newest


def running(arguments: Namespace, terminal: Terminal) -> int:
    """The policy in force, its processes and its rules."""

    async def told() -> None:
        async with records(terminal) as at:
            state = await _state(at)
            if arguments.json:
                terminal.tell(_data(state))
            else:
                terminal.say(*_lines(state, terminal.width))

    asyncio.run(told())
    return FINE


async def _state(at: Records) -> State:
    rulebook, problem = None, "Its files have faults: run `placet policy check`."
    try:
        rulebook = await at.in_force()
    except PlacetError as error:
        problem = error.detail
    alive = await at.store.processes.alive()
    first = await at.store.policies.first_used(rulebook.version) if rulebook else None
    told = None if rulebook else problem
    return State(rulebook, told, first, alive, await at.newest(NEWEST))


def _lines(state: State, width: int) -> Iterator[str]:
    if state.rulebook is None:
        yield from wrapped(f"The policy in force cannot be told. {state.problem}", width)
    else:
        since = f"; first used {clock(state.first_used)}" if state.first_used else ""
        yield f"Policy {state.rulebook.version} is in force{since}."
    yield ""
    yield from _processes(state, width)
    if state.rulebook is not None:
        yield ""
        yield from _rules(state.rulebook.policy)
        yield from _shadow(state.rulebook.policy, state.newest, width)


def _processes(state: State, width: int) -> Iterator[str]:
    if not state.processes:
        yield "No process tells which policy it runs."
        return
    rows = [["PROCESS", "HOST", "PID", "POLICY", "LAST SEEN"]]
    for one in state.processes:
        half = "web and worker" if one.name.half == "both" else one.name.half
        seen = f"{one.at:%Y-%m-%d %H:%M:%S} UTC"
        rows.append([half, one.name.host, str(one.name.pid), one.version, seen])
    yield from table(rows)
    versions = {one.version for one in state.processes}
    if len(versions) > 1:
        yield "Warning: they run different policies; give all of them the same files."
    for one in state.processes:
        if one.fault:
            yield from wrapped(f"Warning: {one.name.host}, {one.name.pid}: {one.fault}", width)


def _rules(policy: Policy) -> Iterator[str]:
    rows = [["", "RULE", "MODE", "DECISION", "ASKS"]]
    for place, rule in enumerate(policy.rules, start=1):
        cells = [shortened(rule.id, _MOST_ID), rule.mode, rule.then.decision, _asks(policy, rule)]
        rows.append([str(place), *cells])
    rows.append(["", "(no rule fits)", "", policy.defaults.on_no_match, ""])
    yield from table(rows)


def _asks(policy: Policy, rule: Rule) -> str:
    if rule.then.decision != "review":
        return ""
    threshold, groups = voters(policy, rule.then)
    stages = f" in {len(rule.then.stages)} stages" if rule.then.stages else ""
    return f"{threshold} of {' + '.join(groups)}{stages}"


def _shadow(policy: Policy, newest: Newest, width: int) -> Iterator[str]:
    rules = _shadow_counts(policy, newest.requests)
    if not rules:
        return
    number = len(newest.requests)
    of = "all" if newest.are_all else "the newest"
    yield ""
    yield f"In shadow, over {of} requests ({number:,}):"
    for name, fitted, failed in rules:
        errors = f", gave an error for {failed:,}" if failed else ""
        told = wrapped(f"{name} would have fitted {fitted:,}{errors}", width - 2)
        yield from (f"  {line}" for line in told)


def _shadow_counts(
    policy: Policy, requests: Sequence[ApprovalRequest]
) -> list[tuple[str, int, int]]:
    fitted = Counter(name for one in requests for name in one.policy.shadow)
    failed = Counter(name for one in requests for name in one.policy.shadow_failed)
    names = [rule.id for rule in policy.rules if rule.mode == "shadow"]
    return [(name, fitted[name], failed[name]) for name in names]


def _data(state: State) -> Json:
    policy = state.rulebook.policy if state.rulebook else None
    shadow = _shadow_counts(policy, state.newest.requests) if policy else []
    return {
        "version": state.rulebook.version if state.rulebook else None,
        "problem": state.problem,
        "first_used": moment(state.first_used) if state.first_used else None,
        "processes": [
            {
                "host": one.name.host,
                "pid": one.name.pid,
                "half": one.name.half,
                "version": one.version,
                "fault": one.fault,
            }
            for one in state.processes
        ],
        "rules": [
            {
                "id": rule.id,
                "mode": rule.mode,
                "decision": rule.then.decision,
                "asks": _asks(policy, rule),
            }
            for rule in policy.rules
        ]
        if policy
        else [],
        "shadow": [
            {"rule": name, "fitted": fitted, "failed": failed} for name, fitted, failed in shadow
        ],
        "requests": {"count": len(state.newest.requests), "are_all": state.newest.are_all},
    }

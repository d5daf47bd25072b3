"""`policy explain`: why policy says what it says, of a made-up request or of a recorded one."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from approvals.answer import Json
from approvals.errors import PlacetError
from approvals.model import ApprovalRequest, Decision
from approvals.policy.analysis import Terms
from approvals.policy.attributes import CLAIMABLE, KINDS
from approvals.policy.comparing import compare
from approvals.policy.fixtures import FixturesDocument
from approvals.policy.inquiry import inquiry_of
from approvals.policy.issues import suggestion
from approvals.policy.loader import Configuration, Reading
from approvals.policy.replaying import outcome
from approvals.policy.supposing import faults_of, suppose
from approvals.policy.yaml_source import parse_source
from bot.chat.asker import shown_id
from bot.cli.command import FINE, WrongUsage, request_id
from bot.cli.policy_files import directory_meant, reading_of, tell_faults
from bot.cli.policy_store import Records, records
from bot.cli.policy_words import (
    Explained,
    asked,
    explained,
    explained_data,
    headline,
    trial_lines,
)
from bot.cli.wording import Naming, clock
from bot.terminal import Terminal, wrapped

_NOTHING = ("", "~", "null")
# Of a recorded request these are no facts of its card. Claims stand in the full view, which is
# shown to who is entitled, and recorded.
_NOT_ON_THE_CARD: Mapping[str, str | None] = dict.fromkeys(
    ("client.ip", "request.purpose", *CLAIMABLE)
)
_IN_TEXT = frozenset({"text", "texts", "time"})


def add_arguments(parser: ArgumentParser) -> None:
    """The request that is meant: a recorded one, or one in words."""
    parser.add_argument("request", nargs="?", metavar="REQUEST_ID", help="a recorded request")
    about = "an attribute of a made-up request: device.managed=true, request.data_classes=[health]"
    parser.add_argument("--given", action="append", type=pair, metavar="K=V", help=about)
    about = "begin with this case of fixtures.yaml"
    parser.add_argument("--case", metavar="NAME", help=about)
    about = "begin with nothing, not with the base of fixtures.yaml"
    parser.add_argument("--no-base", action="store_true", help=about)


def pair(text: str) -> tuple[str, JsonValue]:
    """`k=v` with the value as YAML has it; nothing, or null, takes the attribute away."""
    name, sign, raw = text.partition("=")
    if not sign:
        raise ArgumentTypeError(f"{text} is no attribute=value")
    name, raw = name.strip(), raw.strip()
    if raw in _NOTHING:
        return name, None
    source = parse_source("--given", raw.encode("utf-8", "surrogateescape"))
    if source.issues:
        raise ArgumentTypeError(f"{name}: {source.issues[0].message}")
    if KINDS.get(name, "text") not in _IN_TEXT:
        return name, source.data
    # What YAML takes for something else, such as NO, is the text that it says.
    if isinstance(source.data, list):
        return name, [source.bare.get((place,), item) for place, item in enumerate(source.data)]
    return name, source.bare.get((), source.data)


def explain(arguments: Namespace, terminal: Terminal) -> int:
    """Each rule tried, and which decided."""
    if arguments.request is None:
        return _supposed(arguments, terminal)
    if Path(arguments.request).is_dir():
        raise WrongUsage(f"{arguments.request} is a directory. Write --dir {arguments.request}.")
    if arguments.given or arguments.case or arguments.no_base or arguments.directory:
        raise WrongUsage("Name a recorded request, or say what is given; not both.")
    wanted = request_id(arguments.request)

    async def told() -> None:
        async with records(terminal) as at:
            await _recorded(at, await at.request(wanted), terminal, is_json=arguments.json)

    asyncio.run(told())
    return FINE


def _supposed(arguments: Namespace, terminal: Terminal) -> int:
    meant = directory_meant(arguments, terminal)
    reading = reading_of(meant)
    configuration = reading.configuration
    if configuration is None:
        return tell_faults(reading.issues, meant.directory, terminal, is_json=arguments.json)
    supposed = suppose(
        _given(arguments, reading, configuration), configuration.policy, configuration.services
    )
    claimant = str(supposed.inquiry.values["service"]) or "given"
    one = explained(supposed.inquiry, configuration.rulebook, claimant)
    if arguments.json:
        told: Json = {**explained_data(one), "ignored": list(supposed.ignored)}
        terminal.tell(told | {"hindrances": list(supposed.hindrances)})
        return FINE
    terminal.say(*_lines(one, terminal.width))
    if supposed.ignored:
        dropped = f"{claimant} may not assert {', '.join(supposed.ignored)}: dropped."
        terminal.say("", *wrapped(dropped, terminal.width))
    for hindrance in supposed.hindrances:
        refused = f"A real one is refused before policy: {hindrance}."
        terminal.say("", *wrapped(refused, terminal.width))
    return FINE


def _given(
    arguments: Namespace, reading: Reading, configuration: Configuration
) -> dict[str, JsonValue]:
    """The attributes: the base, the case, what is given. Raises `WrongUsage` with every fault."""
    document = reading.fixtures.model if reading.fixtures else None
    given: dict[str, JsonValue] = {}
    if document is not None and not arguments.no_base:
        given |= document.base
    if arguments.case is not None:
        given |= _case(arguments.case, document)
    given |= dict(arguments.given or ())
    if given.get("now") is None:
        given["now"] = datetime.now(UTC).isoformat()
    faults = list(faults_of(given, configuration.policy, configuration.services))
    if faults:
        raise WrongUsage("\n".join(f"--given: {one.message}. {one.remedy}" for one in faults))
    return given


def _case(name: str, document: FixturesDocument | None) -> dict[str, JsonValue]:
    cases = {one.name: one.given for one in document.cases} if document else {}
    if name not in cases:
        raise WrongUsage(f"fixtures.yaml has no case `{name}`. {suggestion(name, cases)}")
    return dict(cases[name])


async def _recorded(
    at: Records, request: ApprovalRequest, terminal: Terminal, *, is_json: bool
) -> None:
    rulebook = await at.rulebook(request.policy.version)
    inquiry = inquiry_of(request.asked, request.service, request.created_at)
    known = at.reading.configuration
    who = request.asked.requester
    named = Naming(known.people).requester(who) if known else shown_id(who)
    shown = {**_NOT_ON_THE_CARD, "requester.id": named}
    one = explained(inquiry, rulebook, f"key {request.key_id}", shown)
    ended = await _ended_by(at, request, one)
    today = await _today(at, one)
    if is_json:
        told: Json = {"request": request.id, "status": request.status, **explained_data(one)}
        told["ignored"] = list(request.asked.context_ignored)
        told["ended_by"] = explained_data(ended) if ended else None
        terminal.tell(told | {"today": today})
        return
    terminal.say(f"{request.id}, asked {clock(request.created_at)} by {named}")
    terminal.say(*_recorded_lines(request, one, ended, terminal.width))
    terminal.say("", *wrapped(str(today["words"]), terminal.width))


def _recorded_lines(
    request: ApprovalRequest, one: Explained, ended: Explained | None, width: int
) -> Iterator[str]:
    if request.decision:
        decided = f"{request.status}{_by_rule(request.decision)}, {clock(request.decision.at)}"
        yield from wrapped(decided, width)
    yield from _lines(one, width)
    if ended:
        version = ended.rulebook.version
        yield ""
        yield from wrapped(f"At an approval the deny rules of policy {version} were asked:", width)
        yield from trial_lines(ended, width, until_decided=True)
    if request.asked.context_ignored:
        names = ", ".join(request.asked.context_ignored)
        yield ""
        yield from wrapped(f"{request.service} might not assert {names}: dropped.", width)


def _by_rule(decision: Decision) -> str:
    """By which rule it ended, where no person did; who it was, `placet show` tells."""
    return f" by rule {decision.rule}" if decision.rule and not decision.by else ""


async def _ended_by(at: Records, request: ApprovalRequest, one: Explained) -> Explained | None:
    """The request as judged by the policy whose deny rule ended it, where that came later."""
    version = request.decision.policy if request.decision else None
    if version is None:
        return None
    return explained(one.inquiry, await at.rulebook(version), one.claimant, one.shown)


async def _today(at: Records, one: Explained) -> Json:
    """Whether the policy of today would decide otherwise."""
    try:
        rulebook = await at.in_force()
    except PlacetError as error:
        return {"policy": None, "is_same": None, "words": f"Today's policy: {error.detail}"}
    if rulebook is None:
        words = "What today's policy would decide cannot be told: its files have faults."
        return {"policy": None, "is_same": None, "words": words}
    now = outcome(rulebook, one.inquiry)
    comparison = compare(one.terms, now)
    if comparison.is_same:
        words = f"Today's policy, {rulebook.version}, would decide the same."
    else:
        words = f"Today's policy, {rulebook.version}, would decide otherwise: {_brief(now)} "
        words += f"({'; '.join(comparison.words)})."
    return {"policy": rulebook.version, "is_same": comparison.is_same, "words": words}


def _brief(terms: Terms | None) -> str:
    if terms is None:
        return "it does not have the action"
    return f"{', '.join(asked(terms.matched))}, by rule {terms.matched.rule}"


def _lines(one: Explained, width: int) -> Iterator[str]:
    yield from headline(one, width)
    yield ""
    yield from trial_lines(one, width)

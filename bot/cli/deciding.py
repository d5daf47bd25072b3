"""`pending`, `show`, `approve`, `deny`, `cancel`: deciding without chat.

Rights are the service's matter; this only asks, shows and tells.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from datetime import datetime

from approvals import lifecycle
from approvals.answer import Json, callback_data
from approvals.errors import AlreadyFinal
from approvals.model import ApprovalRequest, PersonId, RequestId, Vote
from approvals.privacy.full_view import FullView
from approvals.standing import asked_next
from bot.cli import wording
from bot.cli.command import (
    FAILED,
    FINE,
    Add,
    Deployment,
    WrongUsage,
    add_actor,
    changing_command,
    checked_reason,
    command,
    deployment,
    origin,
    request_id,
    some_text,
    taken_out_of,
    tell_done,
)
from bot.terminal import Terminal, shortened, table, wrapped

_MOST = 200  # pending requests shown; the next to expire come first
_NAME = 60  # columns of a requester's name, so that no row breaks in two


def add_to(add: Add) -> None:
    """The commands of this module."""
    command(add, "pending", _pending, "list the requests that wait for a decision")
    show = command(add, "show", _show, "show one request")
    show.add_argument("id", metavar="ID")
    about = "show its full details as this person, which is recorded"
    show.add_argument("--as", dest="person", type=some_text, metavar="PERSON", help=about)
    for name, run in (("approve", _approve), ("deny", _deny)):
        vote = changing_command(add, name, run, f"show a request in full and {name} it")
        vote.add_argument("id", metavar="ID")
        add_actor(vote)
        vote.add_argument("--yes", action="store_true", help="do not ask; the view is recorded")
    about = "take a pending request back (requester or admin)"
    cancel = changing_command(add, "cancel", _cancel, about)
    cancel.add_argument("id", metavar="ID")
    add_actor(cancel)


def _pending(arguments: Namespace, terminal: Terminal) -> int:
    async def listed() -> None:
        async with deployment(terminal) as at:
            requests, now = await at.service.pending(_MOST), await at.store.records.now()
            if arguments.json:
                items = [wording.card_data(request, at.naming) for request in requests]
                terminal.tell({"items": items})
            else:
                terminal.say(*_table(requests, at, now))

    asyncio.run(listed())
    return FINE


def _table(requests: tuple[ApprovalRequest, ...], at: Deployment, now: datetime) -> list[str]:
    if not requests:
        return ["Nothing waits for a decision."]
    heads = ["ID", "ACTION", "SERVICE", "REQUESTER", "APPROVALS", "TIME LEFT"]
    rows = [
        [
            request.id,
            request.asked.title,
            request.service,
            shortened(at.naming.requester(request.asked.requester), _NAME),
            wording.progress(request),
            wording.time_left(request.expires_at, now),
        ]
        for request in requests
    ]
    more = [f"Only the next {_MOST} to expire are shown."] if len(requests) == _MOST else []
    return [*table([heads, *rows]), *more]


def _show(arguments: Namespace, terminal: Terminal) -> int:
    wanted = request_id(arguments.id)

    async def shown() -> None:
        async with deployment(terminal) as at:
            request = await at.service.card_facts(wanted)
            if arguments.person is not None:
                view = await at.service.view(request.id, PersonId(arguments.person), origin())
                await _print_view(view, request, at, terminal, is_json=arguments.json)
            elif arguments.json:
                terminal.tell(wording.card_data(request, at.naming))
            else:
                now = await at.store.records.now()
                terminal.say(*wording.card(request, at.naming, now, terminal.width))

    asyncio.run(shown())
    return FINE


def _approve(arguments: Namespace, terminal: Terminal) -> int:
    return _decide(arguments, terminal, "approve")


def _deny(arguments: Namespace, terminal: Terminal) -> int:
    return _decide(arguments, terminal, "deny")


def _decide(arguments: Namespace, terminal: Terminal, vote: Vote) -> int:
    if not (arguments.yes or terminal.is_interactive):
        raise WrongUsage(
            f"`placet {vote}` asks before it decides, and there is no terminal to ask on. "
            "Add --yes to decide without the question."
        )
    checked_reason(arguments.reason)
    request = request_id(arguments.id)
    view = asyncio.run(_viewed(arguments, terminal, request))
    if not arguments.yes and not _is_sure(terminal, vote):
        terminal.complain("Nothing was decided.")
        return FAILED
    asyncio.run(_voted(arguments, terminal, vote, view))
    return FINE


def _is_sure(terminal: Terminal, vote: Vote) -> bool:
    """Asks outside the event loop: there Ctrl-C would only reach it after an answer."""
    try:
        return terminal.confirms(f"{vote.capitalize()}?")
    except KeyboardInterrupt:
        terminal.complain("", "Nothing was decided.")
        raise


async def _viewed(arguments: Namespace, terminal: Terminal, wanted: RequestId) -> FullView:
    async with deployment(terminal) as at:
        request = await at.service.card_facts(wanted)
        if request.is_final:
            raise _told_by_whom(lifecycle.already_final(request), request, at)
        view = await at.service.view(request.id, PersonId(arguments.person), origin())
        if not arguments.yes and (arguments.json or not terminal.output.isatty()):
            # Standard output goes elsewhere, and who is asked must see what it is about.
            now = await at.store.records.now()
            terminal.complain(*_details(view, request, at, now, terminal.width))
        elif not arguments.json:
            await _print_view(view, request, at, terminal, is_json=False)
        return view


async def _voted(arguments: Namespace, terminal: Terminal, vote: Vote, view: FullView) -> None:
    async with deployment(terminal) as at:
        request = RequestId(arguments.id)
        if vote == "approve":  # one of its deny rules may end the request, and is to be found again
            await at.store.policies.keep(at.configuration.version, at.configuration.text)
        try:
            after = await at.service.review(
                request,
                PersonId(arguments.person),
                origin(),
                vote,
                reason=arguments.reason,
                revision=view.revision,
            )
        except AlreadyFinal as refusal:
            final = await at.service.card_facts(request)
            raise _told_by_whom(refusal, final, at) from None
        tell_done(
            terminal,
            f"Your vote counts: {vote}.",
            is_json=arguments.json,
            data={**callback_data(after), "view": _view_data(view)},
            lines=[
                *_outcome(after, at, terminal.width),
                *taken_out_of(arguments.reason, at, terminal.width),
            ],
        )


def _cancel(arguments: Namespace, terminal: Terminal) -> int:
    checked_reason(arguments.reason)
    request, person = request_id(arguments.id), PersonId(arguments.person)

    async def cancelled() -> None:
        async with deployment(terminal) as at:
            try:
                after = await at.service.cancel_by_person(
                    request, person, origin(), reason=arguments.reason
                )
            except AlreadyFinal as refusal:
                final = await at.service.card_facts(request)
                raise _told_by_whom(refusal, final, at) from None
            tell_done(
                terminal,
                "The request is cancelled.",
                is_json=arguments.json,
                data=callback_data(after),
                lines=[
                    *_outcome(after, at, terminal.width),
                    *taken_out_of(arguments.reason, at, terminal.width),
                ],
            )

    asyncio.run(cancelled())
    return FINE


async def _print_view(
    view: FullView, request: ApprovalRequest, at: Deployment, terminal: Terminal, *, is_json: bool
) -> None:
    if is_json:
        terminal.tell(_view_data(view))
        return
    now = await at.store.records.now()
    terminal.say(*_details(view, request, at, now, terminal.width))


def _details(
    view: FullView, request: ApprovalRequest, at: Deployment, now: datetime, width: int
) -> list[str]:
    mode = at.configuration.policy.defaults.pii_in_text
    return wording.details(view, request, at.naming, now, width, pii_in_text=mode)


def _view_data(view: FullView) -> Json:
    return view.model_dump(mode="json")


def _outcome(request: ApprovalRequest, at: Deployment, width: int) -> list[str]:
    if not request.is_final:
        told = f"Your approval counts: {wording.votes(request)}. {asked_next(request)}."
        return wrapped(told, width)
    how = "is told now" if request.asked.callback_url else "sees it when it asks"
    state = wording.state_of(request, at.naming)
    lines = wrapped(f"The request is {state}. {request.service} {how}.", width)
    if request.grant:
        lines.append(f"Its grant may be used until {wording.clock(request.grant.expires_at)}.")
    return lines


def _told_by_whom(refusal: AlreadyFinal, request: ApprovalRequest, at: Deployment) -> AlreadyFinal:
    """The refusal in words that name who was first."""
    when = wording.clock(request.decision.at) if request.decision else ""
    return AlreadyFinal(
        f"The request is already {wording.state_of(request, at.naming)}, since {when}. "
        "That cannot be changed.",
        facts=refusal.facts,
    )

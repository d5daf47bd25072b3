"""`erase`: forgetting a data subject, and telling honestly what that does not reach.

Rights are the service's matter; this asks once on a terminal, because nothing brings words back.
"""

from __future__ import annotations

import asyncio
import re
import textwrap
from argparse import Namespace
from collections.abc import Iterator

from approvals.erasure import Erased
from approvals.model import PersonId
from approvals.text import UnseenCharacter, readable
from bot.cli.command import (
    FAILED,
    FINE,
    REQUEST_ID,
    Add,
    Deployment,
    WrongUsage,
    add_actor,
    changing_command,
    checked_reason,
    deployment,
    origin,
    request_id,
    tell_done,
)
from bot.terminal import Terminal, wrapped

_SURE = "Forget this for ever? Pending requests end, and open access is taken back."
_MOST = 200  # code points of a subject, as services may send it
_REWRITTEN = {
    "done": "The store's append-only file was rewritten without the key.",
    "started": "The store is rewriting its append-only file, which holds the key until then.",
    "none": "",
    "refused": "The store did not let Placet rewrite its append-only file, which still holds the "
    "key: run BGREWRITEAOF on the server.",
}
REMAINS = (
    (
        "Who decided what and when, with ids, states, times and keyed hashes, the subject's own "
        "among them: without these the audit could not be verified. They hold no words."
    ),
    (
        "Backups and replicas' files, until they are overwritten: they may hold the deleted key. "
        "Keep none longer than 30 days, and erase again after restoring one."
    ),
    (
        "Chat: cards name no subject and no field. Where a rule shows the justification in its "
        "channel, Slack's or Microsoft's retention may keep the first version of the message."
    ),
    "What the services themselves keep, and were called back with.",
)


def add_to(add: Add) -> None:
    """The command of this module."""
    about = "forget a data subject: nobody's words about them can be read any more (admin)"
    erase = changing_command(add, "erase", _erase, about)
    erase.add_argument(
        "subject",
        metavar="SUBJECT",
        help="the subject as the service sent it; or the id (req_...) of a request about none",
    )
    erase.add_argument("--yes", action="store_true", help="do not ask on a terminal")
    add_actor(erase)


def _erase(arguments: Namespace, terminal: Terminal) -> int:
    reason, subject = checked_reason(arguments.reason), _subject(arguments.subject)
    may_ask = terminal.is_interactive and not (arguments.yes or arguments.json)
    if may_ask and not terminal.confirms(_SURE):
        terminal.complain("Nothing was erased.")
        return FAILED

    async def erased() -> None:
        async with deployment(terminal) as at:
            done = await _erased(at, subject, PersonId(arguments.person), reason)
            tell_done(
                terminal,
                _told(done),
                is_json=arguments.json,
                data={
                    "requests": done.requests,
                    "cancelled": done.cancelled,
                    "revoked": done.revoked,
                    "erased_before": done.before,
                    "append_only_file": done.rewritten,
                    "remains": REMAINS,
                },
                lines=list(_lines(done, terminal.width)),
            )

    asyncio.run(erased())
    return FINE


async def _erased(at: Deployment, subject: str, person: PersonId, reason: str) -> Erased:
    if re.fullmatch(REQUEST_ID, subject):
        request = request_id(subject)
        return await at.service.erasure.erase_request(request, person, origin(), reason=reason)
    return await at.service.erasure.erase_subject(subject, person, origin(), reason=reason)


def _subject(text: str) -> str:
    """The subject as requests keep its mark: normalised like the one that the service sent."""
    try:
        subject = readable(text) if len(text) <= _MOST else ""
    except UnseenCharacter as error:
        raise WrongUsage(f"SUBJECT {error}.") from None
    if not subject:
        raise WrongUsage(f"SUBJECT must hold 1 to {_MOST} characters, as the service sent it.")
    return subject


def _told(done: Erased) -> str:
    if not done.requests:
        return "There was nothing left to forget: it was erased before."
    them = "1 request" if done.requests == 1 else f"{done.requests} requests"
    return f"Forgotten: nobody's words in {them} can be read any more."


def _lines(done: Erased, width: int) -> Iterator[str]:
    yield from wrapped(_told(done), width)
    if done.cancelled:
        was = "request was" if done.cancelled == 1 else "requests were"
        yield from wrapped(f"{done.cancelled} pending {was} cancelled; the service is told.", width)
    if done.revoked:
        was = "grant was" if done.revoked == 1 else "grants were"
        yield from wrapped(f"{done.revoked} open {was} revoked; the service is told.", width)
    if _REWRITTEN[done.rewritten]:
        yield from wrapped(_REWRITTEN[done.rewritten], width)
    yield from ("", "What remains, and why:")
    for remains in REMAINS:
        yield from textwrap.wrap(
            remains, width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )

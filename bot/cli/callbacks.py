"""`callbacks list | replay`: what receivers were not told yet, and telling them again."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentTypeError, Namespace
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlsplit

from approvals.answer import Json, moment
from approvals.errors import NotAllowed, StoreUnavailable
from approvals.events import RightRefused
from approvals.model import EventId, PersonId
from approvals.policy.values import duration
from approvals.store.outbox import Callback
from bot.cli.command import (
    FINE,
    UNKNOWN_PERSON,
    Add,
    Deployment,
    WrongUsage,
    add_actor,
    changing_command,
    checked_reason,
    command,
    deployment,
    event_id,
    origin,
    tell_done,
)
from bot.terminal import Terminal, table

_MOST = 200  # callbacks on their way that are listed; dead letters are listed all


def add_to(add: Add) -> None:
    """The commands of this module."""
    about = "callbacks that are on their way or dead"
    parser = add("callbacks", help=about, description=about)
    within = parser.add_subparsers(metavar="COMMAND", required=True).add_parser
    listing = command(within, "list", _list, "list callbacks on their way, and dead letters")
    listing.add_argument("--dead", action="store_true", help="dead letters only")
    about = "send the same bytes again (admin)"
    replay = changing_command(within, "replay", _replay, about)
    replay.add_argument("id", nargs="?", metavar="ID", help="one callback's id, evt_...")
    about = "every dead letter given up since: 2h ago, or a time such as 2026-11-23T14:00:00Z"
    replay.add_argument("--since", type=_since, metavar="WHEN", help=about)
    add_actor(replay)


def _list(arguments: Namespace, terminal: Terminal) -> int:
    async def listed() -> None:
        async with deployment(terminal) as at:
            found = await at.store.outbox.dead()
            if not arguments.dead:
                found = [*await _on_their_way(at), *found]
            callbacks = await _loaded(at, found)
            if arguments.json:
                terminal.tell({"items": [_data(callback) for callback in callbacks]})
            else:
                terminal.say(*_table(callbacks))

    asyncio.run(listed())
    return FINE


def _replay(arguments: Namespace, terminal: Terminal) -> int:
    if (arguments.id is None) == (arguments.since is None):
        raise WrongUsage("Name one callback's ID, or --since WHEN for all dead letters since then.")
    why = checked_reason(arguments.reason)
    event = None if arguments.id is None else event_id(arguments.id)

    async def meant(at: Deployment) -> list[Callback]:
        if event is not None:
            return [await at.store.outbox.callback(event)]
        return await _loaded(at, await at.store.outbox.dead(arguments.since))

    async def replayed() -> None:
        async with deployment(terminal) as at:
            person = PersonId(arguments.person)
            _check_admin(at, person)
            done = [await _again(at, callback, person, why) for callback in await meant(at)]
            tell_done(
                terminal,
                f"Sent again: {', '.join(done) or 'nothing'}.",
                is_json=arguments.json,
                data={"replayed": done},
                lines=[f"{event} is sent again." for event in done]
                or ["No dead letter was given up since then."],
            )

    asyncio.run(replayed())
    return FINE


async def _again(at: Deployment, callback: Callback, person: PersonId, why: str) -> EventId:
    if not await at.store.outbox.replay(callback, person, origin(), at.store.subject_keys.own(why)):
        raise StoreUnavailable(f"{callback.id} has just changed. Look at it, and try again.")
    return callback.id


async def _on_their_way(at: Deployment) -> list[EventId]:
    keys = at.store.keys.queue("callbacks")
    members: list[bytes] = []
    for key in (keys.leased, keys.due):
        reply = await at.store.pipeline.run("ZRANGE", key, 0, _MOST - 1)
        members += cast("list[bytes]", reply)
    return [EventId(member.decode()) for member in dict.fromkeys(members)]


async def _loaded(at: Deployment, events: list[EventId]) -> list[Callback]:
    loaded = await at.store.outbox.callbacks(events)
    return sorted(loaded, key=lambda callback: callback.created_at)


def _check_admin(at: Deployment, person: PersonId) -> None:
    if person in at.configuration.people.admins():
        return
    is_known = at.configuration.people.person(person) is not None
    only = "Only an admin may replay callbacks (people.yaml, roles)."
    refusal = NotAllowed(only if is_known else UNKNOWN_PERSON)
    at.store.system.note_refusal(
        RightRefused(
            actor=person if is_known else "unknown",
            code=refusal.code,
            wanted="replay callback",
            origin=origin(),
        )
    )
    raise refusal


def _table(callbacks: list[Callback]) -> list[str]:
    if not callbacks:
        return ["No callback is on its way or dead."]
    heads = ["ID", "EVENT", "SERVICE", "STATE", "ATTEMPTS", "RECEIVER", "MADE AT"]
    rows = [
        [
            callback.id,
            _type(callback),
            callback.service,
            callback.status,
            str(callback.attempts),
            _receiver(callback),
            moment(callback.created_at),
        ]
        for callback in callbacks
    ]
    return table([heads, *rows])


def _data(callback: Callback) -> Json:
    return {
        "id": callback.id,
        "type": _type(callback),
        "service": callback.service,
        "request": callback.request,
        "status": callback.status,
        "attempts": callback.attempts,
        "receiver": _receiver(callback),
        "created_at": moment(callback.created_at),
    }


def _type(callback: Callback) -> str:
    return str(json.loads(callback.body)["type"])


def _receiver(callback: Callback) -> str:
    parts = urlsplit(callback.url)  # checked when the request opened
    return f"{parts.scheme}://{parts.netloc}"  # its path or query may hold a secret


def _since(text: str) -> datetime:
    try:
        return datetime.now(UTC) - duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ArgumentTypeError("write 30m, 2h or 7d, or a time such as 2026-11-23T14:00:00Z")
    return at

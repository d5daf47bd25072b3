"""`key list [SERVICE]`: which API keys there are, until when they count and when they were used."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from approvals.answer import Json, moment
from approvals.errors import Refusal
from approvals.model import KeyId
from approvals.policy.loader import Configuration
from approvals.policy.services import ApiKey, Service
from bot.cli.command import FINE, Add, command, deployment
from bot.cli.wording import clock
from bot.terminal import Terminal, table
from bot.web.auth import wall_clock


class NoSuchService(Refusal):
    """services.yaml does not know the service."""

    code = "unknown_service"


@dataclass(frozen=True, slots=True)
class Listed:
    """A key of services.yaml as it stands now. `used` is None where no use is known."""

    key: ApiKey
    service: Service
    used: datetime | None
    has_run_out: bool

    @property
    def until(self) -> datetime | None:
        """When the key ends by itself, in UTC as all times that we tell."""
        return self.key.not_after.astimezone(UTC) if self.key.not_after else None


def add_to(within: Add) -> None:
    """The command of this module, below `key`."""
    about = "list API keys: whose, until when, and when each was last used"
    listing = command(within, "list", _list, about)
    about = "a service of services.yaml; all without it"
    listing.add_argument("service", nargs="?", metavar="SERVICE", help=about)


def named_service(configuration: Configuration, name: str) -> Service:
    """The service of this name. Raises `NoSuchService`."""
    services = {str(service.id): service for service in configuration.services.all()}
    if name not in services:
        known = ", ".join(services) or "none yet"
        raise NoSuchService(f"services.yaml has no service {name}. Known: {known}.")
    return services[name]


def has_run_out(key: ApiKey, now: datetime) -> bool:
    """Whether the key lets nobody in any more."""
    return key.not_after is not None and now > key.not_after


def _list(arguments: Namespace, terminal: Terminal) -> int:
    async def listed() -> None:
        async with deployment(terminal) as at:
            services = at.configuration.services.all()
            if arguments.service is not None:
                services = (named_service(at.configuration, arguments.service),)
            keys = _listed(services, await at.store.key_uses.all())
            if arguments.json:
                terminal.tell({"items": [_data(each) for each in keys]})
            else:
                terminal.say(*_lines(keys))

    asyncio.run(listed())
    return FINE


def _listed(services: Sequence[Service], uses: Mapping[KeyId, datetime]) -> list[Listed]:
    now = wall_clock()
    return [
        Listed(key, service, uses.get(KeyId(key.id)), has_run_out(key, now))
        for service in services
        for key in service.keys
    ]


def _data(listed: Listed) -> Json:
    return {
        "id": listed.key.id,
        "service": listed.service.id,
        "not_after": moment(listed.until) if listed.until else None,
        "has_run_out": listed.has_run_out,
        "last_used": moment(listed.used) if listed.used else None,
    }


def _lines(keys: Sequence[Listed]) -> Iterator[str]:
    if not keys:
        yield "There are no API keys. `placet key new SERVICE` makes one."
        return
    yield from table([("KEY", "SERVICE", "EXPIRES", "LAST USED"), *map(_row, keys)])
    for service in dict.fromkeys(each.service.id for each in keys):
        own = [each for each in keys if each.service.id == service]
        if len(own) > 1:
            yield _advice(own)


def _row(listed: Listed) -> tuple[str, ...]:
    expires = clock(listed.until) if listed.until else "never"
    if listed.has_run_out:
        expires += " (run out)"
    used = clock(listed.used) if listed.used else "not seen yet"
    return listed.key.id, listed.service.id, expires, used


def _advice(own: Sequence[Listed]) -> str:
    """Which of a service's keys is to go first."""
    service = own[0].service.id
    if over := [each.key.id for each in own if each.has_run_out]:
        return f"{service}: {' and '.join(over)} can be removed from services.yaml."
    idle = min(own, key=lambda each: each.used.timestamp() if each.used else 0)
    how = "has been unused for longest" if idle.used else "has not been seen in use"
    return f"{service}: {idle.key.id} {how}."

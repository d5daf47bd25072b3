"""`key new SERVICE`: an API key shown once, its hash in services.yaml or printed to paste."""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from approvals.errors import PlacetError, Refusal
from approvals.events import Event, KeyMade
from approvals.model import KeyId
from approvals.policy.loader import SERVICES, Configuration
from approvals.policy.services import Service
from approvals.policy.values import duration
from approvals.policy.yaml_source import parse_source
from bot.api_keys import key_hash, new_api_key
from bot.cli import key_list, rotation
from bot.cli.admins import acting_admin
from bot.cli.checking import configuration_meant
from bot.cli.command import (
    FINE,
    Add,
    add_actor,
    changing_command,
    checked_reason,
    origin,
    telling,
)
from bot.cli.insertion import Entry, NoPlace, with_key
from bot.cli.recording import record
from bot.demo.company import demos_key
from bot.deployment import configuration_in
from bot.settings import Settings
from bot.terminal import OutputLost, Terminal
from bot.web.auth import wall_clock
from bot.whole_file import replace_whole, sole_writer

_MOST_KEYS = 2


class TooManyKeys(Refusal):
    """The service holds as many keys as rotation needs."""

    code = "too_many_keys"


class NoKeysOfDemo(Refusal):
    """The demo makes its one key itself."""

    code = "no_keys_of_demo"


class KeyLost(Refusal):
    """The key was made and nobody saw it."""

    code = "key_lost"


def add_to(add: Add) -> None:
    """The commands of this module."""
    about = "API keys of services, and the keys that sign grant tokens"
    parser = add("key", help=about, description=about)
    within = parser.add_subparsers(metavar="COMMAND", required=True).add_parser
    new = changing_command(within, "new", _new, "make an API key, show it once and keep its hash")
    key_list.add_to(within)
    new.add_argument("service", metavar="SERVICE", help="a service of services.yaml")
    about = "when it ends by itself: so long from now, as 90d"
    new.add_argument("--expires", type=_end, metavar="DURATION", help=about)
    add_actor(new, required=False)
    rotation.add_to(within)


def _new(arguments: Namespace, terminal: Terminal) -> int:
    settings = Settings.from_environment(terminal.environment)
    directory = configuration_meant(settings, terminal).directory
    _check_not_the_demos(directory)
    why = None if arguments.reason is None else checked_reason(arguments.reason)

    def note(event: Event) -> None:
        record(event, why, directory, settings, terminal)

    with sole_writer(directory / SERVICES):  # two at once would make one id, and lose one key
        return _made(arguments, terminal, directory, note)


def _made(
    arguments: Namespace, terminal: Terminal, directory: Path, note: Callable[[Event], None]
) -> int:
    configuration = configuration_in(directory)
    only = "Only an admin may make API keys (people.yaml, roles)."
    person = acting_admin(configuration, arguments, note, wanted="make key", only=only)
    service = _service(configuration, arguments.service)
    key_id = _next_key_id(configuration, service)
    note(KeyMade(service=service.id, key=KeyId(key_id), person=person, origin=origin()))
    return _make(arguments, terminal, directory / SERVICES, service, key_id)


def _end(text: str) -> str:
    """The time so long from now, as services.yaml has it."""
    now = datetime.now(UTC)
    try:
        end = now + duration(text)
    except (ValueError, OverflowError):
        end = now
    if end == now:
        raise ArgumentTypeError("write a duration such as 12h or 90d")
    return f"{end:%Y-%m-%dT%H:%M:%SZ}"


def _check_not_the_demos(directory: Path) -> None:
    """The demo writes its files anew at each start, and a key of this would be gone."""
    if key := demos_key(directory):
        raise NoKeysOfDemo(
            f"The demo has one key, in {key}, and writes services.yaml anew at each start. For "
            "keys of your own use `placet serve` with a configuration of your own."
        )


def _make(
    arguments: Namespace, terminal: Terminal, file: Path, service: Service, key_id: str
) -> int:
    key = new_api_key(key_id)
    entry = Entry(key_id, key_hash(key), arguments.expires)
    before = file.read_bytes()
    problem = _store(file, before, service, entry)
    try:
        if arguments.json:
            told = {"key": key, "id": key_id, "service": service.id, "stored": problem is None}
            terminal.tell({**told, "entry": entry.data()})
            return FINE
        terminal.say(key)
    except OutputLost as lost:
        raise _taken_back(file, before, problem, lost) from None
    with telling(terminal, "The key is made."):
        _explain(terminal, file, service, entry, problem)
    return FINE


def _taken_back(file: Path, before: bytes, problem: str | None, lost: OutputLost) -> PlacetError:
    """The refusal after a key that nobody saw; its hash is taken out again, for it is of no use."""
    if problem is None:
        try:
            replace_whole(file, before)
        except OSError as error:
            remedy = f"Its hash is still in {file} ({error.strerror}): remove it."
            return KeyLost(f"The key could not be shown ({lost}). {remedy}")
    return KeyLost(f"The key could not be shown ({lost}). {file} is as it was: try again.")


def _service(configuration: Configuration, name: str) -> Service:
    service = key_list.named_service(configuration, name)
    if len(service.keys) >= _MOST_KEYS:
        raise _too_many_keys(service)
    return service


def _too_many_keys(service: Service) -> TooManyKeys:
    """A key that has run out counts as well: the file holds two entries at most."""
    held = " and ".join(key.id for key in service.keys)
    now = wall_clock()
    over = next((key.id for key in service.keys if key_list.has_run_out(key, now)), None)
    which = f"{over}, which has run out," if over else "the one no longer used"
    look = "" if over else f" `placet key list {service.id}` tells which that is."
    return TooManyKeys(
        f"{service.id} already has two keys, {held}; two are enough to rotate. "
        f"Remove {which} from services.yaml, then try again.{look}"
    )


def _next_key_id(configuration: Configuration, service: Service) -> str:
    """One above the highest number in use: a removed key's id still stands in the audit."""
    stem = re.sub(r"[^a-z0-9]+", "-", service.id.lower()).strip("-")[:32] or "key"
    form = re.compile(re.escape(stem) + r"-([0-9]{1,6})")
    ids = [key.id for each in configuration.services.all() for key in each.keys]
    numbers = [int(found[1]) for key in ids if (found := form.fullmatch(key))]
    return f"{stem}-{max(numbers, default=0) + 1}"


def _store(file: Path, before: bytes, service: Service, entry: Entry) -> str | None:
    """Adds the entry to the file that holds `before`. Answers why not, where a person has to."""
    try:
        after = with_key(before.decode("utf-8"), service.id, entry).encode()
        if not _differs_by(entry, before, after, service):
            return "its layout is unusual"
        if not os.access(file, os.W_OK):
            return "it is not writable"
        replace_whole(file, after)
    except (NoPlace, UnicodeDecodeError):
        return "its layout is unusual"
    except OSError as error:
        return f"it cannot be written ({error.strerror})"
    return None


def _differs_by(entry: Entry, before: bytes, after: bytes, service: Service) -> bool:
    """Whether the one new key is all that has changed in what the file says."""
    old, new = (parse_source(SERVICES, text) for text in (before, after))
    place = ("services", service.id, "keys")
    expected = [found for _, keys in old.find(*place) if isinstance(keys, list) for found in keys]
    found = new.find(*place)
    return (
        not new.issues
        and [keys for _, keys in found] == [[*expected, entry.data()]]
        and _without_keys(old.data, service) == _without_keys(new.data, service)
    )


def _without_keys(data: object, service: Service) -> object:
    if not isinstance(data, dict):
        return data
    entries = {name: dict(entry) for name, entry in data["services"].items()}
    entries[service.id].pop("keys", None)
    return {**data, "services": entries}


def _explain(
    terminal: Terminal, file: Path, service: Service, entry: Entry, problem: str | None
) -> None:
    """On standard error, so that standard output is the key alone."""
    if problem is None:
        terminal.complain(f"Its hash is in {file} as {entry.id}.")
    else:
        where = f"services.{service.id}.keys"
        terminal.complain(f"{file} was left as it is: {problem}. Add this to {where}:")
        terminal.complain(f"  - {entry.text()}")
    if entry.not_after:
        terminal.complain(f"It ends by itself at {entry.not_after}.")
    terminal.complain(
        f"The key is shown this once: put it where {service.id} keeps its secrets. "
        "A running Placet knows it after its next start."
    )

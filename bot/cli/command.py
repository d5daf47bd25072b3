"""What the commands share: their arguments, reaching the deployment, and how they fail."""

from __future__ import annotations

import os
import pwd
import re
import socket
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from approvals.errors import InvalidRequest, PlacetError
from approvals.model import EventId, GrantId, Origin, RequestId, request_of
from approvals.policy.loader import Configuration
from approvals.privacy.scanner import Scanner
from approvals.service import ApprovalService
from approvals.store.store import Store
from approvals.words import own_reason
from bot.chat.findings import taken_out_of_own
from bot.cli.wording import Naming
from bot.deployment import configuration_in, open_within_reach, reached
from bot.settings import Settings
from bot.terminal import OutputLost, Terminal, wrapped

FINE, FAILED, WRONG_USAGE, UNREACHABLE = 0, 1, 2, 3
UNKNOWN_PERSON = "No such person in people.yaml."

REQUEST_ID = r"req_[0-9A-HJKMNP-TV-Z]{26}"  # Crockford's base 32, as ULIDs use it
_GRANT_ID = r"grt_[0-9A-HJKMNP-TV-Z]{26}"
_EVENT_ID = rf"evt_{REQUEST_ID}_[0-9]{{1,9}}"

Run = Callable[[Namespace, Terminal], int]
Add = Callable[..., ArgumentParser]  # argparse's `add_parser`


class WrongUsage(PlacetError):
    """The command was called in a way that cannot be meant."""

    code = "wrong_usage"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment that runs elsewhere, as one command uses it."""

    configuration: Configuration
    store: Store
    service: ApprovalService
    naming: Naming


def command(add: Add, name: str, run: Run, about: str) -> ArgumentParser:
    """A new command that `run` carries out, and that only reads."""
    parser = _parser(add, name, run, about)
    # Without a default of its own, so that `policy --json check` means the same.
    about = "one JSON document for machines"
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help=about)
    return parser


def changing_command(add: Add, name: str, run: Run, about: str) -> ArgumentParser:
    """A new command that changes something: until `telling`, lost output means nothing is done."""
    parser = command(add, name, run, about)
    parser.set_defaults(is_changing=True)
    return parser


def process(add: Add, name: str, run: Run, about: str) -> ArgumentParser:
    """A new command that stays, and has no one answer for machines."""
    parser = _parser(add, name, run, about)
    parser.epilog = (
        "Ctrl-C and SIGTERM stop it. SIGHUP makes it read its configuration again, at once."
    )
    return parser


def _parser(add: Add, name: str, run: Run, about: str) -> ArgumentParser:
    parser = add(name, help=about, description=about[0].upper() + about[1:] + ".")
    parser.set_defaults(run=run)
    return parser


@contextmanager
def telling(terminal: Terminal, done: str) -> Iterator[None]:
    """Around the output about what is done: lost output does not undo it, and makes no failure."""
    try:
        yield
    except OutputLost as lost:
        with suppress(OutputLost):
            terminal.complain(f"{done} The output could not be written ({lost}).")


def tell_done(
    terminal: Terminal, done: str, *, is_json: bool, data: object, lines: Sequence[str]
) -> None:
    """Tells of a change that is made, to machines or to people, within `telling`."""
    with telling(terminal, done):
        if is_json:
            terminal.tell(data)
        else:
            terminal.say(*lines)


def taken_out_of(reason: str | None, at: Deployment, width: int) -> list[str]:
    """Tells whoever gave a reason what the scan has taken out of it."""
    mode = at.configuration.policy.defaults.pii_in_text
    told = taken_out_of_own(at.service.taken_out(reason), mode)
    return wrapped(told, width) if told else []


def add_actor(parser: ArgumentParser, *, required: bool = True) -> None:
    """`--as` and `--reason`: who changes state, and why."""
    parser.add_argument(
        "--as",
        dest="person",
        required=required,
        type=some_text,
        metavar="PERSON",
        help="who you are: a person's id in people.yaml",
    )
    parser.add_argument(
        "--reason", required=required, type=some_text, metavar="TEXT", help="why, in a few words"
    )


@asynccontextmanager
async def deployment(terminal: Terminal) -> AsyncIterator[Deployment]:
    """The deployment that the environment names, or the one that runs here. Starts none.

    Raises `OtherKey` before anything is written that would not verify. A store unfit in another
    way is no hindrance: what may not happen on it is refused by the use case.
    """
    given = Settings.from_environment(terminal.environment)
    settings = reached(given)
    configuration = configuration_in(settings.config_dir)
    store = await open_within_reach(settings, is_found=given.redis_url is None)
    try:
        await store.health.check()
        store.health.check_keys()
        service = ApprovalService(store, configuration)
        yield Deployment(configuration, store, service, Naming(configuration.people))
    finally:
        await store.close()


def request_id(text: str) -> RequestId:
    """A request's id as typed. Raises `WrongUsage` before the store meets what cannot be one."""
    if not re.fullmatch(REQUEST_ID, text):
        raise WrongUsage("That is no request's ID; copy one from `placet pending`, req_...")
    return RequestId(text)


def granted_id(text: str) -> RequestId:
    """The request that a grant belongs to, named by either id. Raises `WrongUsage` as above."""
    if re.fullmatch(_GRANT_ID, text):
        return request_of(GrantId(text))
    if not re.fullmatch(REQUEST_ID, text):
        raise WrongUsage("That is no ID of a request or a grant; they begin with req_ or grt_.")
    return RequestId(text)


def event_id(text: str) -> EventId:
    """A callback's id as typed. Raises `WrongUsage` as `request_id` does."""
    if not re.fullmatch(_EVENT_ID, text):
        raise WrongUsage("That is no callback's ID; copy one from `placet callbacks list`, evt_...")
    return EventId(text)


def checked_reason(reason: str) -> str:
    """The reason as it is kept. Raises `WrongUsage`, before anything is on record."""
    try:
        return own_reason(reason, Scanner())
    except InvalidRequest as error:
        raise WrongUsage(f"--reason {error.findings[0].message}.") from None


def origin() -> Origin:
    """How the CLI acts. The user comes from the system: LOGNAME is the caller's own word."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user needs no entry
        user = f"uid {os.getuid()}"
    return Origin(via="cli", os_user=user, host=socket.gethostname())


def some_text(text: str) -> str:
    """An option's text, trimmed; empty it is more likely a mistake than a wish."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty")
    return text.strip()

"""What the commands share: their arguments, reaching the deployment, and how they fail."""

from __future__ import annotations

import os
import pwd
import socket
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from approvals.errors import PlacetError
from approvals.model import Origin
from approvals.policy.loader import Configuration, load_configuration
from approvals.service import ApprovalService
from approvals.store.store import Store
from bot.cli.wording import Naming
from bot.deployment import open_store, reached
from bot.settings import Settings
from bot.terminal import Terminal

FINE, FAILED, WRONG_USAGE, UNREACHABLE = 0, 1, 2, 3

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
    """A new command that `run` carries out."""
    parser = add(name, help=about, description=about[0].upper() + about[1:] + ".")
    parser.add_argument("--json", action="store_true", help="one JSON document for machines")
    parser.set_defaults(run=run)
    return parser


def add_actor(parser: ArgumentParser, *, required: bool = True) -> None:
    """`--as` and `--reason`: who changes state, and why."""
    parser.add_argument(
        "--as",
        dest="person",
        required=required,
        type=_text,
        metavar="PERSON",
        help="who you are: a person's id in people.yaml",
    )
    parser.add_argument(
        "--reason", required=required, type=_text, metavar="TEXT", help="why, in a few words"
    )


@asynccontextmanager
async def deployment(terminal: Terminal) -> AsyncIterator[Deployment]:
    """The deployment that the environment names, or the one that runs here. Starts none."""
    settings = reached(Settings.from_environment(terminal.environment))
    configuration = load_configuration(settings.config_dir)
    store = open_store(settings)
    try:
        await store.health.check()
        service = ApprovalService(store, configuration)
        yield Deployment(configuration, store, service, Naming(configuration.people))
    finally:
        await store.close()


def origin() -> Origin:
    """How the CLI acts. The user comes from the system: LOGNAME is the caller's own word."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user needs no entry
        user = f"uid {os.getuid()}"
    return Origin(via="cli", os_user=user, host=socket.gethostname())


def _text(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("must not be empty")
    return text.strip()

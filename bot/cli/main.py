"""The command line: reads the words, runs one command, turns every error into plain sentences.

Knows no request; the exit codes are those of CONTRACT section 5.
"""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from approvals.errors import OtherKey, PlacetError, Refusal, StoreFailure, StoreRefused
from bot.cli import callbacks, checking, clock, deciding, erasing, keys, policy, revoking, serving
from bot.cli.command import FAILED, FINE, UNREACHABLE, WRONG_USAGE, WrongUsage
from bot.deployment import OtherSetting, SeveralRun, Unreachable
from bot.telemetry import configure_logging
from bot.terminal import OutputLost, Terminal

_log = logging.getLogger(__name__)
_INTERRUPTED = 130  # as shells count a SIGINT


def main() -> int:
    """The console script."""
    configure_logging("warning", ())
    return run(sys.argv[1:], Terminal.of_process())


def run(words: Sequence[str], terminal: Terminal) -> int:
    """Runs the command that `words` name and answers the exit code."""
    arguments = Namespace(json=False, is_changing=False)
    try:
        _parse(words, terminal, arguments)
        return int(arguments.run(arguments, terminal))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OutputLost as lost:
        return _unheard(lost, terminal, is_changing=arguments.is_changing)
    except Exception as error:  # noqa: BLE001 - nobody above us would tell people
        return _told(_first(error), terminal, is_json=arguments.json)


def _parse(words: Sequence[str], terminal: Terminal, arguments: Namespace) -> None:
    try:
        _parser().parse_args(words, arguments)
    except SystemExit:
        terminal.say()  # what argparse has printed, while a failure can still be told
        raise


def _unheard(lost: OutputLost, terminal: Terminal, *, is_changing: bool) -> int:
    """Whoever reads and has seen enough may go; whoever asked for a change must know."""
    if lost.has_reader_gone and not is_changing:
        return FINE
    nothing = " Nothing was changed." if is_changing else ""
    with suppress(OutputLost):
        terminal.complain(f"The output could not be written ({lost}).{nothing}")
    return FAILED


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="placet", description="The gate in front of every action on personal data."
    )
    parser.add_argument("--version", action="version", version=f"placet {version('placet')}")
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser
    for noun in (serving, deciding, revoking, erasing, callbacks, checking, policy, keys, clock):
        noun.add_to(add)
    return parser


def _told(error: BaseException, terminal: Terminal, *, is_json: bool) -> int:
    if not isinstance(error, PlacetError):
        _log.error("command failed", exc_info=error)
        error = PlacetError("Placet made a mistake; the log line above has more. Try again.")
    with suppress(OutputLost):
        terminal.complain(*error.detail.split("\n"))
    if is_json:
        facts = dict(error.facts) if isinstance(error, Refusal) else {}
        with suppress(OutputLost):
            terminal.tell({"error": error.code, "detail": error.detail, **facts})
    return _exit_code(error)


def _exit_code(error: PlacetError) -> int:
    if isinstance(error, WrongUsage | SeveralRun | OtherSetting | OtherKey):
        return WRONG_USAGE
    if isinstance(error, Unreachable | StoreFailure | StoreRefused):
        return UNREACHABLE
    return FAILED


def _first(error: BaseException) -> BaseException:
    """Of tasks that ran side by side, the first that failed."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


if __name__ == "__main__":
    sys.exit(main())

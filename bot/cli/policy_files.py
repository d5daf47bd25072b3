"""What the policy commands share: the directory meant, and faults told as compilers do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from approvals.answer import Json
from approvals.policy.issues import Issue
from approvals.policy.loader import FIXTURES, POLICY, Configuration, Reading, read_configuration
from approvals.policy.yaml_source import read_source
from bot.cli.checking import Meant, configuration_meant
from bot.cli.command import FAILED, WrongUsage
from bot.cli.excerpts import excerpt
from bot.cli.wording import count
from bot.settings import Settings
from bot.terminal import Terminal, wrapped

# The others may hold names, or a secret that was pasted into the wrong place.
_EXCERPTED = (POLICY, FIXTURES)
_INDENT = "    "
_LEAST = 20  # columns of an excerpt, however narrow the terminal


def add_directory(parser: ArgumentParser) -> None:
    """`[DIR]`: which configuration."""
    about = "the configuration's directory; without it that of the settings, or of what runs here"
    parser.add_argument("directory", nargs="?", metavar="DIR", type=Path, help=about)


def directory_meant(arguments: Namespace, terminal: Terminal) -> Meant:
    """The directory named, else the settings' or the running deployment's."""
    if arguments.directory is None:
        return configuration_meant(Settings.from_environment(terminal.environment), terminal)
    if not arguments.directory.is_dir():
        raise WrongUsage(f"{arguments.directory} is no directory.")
    return Meant(arguments.directory)


def reading_of(meant: Meant) -> Reading:
    """The files that are meant, with all their faults."""
    return read_configuration(meant.directory, loopback=meant.is_demo)


def summary(configuration: Configuration, reading: Reading) -> str:
    """`Policy version X, 6 rules (1 in shadow), 7 fixtures`."""
    rules = configuration.policy.rules
    shadow = sum(rule.mode == "shadow" for rule in rules)
    in_shadow = f" ({shadow} in shadow)" if shadow else ""
    told = f"{count(len(rules), 'rule')}{in_shadow}, {count(len(reading.results), 'fixture')}"
    return f"Policy version {configuration.version}, {told}."


def faults_told(issues: Sequence[Issue], directory: Path, width: int) -> Iterator[str]:
    """Each fault: its place, its line where that may be shown, its remedy. Then how many."""
    texts = {name: read_source(directory / name).text.split("\n") for name in _EXCERPTED}
    for issue in issues:
        yield from wrapped(f"{issue.file}:{issue.line}:{issue.column}: {issue.message}", width)
        line = "".join(texts.get(issue.file, [])[issue.line - 1 : issue.line])
        if line.strip():
            shown = excerpt(line, issue.column, max(width - len(_INDENT), _LEAST))
            yield from (_INDENT + one for one in shown)
        yield from ("  " + one for one in wrapped(issue.remedy, width - 2))
        yield ""
    yield f"{count(len(issues), 'fault')} in {directory}"


def faults_data(issues: Sequence[Issue]) -> list[Json]:
    """Faults for machines."""
    return [
        {
            "file": issue.file,
            "line": issue.line,
            "column": issue.column,
            "message": issue.message,
            "remedy": issue.remedy,
        }
        for issue in issues
    ]


def tell_faults(
    issues: Sequence[Issue], directory: Path, terminal: Terminal, *, is_json: bool
) -> int:
    """The end of a command that cannot work on faulty files."""
    if is_json:
        terminal.tell({"ok": False, "faults": faults_data(issues)})
    else:
        terminal.say(*faults_told(issues, directory, terminal.width))
    return FAILED

"""`policy`: what runs, and the commands that test a policy before anybody trusts it."""

from __future__ import annotations

from pathlib import Path

from approvals.policy.schema import DOCUMENTS
from bot.cli import policy_checking, policy_comparing, policy_explaining, policy_running
from bot.cli.command import Add, command
from bot.cli.policy_files import add_directory


def add_to(add: Add) -> None:
    """The commands of this module."""
    about = "show the policy that runs; check, test, explain and compare policies"
    parser = command(add, "policy", policy_running.running, about)
    within = parser.add_subparsers(metavar="COMMAND").add_parser
    about = "name every fault of the files, each with its line and remedy"
    add_directory(command(within, "check", policy_checking.check, about))
    about = "run fixtures.yaml, and name the rules that no case meets"
    add_directory(command(within, "test", policy_checking.test, about))
    _add_explain(within)
    about = "what a change of policy says and does; exit code 1 where anything got looser"
    policy_comparing.add_arguments(command(within, "diff", policy_comparing.diff, about))
    about = "print the JSON Schema of a configuration file, for editors"
    schema = command(within, "schema", policy_checking.schema, about)
    schema.add_argument("--file", choices=tuple(DOCUMENTS), default="policy", help="which file")


def _add_explain(within: Add) -> None:
    about = "show each rule tried on a request, and which one decides"
    explain = command(within, "explain", policy_explaining.explain, about)
    policy_explaining.add_arguments(explain)
    about = "the configuration's directory, for a made-up request"
    explain.add_argument("--dir", dest="directory", metavar="DIR", type=Path, help=about)

"""`check`: settings, configuration and store, every fault with its remedy. Changes nothing."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from approvals.errors import ConfigurationInvalid, StoreFailure
from approvals.policy.loader import load_configuration
from bot.cli.command import FAILED, FINE, UNREACHABLE, Add, command
from bot.deployment import (
    DamagedFile,
    NothingRuns,
    OtherSetting,
    SeveralRun,
    found_running,
    key_in,
    open_within_reach,
    reached,
    signing_key_file,
    store_notes,
)
from bot.secret_files import signing
from bot.settings import PREFIX, Settings
from bot.terminal import Terminal

_EMBEDDED = "not checked: none is named and none runs here; `placet serve` starts a durable one"


@dataclass(frozen=True, slots=True)
class Meant:
    """The configuration to look at, and whether it is the demo's."""

    directory: Path
    is_demo: bool = False


@dataclass
class Report:
    """What was looked at, and what is wrong with it."""

    seen: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def part(self, name: str, faults: Sequence[object]) -> None:
        """One part was looked at."""
        self.seen.append(f"{name}: " + (f"{len(faults)} wrong" if faults else "fine"))
        self.faults += map(str, faults)

    @property
    def exit_code(self) -> int:
        """Faults come first: whoever reads them can mend them."""
        if self.faults:
            return FAILED
        return UNREACHABLE if self.unreachable else FINE


def add_to(add: Add) -> None:
    """The command of this module."""
    command(add, "check", _check, "check settings, configuration and the store's durability")


def configuration_meant(settings: Settings, terminal: Terminal) -> Meant:
    """The directory named, else the running deployment's."""
    if PREFIX + "CONFIG_DIR" in terminal.environment or settings.redis_url is not None:
        return Meant(settings.config_dir)
    running = found_running(settings.data_dir)
    return Meant(running.config_dir, running.is_demo) if running else Meant(settings.config_dir)


def _check(arguments: Namespace, terminal: Terminal) -> int:
    report = Report()
    try:
        settings = Settings.from_environment(terminal.environment)
    except ConfigurationInvalid as error:
        report.part("settings", error.issues)
        meant = Meant(Path(terminal.environment.get(PREFIX + "CONFIG_DIR") or "config"))
        report.seen.append("store: not checked")
    else:
        report.part("settings", ())
        meant = configuration_meant(settings, terminal)
        _check_store(settings, report)
        _check_signing_key(settings, report)
    report.part(f"configuration in {meant.directory}", _configuration_faults(meant, terminal))
    if arguments.json:
        faults = [*report.faults, *report.unreachable]
        told = {"ok": not faults, "checked": report.seen, "faults": faults}
        terminal.tell({**told, "warnings": report.warnings})
    else:
        terminal.say(*report.seen)
    terminal.complain(*report.faults, *report.unreachable)
    terminal.complain(*(f"Warning: {warning}" for warning in report.warnings))
    return report.exit_code


def _configuration_faults(meant: Meant, terminal: Terminal) -> list[object]:
    # Imported here: it brings the whole HTTP client, which no other command waits for.
    from bot.receivers import receivers_of  # noqa: PLC0415

    try:
        configuration = load_configuration(meant.directory)
    except ConfigurationInvalid as error:
        return list(error.issues)
    try:
        receivers_of(configuration, terminal.environment, is_demo=meant.is_demo)
    except ConfigurationInvalid as error:
        return list(error.issues)
    return []


def _check_store(settings: Settings, report: Report) -> None:
    try:
        found = reached(settings)
        faults, warnings = asyncio.run(_looked_at(found, is_found=settings.redis_url is None))
    except NothingRuns as error:
        report.seen.append(f"store: {_EMBEDDED}")
        report.warnings += error.detail.splitlines()[1:]
    except OtherSetting as error:
        report.seen.append("store: not checked, for another deployment runs here")
        report.warnings.append(error.detail)
    except ConfigurationInvalid as error:
        report.part("store", error.issues)
    except (DamagedFile, StoreFailure) as error:
        report.seen.append("store: out of reach")
        report.unreachable.append(error.detail)
    else:
        report.part(f"store (durability {found.durability})", faults)
        report.warnings += [*store_notes(found, is_embedded=False), *warnings]


def _check_signing_key(settings: Settings, report: Report) -> None:
    """What is given was checked with the settings, so what is made, or missing, is left."""
    if settings.signing_key is None and settings.redis_url is not None:
        report.warnings.append(
            f"{PREFIX}SIGNING_KEY is not set; `placet web` and `placet serve` do not start without "
            "it. A worker needs none."
        )
    elif settings.signing_key is None:
        try:
            key_in(signing_key_file(settings), signing)
        except ConfigurationInvalid as error:
            report.part("signing key", error.issues)
        except (DamagedFile, SeveralRun):
            return  # told with the store


async def _looked_at(settings: Settings, *, is_found: bool) -> tuple[Sequence[str], Sequence[str]]:
    """The store's faults and warnings."""
    store = await open_within_reach(settings, is_found=is_found)
    try:
        return await store.health.check(), store.health.warnings
    finally:
        await store.close()

"""The configuration on disk: whether its files have changed, and what they say as a whole.

A whole are the files and the callback secrets they name. Blocks: callers use a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from approvals.model import ServiceId
from approvals.policy.loader import FILES, Configuration, load_configuration
from bot.callbacks import Receiver
from bot.receivers import receivers_of

Stamp = tuple[int, int, int] | None  # time of change, size, inode; None where there is no file
Stamps = tuple[Stamp, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without fault, and its receivers with their secrets."""

    configuration: Configuration
    receivers: Mapping[ServiceId, Receiver]


@dataclass(frozen=True, slots=True)
class ConfigurationFiles:
    """Where the files are, and what their check needs to know of this process."""

    directory: Path
    environment: Mapping[str, str]
    is_demo: bool = False

    def stamps(self) -> Stamps:
        """What tells one state of the files from the next, without reading them."""
        return tuple(_stamp(self.directory / name) for name in FILES)

    def load(self) -> Loaded:
        """The files as they stand. Raises `ConfigurationInvalid` with every fault."""
        return self.completed(load_configuration(self.directory, loopback=self.is_demo))

    def completed(self, configuration: Configuration) -> Loaded:
        """`configuration` with what it names outside itself. Raises `ConfigurationInvalid`."""
        receivers = receivers_of(configuration, self.environment, is_demo=self.is_demo)
        return Loaded(configuration, receivers)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()  # of what a link leads to: mounted configuration is often a link
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

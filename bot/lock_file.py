"""A lock file with a note of its holder, and whether a noted process is gone."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # there `server_binary` refuses in plain words before any lock
    import fcntl


class LockFile(io.FileIO):
    """An open lock file. Never removed: else two could hold it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "a+")
        self._path = path

    def take(self) -> bool:
        """Whether the lock is ours, now or already."""
        with suppress(BlockingIOError):
            fcntl.flock(self, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.truncate(0)  # the last holder's pid may be another process by now
            return True
        return False

    def is_in_place(self) -> bool:
        """Whether this very file still has the name that it was opened by."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self.fileno()))
        except FileNotFoundError:
            return False

    def note(self, pid: int) -> None:
        """Writes down who holds it."""
        self.write(str(pid).encode())

    def holder(self) -> str:
        """The pid noted last, as text."""
        self.seek(0)
        return self.read().decode() or "<unknown>"


def has_ended(pid: str) -> bool:
    """Whether a noted process is gone; one that only waits to be waited for is gone too."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, PermissionError):  # no pid, or another user's process
        return False
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:  # a system without /proc does not tell them apart
        return False

"""Writes a file as a whole: a reader sees the old one or the new one, after a power cut too."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":  # there a directory cannot be opened, and nothing is locked
    import fcntl


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Who asks for the same waits: within, what was read of `path` is what a write replaces.

    The lock is on its directory, for the file is another one after each write. Where that cannot
    be opened, nobody is held up.
    """
    try:
        directory = os.open(path.resolve().parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def write_whole(
    path: Path, content: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """`content` in place of what `path` holds. Raises `OSError`, and leaves no draft behind.

    `owner` is a user and a group, whose it becomes where we may give it to them.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if owner is not None:
            with suppress(PermissionError):
                os.chown(draft, *owner)
        draft.chmod(mode)  # whatever the umask took away
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def replace_whole(path: Path, content: bytes) -> None:
    """As `write_whole`, for what was there before: a link stays one, and who may read it may.

    Run by root, the file would else be root's, and its owner could not read their own secret.
    """
    place = path.resolve()
    before = place.stat()
    write_whole(place, content, stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid))

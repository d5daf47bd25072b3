"""Writes a file as a whole: a reader sees the old one or the new one, after a power cut too."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """`content` in place of what `path` holds. Raises `OSError`, and leaves no draft behind."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.chmod(mode)  # whatever the umask took away
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

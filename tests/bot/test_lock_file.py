"""Who noted themselves in a lock file, and whether they still run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.lock_file import LockFile, has_ended


def test_a_process_that_runs_has_not_ended() -> None:
    assert not has_ended(str(os.getpid()))


def test_a_process_that_is_gone_has_ended_waited_for_or_not() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b""
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_ended(str(process.pid)) is Path("/proc/self/stat").exists()
    assert has_ended(str(process.pid))


@pytest.mark.parametrize("pid", ["<unknown>", "", "9" * 30])
def test_what_is_no_pid_tells_nothing(pid: str) -> None:
    assert not has_ended(pid)


def test_a_file_in_anothers_place_is_not_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with LockFile(path) as lock:
        assert lock.is_in_place()
        path.unlink()
        assert not lock.is_in_place()
        path.touch()
        assert not lock.is_in_place()

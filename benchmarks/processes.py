"""The real processes under measurement: started, waited for, weighed, and ended by their pid."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runner import WORKS

ROOT = Path(__file__).parents[1]
PATIENCE_S = 20.0
_PAUSE_S = 0.01
_LISTENS = re.compile(r"ready at http://127\.0\.0\.1:(\d+)")
_WORKS = re.compile(rf"({WORKS})")

WEB = ("bot.cli.main", "web")
FLOOR = ("benchmarks.runner", "floor")
WORKER = ("benchmarks.runner", "worker")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A running process. `port` is 0 where it listens nowhere."""

    pid: int
    port: int


@asynccontextmanager
async def running(
    words: tuple[str, ...], environment: Mapping[str, str], log: Path
) -> AsyncIterator[Weighed]:
    """A Python module run with `words` until the end of the context. Its output goes to `log`."""
    module, *arguments = words
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            cwd=ROOT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        found = await _until_told(_WORKS if words == WORKER else _LISTENS, process, log)
        yield Weighed(process.pid, 0 if found == WORKS else int(found))
    finally:
        await _end(process)


def resident_bytes(pid: int) -> int | None:
    """RSS of a process; None where the system has no /proc."""
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used; 0 where the system has no /proc."""
    with suppress(OSError):
        # The command's name may hold blanks, and ends at the last parenthesis.
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


async def _until_told(
    wanted: re.Pattern[str], process: asyncio.subprocess.Process, log: Path
) -> str:
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while process.returncode is None:
                if found := wanted.search(_text(log)):
                    return found[1]
                await asyncio.sleep(_PAUSE_S)
    end = "\n".join(_text(log).splitlines()[-20:])
    raise SystemExit(f"A process did not start. Its last words:\n{end}")


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

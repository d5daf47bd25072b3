"""Real processes of the console script, each ended by its own pid, and a bare HTTP client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PATIENCE_S = 30
PLACET = (Path(sys.executable).with_name("placet"),)

Program = Sequence[str | Path]


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Demo:
    """A running demo, as its first line describes it."""

    process: Process
    facts: Mapping[str, Any]
    home: Path

    def store_pid(self) -> int:
        return int((self.home / "store" / "server.lock").read_text())


def environment(directory: Path, **changes: str) -> dict[str, str]:
    """The environment of a terminal in `directory`, with nothing of ours from outside."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PLACET_")}
    return inherited | {"PLACET_DATA_DIR": str(directory / "data"), "PLACET_PORT": "0"} | changes


async def started(
    directory: Path, *words: str, program: Program = PLACET, **changes: str
) -> Process:
    """The console script, running."""
    return await asyncio.create_subprocess_exec(
        *program,
        *words,
        cwd=directory,
        env=environment(directory, **changes),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def command(directory: Path, *words: str, **changes: str) -> Ended:
    """The console script, run to its end."""
    return await ended(await started(directory, *words, **changes))


async def ended(process: Process) -> Ended:
    """Waits for the end of a process."""
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def stopped(process: Process, number: signal.Signals = signal.SIGINT) -> Ended:
    """Sends a signal, as Ctrl-C does, and waits for the end."""
    process.send_signal(number)
    return await ended(process)


async def line_of(process: Process) -> str:
    """The next line on standard output."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        line = await process.stdout.readline()
    if not line:
        raise AssertionError((await ended(process)).err)
    return line.decode()


async def line_with(process: Process, words: str) -> str:
    """The next line on standard output that holds `words`."""
    while words not in (line := await line_of(process)):
        pass
    return line


@asynccontextmanager
async def running(
    directory: Path, *words: str, program: Program = PLACET, **changes: str
) -> AsyncIterator[Process]:
    """The console script, running; stopped at the end unless the test has done so."""
    process = await started(directory, *words, program=program, **changes)
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                await stopped(process)


@asynccontextmanager
async def demo(
    directory: Path, *words: str, program: Program = PLACET, **changes: str
) -> AsyncIterator[Demo]:
    """`placet demo --ready-json`, ready."""
    words = ("demo", "--ready-json", *words)
    async with running(directory, *words, program=program, **changes) as process:
        facts = json.loads(await line_of(process))
        yield Demo(process, facts, directory / "data" / "demo")


@asynccontextmanager
async def http(facts: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with nothing but the address and the API key."""
    headers = {"Authorization": f"Bearer {facts['api_key']}"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(facts["base_url"], headers=headers, timeout=timeout) as client:
        yield client


def is_running(pid: int) -> bool:
    """Whether a process works; one that ended and waits to be reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"

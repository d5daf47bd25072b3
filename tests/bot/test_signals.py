"""What signals mean: SIGHUP reloads, unless the terminal that the process began on has gone."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from bot.signals import Signals, signals_heard

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Desk:
    """A terminal that somebody may close."""

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there

    def __call__(self) -> bool:
        return self.is_there


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
async def heard_no_more() -> AsyncIterator[None]:
    yield
    for number in ALL:
        asyncio.get_running_loop().remove_signal_handler(number)


async def told(number: signal.Signals, signals: Signals) -> str:
    """What the process does on a signal."""
    os.kill(os.getpid(), number)
    waiting = {
        asyncio.create_task(signals.stop.wait()): "stop",
        asyncio.create_task(signals.reload.wait()): "reload",
    }
    async with asyncio.timeout(5):
        done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    (first,) = done
    return waiting[first]


@pytest.mark.usefixtures("heard_no_more")
class TestTold:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_to_stop(self, number: signal.Signals) -> None:
        assert await told(number, signals_heard()) == "stop"

    async def test_a_terminal_that_is_still_there_sends_no_hang_up(self) -> None:
        signals = signals_heard(has_terminal=Desk(is_there=True))
        assert await told(signal.SIGHUP, signals) == "reload"

    async def test_the_end_of_the_terminal_stops(self) -> None:
        desk = Desk(is_there=True)
        signals = signals_heard(has_terminal=desk)
        desk.is_there = False
        assert await told(signal.SIGHUP, signals) == "stop"

    async def test_who_never_had_a_terminal_cannot_lose_it(self) -> None:
        signals = signals_heard(has_terminal=Desk(is_there=False))
        assert await told(signal.SIGHUP, signals) == "reload"

    async def test_under_nohup_the_end_of_the_terminal_stops_nothing(self) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        desk = Desk(is_there=True)
        signals = signals_heard(has_terminal=desk)
        desk.is_there = False
        assert await told(signal.SIGHUP, signals) == "reload"


ON_A_TERMINAL = """
import asyncio, os, sys
os.open(sys.argv[1], os.O_RDWR)  # of a session's leader, that makes it the session's terminal
from bot.signals import signals_heard

async def main():
    signals = signals_heard()
    print("ready", flush=True)
    await signals.reload.wait()
    print("reload", flush=True)
    await signals.stop.wait()
    print("stop", flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a terminal is taken otherwise")
def test_a_real_terminal_is_missed_when_it_goes() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, os.ttyname(theirs)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert lines.readline() == "reload\n"
        os.close(theirs)
        os.close(ours)
        assert lines.readline() == "stop\n"
    assert process.wait(10) == 0


def test_a_session_of_its_own_has_no_terminal() -> None:
    code = "from bot.signals import has_terminal; print(has_terminal())"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, start_new_session=True
    )
    assert told.stdout == b"False\n"

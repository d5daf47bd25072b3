"""What the system tells a process: to stop, or to read its configuration again.

SIGHUP means both: a terminal that goes sends it, and so does who wants a reload.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Signals:
    """Events that signals set."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


def has_terminal() -> bool:
    """Whether this process has a terminal that is still there, wherever its streams lead."""
    try:
        # Opened anew: of a terminal that has gone the old descriptors stay open.
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def signals_heard(*, has_terminal: Callable[[], bool] = has_terminal) -> Signals:
    """SIGINT and SIGTERM stop. SIGHUP reloads, unless the terminal we began on has gone.

    Under nohup it never stops: then a terminal that goes costs a reload and nothing else.
    """
    told = Signals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.stop.set)
    is_kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    ends_with_terminal = not is_kept and has_terminal()

    def hang_up() -> None:
        is_over = ends_with_terminal and not has_terminal()
        (told.stop if is_over else told.reload).set()

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return told

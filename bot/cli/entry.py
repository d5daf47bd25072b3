"""The console script's first step: what must hold before the rest is loaded.

Imports next to nothing, so that Ctrl-C during the imports ends us without a traceback.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """The console script."""
    _open_closed_streams()
    waits_for_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if waits_for_ctrl_c:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as if Python were not there yet
    # Imported here: loading takes most of the time that a short command takes.
    from bot.cli.main import main as command_line  # noqa: PLC0415

    if waits_for_ctrl_c:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return command_line()


def _open_closed_streams() -> None:
    """Opens the null device for each standard stream that was closed.

    Else the next file opened takes its number, and a stray line of text goes there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a number has no path
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above


if __name__ == "__main__":
    sys.exit(main())

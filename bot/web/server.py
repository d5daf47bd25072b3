"""uvicorn as we run it: bounded connections, no signal handlers, no headers that tell of itself.

Knows the application only as something to call.
"""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from bot.web.protocol import BoundedProtocol, Bounds

KEEP_ALIVE_S = 30
_OTHER_FILES = 256  # the store's connections, the listener, logs


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process stops all its parts in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to whoever runs the server."""
        yield

    async def wait_until_started(self, serving: asyncio.Task[None]) -> None:
        """Returns once it accepts, or once `serving` has failed."""
        # uvicorn offers no event to wait for.
        while not self.started and not serving.done():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)


def make_server(app: ASGIApp, *, drain_s: int, bounds: Bounds | None = None) -> Server:
    """A server of `app`; when it stops, answers under way get `drain_s` seconds."""
    limits = bounds or Bounds(connections=_most_connections())
    protocol = partial(BoundedProtocol, bounds=limits)
    return Server(
        uvicorn.Config(
            app,
            # Called like the class it is declared as.
            http=cast("type[asyncio.Protocol]", protocol),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
            proxy_headers=False,  # who may say where a call comes from is PLACET_TRUSTED_PROXIES
        )
    )


def settle_memory() -> None:
    """Call it once all parts stand: what is alive now lives until the end.

    The collector then walks none of it, and walks the rest less often. Its walks over modules and
    schemas were most of the slowest answers: p99 of POST fell from 77 to 53 ms, CPU by 2-10 %.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _most_connections() -> int:
    # Beyond the process's file limit accept() fails and nobody is answered, not even with 503.
    most = Bounds().connections
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return most
    return max(min(most, files - _OTHER_FILES), files // 2)

"""One HTTP connection, bounded in time, bytes and number. Knows no route and no request of ours.

uvicorn bounds none of these: a connection that sends nothing, or one header byte a minute, stays
open for ever, a head may have any length, and so may the line of requests behind one unanswered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bot.web.problems import problem

_UPGRADE = b"upgrade:"
_NO_UPGRADE = b"refused:"  # as long, and no header of anybody's
_LEAST_PIECE = 64

_MALFORMED = problem(
    400,
    "malformed_request",
    "Not a valid HTTP request",
    "Send a known method, sound headers, exactly one Host, and one of Content-Length or "
    "Transfer-Encoding.",
)
_TOO_LONG = problem(
    431,
    "request_header_fields_too_large",
    "Request Header Fields Too Large",
    "The request line and the headers together are too long; shorten them.",
)
_TOO_LARGE = problem(
    413,
    "body_too_large",
    "The body is too large",
    "What follows the head is longer than any body may be; send less.",
)
_CROWDED = problem(
    503,
    "too_many_connections",
    "Too many connections",
    "This process holds as many connections as it may; try again soon.",
    headers={"Retry-After": "1"},
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take, and how many there may be. Times are in seconds."""

    head_s: float = 10.0  # from a head's first byte, or the connection's begin, to its end
    head_bytes: int = 32 * 1024
    body_bytes: int = 256 * 1024  # with its chunks' frames and trailers
    held_bytes: int = 1024 * 1024  # that have come and may not be read yet
    unread_s: float = 30.0  # for a client that does not read its answer
    linger_s: float = 2.0  # for a refused client to read why
    connections: int = 20_000


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol within `bounds`; what it refuses, it refuses as problem+json.

    Written against uvicorn 0.54.0. Beyond asyncio's and httptools' callbacks it relies on
    `cycle`, `connections`, `server_state`, `headers`, `parser`, `pipeline`, `transport`, `loop`,
    `on_response_complete`, `send_400_response`, `_start_asgi_task` and
    `_unsupported_upgrade_warning`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Bounds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._unfed = b""  # what the parser has not seen yet, from `_fed` on
        self._fed = 0
        self._is_at_line_start = True
        self._bytes = 0  # of this head, or of what follows it
        self._body_left: int | None = None  # where the head tells a length
        self._answered: RequestResponseCycle | None = None  # the oldest, not the newest as `cycle`
        self._is_in_head = True  # or before it
        self._is_client_due = True  # what comes next must come from the client, and soon
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Refuses whom there is no room for."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections:
            self._is_refused = True
            transport.write(self._written(_CROWDED))
            transport.close()
        else:
            self._wait_for_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leaves no timer behind, and nobody who waits for a client that is gone."""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)
        self._stop_waiting()
        self._stop_unread()

    def data_received(self, data: bytes) -> None:
        """Keeps what the parser may not see yet."""
        if not self._is_refused:
            self._unfed = self._unfed[self._fed :] + data
            self._fed = 0
            self._feed()
            self._hold()

    def on_response_complete(self) -> None:
        """The next request may be taken from what has come already."""
        super().on_response_complete()
        self._feed()
        self._hold()

    def _feed(self) -> None:
        """Hands the parser piece by piece what there is, while no request waits in line."""
        while not (self._is_refused or self.pipeline or self.transport.is_closing()):
            piece = self._next_piece()
            if not piece:
                break
            self._fed += len(piece)
            self._bytes += len(piece)
            self._is_client_due = True
            self._is_at_line_start = piece.endswith(b"\n")
            super().data_received(piece)
            self._judge_length()
        if self._fed == len(self._unfed):
            self._unfed, self._fed = b"", 0

    def _hold(self) -> None:
        """Reads no more while a request waits in line: uvicorn lets reading go on whenever the
        application asks for a message, such as whether the client has left.
        """
        if self.pipeline and self._unfed:
            self.flow.pause_reading()
        if len(self._unfed) > self._bounds.held_bytes:
            self.transport.abort()

    def _next_piece(self) -> bytes:
        """A line, so that a piece ends where its head or message does; of a body all that is left.

        Nothing while a header's name is not whole yet, because one of them is changed.
        """
        if self._body_left is not None:
            return self._unfed[self._fed : self._fed + self._body_left]
        end = self._unfed.find(b"\n", self._fed) + 1 or len(self._unfed)
        if not self._is_in_head:  # of chunks not every empty line by itself
            return self._unfed[self._fed : max(end, self._fed + _LEAST_PIECE)]
        room = self._bounds.head_bytes - self._bytes
        line = self._unfed[self._fed : min(end, self._fed + room)]
        if not self._is_at_line_start:
            return line
        name = line[: len(_UPGRADE)].lower()
        if name == _UPGRADE:
            # Behind an upgrade the parser reads no body, which clients of HTTP/2 send all the same.
            return _NO_UPGRADE + line[len(_UPGRADE) :]
        is_whole = len(line) == room or line.endswith(b"\n") or not _UPGRADE.startswith(name)
        return line if is_whole else b""

    def _judge_length(self) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._is_in_head and self._bytes >= self._bounds.head_bytes:
            self._refuse(_TOO_LONG)
        elif not self._is_in_head and self._bytes > self._bounds.body_bytes:
            self._refuse(_TOO_LARGE)
        elif self._is_client_due and self._deadline is None:
            self._wait_for_client()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are no headers (RFC 9110, 6.5.1), white space is no value (5.5)."""
        if self._is_in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def on_message_begin(self) -> None:
        """A head has begun, maybe right behind the last body."""
        super().on_message_begin()
        self._is_client_due = True

    def on_headers_complete(self) -> None:
        """The head is here. What is raised becomes `send_400_response`."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        # RFC 9112, 3.2: proxies that pick different ones of two hosts see different requests.
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise ValueError("not one Host")
        super().on_headers_complete()
        self._is_in_head = False
        self._bytes = 0
        lengths = [int(value) for name, value in self.headers if name == b"content-length"]
        self._body_left = lengths[0] if lengths else None
        self._stop_waiting()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser reads nothing behind CONNECT

    def on_body(self, body: bytes) -> None:
        """A part of it is here."""
        super().on_body(body)
        if self._body_left is not None:
            self._body_left -= len(body)

    def on_message_complete(self) -> None:
        """Now the answer is due; if it went out before the body ended, the next head is."""
        super().on_message_complete()
        self._is_in_head = True
        self._is_at_line_start = True
        self._bytes = 0
        self._body_left = None
        self._is_client_due = not self._is_answering
        if not self._is_client_due:
            self._stop_waiting()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text is not told
        """What uvicorn calls when the parser fails."""
        self._refuse(_MALFORMED)

    def pause_writing(self) -> None:
        """Stops a client that never reads and so keeps an answer in memory for ever."""
        super().pause_writing()
        self._stop_unread()
        self._unread = self.loop.call_later(self._bounds.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        self._stop_unread()

    def _unsupported_upgrade_warning(self) -> None:
        """Uvicorn would log advice."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """From here on this is the request that is answered."""
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete  # None before the first

    def _wait_for_client(self) -> None:
        self._deadline = self.loop.call_later(self._bounds.head_s, self._on_late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _on_late(self) -> None:
        if self._is_answering:  # how long that takes is bounded where it is done
            self._wait_for_client()
        else:
            self.transport.abort()

    def _refuse(self, answer: Response) -> None:
        self._is_refused = True
        self._stop_waiting()
        # Who waits for an earlier answer would take this one for it.
        is_owed_another = self._is_answering if self._is_in_head else self.cycle.response_started
        if not is_owed_another:
            self.transport.write(self._written(answer))
        if self._is_answering:
            self.transport.close()
            return
        # Closed at once, with bytes of the client unread, TCP would reset: no answer would arrive.
        self.transport.write_eof()
        self._deadline = self.loop.call_later(self._bounds.linger_s, self.transport.abort)

    def _written(self, answer: Response) -> bytes:
        status = HTTPStatus(answer.status_code)
        headers = [*self.server_state.default_headers, *answer.raw_headers]
        headers.append((b"connection", b"close"))
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join([*lines, b"", bytes(answer.body)])

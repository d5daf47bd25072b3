"""A cheap load generator: keep-alive connections that send, read the whole answer, send again.

It shares the machine with what it measures, so it does as little as an honest client can.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
PATIENCE_S = 10.0  # for the last answers
LONGEST_S = 120.0  # of a run without a time of its own


@dataclass(frozen=True, slots=True)
class Good:
    """How an answer that counts begins, and what it holds."""

    begins: bytes
    holds: bytes


OPENED = Good(b"HTTP/1.1 201", b'"status":"pending"')


@dataclass(slots=True)
class Tally:
    """What came back. `late` were sent in time and answered after it; they do not count."""

    connections: int
    seconds: float = 0.0
    completed: int = 0
    late: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Requests accepted per second."""
        return self.completed / self.seconds


async def drive(
    port: int,
    connections: int,
    requests: Iterator[bytes],
    seconds: float = float("inf"),
    good: Good = OPENED,
) -> Tally:
    """Sends `requests` over so many connections until they, or the time, are over."""
    load = _Load(requests, Tally(connections), connections, good)
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
        for _ in range(connections)
    ]
    began = perf_counter()
    load.until = began + seconds
    try:
        for _, connection in opened:
            connection.send_next()
        async with asyncio.timeout(min(seconds, LONGEST_S) + PATIENCE_S):
            await load.is_over.wait()
    finally:
        for transport, _ in opened:
            transport.abort()
    load.tally.seconds = min(perf_counter() - began, seconds)
    return load.tally


class _Load:
    """What the connections share. Over when none of them waits for an answer."""

    def __init__(
        self, requests: Iterator[bytes], tally: Tally, connections: int, good: Good
    ) -> None:
        self.requests = requests
        self.good = good
        self.tally = tally
        self.until = float("inf")
        self.is_over = asyncio.Event()
        self._busy = connections

    def ended(self) -> None:
        """A connection sends no more."""
        self._busy -= 1
        if self._busy == 0:
            self.is_over.set()


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._began = 0.0
        self._answer = b""
        self._whole = 0  # bytes of the answer, once its head has come
        self._is_busy = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send_next(self) -> None:
        """Sends the next request, or stops."""
        request = next(self._load.requests, None) if perf_counter() < self._load.until else None
        if request is None:
            self._end()
            return
        self._answer, self._whole = b"", 0
        self._began = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._whole:
            head = self._answer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._answer, 0, head)
            self._whole = head + 4 + int(length[1] if length else 0)
        if len(self._answer) >= self._whole:
            self._note(perf_counter())
            self.send_next()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._is_busy:
            self._load.tally.faults["connection lost"] += 1
            self._end()

    def _note(self, now: float) -> None:
        tally = self._load.tally
        good = self._load.good
        if not (self._answer.startswith(good.begins) and good.holds in self._answer):
            tally.faults[self._answer[:12].decode(errors="replace")] += 1
        elif now > self._load.until:
            tally.late += 1
        else:
            tally.completed += 1
            tally.latencies.append(now - self._began)

    def _end(self) -> None:
        self._is_busy = False
        self._load.ended()

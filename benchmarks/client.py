"""Measures what the client for services adds to a call on loopback; prints one JSON document.

python -m benchmarks.client [--quick] [--only sync,async] [--rounds 5]
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

from approvals.client import AsyncPlacet, Placet
from benchmarks.answering import GRANT_ID, REQUEST_ID
from benchmarks.arguments import parser_of
from benchmarks.figures import Json, middle, percentile
from benchmarks.goals import client_goals
from benchmarks.machine import host

_ABOUT = "Measures what the client adds to a call on loopback; prints one JSON document."
_PACKAGES = ("placet", "httpx", "httpcore", "h11")
_ROOT = Path(__file__).parents[1]
_API_KEY = "plc_crm-1_" + "a" * 32
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_WARM_UP = 50  # calls that do not count, of each kind
SECTIONS = ("sync", "async")
CALLS = ("request", "show", "redeem")
WISH: dict[str, Any] = {
    "action": "customer.view",
    "subject": "customer:48213",
    "requester": "okta:00u1",
    "justification": "Customer asks why the invoice went to an old address",
}
ACT: dict[str, Any] = {"action": "customer.view", "subject": "customer:48213"}


@dataclass(frozen=True, slots=True)
class Took:
    """One round of one kind of call: each call's time, and the thread's own time of one."""

    calls: list[float]
    cpu: float


def main() -> None:
    """Runs the chosen sections; client and floor take turns."""
    parser = parser_of("python -m benchmarks.client", _ABOUT, SECTIONS)
    parser.add_argument("--rounds", type=int, help="how often everything is repeated")
    arguments = parser.parse_args()
    calls, rounds = (100, 1) if arguments.quick else (2_000, 5)
    rounds = arguments.rounds or rounds
    told: Json = {
        "benchmark": "client",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "calls_a_round": calls,
        **host(_PACKAGES),
        "load_average_before": os.getloadavg(),
    }
    results: Json = {}
    with _server() as port:
        for section in arguments.only:
            print(section, file=sys.stderr, flush=True)
            measure = _sync if section == "sync" else _async
            results[section] = _told(measure(port, calls, rounds))
    told["load_average_after"] = os.getloadavg()
    print(json.dumps({**told, "goals": client_goals(results), **results}, indent=2))


Rounds = dict[str, list[tuple[Took, Took]]]  # by call: floor and client of each round


def _sync(port: int, calls: int, rounds: int) -> Rounds:
    found: Rounds = {name: [] for name in CALLS}
    with (
        Placet(f"http://127.0.0.1:{port}", _API_KEY) as client,
        socket.create_connection(("127.0.0.1", port)) as floor,
    ):
        floor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        doing: dict[str, Callable[[], object]] = {
            "request": lambda: client.request(**WISH),
            "show": lambda: client.show(REQUEST_ID),
            "redeem": lambda: client.redeem(GRANT_ID, **ACT),
        }
        for _ in range(rounds):
            for name, call in doing.items():
                sent = _bytes(name)
                bare = _timed(lambda sent=sent: _exchange(floor, sent), calls)  # type: ignore[misc]  # bound now
                found[name].append((bare, _timed(call, calls)))
    return found


def _timed(call: Callable[[], object], calls: int) -> Took:
    for _ in range(_WARM_UP):
        call()
    took: list[float] = []
    cpu = thread_time()
    for _ in range(calls):
        began = perf_counter()
        call()
        took.append(perf_counter() - began)
    return Took(took, (thread_time() - cpu) / calls)


def _exchange(floor: socket.socket, sent: bytes) -> None:
    floor.sendall(sent)
    read = b""
    while not _is_whole(read):
        read += floor.recv(65536)


def _async(port: int, calls: int, rounds: int) -> Rounds:
    return asyncio.run(_measure_async(port, calls, rounds))


async def _measure_async(port: int, calls: int, rounds: int) -> Rounds:
    found: Rounds = {name: [] for name in CALLS}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def exchange(sent: bytes) -> None:
        writer.write(sent)
        read = b""
        while not _is_whole(read):
            read += await reader.read(65536)

    async with AsyncPlacet(f"http://127.0.0.1:{port}", _API_KEY) as client:
        doing: dict[str, Callable[[], Awaitable[object]]] = {
            "request": lambda: client.request(**WISH),
            "show": lambda: client.show(REQUEST_ID),
            "redeem": lambda: client.redeem(GRANT_ID, **ACT),
        }
        for _ in range(rounds):
            for name, call in doing.items():
                sent = _bytes(name)
                bare = await _timed_async(lambda sent=sent: exchange(sent), calls)  # type: ignore[misc]  # bound now
                found[name].append((bare, await _timed_async(call, calls)))
    writer.close()
    await writer.wait_closed()
    return found


async def _timed_async(call: Callable[[], Awaitable[object]], calls: int) -> Took:
    for _ in range(_WARM_UP):
        await call()
    took: list[float] = []
    cpu = thread_time()
    for _ in range(calls):
        began = perf_counter()
        await call()
        took.append(perf_counter() - began)
    return Took(took, (thread_time() - cpu) / calls)


def _is_whole(read: bytes) -> bool:
    head, end, body = read.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def _bytes(name: str) -> bytes:
    """What the client sends, made once: the floor neither makes nor reads JSON."""
    sent = {"request": WISH, "redeem": {**ACT, "nonce": "0" * 32}}.get(name)
    body = b"" if sent is None else json.dumps(sent).encode()
    path = f"/v1/grants/{GRANT_ID}/redeem" if name == "redeem" else "/v1/requests"
    path = f"/v1/requests/{REQUEST_ID}" if name == "show" else path
    head = (
        f"{'POST' if sent else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {_API_KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _told(found: Rounds) -> dict[str, Json]:
    """Medians of the rounds: of the floor, of the client, and of what it added inside a round."""
    results: dict[str, Json] = {}
    for name, runs in found.items():
        ways: dict[str, Callable[[Took], float]] = {
            "p50": lambda took: percentile(took.calls, 0.5),
            "p99": lambda took: percentile(took.calls, 0.99),
            "cpu": lambda took: took.cpu,
        }
        results[name] = {}
        for label, of in ways.items():
            pairs = [(of(bare) * 1000, of(whole) * 1000) for bare, whole in runs]
            results[name] |= {
                f"floor_{label}_ms": middle([bare for bare, _ in pairs], 3),
                f"client_{label}_ms": middle([whole for _, whole in pairs], 3),
                f"adds_{label}_ms": middle([whole - bare for bare, whole in pairs], 3),
            }
    return results


@contextmanager
def _server() -> Iterator[int]:
    """The answering process, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.answering"], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()


if __name__ == "__main__":
    main()

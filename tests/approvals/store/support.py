"""What the store's tests look at and arrange with: a dump of a namespace, a clock that stands."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from redis.asyncio import BlockingConnectionPool, Redis

from approvals.model import RequestId
from approvals.store.health import Demands
from approvals.store.keys import Keys
from approvals.store.pipeline import connection_pool
from approvals.store.scripts import Commit, Scripts
from approvals.store.store import Store
from approvals.store.times import millis
from tests.conftest import SECRETS, RealServer, start_real_server

# Ahead of every server's clock: written to clock:seen, the store's time stands there.
STANDS_AT = datetime(2100, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)
REQUEST = RequestId("req_1")

Dump = dict[str, object]


async def stop_the_clock(client: Redis, keys: Keys, at: datetime = STANDS_AT) -> None:
    await client.set(keys.clock, millis(at))


async def dump(client: Redis, keys: Keys) -> Dump:
    """Every key of the namespace with all it holds."""
    tag = keys.log.removesuffix("log")
    found = cast("list[bytes]", await client.keys(tag + "*"))
    names = sorted(name.decode() for name in found)
    return {name.removeprefix(tag): await _value(client, name) for name in names}


async def _value(client: Redis, name: str) -> object:
    kind = cast("bytes", await client.type(name)).decode()
    if kind == "hash":
        return dict(
            sorted((await cast("Awaitable[dict[bytes, bytes]]", client.hgetall(name))).items())
        )
    if kind == "zset":
        return await client.zrange(name, 0, -1, withscores=True)
    if kind == "stream":
        return await client.xrange(name)
    if kind == "list":
        return await cast("Awaitable[list[bytes]]", client.lrange(name, 0, -1))
    assert kind == "string", f"{name} is a {kind}"
    return await client.get(name)


async def log_of(client: Redis, keys: Keys) -> list[bytes]:
    """The bytes of every audit entry, oldest first."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await client.xrange(keys.log))
    return [fields[b"e"] for _, fields in entries]


def commit_of(keys: Keys, **changes: object) -> Commit:
    """An opening of `REQUEST` at the time the clock stands at, with one audit entry."""
    arguments: dict[str, object] = {
        "op": REQUEST,
        "record": keys.request(REQUEST),
        "expect": None,
        "now": STANDS_AT,
        "result": "pending",
        "entry": 1,
        "entries": (b"entry",),
        "body": b"body",
    }
    return Commit(**(arguments | changes))  # type: ignore[arg-type]  # a mistyped change fails its test


async def schedule(scripts: Scripts, keys: Keys, member: str, at: datetime) -> None:
    """Schedules a deadline by a commit on the system record, at the store's own time."""
    loaded = await scripts.load(keys.system)
    answer = await scripts.commit(
        Commit(
            op=f"schedule-{loaded.version}",
            record=keys.system,
            expect=loaded.version,
            now=loaded.now,
            result="scheduled",
            entry=0,
            writes=(("schedule", "deadlines", member, str(millis(at))),),
        )
    )
    assert answer.code == "OK"


async def wait_until(is_so: Callable[[], Awaitable[bool]], what: str, within_s: float = 10) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not await is_so():  # noqa: ASYNC110 - what is waited for is in another process
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it never came about that {what}") from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def paused(server: RealServer) -> Iterator[None]:
    """The server stands still within, and goes on afterwards."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@dataclass
class Servers:
    """Starts servers of a test's own, and stores over them; all end with the test."""

    folder: Path
    started: list[RealServer] = field(default_factory=list)
    pools: list[BlockingConnectionPool] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    async def start(self, *options: str) -> RealServer:
        directory = self.folder / str(len(self.started))
        directory.mkdir()
        server = await asyncio.to_thread(start_real_server, directory, *options)
        self.started.append(server)
        return server

    async def restart(self, server: RealServer) -> RealServer:
        """A new server on the directory and socket of one that has ended."""
        server.process.wait()
        again = await asyncio.to_thread(start_real_server, server.socket.parent)
        self.started.append(again)
        return again

    def pool(self, server: RealServer, **options: float) -> BlockingConnectionPool:
        pool = connection_pool(server.url, **options)  # type: ignore[arg-type]  # time-outs in tests
        self.pools.append(pool)
        return pool

    def client(self, server: RealServer) -> Redis:
        return Redis(connection_pool=self.pool(server))

    def store(
        self,
        server: RealServer,
        demands: Demands | None = None,
        confirm_within: timedelta = timedelta(milliseconds=200),
        namespace: str = "own",
    ) -> Store:
        """A store for `server`, thought fit until its health is checked."""
        within_ms = confirm_within // timedelta(milliseconds=1)
        demands = demands or Demands(durability="none")
        store = Store.over(self.pool(server), namespace, SECRETS, demands, within_ms)
        store.health.faults = ()
        self.stores.append(store)
        return store

    async def end(self) -> None:
        for server in self.started:
            server.process.kill()
        for store in self.stores:
            await store.close()
        for pool in self.pools:
            await pool.aclose()
        for server in self.started:
            server.process.wait()

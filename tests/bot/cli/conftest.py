"""The command line over a real server: each command runs as in a shell, in a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from approvals.ask import Ask
from approvals.model import ApprovalRequest, Caller, Encrypted, KeyId, RequestId, ServiceId
from approvals.policy.loader import load_configuration
from approvals.privacy.vault import Reading
from approvals.service import ApprovalService
from approvals.store.health import Demands
from approvals.store.pipeline import connection_pool
from approvals.store.store import Store, StoreSecrets
from bot.cli.main import run
from bot.terminal import Terminal
from tests import configurations
from tests.configurations import write_configuration
from tests.conftest import RealServer
from tests.signing import SIGNING_KEY

AUDIT_KEY = "audit-0123456789-abcdefghijklmnopqrst"
PSEUDONYM_KEY = "pseudonym-0123456789-abcdefghijklmno"
VAULT_KEY = "vault-0123456789-abcdefghijklmnopqrst"
CRM = Caller(service=ServiceId("crm"), key_id=KeyId("crm-1"), address="127.0.0.1")


class Answer(io.StringIO):
    """A terminal on which somebody types."""

    def isatty(self) -> bool:
        return True


class Lost(io.StringIO):
    """An output that takes no line."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, _text: str) -> int:
        raise self._error


def gone() -> Lost:
    """A pipe whose reader has gone."""
    return Lost(BrokenPipeError(errno.EPIPE, "Broken pipe"))


def full() -> Lost:
    """A file on a full disk."""
    return Lost(OSError(errno.ENOSPC, "No space left on device"))


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON of any shape
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs commands in an environment."""

    environment: dict[str, str] = field(default_factory=dict)

    async def __call__(self, *words: str, types: str | None = None, **changes: str) -> Result:
        """One command, while the test's own loop goes on."""
        return await asyncio.to_thread(self.now, *words, types=types, **changes)

    def now(self, *words: str, types: str | None = None, **changes: str) -> Result:
        """One command; `types` is what somebody answers, None means there is no terminal."""
        on_terminal = types is not None
        given = Answer(types) if on_terminal else io.StringIO()
        return self.onto(Answer() if on_terminal else io.StringIO(), *words, given=given, **changes)

    def onto(
        self, out: io.StringIO, *words: str, given: io.StringIO | None = None, **changes: str
    ) -> Result:
        """One command that writes to `out`."""
        err = io.StringIO()
        terminal = Terminal(self.environment | changes, given or io.StringIO(), out, err)
        code = run(words, terminal)
        return Result(code, out.getvalue(), err.getvalue())


def encrypted(kept: object) -> Encrypted:
    """Words as the store answers them."""
    assert isinstance(kept, bytes)
    return Encrypted(kept.decode())


@dataclass
class Office:
    """A deployment whose store runs, and a shell in front of it."""

    service: ApprovalService
    store: Store
    shell: Shell

    async def ask(self, **changes: object) -> RequestId:
        """A request from crm that is in order."""
        sent = configurations.ask(**changes)
        ask = Ask.parse(sent)
        body = json.dumps(sent).encode()
        opened = await self.service.open(CRM, ask, body=body, idempotency_key=None)
        return opened.request.id

    async def request(self, request: RequestId) -> ApprovalRequest:
        return await self.service.card_facts(request)

    async def reading(self, request: ApprovalRequest) -> Reading:
        return await self.service.reading(request)

    async def entries(self) -> list[dict[str, Any]]:
        return [json.loads(entry) async for entry in self.store.log.entries()]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(
        {
            "PLACET_DATA_DIR": str(tmp_path / "data"),
            "PLACET_CONFIG_DIR": str(tmp_path / "config"),
            "PLACET_PORT": "0",  # whatever runs on the usual one is no business of a test
            "CRM_CALLBACK_SECRET": configurations.CALLBACK_SECRET,
        }
    )


@pytest.fixture
async def office(tmp_path: Path, shell: Shell, real_server: RealServer) -> AsyncIterator[Office]:
    namespace = "t" + uuid.uuid4().hex[:12]
    shell.environment |= {
        "PLACET_REDIS_URL": real_server.url,
        "PLACET_NAMESPACE": namespace,
        "PLACET_AUDIT_KEY": AUDIT_KEY,
        "PLACET_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "PLACET_VAULT_KEY": VAULT_KEY,
        "PLACET_SIGNING_KEY": SIGNING_KEY,
    }
    write_configuration(tmp_path / "config")
    secrets = StoreSecrets(AUDIT_KEY.encode(), PSEUDONYM_KEY.encode(), VAULT_KEY.encode())
    store = Store.over(connection_pool(real_server.url), namespace, secrets, Demands())
    await store.health.require()
    configuration = load_configuration(tmp_path / "config", loopback=True)
    yield Office(ApprovalService(store, configuration), store, shell)
    await store.close()

"""The store's parts one by one, on both engines, and servers of a test's own."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from approvals.store.keys import Keys
from approvals.store.scripts import Scripts
from approvals.store.store import Store
from tests.approvals.store.support import Servers
from tests.conftest import Engine


@pytest.fixture
def keys(store: Store) -> Keys:
    return store.keys


@pytest.fixture
def scripts(store: Store) -> Scripts:
    return Scripts(store.pipeline, store.keys)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Redis]:
    """A plain client on the same data, to look at it and to arrange it."""
    pool = engine.pool()
    yield Redis(connection_pool=pool)
    await pool.aclose()


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    # Not pytest's own directory: a socket's path may not be longer than about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="placet-test-") as folder:
        servers = Servers(Path(folder))
        yield servers
        await servers.end()

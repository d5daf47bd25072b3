"""A deployment of real processes for each test here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.deployment import Deployment, deployment
from tests.servers.callback_receiver import CallbackReceiver, callback_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with callback_receiver() as receiver:
        yield receiver


@pytest.fixture
async def deployed(receiver: CallbackReceiver) -> AsyncIterator[Deployment]:
    async with deployment(receiver) as made:
        yield made

"""Records written behind Placet's back: sealed, as another version of it would, or not."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, cast

from redis.asyncio import Redis

from approvals.model import ApprovalRequest
from approvals.store.seals import LENGTH, with_seal
from tests.conftest import SECRETS, Placet


async def body_of(client: Redis, record: str) -> dict[str, Any]:
    """The body of a record, without its seal."""
    stored = await cast("Awaitable[bytes]", client.hget(record, "body"))
    told: dict[str, Any] = json.loads(stored[LENGTH:])
    return told


async def rewrite(client: Redis, record: str, **changes: object) -> None:
    """Changes a record and seals it, as only who holds the key can."""
    version = int(await cast("Awaitable[bytes]", client.hget(record, "version")))
    body = json.dumps(await body_of(client, record) | changes).encode()
    sealed = with_seal(SECRETS.audit, record.rpartition("request:")[2], version, body)
    await client.hset(record, "body", sealed)


async def forge(placet: Placet, forged: ApprovalRequest) -> None:
    """Puts another body below the seal that is there: all that writing to the store allows."""
    key = placet.store.keys.request(forged.id)
    async with placet.engine.client() as client:
        stored = await cast("Awaitable[bytes]", client.hget(key, "body"))
        body = forged.model_dump_json(exclude_defaults=True).encode()
        await client.hset(key, "body", stored[:LENGTH] + body)

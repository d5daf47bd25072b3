"""The checker of the fault tests finds what it is there to find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from approvals.model import Redemption, RequestId, event_id
from approvals.policy.loader import Configuration
from tests.calling_back import calling, postman
from tests.conftest import SECRETS, Placet
from tests.faults.invariants import Told, assert_invariants
from tests.rewriting import rewrite
from tests.servers.callback_receiver import CallbackReceiver
from tests.stories.telling import asks

Damage = Callable[[Placet, RequestId, Told], Awaitable[object]]


@pytest.fixture
def configuration(tmp_path: Path, receiver: CallbackReceiver) -> Configuration:
    return calling(tmp_path / "config", receiver.port)


@pytest.fixture
async def told(placet: Placet) -> AsyncIterator[Told]:
    """One request that has ended well, and was told so."""
    told = Told()
    request = await asks(placet, action="report.read")
    told.acknowledged("one", request.id)
    told.shown(request.id, "approved")
    async with postman(placet) as post:
        await post.goes_round()
        yield told


async def lost_entry(placet: Placet, _: RequestId, __: Told) -> None:
    run, log = placet.store.pipeline.run, placet.store.keys.log
    rows = cast("list[list[bytes]]", await run("XRANGE", log, "-", "+", "COUNT", 1))
    await run("XDEL", log, rows[0][0])


async def forged_entry(placet: Placet, _: RequestId, __: Told) -> None:
    text = [text async for text in placet.store.log.entries()][-1]
    await placet.store.pipeline.run(
        "XADD", placet.store.keys.log, "*", "e", text.replace(b"delivered", b"dead")
    )


async def other_bytes(placet: Placet, request: RequestId, _: Told) -> None:
    callback = placet.store.keys.callback(event_id(request, 1))
    await placet.store.pipeline.run("HSET", callback, "body", "{}")


async def lost_request(placet: Placet, request: RequestId, _: Told) -> None:
    await placet.store.pipeline.run("DEL", placet.store.keys.request(request))


async def lost_timer(placet: Placet, _: RequestId, __: Told) -> None:
    await placet.store.pipeline.run("DEL", placet.store.keys.queue("deadlines").due)


async def orphan(placet: Placet, _: RequestId, __: Told) -> None:
    await placet.store.pipeline.run("ZADD", placet.store.keys.pending, 1, "req_nobody")


async def another_end_told(_: Placet, request: RequestId, told: Told) -> None:
    told.shown(request, "denied")


async def one_key_twice(_: Placet, __: RequestId, told: Told) -> None:
    told.acknowledged("one", RequestId("req_other"))


async def unasked(placet: Placet, _: RequestId, __: Told) -> None:
    await asks(placet, action="report.read")


async def unaudited_use(placet: Placet, request: RequestId, _: Told) -> None:
    record = await placet.service.card_facts(request)
    assert record.grant
    use = Redemption(nonce="n", at=record.created_at)
    grant = record.grant.model_copy(update={"redemptions": (use,)})
    told = grant.model_dump(mode="json", exclude_defaults=True)
    async with placet.engine.client() as client:
        await rewrite(client, placet.store.keys.request(request), grant=told)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lost_entry, "I11"),
        (forged_entry, "I11"),
        (other_bytes, "I3"),
        (lost_request, "I1"),
        (lost_timer, "I12"),
        (orphan, "I12"),
        (another_end_told, "I2"),
        (one_key_twice, "I9"),
        (unasked, "I9"),
        (unaudited_use, "P5"),
    ],
)
@pytest.mark.parametrize("engine", ["fakeredis"], indirect=True)
async def test_every_damage_is_found(
    placet: Placet, receiver: CallbackReceiver, told: Told, damage: Damage, finding: str
) -> None:
    await assert_invariants(placet.store, told, receiver, audit_key=SECRETS.audit)
    await damage(placet, told.requests["one"], told)

    with pytest.raises(AssertionError, match=f"{finding}:"):
        await assert_invariants(placet.store, told, receiver, audit_key=SECRETS.audit)

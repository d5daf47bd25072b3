"""Durability `replica`: nothing is told as done before a second server has it."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from approvals import lifecycle
from approvals.act import Redeem
from approvals.ask import Ask
from approvals.change import Change
from approvals.commits import Commits
from approvals.errors import GrantUsed, NotConfirmed, StoreRefused
from approvals.granting import GrantService
from approvals.policy.loader import Configuration
from approvals.privacy.scanner import Scanner
from approvals.privacy.vault import Vault
from approvals.refusals import Refusals
from approvals.service import ApprovalService
from approvals.store.health import Demands
from approvals.store.scripts import Scripts
from approvals.store.store import Store
from approvals.words import Words
from tests.approvals.samples import opening
from tests.approvals.store.support import (
    Servers,
    commit_of,
    free_port,
    log_of,
    paused,
    wait_until,
)
from tests.configurations import ask as asking
from tests.conftest import CRM, RealServer, start_real_server

DEMANDS = Demands(durability="replica", replicas=1)


@dataclass
class Pair:
    """A primary, its replica, and a store that asks for both."""

    primary: RealServer
    replica: RealServer
    store: Store
    namespace: str
    at_primary: Redis
    at_replica: Redis

    async def opening(self, request: str = "req_1") -> tuple[Change, datetime]:
        now = await self.store.records.now()
        return lifecycle.open_request(opening(request), now), now


@pytest.fixture(scope="module")
def followed() -> Iterator[tuple[RealServer, RealServer]]:
    """A primary and its replica, linked: one pair for all, because linking takes a second."""
    port = str(free_port())
    with tempfile.TemporaryDirectory(prefix="placet-test-") as folder:
        directories = [Path(folder, name) for name in ("primary", "replica")]
        for directory in directories:
            directory.mkdir()
        primary = start_real_server(
            directories[0], "--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"
        )
        replica = start_real_server(directories[1], "--replicaof", "127.0.0.1", port)
        yield primary, replica
        for server in (primary, replica):
            server.process.kill()
            server.process.wait()


@pytest.fixture
async def pair(servers: Servers, followed: tuple[RealServer, RealServer]) -> Pair:
    primary, replica = followed
    at_replica = servers.client(replica)

    async def linked() -> bool:
        link = (await at_replica.info("replication"))["master_link_status"]
        return bool(link == "up")

    await wait_until(linked, "the replica followed its primary")
    namespace = "t" + uuid.uuid4().hex[:12]
    patient = timedelta(seconds=2)
    store = servers.store(primary, DEMANDS, confirm_within=patient, namespace=namespace)
    return Pair(primary, replica, store, namespace, servers.client(primary), at_replica)


def hasty(servers: Servers, pair: Pair) -> Store:
    """A store that waits for the replica no longer than a moment."""
    moment = timedelta(milliseconds=20)
    return servers.store(pair.primary, DEMANDS, confirm_within=moment, namespace=pair.namespace)


async def test_a_confirmed_commit_is_on_the_replica_when_it_is_answered(pair: Pair) -> None:
    change, now = await pair.opening()
    assert (await pair.store.records.open(change, now, None)).code == "OK"
    assert await pair.at_replica.exists(pair.store.keys.request(change.request.id))
    assert len(await log_of(pair.at_replica, pair.store.keys)) == 1


async def test_a_commit_the_replica_has_not_confirmed_is_recorded_and_not_told_as_done(
    servers: Servers, pair: Pair
) -> None:
    store = hasty(servers, pair)
    change, now = await pair.opening()
    with paused(pair.replica):
        with pytest.raises(NotConfirmed, match="Recorded"):
            await store.records.open(change, now, None)
        assert await pair.at_primary.exists(store.keys.request(change.request.id))
        with pytest.raises(NotConfirmed):
            await store.records.open(change, now, None)
    answer = await pair.store.records.open(change, now, None)
    assert (answer.code, answer.value) == ("DUP", "pending")
    assert len(await log_of(pair.at_primary, store.keys)) == 1
    assert await pair.at_replica.exists(store.keys.request(change.request.id))


async def test_a_repeat_is_not_told_as_done_either_before_the_replica_has_it(
    servers: Servers, pair: Pair
) -> None:
    store = hasty(servers, pair)
    change, now = await pair.opening()
    await pair.store.records.open(change, now, ("key", "body"))
    other = replace(change, request=change.request.model_copy(update={"id": "req_2"}))
    with paused(pair.replica):
        with pytest.raises(NotConfirmed):
            await store.records.open(change, now, ("key", "body"))
        with pytest.raises(NotConfirmed):
            await store.records.open(other, now, ("key", "body"))
    assert (await pair.store.records.open(other, now, ("key", "body"))).code == "EXISTS"


async def test_a_read_is_not_believed_before_the_replica_has_what_was_read(
    servers: Servers, pair: Pair
) -> None:
    store = hasty(servers, pair)
    change, now = await pair.opening()
    await pair.store.records.open(change, now, None)
    with paused(pair.replica), pytest.raises(NotConfirmed):
        await store.records.load(change.request.id)
    assert await pair.store.records.load(change.request.id)


async def test_a_short_count_fails_every_caller_of_the_batch(servers: Servers, pair: Pair) -> None:
    store = hasty(servers, pair)
    await store.records.now()
    with paused(pair.replica):
        calls = [store.pipeline.run("SET", f"n{n}", "1") for n in range(5)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotConfirmed}


async def test_a_refused_commit_needs_no_confirmation_of_its_own(pair: Pair) -> None:
    scripts = Scripts(pair.store.pipeline, pair.store.keys, confirm_reads=True)
    now = (await scripts.load(pair.store.keys.system)).now
    late = commit_of(pair.store.keys, now=now, valid_before=now)
    assert (await scripts.commit(late)).code == "LATE"


async def test_a_store_with_its_replica_is_fit(pair: Pair) -> None:
    await pair.store.health.require()
    assert pair.store.health.faults == ()


async def test_a_store_without_its_replica_is_refused_with_the_remedy(servers: Servers) -> None:
    store = servers.store(await servers.start(), Demands(durability="replica", replicas=2))
    with pytest.raises(StoreRefused) as refused:
        await store.health.require()
    assert "connected replicas are 0 of PLACET_WAIT_REPLICAS=2" in refused.value.detail
    assert "start the replicas" in refused.value.detail


async def test_a_redeem_the_replica_has_not_confirmed_is_one_use_for_the_nonce_sent_again(
    pair: Pair, configuration: Configuration
) -> None:
    store = pair.store
    service = ApprovalService(store, configuration)
    body = b"report"
    ask = Ask.parse(asking(action="report.read"))
    request = (await service.open(CRM, ask, body=body, idempotency_key=None)).request
    sent = Redeem.parse({"nonce": "mine", "digest": request.digest})
    looks = itertools.count(1)

    with ExitStack() as stack:

        def looked_up() -> Configuration:
            if next(looks) == 2:  # the record is read, and nothing is committed yet
                stack.enter_context(paused(pair.replica))
            return configuration

        refusals = Refusals(store.system, lambda: configuration.people)
        redeeming = GrantService(
            store,
            Commits(store.records),
            refusals,
            Words(
                Vault(store.subject_keys), Commits(store.records), Scanner(), lambda: configuration
            ),
            looked_up,
        )
        with pytest.raises(NotConfirmed):
            await redeeming.redeem(CRM, request.id, sent)
        with pytest.raises(NotConfirmed):
            await service.grants.redeem(CRM, request.id, sent)
        assert next(looks) > 2

    again = await service.grants.redeem(CRM, request.id, sent)
    assert (again.is_new, again.grant.status) == (False, "used")
    with pytest.raises(GrantUsed):
        await service.grants.redeem(CRM, request.id, sent.model_copy(update={"nonce": "yours"}))
    entries = [json.loads(text)["type"] async for text in store.log.entries()]
    assert entries.count("grant.redeemed") == 1

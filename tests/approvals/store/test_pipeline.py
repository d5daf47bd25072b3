"""One round trip for many callers: what hurts one hurts no other, and nothing is sent twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import TimeoutError as RedisTimeout

from approvals.errors import StoreUnavailable
from approvals.lifecycle import open_request
from approvals.store.pipeline import (
    MAX_QUEUED,
    Argument,
    CommandRefused,
    Pipeline,
    Reply,
    connection_pool,
)
from approvals.store.records import Records
from approvals.store.scripts import Scripts
from approvals.store.store import Store
from tests.approvals.samples import opening
from tests.approvals.store.support import (
    STANDS_AT,
    Servers,
    commit_of,
    log_of,
    paused,
    stop_the_clock,
    wait_until,
)
from tests.conftest import SECRETS, Engine

SHORT_S = 0.2


@pytest.fixture
async def pipeline(engine: Engine) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(engine.pool())
    yield pipeline
    await pipeline.close()


@pytest.fixture
async def narrow(engine: Engine) -> AsyncIterator[BlockingConnectionPool]:
    """A pool of one connection: who holds it holds up a pipeline."""
    wide = engine.pool()
    pool = BlockingConnectionPool(
        connection_class=wide.connection_class, max_connections=1, timeout=20,
        **wide.connection_kwargs,
    )  # fmt: skip
    yield pool
    await pool.aclose()
    await wide.aclose()


async def is_taken(pipeline: Pipeline) -> None:
    """Returns once the flusher has taken what was queued."""

    async def empty() -> bool:
        return not pipeline._queue

    await wait_until(empty, "the flusher took the batch")


async def test_each_caller_gets_its_own_reply(pipeline: Pipeline, engine: Engine) -> None:
    names = [f"{engine.namespace}:{n}" for n in range(100)]
    await asyncio.gather(*(pipeline.run("SET", name, name) for name in names))
    replies = await asyncio.gather(*(pipeline.run("GET", name) for name in names))
    assert replies == [name.encode() for name in names]
    await pipeline.run("DEL", *names)


async def test_a_bad_call_hurts_only_its_caller(pipeline: Pipeline, engine: Engine) -> None:
    name = engine.namespace
    replies = await asyncio.gather(
        pipeline.run("SET", name, "text"),
        pipeline.run("ZCARD", name),
        pipeline.run("NO-SUCH-COMMAND"),
        pipeline.run("GET"),
        pipeline.run("GET", name),
        return_exceptions=True,
    )
    assert isinstance(replies[1], CommandRefused)
    assert isinstance(replies[2], CommandRefused)
    assert isinstance(replies[3], CommandRefused)
    assert replies[4] == b"text"
    await pipeline.run("DEL", name)


@pytest.mark.parametrize("argument", ["\ud800", None], ids=["lone surrogate", "no text at all"])
async def test_what_cannot_be_packed_hurts_only_its_caller(
    pipeline: Pipeline, argument: str
) -> None:
    replies = await asyncio.gather(
        pipeline.run("PING"), pipeline.run("GET", argument), pipeline.run("PING"),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(replies[1], UnicodeEncodeError | TypeError)
    assert not isinstance(replies[0], BaseException)
    assert not isinstance(replies[2], BaseException)


async def test_five_hundred_calls_at_once_raise_nothing(store: Store) -> None:
    scripts = Scripts(store.pipeline, store.keys)
    loads = await asyncio.gather(*(scripts.load(store.keys.system) for _ in range(500)))
    assert len(loads) == 500
    assert {loaded.version for loaded in loads} == {0}


async def test_a_server_that_has_lost_its_scripts_is_given_them_again(
    store: Store, client: Redis
) -> None:
    scripts = Scripts(store.pipeline, store.keys)
    await stop_the_clock(client, store.keys)
    await client.script_flush()
    assert (await scripts.commit(commit_of(store.keys))).code == "OK"
    await client.script_flush()
    repeats = await asyncio.gather(*(scripts.commit(commit_of(store.keys)) for _ in range(20)))
    assert {answer.code for answer in repeats} == {"DUP"}
    assert len(await log_of(client, store.keys)) == 1


async def test_a_full_queue_refuses_at_once_and_serves_who_waits(
    narrow: BlockingConnectionPool,
) -> None:
    pipeline = Pipeline(narrow)
    held = await narrow.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    first = asyncio.create_task(pipeline.run("PING"))
    await asyncio.sleep(0)
    await is_taken(pipeline)
    waiting = [asyncio.create_task(pipeline.run("PING")) for _ in range(MAX_QUEUED)]
    await asyncio.sleep(0)
    refused = pipeline.run("PING")
    with pytest.raises(StoreUnavailable, match="busy"):
        refused.send(None)  # without one turn of the loop
    await narrow.release(held)
    assert len(await asyncio.gather(first, *waiting)) == MAX_QUEUED + 1


async def test_what_has_waited_too_long_is_not_sent(
    narrow: BlockingConnectionPool, client: Redis, engine: Engine
) -> None:
    pipeline = Pipeline(narrow, longest_wait_s=-1)
    fresh = Pipeline(narrow)
    held = await narrow.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    late = asyncio.create_task(pipeline.run("SET", engine.namespace, "text"))
    await asyncio.sleep(0)
    await narrow.release(held)
    with pytest.raises(StoreUnavailable, match="busy"):
        await late
    assert await fresh.run("GET", engine.namespace) is None


async def test_a_caller_who_left_before_sending_is_not_sent(
    narrow: BlockingConnectionPool, client: Redis, engine: Engine
) -> None:
    pipeline = Pipeline(narrow)
    held = await narrow.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    first = asyncio.create_task(pipeline.run("PING"))
    await asyncio.sleep(0)
    await is_taken(pipeline)
    leaving = asyncio.create_task(pipeline.run("SET", engine.namespace, "1"))
    staying = asyncio.create_task(pipeline.run("GET", engine.namespace))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    await narrow.release(held)
    await first
    assert await staying is None
    assert leaving.cancelled()


async def test_when_all_callers_have_left_the_pipeline_goes_on(
    narrow: BlockingConnectionPool,
) -> None:
    pipeline = Pipeline(narrow)
    held = await narrow.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    first = asyncio.create_task(pipeline.run("PING"))
    await asyncio.sleep(0)
    await is_taken(pipeline)
    leaving = [asyncio.create_task(pipeline.run("PING")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await narrow.release(held)
    await first
    assert await pipeline.run("PING")


async def test_a_pool_without_a_free_connection_fails_its_callers_and_serves_the_next(
    narrow: BlockingConnectionPool,
) -> None:
    pipeline = Pipeline(narrow)
    narrow.timeout = 0.05
    held = await narrow.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    with pytest.raises(StoreUnavailable):
        await pipeline.run("PING")
    await narrow.release(held)
    assert await pipeline.run("PING")


async def test_closing_waits_for_what_is_in_flight(engine: Engine) -> None:
    pipeline = Pipeline(engine.pool())
    last = asyncio.create_task(pipeline.run("PING"))
    await asyncio.sleep(0)
    await pipeline.close()
    assert last.done()
    assert await last
    unused = Pipeline(engine.pool())
    await unused.close()


async def test_a_caller_who_leaves_in_flight_stalls_nobody(servers: Servers) -> None:
    server = await servers.start()
    pipeline = Pipeline(servers.pool(server))
    await pipeline.run("PING")
    with paused(server):
        calls = [asyncio.create_task(pipeline.run("INCR", "n")) for _ in range(3)]
        await asyncio.sleep(0)
        await is_taken(pipeline)
        calls[1].cancel()
        await asyncio.sleep(0)
    assert await calls[0] == 1
    assert await calls[2] == 3
    assert calls[1].cancelled()


async def test_a_server_killed_in_mid_batch_releases_every_waiter(servers: Servers) -> None:
    server = await servers.start()
    pipeline = Pipeline(servers.pool(server))
    await pipeline.run("PING")
    with paused(server):
        calls = [asyncio.create_task(pipeline.run("INCR", "n")) for _ in range(200)]
        await asyncio.sleep(0)
        await is_taken(pipeline)
        calls += [asyncio.create_task(pipeline.run("INCR", "n")) for _ in range(400)]
        left = calls.pop(7)
        left.cancel()
        os.kill(server.process.pid, signal.SIGKILL)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert left.cancelled()
    with pytest.raises(StoreUnavailable, match="unknown"):
        await pipeline.run("PING")
    await servers.restart(server)
    assert await pipeline.run("PING") == b"PONG"


async def count_once_applied(client: Redis) -> int:
    """What the counter stands at when a server that was paused has read all it had been sent."""

    async def applied() -> bool:
        return await client.get("n") is not None

    await wait_until(applied, "the paused server applied what it had been sent")
    return int(await client.get("n") or 0)


async def test_a_time_out_means_unknown_and_the_command_is_not_sent_again(
    servers: Servers,
) -> None:
    server = await servers.start()
    pipeline = Pipeline(servers.pool(server, command_timeout_s=SHORT_S))
    await pipeline.run("PING")
    with paused(server), pytest.raises(StoreUnavailable, match="unknown"):
        await pipeline.run("INCR", "n")
    assert await count_once_applied(servers.client(server)) == 1


async def test_no_connection_of_ours_retries(servers: Servers) -> None:
    server = await servers.start()
    pool = servers.pool(server, command_timeout_s=SHORT_S)
    # Said, and not left to the default, which redis-py has changed before.
    assert pool.connection_kwargs["retry"]._retries == 0
    connection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py
    assert connection.retry._retries == 0
    # redis-py's own client obeys the connection: by its default one INCR counts several times.
    client = Redis(connection_pool=pool)
    await client.ping()
    with paused(server), pytest.raises(RedisTimeout):
        await client.incr("n")
    assert await count_once_applied(servers.client(server)) == 1


class Watched(Pipeline):
    """A pipeline that lets a test know how often an outcome was unknown."""

    unknown = 0

    async def run_all(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        try:
            return await super().run_all(commands)
        except StoreUnavailable:
            self.unknown += 1
            raise


async def test_a_commit_repeated_after_a_time_out_counts_once(servers: Servers) -> None:
    server = await servers.start()
    store = servers.store(server)
    watched = Watched(servers.pool(server, command_timeout_s=SHORT_S))
    scripts = Scripts(watched, store.keys)
    records = Records(watched, scripts, store.keys, SECRETS.audit, store.marks)
    await stop_the_clock(servers.client(server), store.keys)
    await records.now()  # the connection stands
    change = replace(open_request(opening(), STANDS_AT), guarded=False)

    async def timed_out() -> bool:
        return watched.unknown > 0

    with paused(server):
        committing = asyncio.create_task(records.open(change, STANDS_AT, None))
        await wait_until(timed_out, "the first try timed out")
    answer = await committing
    assert (answer.code in ("OK", "DUP"), answer.value in ("1", "pending")) == (True, True)
    repeated = await records.open(change, STANDS_AT, None)
    assert repeated.code == "DUP"
    stored = await store.records.load(change.request.id)
    assert stored is not None
    assert (stored.version, stored.entries) == (1, 1)
    assert len(await log_of(servers.client(server), store.keys)) == 1
    await watched.close()


async def test_a_commit_is_given_up_after_three_unknown_outcomes(servers: Servers) -> None:
    server = await servers.start()
    store = servers.store(server)
    watched = Watched(servers.pool(server))
    records = Records(watched, Scripts(watched, store.keys), store.keys, SECRETS.audit, store.marks)
    server.process.kill()
    server.process.wait()
    with pytest.raises(StoreUnavailable):
        await records.open(open_request(opening(), STANDS_AT), STANDS_AT, None)
    assert watched.unknown == 3


@pytest.mark.parametrize(
    "state",
    [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "min-replicas-to-write", "1")],
    ids=["demoted to a replica", "short of replicas"],
)
async def test_a_server_that_may_not_write_is_unavailable(
    servers: Servers, state: tuple[str, ...]
) -> None:
    server = await servers.start()
    store = servers.store(server)
    scripts = Scripts(store.pipeline, store.keys)
    now = (await scripts.load(store.keys.system)).now
    plain = Pipeline(servers.pool(server))
    await plain.run(*state)
    with pytest.raises(StoreUnavailable, match="cannot write"):
        await scripts.commit(commit_of(store.keys, now=now))


async def test_a_pool_s_settings_are_those_that_were_measured() -> None:
    settings = connection_pool("redis://127.0.0.1:1", command_timeout_s=1.5).connection_kwargs
    assert settings["socket_timeout"] == 1.5
    assert settings["protocol"] == 2
    assert settings["health_check_interval"] == 0


async def test_what_runs_together_is_answered_one_by_one(
    pipeline: Pipeline, engine: Engine
) -> None:
    name = engine.namespace
    replies = await pipeline.run_together([("SET", name, "text"), ("ZCARD", name), ("GET", name)])
    assert isinstance(replies[1], CommandRefused)
    assert replies[2] == b"text"
    assert await pipeline.run_together([]) == []


async def test_where_no_transaction_may_begin_each_is_told_what_became_of_it(
    servers: Servers,
) -> None:
    server = await servers.start("--rename-command", "MULTI", "")
    pipeline = Pipeline(servers.pool(server))
    replies = await pipeline.run_together([("SET", "k", "text"), ("ZCARD", "k"), ("GET", "k")])
    assert replies[2] == b"text"
    assert isinstance(replies[1], CommandRefused)
    await pipeline.close()


async def test_what_runs_together_and_is_refused_as_a_whole_is_refused_to_each(
    pipeline: Pipeline, engine: Engine
) -> None:
    replies = await pipeline.run_together([("SET", engine.namespace, "text"), ("NO-SUCH",)])
    assert all(isinstance(reply, CommandRefused) for reply in replies)
    assert len(replies) == 2
    assert await pipeline.run("GET", engine.namespace) is None

"""A store that may lose a decision is refused with the remedy, and a full one goes on deciding."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from approvals import lifecycle
from approvals.change import Voting
from approvals.errors import OtherKey, StoreFull, StoreRefused, StoreUnavailable
from approvals.events import CallbackAttempted
from approvals.model import ApprovalRequest, RequestId, event_id
from approvals.store.health import RECORDS, Demands, Durability, Health
from approvals.store.keys import Keys
from approvals.store.outbox import Outcome
from approvals.store.pipeline import Pipeline, connection_pool
from approvals.store.records import Lease, Stored
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.samples import ANNA, CLI, opening, policy
from tests.approvals.store.support import Servers, dump, free_port, log_of
from tests.conftest import SECRETS, RealServer

ATTEMPTED = CallbackAttempted(type="callback.delivered", attempt=1, status=204)


def faults_of(health: Health) -> str:
    return "\n".join(health.faults)


async def test_a_durable_server_is_fit(servers: Servers) -> None:
    store = servers.store(await servers.start(), Demands())
    await store.health.require()
    assert store.health.faults == ()
    store.health.check_opening()


WRONG: dict[str, tuple[tuple[str, ...], str, str]] = {
    "appendonly": (("--appendonly", "no"), "appendonly is no", "set appendonly yes"),
    "appendfsync": (
        ("--appendfsync", "everysec"),
        "appendfsync is everysec",
        "set appendfsync always",
    ),
    "no fsync during rewrites": (
        ("--no-appendfsync-on-rewrite", "yes"),
        "no-appendfsync-on-rewrite is yes",
        "set no-appendfsync-on-rewrite no",
    ),
    "eviction": (
        ("--maxmemory-policy", "allkeys-lru"),
        "maxmemory-policy is allkeys-lru",
        "set maxmemory-policy noeviction",
    ),
    "volatile eviction": (
        ("--maxmemory-policy", "volatile-ttl"),
        "maxmemory-policy is volatile-ttl",
        "set maxmemory-policy noeviction",
    ),
    "no CONFIG": (
        ("--rename-command", "CONFIG", ""),
        "appendfsync is unreadable",
        "allow CONFIG GET, or use PLACET_DURABILITY=replica",
    ),
    "replica": (
        ("--replicaof", "127.0.0.1", "{port}"),
        "role is slave",
        "point PLACET_REDIS_URL at the primary",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
async def test_a_wrong_setting_is_refused_by_name_value_and_remedy(
    servers: Servers, fault: str
) -> None:
    options, value, remedy = WRONG[fault]
    port = str(free_port())
    server = await servers.start(*(option.format(port=port) for option in options))
    store = servers.store(server, Demands())
    with pytest.raises(StoreRefused) as refused:
        await store.health.require()
    (told,) = refused.value.detail.splitlines()
    assert value in told
    assert remedy in told


async def test_all_faults_are_told_at_once(servers: Servers) -> None:
    server = await servers.start(
        "--appendonly", "no", "--appendfsync", "no", "--maxmemory-policy", "allkeys-lru"
    )
    store = servers.store(server, Demands())
    assert len(await store.health.check()) == 3


async def test_without_durability_only_what_deletes_decisions_is_refused(
    servers: Servers,
) -> None:
    server = await servers.start("--appendonly", "no", "--appendfsync", "no")
    assert await servers.store(server).health.check() == ()
    forgetful = await servers.start("--appendonly", "no", "--maxmemory-policy", "allkeys-lfu")
    (fault,) = await servers.store(forgetful).health.check()
    assert "maxmemory-policy is allkeys-lfu" in fault


async def test_a_setting_changed_while_running_is_found_and_its_repair_too(
    servers: Servers,
) -> None:
    server = await servers.start()
    store, admin = servers.store(server, Demands()), servers.client(server)
    assert await store.health.check() == ()
    await admin.config_set("appendfsync", "no")
    assert "appendfsync is no" in "\n".join(await store.health.check())
    with pytest.raises(StoreUnavailable):
        store.health.check_opening()
    with pytest.raises(StoreUnavailable):
        store.health.check_approving()
    await admin.config_set("appendfsync", "always")
    assert await store.health.check() == ()
    store.health.check_approving()


async def test_a_store_not_yet_checked_takes_nothing() -> None:
    health = Health(Pipeline(connection_pool("redis://127.0.0.1:1")), Keys("t"), {})
    with pytest.raises(StoreUnavailable):
        health.check_opening()
    with pytest.raises(StoreUnavailable):
        health.check_approving()


async def test_an_unreachable_store_cannot_be_checked() -> None:
    pool = connection_pool(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreRefused, match="cannot be checked: The store did not answer"):
        await Health(Pipeline(pool), Keys("t"), {}).require()
    await pool.aclose()


async def test_a_store_that_tells_nothing_of_itself_cannot_be_checked(servers: Servers) -> None:
    store = servers.store(await servers.start("--rename-command", "INFO", ""))
    (fault,) = await store.health.check()
    assert fault == "The store cannot be checked: The store refused a command (unknown)."


@asynccontextmanager
async def server_telling(info: str, fsync: str | None) -> AsyncIterator[str]:
    """A server whose INFO and appendfsync read as given: states no real one can be put into."""
    text = info.encode()
    setting = [b"appendfsync", fsync.encode()] if fsync else []
    config = b"*%d\r\n" % len(setting) + b"".join(
        b"$%d\r\n%s\r\n" % (len(part), part) for part in setting
    )
    replies = {
        b"INFO": b"$%d\r\n%s\r\n" % (len(text), text),
        b"CONFIG": config,
        b"TIME": b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n",
        b"GET": b"$-1\r\n",
        b"HMGET": b"*1\r\n$-1\r\n",
        b"EVALSHA": b"*0\r\n",
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                await reader.readline()
                words.append((await reader.readline()).strip())
            is_other = words[0] == b"CONFIG" and words[2] != b"appendfsync"
            writer.write(b"*0\r\n" if is_other else replies.get(words[0], b"+OK\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


SOUND = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "connected_slaves": "0",
}


@pytest.mark.parametrize(
    ("changes", "fsync", "durability", "told"),
    [
        ({}, "always", "local", None),
        ({"redis_version": "6.2.14"}, "always", "local", "version is 6.2.14; use Redis 7.0"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "always", "local", None),
        ({"aof_last_write_status": "err"}, "always", "local", "last write to the append-only"),
        ({}, None, "local", "appendfsync is unreadable"),
        ({"connected_slaves": "1"}, None, "replica", None),
        ({"connected_slaves": "1", "aof_enabled": "0"}, None, "replica", None),
        ({"connected_slaves": "1", "aof_enabled": "0"}, "no", "replica", "appendonly is no"),
        ({"aof_enabled": "0"}, "no", "none", None),
    ],
)
async def test_what_a_server_tells_of_itself_is_judged(
    changes: dict[str, str], fsync: str | None, durability: Durability, told: str | None
) -> None:
    info = "# Section\r\n" + "".join(f"{k}:{v}\r\n" for k, v in (SOUND | changes).items())
    async with server_telling(info, fsync) as url:
        pool = connection_pool(url)
        health = Health(Pipeline(pool), Keys("t"), {}, Demands(durability=durability))
        faults = await health.check()
        await pool.aclose()
    assert len(faults) == (told is not None)
    assert (told or "") in faults_of(health)


async def fill(admin: Redis) -> None:
    """From here on the server has no memory for anything."""
    await admin.config_set("maxmemory", 1)


async def opened(store: Store, request: str, expires_in: timedelta) -> Stored:
    now = await store.records.now()
    rule = policy(quick_approve=True)
    change = lifecycle.open_request(opening(request, expires_in=expires_in, under=rule), now)
    assert (await store.records.open(change, now, None)).code == "OK"
    stored = await store.records.load(RequestId(request))
    assert stored is not None
    return stored


async def test_at_85_percent_only_openings_are_refused(servers: Servers) -> None:
    server = await servers.start()
    store, admin = servers.store(server, Demands()), servers.client(server)
    used = int((await admin.info("memory"))["used_memory"])
    await admin.config_set("maxmemory", used * 2)
    assert await store.health.check() == ()
    store.health.check_opening()
    await admin.config_set("maxmemory", int(used * 1.1))
    assert await store.health.check() == ()
    assert ["85 % full" in warning for warning in store.health.warnings] == [True]
    with pytest.raises(StoreFull):
        store.health.check_opening()
    store.health.check_approving()


async def test_a_full_store_refuses_an_opening_and_keeps_no_trace_of_it(servers: Servers) -> None:
    server = await servers.start()
    store, admin = servers.store(server), servers.client(server)
    await opened(store, "req_1", timedelta(minutes=5))
    before = await dump(admin, store.keys)
    now = await store.records.now()
    await fill(admin)
    with pytest.raises(StoreFull):
        await store.records.open(lifecycle.open_request(opening("req_2"), now), now, ("k", "b"))
    assert await dump(admin, store.keys) == before


async def test_a_full_store_still_decides(servers: Servers) -> None:
    server = await servers.start()
    store, admin = servers.store(server), servers.client(server)
    for request, vote in (("req_1", "deny"), ("req_2", "approve")):
        stored = await opened(store, request, timedelta(minutes=5))
        await admin.config_set("maxmemory", 1)
        await admin.script_flush()
        voting = Voting(ANNA, CLI, vote, reason="Not needed")  # type: ignore[arg-type]  # a Vote
        change = lifecycle.review(stored.request, voting, stored.now)
        assert (await store.records.commit(stored, change, "op")).code == "OK"
        assert (await store.records.commit(stored, change, "op")).code == "DUP"
        await admin.config_set("maxmemory", 0)
    assert len(await log_of(admin, store.keys)) == 6


async def test_a_full_store_still_expires_claims_and_finishes(servers: Servers) -> None:
    server = await servers.start()
    store, admin = servers.store(server), servers.client(server)
    stored = await opened(store, "req_1", timedelta(milliseconds=1))
    await fill(admin)
    await admin.script_flush()
    lease, now = await _claimed_when_due(store, stored.request.id)
    stored = Stored(stored.request, stored.version, stored.entries, now)
    change = lifecycle.on_deadline(stored.request, now)
    assert change is not None
    assert (await store.records.commit(stored, change, "expire", lease)).code == "OK"
    assert (await _status(store, stored.request.id)).status == "expired"
    assert "deadlines:leased" not in await dump(admin, store.keys)

    claimed = await store.callbacks.claim()
    event = event_id(stored.request.id, 1)
    assert claimed.members == (event,)
    assert await store.callbacks.finish(event, claimed.lease_end, claimed.now)
    claimed = await store.callbacks.claim()
    callback = await store.outbox.callback(event)
    outcome = Outcome("delivered", ATTEMPTED, "delivered")
    assert await store.outbox.record_attempt(callback, claimed.lease_end, outcome)


async def _claimed_when_due(store: Store, request: RequestId) -> tuple[Lease, datetime]:
    while True:
        claimed = await store.deadlines.claim()
        if claimed.members:
            assert claimed.members == (request,)
            return Lease(request, claimed.lease_end), claimed.now


async def _status(store: Store, request: RequestId) -> ApprovalRequest:
    stored = await store.records.load(request)
    assert stored is not None
    return stored.request


async def test_a_clock_that_is_behind_is_told_with_its_remedy_but_keeps_no_process_down(
    servers: Servers,
) -> None:
    store = servers.store(await servers.start())
    await store.health.require()
    ahead = await store.records.now() + timedelta(hours=1)
    await store.pipeline.run("SET", store.keys.clock, str(millis(ahead)))

    await store.health.require()

    (fault,) = store.health.faults
    assert "placet clock reset" in fault
    with pytest.raises(StoreUnavailable):
        store.health.check_opening()


KEYS, CHANNELS, COMMANDS = "~{placet:own}:*", "&{placet:own}:*", "+@all"


async def told_of_user(servers: Servers, *rights: str) -> tuple[str, ...]:
    """What a look with these rights of the store's ACL finds."""
    server = await servers.start()
    await servers.client(server).execute_command(  # type: ignore[no-untyped-call]  # redis-py
        "ACL", "SETUSER", "placet", "on", ">word", "resetchannels", *rights
    )
    pool = connection_pool(f"{server.url}?username=placet&password=word")
    store = Store.over(pool, "own", SECRETS, Demands())
    servers.stores.append(store)
    return await store.health.check()


@pytest.mark.parametrize(
    ("rights", "refused"),
    [
        ((KEYS, COMMANDS), "PUBLISH"),
        ((KEYS, CHANNELS, COMMANDS, "-xadd"), "XADD"),
        ((KEYS, CHANNELS, COMMANDS, "-zadd", "-set"), "ZADD, SET"),
        ((KEYS, CHANNELS, COMMANDS, "-hdel"), "HDEL"),
    ],
)
async def test_a_user_without_the_rights_that_commits_need_is_refused(
    servers: Servers, rights: tuple[str, ...], refused: str
) -> None:
    (fault,) = await told_of_user(servers, *rights)
    assert fault.startswith(f"the store refuses {refused} within scripts")
    assert "&{placet:own}:*" in fault
    assert await servers.client(servers.started[-1]).keys("*") == []


async def test_a_user_with_the_rights_that_readme_names_is_fit(servers: Servers) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    (rights,) = re.findall(r"`(~\{placet:default\}:\* [^`]+)`", readme)
    own = rights.replace("default", "own").split()
    assert await told_of_user(servers, *own) == ()
    store = servers.stores[-1]
    await store.health.require()
    await opened(store, "req_1", timedelta(minutes=5))
    assert (await store.deadlines.claim()).members == ()
    assert [entry async for entry in store.log.entries()]


async def test_a_user_of_another_namespace_is_not_fit(servers: Servers) -> None:
    (fault,) = await told_of_user(servers, "~{placet:other}:*", CHANNELS, COMMANDS)
    assert "cannot be checked" in fault


async def test_a_look_at_the_rights_leaves_nothing_behind(servers: Servers) -> None:
    server = await servers.start()
    store = servers.store(server, Demands())
    assert await store.health.check() == ()
    assert await servers.client(server).keys("*") == []


def with_another_audit_key(servers: Servers, server: RealServer) -> Store:
    mine = replace(SECRETS, audit=b"another audit key, 32 bytes long")
    store = Store.over(servers.pool(server), "own", mine, Demands())
    servers.stores.append(store)
    return store


async def test_a_process_with_other_keys_than_the_deployments_is_refused(servers: Servers) -> None:
    server = await servers.start()
    await servers.store(server).health.require()
    with pytest.raises(OtherKey, match="PLACET_AUDIT_KEY is not the key"):
        await with_another_audit_key(servers, server).health.require()


async def test_looks_at_the_same_time_hinder_each_other_in_nothing(servers: Servers) -> None:
    store = servers.store(await servers.start(), Demands())
    looks = await asyncio.gather(*(store.health.check() for _ in range(50)))
    assert set(looks) == {()}
    store.health.check_keys()


async def test_of_two_first_processes_with_other_keys_one_wins(servers: Servers) -> None:
    server = await servers.start()
    mine, other = servers.store(server), with_another_audit_key(servers, server)
    done = await asyncio.gather(
        mine.health.require(), other.health.require(), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in done) == ["NoneType", "OtherKey"]
    winner, loser = (mine, other) if done[0] is None else (other, mine)
    await winner.health.require()
    with pytest.raises(OtherKey):
        await loser.health.require()


@pytest.mark.parametrize("form", [None, b"1", b"2", b"4"])
async def test_records_of_another_form_are_not_begun_with(
    servers: Servers, form: bytes | None
) -> None:
    server = await servers.start()
    store = servers.store(server)
    await store.health.require()
    client = servers.client(server)
    await client.hdel(store.keys.fingerprints, RECORDS)
    if form is not None:
        await client.hset(store.keys.fingerprints, RECORDS, form)
    with pytest.raises(StoreRefused, match="begin with an empty store"):
        await servers.store(server).health.require()


@pytest.mark.parametrize("seen", [b"9" * 5000, b"soon", b"\xff"])
async def test_a_time_that_is_none_is_no_time(servers: Servers, seen: bytes) -> None:
    server = await servers.start()
    store = servers.store(server, Demands())
    await servers.client(server).set(store.keys.clock, seen)
    assert await store.health.check() == ()


async def test_other_keys_are_found_on_an_unfit_store_too(servers: Servers) -> None:
    server = await servers.start()
    await servers.store(server).health.require()
    await servers.client(server).config_set("appendfsync", "no")
    foreign = with_another_audit_key(servers, server).health
    assert len(await foreign.check()) == 2
    with pytest.raises(OtherKey):
        foreign.check_keys()


async def test_a_look_alone_leaves_no_key_behind(servers: Servers) -> None:
    server = await servers.start()
    mistaken = with_another_audit_key(servers, server).health
    assert await mistaken.check() == ()
    mistaken.check_keys()
    await servers.store(server).health.require()


async def test_keys_that_cannot_be_compared_count_as_wrong() -> None:
    health = Health(Pipeline(connection_pool("redis://127.0.0.1:1")), Keys("t"), {})
    await health.check()
    with pytest.raises(StoreUnavailable, match="cannot be checked"):
        health.check_keys()


@pytest.mark.parametrize(
    ("ahead_s", "told"),
    [(0, None), (29, None), (31, "31 s behind this host's"), (-31, "31 s ahead of this host's")],
)
async def test_a_host_whose_clock_is_off_is_warned(
    servers: Servers, ahead_s: int, told: str | None
) -> None:
    server = await servers.start()
    seconds, micros = await servers.client(server).time()
    host = seconds + micros / 1e6 + ahead_s
    pool = servers.pool(server)
    health = Health(Pipeline(pool), Keys("t"), {"K": "mark"}, Demands(), lambda: host)
    assert await health.check() == ()
    assert len(health.warnings) == (told is not None)
    assert (told or "") in "".join(health.warnings)


async def test_what_trials_do_without_is_a_warning(servers: Servers) -> None:
    server = await servers.start("--appendonly", "no", "--appendfsync", "no")
    store = servers.store(server)
    assert await store.health.check() == ()
    assert [warning.split(",")[0] for warning in store.health.warnings] == [
        "appendonly is no",
        "appendfsync is no",
    ]

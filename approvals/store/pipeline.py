"""Commands that arrive together share one round trip on one connection.

Nothing below retries: a lost connection means "unknown" to every waiter, and only who holds an
operation id may ask again. Knows no script and no key.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from approvals.errors import NotConfirmed, StoreFull, StoreUnavailable

Argument = str | bytes | int
Reply = object
# Packed commands of one caller, where their replies go, and until when they may begin.
_Waiting = tuple[list[bytes], asyncio.Future[list[Reply]], float]

MAX_QUEUED = 4096  # about a second of work at the rates measured; beyond it, callers get 503
LONGEST_WAIT_S = 1.0  # on a slower store; the time that a decision was made on is old by then
MAX_BATCH = 256
IN_FLIGHT = 8
COMMAND_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 2.0
# What a sound command is refused with while the server is a replica, cut off, busy or out of disk.
_SERVER_STATES = (ReadOnlyError, MasterDownError, ClusterDownError, TryAgainError)
_SERVER_CODES = ("MISCONF ", "NOREPLICAS ", "BUSY ")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Durability `replica`: how many replicas must confirm each batch, and how soon."""

    replicas: int
    within_ms: int


def connection_pool(
    url: str, max_connections: int = 16, *, command_timeout_s: float = COMMAND_TIMEOUT_S
) -> BlockingConnectionPool:
    """A pool whose connections never retry: redis-py's default applied one INCR twice."""
    return BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=command_timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        health_check_interval=0,
        protocol=2,
    )


class Pipeline:
    """A few batches in flight, each on a connection of its own; what arrives meanwhile waits.

    Callers work while the server does, and one fsync of the server serves several connections.
    Commands of different calls keep no order: who needs one after the other awaits it.
    """

    def __init__(
        self,
        pool: BlockingConnectionPool,
        confirmation: Confirmation | None = None,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._longest_wait_s = longest_wait_s
        self._pool = pool
        self._confirmation = confirmation
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._flushers: set[asyncio.Task[None]] = set()

    async def run(self, *command: Argument) -> Reply:
        """The reply to one command.

        Raises `StoreUnavailable` (busy, unreachable, or the outcome is unknown), `StoreFull`,
        `NotConfirmed`, `CommandRefused`.
        """
        (reply,) = await self.run_all([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def run_all(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """The replies to several commands, in order; a refused one's reply is the error itself.

        Raises as `run` does where none of the replies is known.
        """
        if not commands:
            return []
        if self._queued >= MAX_QUEUED:
            raise _busy()
        # Packed here, so that what cannot be packed hurts its own caller and no batch.
        packed = [_packed(command) for command in commands]
        loop = asyncio.get_running_loop()
        replies: asyncio.Future[list[Reply]] = loop.create_future()
        self._queue.append((packed, replies, loop.time() + self._longest_wait_s))
        self._queued += len(packed)
        if len(self._flushers) < IN_FLIGHT:
            flusher = asyncio.create_task(self._flush())
            self._flushers.add(flusher)
            flusher.add_done_callback(self._flushers.discard)
        return await replies

    async def run_together(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """As `run_all`, in one transaction: the server then makes one fsync for all of them.

        Without it a server with fsync `always` makes one for each 16 KiB that it reads.
        """
        if not commands:
            return []
        begun, *alone, result = await self.run_all([("MULTI",), *commands, ("EXEC",)])
        if isinstance(result, list):
            return [_told(answer) for answer in result]
        if isinstance(begun, Exception):
            return alone  # not begun, so each has run by itself
        return [result for _ in commands]  # refused as a whole: nothing of it was done

    async def close(self) -> None:
        """Waits for what is in flight, then closes the connections."""
        if self._flushers:
            await asyncio.wait(self._flushers)
        await self._pool.aclose()

    async def _flush(self) -> None:
        while self._queue:
            live = self._next_batch()
            if not live:
                continue
            try:
                answers = await self._send([packed for group, *_ in live for packed in group])
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                _fail_all(live, error)
            else:
                _answer_all(live, answers)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size, now = 0, asyncio.get_running_loop().time()
        while self._queue and size < MAX_BATCH:
            waiting = self._queue.popleft()
            commands, replies, until = waiting
            self._queued -= len(commands)
            if replies.done():  # who has stopped waiting was not answered: it need not run
                continue
            if until < now:
                replies.set_exception(_busy())
                continue
            batch.append(waiting)
            size += len(commands)
        return batch

    async def _send(self, commands: list[bytes]) -> list[Reply]:
        if self._confirmation:
            wait = ("WAIT", self._confirmation.replicas, self._confirmation.within_ms)
            commands = [*commands, _packed(wait)]
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
        try:
            await connection.send_packed_command(b"".join(commands), check_health=False)
            answers = [await _read(connection) for _ in commands]
        except BaseException:
            # Replies may still be on their way: this connection can never be used again.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)
        if self._confirmation:
            _check_confirmed(answers.pop(), self._confirmation)
        return answers


def raise_first(replies: Sequence[Reply]) -> None:
    """Raises the first error among the replies of `run_all`."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _packed(command: Sequence[Argument]) -> bytes:
    # hiredis packs eight times faster than redis-py; its stub names a tuple of one item only.
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type]
    return packed


async def _read(connection: Connection) -> Reply:
    try:
        reply: Reply = await connection.read_response()
    except ResponseError as error:  # the reply to one command, and to its caller alone
        return error
    return reply


def _is_about_the_server(error: ResponseError) -> bool:
    return isinstance(error, _SERVER_STATES) or str(error).startswith(_SERVER_CODES)


class CommandRefused(StoreUnavailable):
    """The store answered one command with an error: a narrow ACL, or a key of another type."""


class _Unconfirmed(RedisError):
    pass


def _check_confirmed(reply: Reply, confirmation: Confirmation) -> None:
    if not isinstance(reply, int) or reply < confirmation.replicas:
        raise _Unconfirmed


def _busy() -> StoreUnavailable:
    return StoreUnavailable("The store is busy. Try again in a second.")


def _fail_all(batch: list[_Waiting], error: BaseException) -> None:
    for _, reply, _ in batch:
        if reply.done():
            continue
        if isinstance(error, _Unconfirmed):
            text = "Recorded, but not yet confirmed by the replicas. Repeat it: it counts once."
            reply.set_exception(NotConfirmed(text))
        else:
            text = f"The store did not answer ({type(error).__name__}); the outcome is unknown."
            reply.set_exception(StoreUnavailable(text))


def _answer_all(batch: list[_Waiting], answers: list[Reply]) -> None:
    rest = iter(answers)
    for commands, replies, _ in batch:
        told = [_told(answer) for answer in islice(rest, len(commands))]
        if not replies.done():
            replies.set_result(told)


def _told(answer: Reply) -> Reply:
    if isinstance(answer, OutOfMemoryError):
        return StoreFull("The store has no memory left for new requests.")
    if isinstance(answer, NoScriptError) or not isinstance(answer, ResponseError):
        return answer
    if _is_about_the_server(answer):
        return StoreUnavailable(f"The store cannot write at present ({type(answer).__name__}).")
    # The first word of a reply is its code; the rest may quote what was sent.
    code = str(answer).split(" ", 1)[0]
    return CommandRefused(f"The store refused a command ({code[:20]}).")

"""One typed function per Lua script. Nobody else knows the order of their KEYS and ARGV."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Literal, cast

from pydantic_core import to_json
from redis.exceptions import NoScriptError

from approvals.errors import StoreUnavailable
from approvals.store.keys import Keys, Queue
from approvals.store.pipeline import Argument, CommandRefused, Pipeline, Reply
from approvals.store.times import from_millis, millis

Call = tuple[Sequence[str], Sequence[Argument]]  # KEYS and ARGV
Command = Sequence[Argument]
Code = Literal[
    "OK",
    "DUP",
    "EXISTS",
    "RACE",
    "STALE",
    "BEHIND",
    "LATE",
    "REKEYED",
    "SAME",
    "CROWDED",
    "INVALID",
]
# A verb of commit.lua with its key or queue by name; a None is the frozen bytes, or no time.
Write = tuple[str | None, ...]
NO_KEY = ("publish",)
QUEUE_VERBS = ("schedule", "unschedule", "finish", "release")


class UnreadableRecord(StoreUnavailable):
    """What is stored is no record, or was made by a version too new: nothing is decided on it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What commit.lua answered: a code, its value, and the time of the commit."""

    code: Code
    value: str
    at: datetime

    def possible(self) -> Answer:
        """The answer itself, or `CommandRefused` where no repeat could change it."""
        if self.code != "INVALID":
            return self
        # A key of another kind is the store's fault, a write that is not well formed is ours.
        raise CommandRefused(f"The store refused a commit: its {self.value} is not what it must be")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What load.lua read. `version` 0 and no body when there is no record, -1 for what is none."""

    version: int
    entries: int
    body: bytes
    now: datetime
    behind: timedelta


@dataclass(frozen=True, slots=True)
class Claimed:
    """Leased members of a queue. `wait` until the next is due; None when nothing waits."""

    now: datetime
    wait: timedelta | None
    lease_end: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """How a budget stands; `wait` until one is there again, where none was and one was wanted."""

    left: int
    full_in: timedelta
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Taken:
    """What take_budget.lua found. Unless `is_enough`, nothing was taken from any budget.

    `used` is what the idempotency key holds, None where it was not used.
    """

    is_enough: bool
    used: str | None
    now: datetime
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """What an opening has to find first, keys by name.

    `most` may stand in `crowd`, None for any number; a member `<likeness>:<request id>` of it that
    is not overdue by `deadlines` is answered in place of a new one, None for never.
    """

    crowd: str
    deadlines: str
    most: int | None
    likeness: str | None


@dataclass(frozen=True, slots=True)
class Keyed:
    """Under which wrapped key the words of an opening stand: it is still held, or put now.

    `name` is a key of the store. Without it an erasure meanwhile would leave words that nobody
    can read, and of two new keys of one subject one would be lost.
    """

    name: str
    wrapped: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """The arguments of commit.lua, keys by name.

    `expect` is the version decided on, None to open a record whose id is `op`.
    `writes` are `(verb, key or queue, ...)` with every value as text; a None is the frozen bytes.
    """

    op: str
    record: str
    expect: int | None
    now: datetime
    result: str
    entry: int
    entries: tuple[bytes, ...] = ()
    body: bytes = b""
    frozen: bytes = b""
    valid_before: datetime | None = None
    guarded: bool = False
    idempotency: tuple[str, str] | None = None
    room: Room | None = None
    keyed: Keyed | None = None
    writes: tuple[Write, ...] = ()


def _source(name: str) -> str:
    lua = files("approvals.store") / "lua"
    return (lua / "queue.lua").read_text() + "\n" + (lua / f"{name}.lua").read_text()


class Script:
    """A script by its SHA-1, loaded on the server when it is missing there."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self._pipeline = pipeline
        self._source = _source(name)
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, keys: Sequence[str], arguments: Sequence[Argument]) -> list[bytes]:
        """The script's answer."""
        (answer,) = await self.run_all([(keys, arguments)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run_all(self, calls: Sequence[Call]) -> list[list[bytes] | Exception]:
        """The answers to several calls sent together; a failed one's answer is its error."""
        return await self._send_all(calls, self._pipeline.run_all)

    async def run_together(self, calls: Sequence[Call]) -> list[list[bytes] | Exception]:
        """As `run_all`, in one transaction and with one fsync."""
        return await self._send_all(calls, self._pipeline.run_together)

    async def _send_all(
        self, calls: Sequence[Call], send: Callable[[list[Command]], Awaitable[list[Reply]]]
    ) -> list[list[bytes] | Exception]:
        commands: list[Command] = [
            ("EVALSHA", self._sha, len(keys), *keys, *arguments) for keys, arguments in calls
        ]
        answers = await send(commands)
        missed = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missed:  # these did not run: a new or failed-over server has no scripts yet
            await self._pipeline.run("SCRIPT", "LOAD", self._source)
            again = await self._pipeline.run_all([commands[i] for i in missed])
            for i, answer in zip(missed, again, strict=True):
                answers[i] = answer
        return cast("list[list[bytes] | Exception]", answers)


class Scripts:
    """The scripts of one deployment."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, confirm_reads: bool = False) -> None:
        self._keys = keys
        self._confirm = "1" if confirm_reads else "0"
        self._commit = Script(pipeline, "commit")
        self._load = Script(pipeline, "load")
        self._claim = Script(pipeline, "claim_due")
        self._finish = Script(pipeline, "finish_due")
        self._schedule = Script(pipeline, "schedule_due")
        self._put_ref = Script(pipeline, "put_ref")
        self._take = Script(pipeline, "take_budget")
        self._probe = Script(pipeline, "probe")

    async def commit(self, commit: Commit) -> Answer:
        """Applies a Change, all or none."""
        return _answer(await self._commit.run(*self._call(commit)))

    async def commit_all(self, commits: Sequence[Commit]) -> list[Answer | Exception]:
        """Applies Changes of different records in one round trip, each all or none."""
        answers = await self._commit.run_together([self._call(commit) for commit in commits])
        return [a if isinstance(a, Exception) else _answer(a) for a in answers]

    async def load(self, record: str) -> Loaded:
        """One record and the time a decision on it may use, in one round trip."""
        (loaded,) = await self.load_all([record])
        return loaded

    async def load_all(self, records: Sequence[str]) -> list[Loaded]:
        """Several records, at least one, and the time a decision on them may use."""
        keys = (self._keys.clock, *records)
        now, behind, *fields = await self._load.run(keys, (self._confirm,))
        at, late = from_millis(now), timedelta(milliseconds=int(behind))
        threes = zip(*[iter(fields)] * 3, strict=True)
        return [
            Loaded(_whole(version or b"0"), _whole(entries), body, at, late)
            for version, entries, body in threes
        ]

    async def confirm(self, record: str) -> None:
        """After a plain read under durability `replica`: proves that what was read will last."""
        if self._confirm == "1":
            await self.load(record)

    def _call(self, commit: Commit) -> Call:
        keys = _KeyList(self._keys, commit.record)
        idempotency, room, keyed = commit.idempotency, commit.room, commit.keyed
        head = {
            "op": commit.op,
            "expect": commit.expect,
            "now": millis(commit.now),
            "valid_before": millis(commit.valid_before) if commit.valid_before else None,
            "guarded": commit.guarded,
            "entry": commit.entry,
            "idem": [keys.place(idempotency[0]), idempotency[1]] if idempotency else None,
            "room": keys.of_room(room) if room else None,
            "keyed": [keys.place(keyed.name), keyed.wrapped, keyed.is_new] if keyed else None,
            "result": commit.result,
            "writes": [keys.numbered(write) for write in commit.writes],
        }
        return keys.names, [to_json(head), commit.body, commit.frozen, *commit.entries]

    async def claim_due(self, queue: Queue, most: int, lease: timedelta) -> Claimed:
        """Leases up to `most` due members for `lease`."""
        names = self._keys.queue(queue)
        keys = (names.due, names.leased, names.again, self._keys.clock)
        micros = lease // timedelta(microseconds=1)
        now, wait, lease_end, *members = await self._claim.run(keys, (most, micros))
        return Claimed(
            now=from_millis(now),
            wait=timedelta(milliseconds=int(wait)) if wait else None,
            lease_end=lease_end.decode(),
            members=tuple(member.decode(errors="replace") for member in members),
        )

    async def probe(self) -> tuple[str, ...]:
        """The commands that commits need and the server refuses, each once."""
        channels = (self._keys.wake_channel, self._keys.settled_channel)
        refused = await self._probe.run((self._keys.probe,), channels)
        return tuple(dict.fromkeys(name.decode() for name in refused))

    async def finish_due(
        self, queue: Queue, member: str, lease_end: str, next_try: datetime | None = None
    ) -> bool:
        """Gives back a lease; False when it had passed to somebody else."""
        (held,) = await self._finish.run(*self._finishing(queue, member, lease_end, next_try))
        return held == b"1"

    async def schedule_due(self, queue: Queue, member: str) -> None:
        """Makes a member due now, or as soon as its holder gives it back."""
        names = self._keys.queue(queue)
        keys = (names.due, names.leased, names.again, self._keys.clock)
        await self._schedule.run(keys, (member,))

    async def put_ref(self, refs: str, field: str, known: bytes, value: bytes) -> bytes:
        """Puts a field that still holds `known` (b'' = nothing); answers what it holds then."""
        (held,) = await self._put_ref.run((refs,), (field, known, value))
        return held

    async def take_budgets(self, limits: Mapping[str, int], idempotency: str | None) -> Taken:
        """Takes one from each budget (key → its limit a minute), or from none.

        Where the key `idempotency` is used, the first budget alone is taken from.
        """
        keys = (self._keys.clock, *limits, *([idempotency] if idempotency else []))
        code, value, now, *figures = await self._take.run(keys, tuple(limits.values()))
        if code == b"INVALID":
            raise CommandRefused(f"The store refused a budget: its {value.decode()} is wrong")
        levels = (
            Level(int(left), timedelta(milliseconds=int(full)), timedelta(milliseconds=int(wait)))
            for left, full, wait in zip(*[iter(figures)] * 3, strict=True)
        )
        used = value.decode(errors="replace") if value else None
        return Taken(code == b"OK", used, from_millis(now), tuple(levels))

    async def finish_all(
        self, queue: Queue, lease_end: str, next_tries: Mapping[str, datetime | None]
    ) -> None:
        """Gives back leases of one claim in one round trip; what fails comes back by itself."""
        calls = [self._finishing(queue, member, lease_end, at) for member, at in next_tries.items()]
        await self._finish.run_together(calls)

    def _finishing(
        self, queue: Queue, member: str, lease_end: str, next_try: datetime | None
    ) -> Call:
        names = self._keys.queue(queue)
        next_at = str(millis(next_try)) if next_try else ""
        return (names.due, names.leased, names.again), (member, lease_end, next_at)


def _whole(text: bytes) -> int:
    """A whole number, or -1 for what is none: then somebody else wrote it."""
    return int(text) if text.isdigit() and len(text) < 16 else -1


def _answer(reply: list[bytes]) -> Answer:
    code, value, at = reply
    return Answer(cast("Code", code.decode()), value.decode(), from_millis(at))


class _KeyList:
    """KEYS of one commit: the three fixed ones, then each named key once."""

    def __init__(self, keys: Keys, record: str) -> None:
        self._keys = keys
        self.names = [record, keys.log, keys.clock]
        self._places = {name: place for place, name in enumerate(self.names, 1)}

    def place(self, name: str) -> int:
        """The index of a key, added when it is new."""
        if name not in self._places:
            self.names.append(name)
            self._places[name] = len(self.names)
        return self._places[name]

    def of_room(self, room: Room) -> list[str | int | None]:
        """A room with its keys' indexes in place of the names."""
        return [self.place(room.crowd), self.place(room.deadlines), room.most, room.likeness]

    def numbered(self, write: Write) -> list[str | int | None]:
        """A write with its key's index in place of the name."""
        verb, key = write[0], cast("str", write[1])
        if verb in NO_KEY:
            return list(write)
        place = self._queue(cast("Queue", key)) if verb in QUEUE_VERBS else self.place(key)
        return [verb, place, *write[2:]]

    def _queue(self, queue: Queue) -> int:
        names = self._keys.queue(queue)
        if names.due not in self._places:
            for name in (names.due, names.leased, names.again):
                self.place(name)
        return self._places[names.due]

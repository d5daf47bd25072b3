"""The `system` record: what concerns no single request, such as a right that was refused.

One task per process writes it, several entries per commit: with many writers on one record some
would give up. Nobody waits for it, so nothing here may fail a caller.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from approvals.errors import StoreFailure, StoreUnavailable
from approvals.events import (
    ClockReset,
    Event,
    PolicyActivated,
    RightRefused,
    RightsRefusedMore,
    SubjectErased,
)
from approvals.model import Encrypted
from approvals.store.keys import QUEUES, Keys
from approvals.store.log import EntryPlace, seal_entry
from approvals.store.policies import Policies
from approvals.store.records import insist
from approvals.store.scripts import Commit, Loaded, Scripts, Write

RECORD = "system"
ENTRIES_PER_COMMIT = 50
MOST_QUEUED = 5000
MOST_TRIES = 20
WRITTEN_PER_MINUTE = 10  # refusals of one actor; more are counted, so that nobody floods the log

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Note:
    """A fact for the log; `words`, why a person did it, stay in the record."""

    event: Event
    words: Encrypted | None = None


@dataclass(slots=True)
class _Minute:
    began: float
    refusals: int = 0

    @property
    def unwritten(self) -> int:
        return max(0, self.refusals - WRITTEN_PER_MINUTE)


class SystemRecord:
    """Takes notes at once and writes them soon; `close` writes what is left."""

    def __init__(self, scripts: Scripts, keys: Keys, audit_key: bytes) -> None:
        self._scripts = scripts
        self._keys = keys
        self._audit_key = audit_key
        self._queue: deque[_Note] = deque(maxlen=MOST_QUEUED)
        self._batch: tuple[str, Sequence[_Note]] | None = None
        self._minutes: dict[str, _Minute] = {}
        self._writer: asyncio.Task[None] | None = None

    def note(self, event: Event, words: Encrypted | None = None) -> None:
        """Queues one entry. `words`, why a person did it, stay in the record beside its number."""
        self._queue.append(_Note(event, words))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    def note_refusal(self, refusal: RightRefused) -> None:
        """Queues a refused right; the eleventh and later ones of an actor's minute are counted."""
        minute = self._minutes.get(refusal.actor)
        if minute is None or monotonic() - minute.began >= 60:
            self._close_minute(refusal.actor)
            minute = self._minutes[refusal.actor] = _Minute(monotonic())
        minute.refusals += 1
        if minute.refusals <= WRITTEN_PER_MINUTE:
            self.note(refusal)

    async def reset_clock(self, event: ClockReset, words: Encrypted) -> None:
        """Sets the time seen back to the server's clock, and makes everything waiting due at once.

        For a clock that once ran ahead and was put right: until then the store's time stands.
        """
        writes: list[Write] = [("reset_clock", self._keys.clock)]
        writes += [("release", queue) for queue in QUEUES]
        writes += [("publish", self._keys.wake_channel, queue) for queue in QUEUES]
        op, notes = _new_op(), [_Note(event, words)]
        await insist(lambda: self._commit(op, notes, tuple(writes)))

    async def forget_subject(self, event: SubjectErased, words: Encrypted, name: str) -> None:
        """Deletes the wrapped key called `name`, in the commit that says so."""
        op, notes = _new_op(), [_Note(event, words)]
        write: Write = ("forget", self._keys.vault(name))
        await insist(lambda: self._commit(op, notes, (write,)))

    async def activate(self, policies: Policies, version: str) -> None:
        """Makes `version` the deployment's policy: entry and name in one commit, by who is first.

        The version of this record is read before the name, and every change of the name raises it:
        so of several processes one makes the entry, and the others find it made.
        """
        op = _new_op()
        await insist(lambda: self._activate(op, policies, version))

    async def _activate(self, op: str, policies: Policies, version: str) -> None:
        for _ in range(MOST_TRIES):
            loaded = await self._scripts.load(self._keys.system)
            previous = await policies.active()
            if previous == version:
                return
            note = _Note(PolicyActivated(version=version, previous=previous))
            name: Write = ("hset", self._keys.active_policy, "version", version)
            if await self._commit_on(loaded, op, [note], (name,)):
                return
        raise _too_busy()

    async def close(self) -> None:
        """Writes what is queued and counted."""
        for actor in tuple(self._minutes):
            self._close_minute(actor)
        if self._writer is not None:
            await self._writer

    def _close_minute(self, actor: str) -> None:
        minute = self._minutes.pop(actor, None)
        if minute and minute.unwritten:
            self.note(RightsRefusedMore(actor=actor, count=minute.unwritten))

    async def _write(self) -> None:
        while self._batch or self._queue:
            self._batch = self._batch or self._next_batch()
            try:
                # A batch keeps its operation id: after an unknown outcome it still counts once.
                await self._commit(*self._batch)
                self._batch = None
            except StoreFailure as error:
                _log.error("system entries wait", extra={"code": error.code})
                return  # the next note tries again

    def _next_batch(self) -> tuple[str, Sequence[_Note]]:
        size = min(ENTRIES_PER_COMMIT, len(self._queue))
        return _new_op(), [self._queue.popleft() for _ in range(size)]

    async def _commit(
        self, op: str, notes: Sequence[_Note], writes: tuple[Write, ...] = ()
    ) -> None:
        for _ in range(MOST_TRIES):
            loaded = await self._scripts.load(self._keys.system)
            if await self._commit_on(loaded, op, notes, writes):
                return
        raise _too_busy()

    async def _commit_on(
        self, loaded: Loaded, op: str, notes: Sequence[_Note], writes: tuple[Write, ...]
    ) -> bool:
        """Whether the notes are written; else somebody else was faster, or time went on."""
        first = loaded.entries + 1
        entries = tuple(
            seal_entry(
                self._audit_key,
                note.event,
                EntryPlace(RECORD, loaded.version + 1, op, first + i, loaded.now),
            ).text
            for i, note in enumerate(notes)
        )
        words = [
            ("hset", self._keys.system, f"words:{first + i}", note.words)
            for i, note in enumerate(notes)
            if note.words
        ]
        commit = Commit(
            op=op,
            record=self._keys.system,
            expect=loaded.version,
            now=loaded.now,
            result="noted",
            entry=first,
            entries=entries,
            writes=(*writes, *words),
        )
        return (await self._scripts.commit(commit)).possible().code in ("OK", "DUP")


def _too_busy() -> StoreUnavailable:
    return StoreUnavailable("The system record is too busy. Try again.")


def _new_op() -> str:
    return secrets.token_hex(8)

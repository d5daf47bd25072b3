"""Takes over changed configuration while the process runs: all of it, or nothing.

Both halves need it, so it is a few plain tasks as `watch_health` is, and no job of the worker's
metronome. What cannot be used, or not be kept and audited, leaves the old configuration in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from redis.asyncio import BlockingConnectionPool

from approvals.errors import ConfigurationInvalid, StoreFailure
from approvals.events import PolicyRefused
from approvals.model import ServiceId
from approvals.privacy.masking import said
from approvals.service import ApprovalService
from approvals.store.processes import ProcessName
from approvals.store.store import Store
from approvals.store.subscription import Subscription
from bot.callbacks import Receiver
from bot.configuration_files import ConfigurationFiles, Loaded, Stamps
from bot.fellows import Fellows
from bot.policy_status import PolicyStatus, faults_told
from bot.telemetry import Metrics

_log = logging.getLogger(__name__)

_TOLD_AT_ONCE = 5  # faults in one log line
_UNREADABLE = "The changed configuration is not used: it cannot be read; see the log."
_NOT_KEPT = (
    "The changed configuration is not used yet: the store does not keep it. "
    "It is tried again by itself."
)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks at the files and words to the others, and for one load at most."""

    look_s: float = 2.0
    tell_s: float = 5.0
    load_s: float = 30.0


PACE = Pace()


def wall_clock() -> datetime:
    """When a policy came into force here, for people to read."""
    return datetime.now(UTC)


class Reload:
    """The configuration in force, and how a newer one takes its place.

    `receivers` and the service's configuration change together, with no other task in between.
    """

    def __init__(
        self,
        files: ConfigurationFiles,
        loaded: Loaded,
        service: ApprovalService,
        store: Store,
        metrics: Metrics,
        *,
        pace: Pace = PACE,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._files = files
        self._loaded = loaded
        self._service = service
        self._store = store
        self._metrics = metrics
        self._pace = pace
        self._clock = clock
        self._fellows: Fellows | None = None
        # None means that they are to be judged again, whether they change or not.
        self._judged: Stamps | None = None
        self._seen: Stamps | None = None
        # None after a failure as well: what has become of it in the store is not known.
        self._kept: str | None = None
        self._told: set[frozenset[str]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._news = asyncio.Event()
        self._called = asyncio.Event()
        self._has_listened = False
        self.status = PolicyStatus(loaded.configuration.version, clock())

    @property
    def receivers(self) -> Mapping[ServiceId, Receiver]:
        """Who may be called back, as the configuration in force has it."""
        return self._loaded.receivers

    @property
    def warnings(self) -> tuple[str, ...]:
        """What operators should know, in sentences."""
        own = (self.status.fault,) if self.status.fault else ()
        return (*own, *(self._fellows.warnings if self._fellows else ()))

    async def begin(self, stamps: Stamps) -> None:
        """Keeps the policy to start with, and says so in the audit. Raises `StoreFailure`.

        `stamps` are of before it was loaded: what changed since is looked at.
        """
        await self._keep(self._loaded)
        self._judged = self._seen = stamps

    async def run(
        self, signalled: asyncio.Event, name: ProcessName, pool: BlockingConnectionPool
    ) -> None:
        """Reloads when files change, on `signalled`, and when another process has, until cancelled.

        Whatever one try meets must not end it.
        """
        self._fellows = fellows = Fellows(self._store.processes, name, lambda: self.status)
        channel = self._store.keys.configuration_channel
        calls = Subscription(pool, channel, heard=lambda who: self._hear(who, name), gap=self._miss)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(calls.run())
                tasks.create_task(_each(self._passed_on(self.read_again, name), signalled))
                tasks.create_task(_each(self.read_again, self._called))
                tasks.create_task(_every(self._pace.look_s, self._passed_on(self.look, name)))
                tasks.create_task(_every(self._pace.tell_s, fellows.meet, sooner=self._news))
        finally:
            await fellows.leave()

    async def look(self) -> bool:
        """Judges changed files once they stood still from one look to the next.

        Answers whether they were taken over. Several files are often saved one after another.
        """
        async with self._one_at_a_time:
            stamps = await asyncio.to_thread(self._files.stamps)
            stands_still, self._seen = stamps == self._seen, stamps
            return stamps != self._judged and stands_still and await self._judge(stamps)

    async def read_again(self) -> bool:
        """Judges the files at once, and their secrets, whether they changed or not."""
        async with self._one_at_a_time:
            return await self._judge(await asyncio.to_thread(self._files.stamps))

    async def _judge(self, stamps: Stamps) -> bool:
        self._judged = self._seen = stamps
        try:
            async with asyncio.timeout(self._pace.load_s):
                loaded = await asyncio.to_thread(self._files.load)
        except ConfigurationInvalid as error:
            # A fault names what it is about, and an id in people.yaml may be an address.
            self._refuse([said(str(issue)) for issue in error.issues], faults_told(error.issues))
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, the old one stays
            _log.exception("configuration not readable")
            self._refuse([type(error).__name__], _UNREADABLE)
            return False
        if await asyncio.to_thread(self._files.stamps) != stamps:
            self._judged = None  # saved while it was read, and perhaps a mix: the next look judges
            return False
        try:
            if loaded.configuration.version != self._kept:
                await self._keep(loaded)
        except StoreFailure as error:
            self._judged = None
            self._fail(_NOT_KEPT)
            self._tell_once([error.code], "configuration not kept")
            return False
        self._swap(loaded)
        return True

    async def _keep(self, loaded: Loaded) -> None:
        """What was in force must be found again, so it is written before anything goes by it."""
        version = loaded.configuration.version
        self._kept = None
        await self._store.policies.keep(version, loaded.configuration.text)
        await self._store.system.activate(self._store.policies, version)
        self._kept = version

    def _swap(self, loaded: Loaded) -> None:
        # No await in here: no task sees the one without the other.
        before, version = self.status.version, loaded.configuration.version
        self._service.configuration = loaded.configuration
        self._loaded = loaded
        since = self.status.since if version == before else self._clock()
        self.status = PolicyStatus(version, since)
        self._told.clear()
        self._metrics.policy_is_stale.set(0)
        self._news.set()
        _log.info("configuration reloaded", extra={"version": version, "previous": before})

    def _refuse(self, faults: Sequence[str], sentence: str) -> None:
        self._fail(sentence)
        if self._tell_once(faults, "configuration refused"):
            version = self.status.version
            self._store.system.note(PolicyRefused(version=version, faults=len(faults)))

    def _fail(self, sentence: str) -> None:
        self._metrics.policy_reload_failed()
        self.status = replace(self.status, fault=sentence)
        self._news.set()

    def _tell_once(self, faults: Sequence[str], message: str) -> bool:
        """Logs a set of faults the first time since the last success; answers whether it did."""
        if (told := frozenset(faults)) in self._told:
            return False
        self._told.add(told)
        shown = {"count": len(faults), "faults": faults[:_TOLD_AT_ONCE]}
        _log.error(message, extra={"version": self.status.version, **shown})
        return True

    def _hear(self, who: str, name: ProcessName) -> None:
        if who != str(name):
            self._called.set()

    def _miss(self) -> None:
        """After a lost connection: a call may have been lost with it. At first none was."""
        if self._has_listened:
            self._called.set()
        self._has_listened = True

    def _passed_on(
        self, attempt: Callable[[], Awaitable[bool]], name: ProcessName
    ) -> Callable[[], Awaitable[None]]:
        """`attempt`; when it succeeds, the others are asked to look as well.

        Whoever looks because it was asked asks nobody, so there is no echo.
        """

        async def attempted() -> None:
            if await attempt():
                with suppress(StoreFailure):  # then they find it by themselves
                    await self._store.processes.call(name)

        return attempted


async def _each(work: Callable[[], Awaitable[object]], asked: asyncio.Event) -> None:
    """Works each time somebody asks; who asks while it works is not forgotten."""
    while True:
        await asked.wait()
        asked.clear()
        await _through(work)


async def _every(
    pause_s: float,
    work: Callable[[], Awaitable[object]],
    *,
    sooner: asyncio.Event | None = None,
) -> None:
    """Works at once and then every `pause_s`, or as soon as `sooner` is set."""
    sooner = sooner or asyncio.Event()
    while True:
        sooner.clear()
        await _through(work)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await sooner.wait()


async def _through(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except Exception:  # noqa: BLE001 - what one try meets must not end the watch
        _log.exception("reload failed")

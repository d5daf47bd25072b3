"""Whether the store is fit to say "recorded": durability, eviction, role, clock and memory.

Checked at start, where a fault refuses with its remedy, and again every few seconds while running:
an unfit store takes no new request and no approval; reading, denying and expiry go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from approvals.errors import OtherKey, StoreFailure, StoreFull, StoreRefused, StoreUnavailable
from approvals.store.keys import Keys
from approvals.store.pipeline import CommandRefused, Pipeline
from approvals.store.scripts import Scripts

Durability = Literal["local", "replica", "none"]
ServerSettings = Mapping[str, str]
LEAST_VERSION = (7, 0)
FULL_AT = 0.85
BEHIND_AFTER = timedelta(seconds=5)  # as in commit.lua
CLOCKS_APART = timedelta(seconds=30)
MOST_AHEAD_MS = 10**14
RECORDS = "records"  # beside the keys' fingerprints: the form of all records, by a number
# 3: words encrypted, fields kept as masked; 2: each with its seal; 1 had none, and left no number.
RECORDS_FORM = "3"
_FULL = "The store is 85 % full and takes no new requests. Give it more memory."


@dataclass(frozen=True, slots=True)
class Demands:
    """What the deployment asks of its store (PLACET_DURABILITY, PLACET_WAIT_REPLICAS)."""

    durability: Durability = "local"
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look has found. `foreign` is None where the keys could not be compared."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    is_full: bool
    behind: timedelta
    foreign: tuple[str, ...] | None


class Health:
    """The store's last known condition. Nothing is assumed well before the first check."""

    def __init__(
        self,
        pipeline: Pipeline,
        keys: Keys,
        fingerprints: Mapping[str, str],
        demands: Demands | None = None,
        host_time: Callable[[], float] = time.time,
    ) -> None:
        self._pipeline = pipeline
        self._scripts = Scripts(pipeline, keys)
        self._keys = keys
        self._fingerprints = fingerprints
        self._demands = demands or Demands()
        self._host_time = host_time
        self._foreign: tuple[str, ...] | None = None
        self.faults: tuple[str, ...] = ("The store has not been checked yet.",)
        self.warnings: tuple[str, ...] = ()
        self.is_full = False
        self.behind = timedelta(0)

    async def check(self) -> tuple[str, ...]:
        """Looks at the server and remembers what is wrong: setting, value and remedy of each.

        Changes nothing. `warnings` then hold what keeps nobody from working.
        """
        # Set at once and at the end: several tasks of a process look at the same time.
        found = await self._look()
        self.faults, self.warnings = found.faults, found.warnings
        self.is_full, self.behind, self._foreign = found.is_full, found.behind, found.foreign
        return self.faults

    async def require(self) -> None:
        """Checks, and raises `StoreRefused` with every fault but the clock's, or `OtherKey`.

        The first process of a deployment leaves its keys' fingerprints, to which others are held.
        A clock that is behind must not keep a process down: an admin resets it on a running one.
        """
        await self._require_now()
        # All or none: of two first processes with different keys one must win.
        marks = {**self._fingerprints, RECORDS: RECORDS_FORM}
        await self._pipeline.run_together(
            [("HSETNX", self._keys.fingerprints, name, mark) for name, mark in marks.items()]
        )
        await self._require_now()  # another process may have been the first

    async def _require_now(self) -> None:
        faults = await self.check()
        told_apart = {*_slow_clock(self.behind), *(self._foreign or ())}
        if unfit := [fault for fault in faults if fault not in told_apart]:
            raise StoreRefused("\n".join(unfit))
        self.check_keys()

    def check_keys(self) -> None:
        """Raises `OtherKey` where this process holds other keys than the deployment began with.

        With another audit key entries would not verify; with another pseudonym key one
        idempotency key would open two requests. Unknown counts as wrong: `StoreUnavailable`.
        """
        if self._foreign is None:
            raise StoreUnavailable("\n".join(self.faults))
        if self._foreign:
            raise OtherKey("\n".join(self._foreign))

    async def _look(self) -> _Found:
        try:
            info = _parsed(cast("bytes", await self._pipeline.run("INFO")))
            settings = await self._settings("appendfsync", "no-appendfsync-on-rewrite")
            behind, apart = await self._clocks()
            foreign, form = await self._began_with()
            # A server unfit to write to is told as that, and not as one that refused a write.
            unfit = _faults(info, settings, self._demands) or await self._refused()
        except StoreFailure as error:
            told = f"The store cannot be checked: {error.detail}"
            faults = (told, *_slow_clock(self.behind))
            return _Found(faults, (), self.is_full, self.behind, None)
        is_full = _is_full(info)
        warnings = (
            *(_local(info, settings) if self._demands.durability == "none" else ()),
            *([_FULL] if is_full else ()),
            *_clocks_apart(apart),
        )
        faults = (*unfit, *form, *foreign, *_slow_clock(behind))
        return _Found(faults, warnings, is_full, behind, foreign)

    async def _refused(self) -> list[str]:
        """What the store's user may not do: a commit would stop in its middle, half of it made."""
        names = await self._scripts.probe()
        if not names:
            return []
        ours = self._keys.pattern
        told = f"the store refuses {', '.join(names)} within scripts, so commits would fail; "
        return [f"{told}give its user these commands, the keys ~{ours} and the channels &{ours}."]

    async def _clocks(self) -> tuple[timedelta, timedelta]:
        """How far the store's clock is behind the time it has seen, and ahead of this host's."""
        now, seen = await self._pipeline.run_all([("TIME",), ("GET", self._keys.clock)])
        for reply in (now, seen):
            if isinstance(reply, Exception):
                raise reply
        seconds, micros = cast("list[bytes]", now)
        millis = int(seconds) * 1000 + int(micros) // 1000
        text = cast("bytes | None", seen) or b"0"
        is_time = text.isdigit() and len(text) < 16
        behind = min((int(text) if is_time else 0) - millis, MOST_AHEAD_MS)
        apart = timedelta(milliseconds=millis - round(self._host_time() * 1000))
        return timedelta(milliseconds=max(0, behind)), apart

    async def _began_with(self) -> tuple[tuple[str, ...], list[str]]:
        """What differs from what the deployment began with: keys, and the form of its records."""
        names = [*self._fingerprints, RECORDS]
        reply = await self._pipeline.run("HMGET", self._keys.fingerprints, *names)
        *known, form = cast("list[bytes | None]", reply)
        return tuple(self._foreign_keys(known)), _other_form(form, is_new=not any(known))

    def _foreign_keys(self, known: Sequence[bytes | None]) -> list[str]:
        return [
            f"{name} is not the key that this deployment began with; give every process the same, "
            "or another PLACET_NAMESPACE."
            for name, mark in zip(self._fingerprints, known, strict=True)
            if mark is not None and mark != self._fingerprints[name].encode()
        ]

    def check_opening(self) -> None:
        """Raises where no new request may be taken."""
        if self.is_full:
            raise StoreFull("The store is 85 % full and takes no new requests. Try again later.")
        self.check_approving()

    def check_approving(self) -> None:
        """Raises where nothing may be approved."""
        if self.faults:
            raise StoreUnavailable("The store is not fit for new decisions; see /readyz.")

    async def _settings(self, *names: str) -> ServerSettings:
        """What CONFIG GET tells of each; a name is missing where it cannot be read."""
        told: dict[str, str] = {}
        for name in names:
            # Managed Redis and narrow ACLs keep CONFIG to themselves.
            with suppress(CommandRefused):
                reply = cast("list[bytes]", await self._pipeline.run("CONFIG", "GET", name))
                told |= {name: reply[1].decode()} if len(reply) > 1 else {}
        return told


def _other_form(form: bytes | None, *, is_new: bool) -> list[str]:
    if form == RECORDS_FORM.encode() or (form is None and is_new):
        return []
    whose = "an earlier version" if form is None else "another version"
    told = f"the store holds records of {whose} of Placet, which this one cannot read; "
    return [told + "give another PLACET_NAMESPACE, or begin with an empty store."]


def _slow_clock(behind: timedelta) -> list[str]:
    if behind <= BEHIND_AFTER:
        return []
    seconds = f"{behind.total_seconds():.0f} s"
    told = f"the store's clock is {seconds} behind the time it has seen, so nothing is approved; "
    return [told + "put the clock right, then run `placet clock reset`."]


def _clocks_apart(apart: timedelta) -> list[str]:
    if abs(apart) <= CLOCKS_APART:
        return []
    seconds = f"{abs(apart).total_seconds():.0f} s"
    where = "ahead of" if apart > timedelta(0) else "behind"
    told = f"the store's clock is {seconds} {where} this host's, by which callbacks are signed and "
    return [told + "API keys end; receivers refuse what is 5 min off. Give both one time source."]


def _parsed(info: bytes) -> dict[str, str]:
    lines = (line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return {name: value.strip() for name, value in lines}


def _is_full(info: dict[str, str]) -> bool:
    limit = int(info.get("maxmemory", "0"))
    return limit > 0 and int(info.get("used_memory", "0")) >= FULL_AT * limit


def _faults(info: dict[str, str], settings: ServerSettings, demands: Demands) -> list[str]:
    faults = [*_always(info)]
    if demands.durability == "local":
        faults += _local(info, settings)
    if demands.durability == "replica":
        faults += _replicated(info, settings, demands.replicas)
    return faults


def _always(info: dict[str, str]) -> list[str]:
    faults = []
    version = info.get("valkey_version") or info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        faults.append(f"version is {version}; use Redis 7.0 or newer, or Valkey.")
    if info.get("role") != "master":
        faults.append(
            f"role is {info.get('role')}; point PLACET_REDIS_URL at the primary, not a replica."
        )
    eviction = info.get("maxmemory_policy")
    if eviction != "noeviction":
        faults.append(
            f"maxmemory-policy is {eviction}, which deletes decisions when memory is short; "
            "set maxmemory-policy noeviction."
        )
    return faults


def _local(info: dict[str, str], settings: ServerSettings) -> list[str]:
    faults = _append_only(info)
    policy = settings.get("appendfsync")
    if policy != "always":
        faults.append(
            f"appendfsync is {policy or 'unreadable'}, so an acknowledged decision may be lost; "
            "set appendfsync always and allow CONFIG GET, or use PLACET_DURABILITY=replica."
        )
    if settings.get("no-appendfsync-on-rewrite", "no") != "no":
        faults.append(
            "no-appendfsync-on-rewrite is yes, so a decision acknowledged during a rewrite may be "
            "lost; set no-appendfsync-on-rewrite no."
        )
    return faults


def _replicated(info: dict[str, str], settings: ServerSettings, replicas: int) -> list[str]:
    faults = _append_only(info) if "appendfsync" in settings else []
    connected = int(info.get("connected_slaves", "0"))
    if connected < replicas:
        faults.append(
            f"connected replicas are {connected} of PLACET_WAIT_REPLICAS={replicas}; "
            "start the replicas, or use PLACET_DURABILITY=local."
        )
    return faults


def _append_only(info: dict[str, str]) -> list[str]:
    if info.get("aof_enabled") != "1":
        return ["appendonly is no, so a restart loses every decision; set appendonly yes."]
    if info.get("aof_last_write_status", "ok") != "ok":
        return ["the last write to the append-only file failed; look at the disk of the store."]
    return []

"""Whether the store is fit to say "recorded": durability, eviction, role, clock and memory.

Checked at start, where a fault refuses with its remedy, and again every few seconds while running:
an unfit store takes no new request and no approval; reading, denying and expiry go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from redis.exceptions import ResponseError

from approvals.errors import StoreFailure, StoreFull, StoreRefused, StoreUnavailable
from approvals.store.pipeline import Pipeline

Durability = Literal["local", "replica", "none"]
LEAST_VERSION = (7, 0)
FULL_AT = 0.85


@dataclass(frozen=True, slots=True)
class Demands:
    """What the deployment asks of its store (PLACET_DURABILITY, PLACET_WAIT_REPLICAS)."""

    durability: Durability = "local"
    replicas: int = 1


class Health:
    """The store's last known condition. Nothing is assumed well before the first check."""

    def __init__(self, pipeline: Pipeline, demands: Demands | None = None) -> None:
        self._pipeline = pipeline
        self._demands = demands or Demands()
        self.faults: tuple[str, ...] = ("The store has not been checked yet.",)
        self.is_full = False

    async def check(self) -> tuple[str, ...]:
        """Looks at the server and remembers what is wrong: setting, value and remedy of each."""
        try:
            info = _parsed(cast("bytes", await self._pipeline.run("INFO")))
            fsync = await self._setting("appendfsync")
        except (StoreFailure, ResponseError) as error:
            self.faults = (f"The store cannot be checked: {_told(error)}",)
            return self.faults
        self.is_full = _is_full(info)
        self.faults = tuple(_faults(info, fsync, self._demands))
        return self.faults

    async def require(self) -> None:
        """Checks, and raises `StoreRefused` with every fault."""
        if faults := await self.check():
            raise StoreRefused("\n".join(faults))

    def check_opening(self) -> None:
        """Raises where no new request may be taken."""
        if self.is_full:
            raise StoreFull("The store is 85 % full and takes no new requests. Try again later.")
        self.check_approving()

    def check_approving(self) -> None:
        """Raises where nothing may be approved."""
        if self.faults:
            raise StoreUnavailable("The store is not fit for new decisions; see /readyz.")

    async def _setting(self, name: str) -> str | None:
        try:
            reply = cast("list[bytes]", await self._pipeline.run("CONFIG", "GET", name))
        except ResponseError:  # managed Redis and narrow ACLs keep CONFIG to themselves
            return None
        return reply[1].decode() if len(reply) > 1 else None


def _parsed(info: bytes) -> dict[str, str]:
    lines = (line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return {name: value.strip() for name, value in lines}


def _is_full(info: dict[str, str]) -> bool:
    limit = int(info.get("maxmemory", "0"))
    return limit > 0 and int(info.get("used_memory", "0")) >= FULL_AT * limit


def _faults(info: dict[str, str], fsync: str | None, demands: Demands) -> list[str]:
    faults = [*_always(info)]
    if demands.durability == "local":
        faults += _local(info, fsync)
    if demands.durability == "replica":
        faults += _replicated(info, fsync, demands.replicas)
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


def _local(info: dict[str, str], fsync: str | None) -> list[str]:
    faults = _append_only(info)
    if fsync != "always":
        faults.append(
            f"appendfsync is {fsync or 'unreadable'}, so an acknowledged decision may be lost; "
            "set appendfsync always and allow CONFIG GET, or use PLACET_DURABILITY=replica."
        )
    return faults


def _replicated(info: dict[str, str], fsync: str | None, replicas: int) -> list[str]:
    faults = [] if fsync is None else _append_only(info)
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


def _told(error: Exception) -> str:
    return error.detail if isinstance(error, StoreFailure) else type(error).__name__

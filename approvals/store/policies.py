"""Every policy that was ever in force, by its version: explaining a decision needs its text.

Kept before the version is used, and for good: requests and entries name versions for ever.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

from pydantic import ValidationError

from approvals.answer import moment
from approvals.model import Frozen
from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline, raise_first
from approvals.store.records import insist
from approvals.store.scripts import Scripts, UnreadableRecord
from approvals.store.times import from_millis, millis


class _Kept(Frozen):
    text: str
    version: str
    first_used: str


class Policies:
    """The texts of policies. Raises `StoreFailure` where the store does not take or give one."""

    def __init__(self, pipeline: Pipeline, scripts: Scripts, keys: Keys) -> None:
        self._pipeline = pipeline
        self._scripts = scripts
        self._keys = keys

    async def keep(self, version: str, text: str) -> None:
        """Keeps `text` as what `version` means. The first text stays: others say the same.

        On return it is kept, by whomever.
        """
        # Asked first: a full store refuses a write even where nothing would be written, and a
        # process whose policy is long kept must be able to start on it.
        if not await self._is_kept(version):
            await insist(lambda: self._write(version, text))

    async def text(self, version: str) -> str | None:
        """The text of a version, or None for one that was never in force."""
        held = cast("bytes | None", await self._pipeline.run("GET", self._keys.policy(version)))
        if held is None:
            return None
        try:
            return _Kept.model_validate_json(held).text
        except ValidationError:
            raise UnreadableRecord("A kept policy of the store cannot be read.") from None

    async def versions(self) -> tuple[str, ...]:
        """Every version that was in force, in the order of its first use."""
        reply = await self._pipeline.run("ZRANGE", self._keys.policies, 0, -1)
        return tuple(version.decode(errors="replace") for version in cast("list[bytes]", reply))

    async def first_used(self, version: str) -> datetime | None:
        """When a version was first in force, or None for one that never was."""
        reply = await self._pipeline.run("ZSCORE", self._keys.policies, version)
        score = cast("bytes | float | None", reply)
        return from_millis(int(float(score))) if score is not None else None

    async def active(self) -> str | None:
        """The version that the deployment went over to last, or None before its first."""
        reply = await self._pipeline.run("HGET", self._keys.active_policy, "version")
        version = cast("bytes | None", reply)
        return version.decode(errors="replace") if version is not None else None

    async def _is_kept(self, version: str) -> bool:
        commands = [
            ("EXISTS", self._keys.policy(version)),
            ("ZSCORE", self._keys.policies, version),
        ]
        replies = await self._pipeline.run_all(commands)
        raise_first(replies)
        return all(replies)

    async def _write(self, version: str, text: str) -> None:
        now = (await self._scripts.load(self._keys.system)).now
        kept = _Kept(text=text, version=version, first_used=moment(now)).model_dump_json()
        raise_first(
            await self._pipeline.run_all(
                [
                    ("SET", self._keys.policy(version), kept, "NX"),
                    ("ZADD", self._keys.policies, "NX", millis(now), version),
                ]
            )
        )

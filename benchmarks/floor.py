"""A store that keeps nothing: what POST and redeem cost without one. All else stays as it is.

Replaced are the scripts and the plain reads alone; the record, its JSON, digest and MAC are made.
What is approved at its opening stays in the process's own memory, so that it can be redeemed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from approvals.store.budgets import Budgets
from approvals.store.keys import Keys
from approvals.store.pipeline import Argument, Pipeline, Reply, connection_pool
from approvals.store.receipts import ReceiptBook
from approvals.store.records import Records
from approvals.store.scripts import Answer, Commit, Level, Loaded, Scripts, Taken
from approvals.store.store import Store
from approvals.store.times import from_millis, millis
from bot.deployment import store_url
from bot.settings import Settings


class NothingRead(Pipeline):
    """Finds nothing, at once."""

    async def run(self, *_command: Argument) -> Reply:
        """No reply."""
        return None


class NothingKept(Scripts):
    """Commits at once, by this host's time."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        super().__init__(pipeline, keys)
        self._approved: dict[str, bytes] = {}

    async def commit(self, commit: Commit) -> Answer:
        """As if it had been applied."""
        if commit.expect is None and commit.result == "approved":
            self._approved[commit.record] = commit.body
        return Answer("OK", "1", commit.now)

    async def take_budgets(
        self,
        limits: Mapping[str, int],
        idempotency: str | None,  # noqa: ARG002 - the shape of what it replaces
    ) -> Taken:
        """Enough of everything, always."""
        none = timedelta(0)
        levels = tuple(Level(most, none, none) for most in limits.values())
        return Taken(is_enough=True, used=None, now=_now(), levels=levels)

    async def load(self, record: str) -> Loaded:
        """What was approved, to be redeemed once; else no record, and the time."""
        body = self._approved.pop(record, b"")
        return Loaded(int(bool(body)), int(bool(body)), body, now=_now(), behind=timedelta(0))


def _now() -> datetime:
    return from_millis(millis(datetime.now(UTC)))


def without_store(store: Store, settings: Settings) -> Store:
    """`store` with records that are kept nowhere."""
    audit_key = settings.keys().audit.get_secret_value().encode()
    reads = NothingRead(connection_pool(store_url(settings)))  # the pool is never used
    scripts = NothingKept(reads, store.keys)
    return replace(
        store,
        records=Records(reads, scripts, store.keys, audit_key, store.marks),
        budgets=Budgets(scripts, store.keys, store.marks),
        receipts=ReceiptBook(reads, store.keys, store.marks),
    )

"""What the store knows of policy: kept versions, recorded requests, running processes.

Opens without a configuration, which is faulty just when somebody wants to know what runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from approvals.errors import ConfigurationInvalid, NotFound, Refusal
from approvals.model import ApprovalRequest, RequestId, ServiceId
from approvals.policy.analysis import Rulebook
from approvals.policy.expressions import BadCondition
from approvals.policy.kept import kept_rulebook
from approvals.policy.loader import SERVICES, Reading, read_configuration
from approvals.policy.yaml_source import read_source
from approvals.store.store import Store
from bot.deployment import open_within_reach, reached
from bot.settings import Settings
from bot.terminal import Terminal


class NotKept(Refusal):
    """The store does not have the policy of a version, or we cannot use it."""

    code = "policy_not_kept"


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest recorded requests, newest first; there may be older ones."""

    requests: list[ApprovalRequest]
    are_all: bool


@dataclass(frozen=True, slots=True)
class Records:
    """A deployment's store, and its configuration as the files have it now."""

    store: Store
    directory: Path
    reading: Reading

    async def request(self, wanted: RequestId) -> ApprovalRequest:
        """One request. Raises `NotFound`."""
        stored = await self.store.records.load(wanted)
        if stored is None:
            raise NotFound("There is no such request.")
        return stored.request

    async def rulebook(self, version: str) -> Rulebook:
        """The policy of a version, as it is kept or as the files have it. Raises `NotKept`."""
        text = await self.store.policies.text(version)
        if text is not None:
            return _of_text(text, version)
        own = self.reading.configuration
        if own is None or own.version != version:
            raise NotKept(
                f"The store does not have policy {version}. Known there: "
                + (", ".join(await self.store.policies.versions()) or "none yet")
                + "."
            )
        return own.rulebook

    async def in_force(self) -> Rulebook | None:
        """The policy that decides today; None where neither store nor files can say."""
        active = await self.store.policies.active()
        if active is not None:
            return await self.rulebook(active)
        return self.reading.configuration.rulebook if self.reading.configuration else None

    async def newest(self, most: int) -> Newest:
        """At most `most` requests of the services that services.yaml names."""
        names = read_source(self.directory / SERVICES).keys("services")
        ids: list[RequestId] = []
        for name in names:
            ids += await self.store.records.of_service(ServiceId(name), "", most + 1)
        ids.sort(reverse=True)  # an id begins with its time
        stored = await self.store.records.load_all(ids[:most])
        return Newest([one.request for one in stored], len(ids) <= most)


@asynccontextmanager
async def records(terminal: Terminal) -> AsyncIterator[Records]:
    """The store that the environment names, or of what runs here. Starts none, changes nothing."""
    given = Settings.from_environment(terminal.environment)
    settings = reached(given)
    store = await open_within_reach(settings, is_found=given.redis_url is None)
    try:
        directory = settings.config_dir
        yield Records(store, directory, read_configuration(directory))
    finally:
        await store.close()


def _of_text(text: str, version: str) -> Rulebook:
    try:
        return kept_rulebook(text, version)
    except (ConfigurationInvalid, BadCondition) as error:
        raise NotKept(
            f"Policy {version} is kept, but this release cannot use it: {error.detail}"
        ) from None

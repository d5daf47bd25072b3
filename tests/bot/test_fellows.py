"""What a process knows of the others: who stays behind is named, after a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from approvals.errors import StoreUnavailable
from approvals.store.processes import ProcessName, ProcessRegistry
from approvals.store.store import Store
from bot.fellows import APART_S, Fellows, own_name
from bot.policy_status import PolicyStatus

OURS, THEIRS = "3f9a0c1d27ab", "b85e2a7742c1"
HERE, THERE = ProcessName("host-a", 7, "web"), ProcessName("host-b", 8, "both")
SINCE = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)


@dataclass
class Meeting:
    """One process among others, and its stop-watch."""

    store: Store
    status: PolicyStatus
    seconds: float = 0

    def __post_init__(self) -> None:
        self.fellows = Fellows(
            self.store.processes, HERE, lambda: self.status, clock=lambda: self.seconds
        )

    async def after(self, seconds: float) -> tuple[str, ...]:
        self.seconds += seconds
        await self.fellows.meet()
        return self.fellows.warnings


@pytest.fixture
def meeting(store: Store) -> Meeting:
    return Meeting(store, PolicyStatus(OURS, SINCE))


async def test_alone_there_is_nothing_to_say(meeting: Meeting) -> None:
    assert await meeting.after(0) == ()
    assert await meeting.after(APART_S) == ()
    (listed,) = await meeting.store.processes.alive()
    assert (listed.name, listed.version) == (HERE, OURS)


async def test_who_runs_another_policy_is_named_after_a_while(meeting: Meeting) -> None:
    await meeting.store.processes.tell(THERE, THEIRS, None)
    assert await meeting.after(0) == ()
    assert await meeting.after(APART_S - 1) == ()
    (warning,) = await meeting.after(1)
    assert warning == (
        f"Process 8 on host-b (web and worker) runs policy {THEIRS}, this process {OURS}; "
        "give both the same files."
    )
    await meeting.store.processes.tell(THERE, OURS, None)
    assert await meeting.after(5) == ()


async def test_a_policy_that_passes_through_starts_the_watch_anew(meeting: Meeting) -> None:
    await meeting.store.processes.tell(THERE, THEIRS, None)
    await meeting.after(0)
    await meeting.store.processes.tell(THERE, "0" * 12, None)
    assert await meeting.after(APART_S) == ()


async def test_a_fault_of_another_is_told_at_once(meeting: Meeting) -> None:
    await meeting.store.processes.tell(THERE, OURS, "The changed configuration is not used.")
    assert await meeting.after(0) == (
        "Process 8 on host-b (web and worker): The changed configuration is not used.",
    )


async def test_a_fault_that_is_ours_as_well_is_told_once(meeting: Meeting) -> None:
    meeting.status = PolicyStatus(OURS, SINCE, "The changed configuration is not used.")
    await meeting.store.processes.tell(THERE, OURS, "The changed configuration is not used.")
    assert await meeting.after(0) == ()
    listed = {each.name: each.fault for each in await meeting.store.processes.alive()}
    assert listed[HERE] == meeting.status.fault


async def test_who_leaves_is_listed_no_more(meeting: Meeting) -> None:
    await meeting.after(0)
    await meeting.fellows.leave()
    assert await meeting.store.processes.alive() == []


class Gone(ProcessRegistry):
    """The list of a store that does not answer."""

    async def tell(self, name: ProcessName, version: str, fault: str | None) -> None:
        raise StoreUnavailable("The store did not answer.")

    async def leave(self, name: ProcessName) -> None:
        raise StoreUnavailable("The store did not answer.")


async def test_without_the_store_there_is_nothing_to_say(store: Store) -> None:
    registry = Gone(store.pipeline, store.keys)
    fellows = Fellows(registry, own_name("web"), lambda: PolicyStatus(OURS, SINCE))
    await fellows.meet()
    await fellows.leave()
    assert fellows.warnings == ()

"""Workers and commits against one queue in any order: each wish is served, each holder is alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TypeVar, cast

from fakeredis import FakeServer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from redis.asyncio import Redis

from approvals.store.health import Demands
from approvals.store.keys import Keys
from approvals.store.scripts import Commit, Scripts
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.store.support import STANDS_AT, schedule, stop_the_clock
from tests.conftest import SECRETS, fake_pool

LEASE = timedelta(minutes=5)  # longer than any run: a lease ends here only where a rule says so
SECOND = timedelta(seconds=1)
MEMBERS = st.sampled_from("abc")
OFFSETS = st.integers(-3, 20)
Result = TypeVar("Result")


class Queue(RuleBasedStateMachine):
    """The world as workers see it: what they were asked for, and what they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        server = FakeServer()
        self.store = Store.over(fake_pool(server), "model", SECRETS, Demands(durability="none"))
        self.keys: Keys = self.store.keys
        self.scripts = Scripts(self.store.pipeline, self.keys)
        self.pool = fake_pool(server)
        self.client = Redis(connection_pool=self.pool)
        self.now = STANDS_AT
        self.held: dict[str, str] = {}  # member -> lease end, of a worker at work
        self.lost: dict[str, str] = {}  # the same, of a worker whose lease has run out
        self.wishes: dict[str, datetime] = {}  # members in nobody's hands, and when they are due
        self.later: dict[str, datetime] = {}  # wishes made while the member was in somebody's
        self.unserved: set[str] = set()  # asked for, and not handed out since
        self.do(stop_the_clock(self.client, self.keys))

    def do(self, action: Coroutine[None, None, Result]) -> Result:
        return self.runner.run(action)

    @rule(member=MEMBERS, seconds=OFFSETS)
    def a_commit_schedules(self, member: str, seconds: int) -> None:
        at = self.now + seconds * SECOND
        self.do(schedule(self.scripts, self.keys, member, at))
        self.unserved.add(member)
        if member in self.held or member in self.lost:
            self.later[member] = at
        else:
            self.wishes[member] = at
            self.later.pop(member, None)

    @rule(most=st.integers(1, 4))
    def a_worker_claims(self, most: int) -> None:
        claimed = self.do(self.scripts.claim_due("deadlines", most, LEASE))
        assert len(claimed.members) <= most
        still_out = self.do(self._members(leased=True)) - set(claimed.members)
        for member in self.lost.keys() - still_out:
            del self.lost[member]  # taken back, and due at once
            self.wishes[member] = self.now
        for member in claimed.members:
            assert member not in self.held, "two holders at once"
            assert self.wishes.pop(member) <= self.now, "handed out too early"
            self.held[member] = claimed.lease_end
            self.unserved.discard(member)
        is_anything_left = bool(self.lost) or any(at <= self.now for at in self.wishes.values())
        assert len(claimed.members) == most or not is_anything_left

    @precondition(lambda self: self.held)
    @rule(data=st.data(), seconds=st.none() | OFFSETS, in_commit=st.booleans())
    def a_worker_finishes(self, data: st.DataObject, seconds: int | None, in_commit: bool) -> None:
        member = data.draw(st.sampled_from(sorted(self.held)))
        lease_end = self.held.pop(member)
        next_try = None if seconds is None else self.now + seconds * SECOND
        if in_commit:
            self.do(self._finish_in_commit(member, lease_end, next_try))
        else:
            assert self.do(self.scripts.finish_due("deadlines", member, lease_end, next_try))
        wish = self.later.pop(member, None)
        if times := [at for at in (wish, next_try) if at]:
            self.wishes[member] = min(times)

    async def _finish_in_commit(
        self, member: str, lease_end: str, next_try: datetime | None
    ) -> None:
        loaded = await self.scripts.load(self.keys.system)
        next_at = str(millis(next_try)) if next_try else None
        commit = Commit(
            op=f"finish-{loaded.version}",
            record=self.keys.system,
            expect=loaded.version,
            now=loaded.now,
            result="done",
            entry=0,
            writes=(("finish", "deadlines", member, lease_end, next_at),),
        )
        assert (await self.scripts.commit(commit)).code == "OK"

    @precondition(lambda self: self.held)
    @rule(data=st.data(), far_ahead=st.booleans())
    def a_lease_runs_out(self, data: st.DataObject, far_ahead: bool) -> None:
        member = data.draw(st.sampled_from(sorted(self.held)))
        self.lost[member] = self.held.pop(member)
        end = 2**52 if far_ahead else 1
        self.do(self._set_lease_end(member, end))

    async def _set_lease_end(self, member: str, end: int) -> None:
        await self.client.zadd(self.keys.queue("deadlines").leased, {member: end})

    @precondition(lambda self: self.lost)
    @rule(data=st.data(), seconds=st.none() | OFFSETS)
    def a_stalled_worker_finishes_too_late(self, data: st.DataObject, seconds: int | None) -> None:
        member = data.draw(st.sampled_from(sorted(self.lost)))
        next_try = None if seconds is None else self.now + seconds * SECOND
        lease_end = self.lost[member]
        assert not self.do(self.scripts.finish_due("deadlines", member, lease_end, next_try))

    @rule(seconds=st.integers(1, 10))
    def time_goes_on(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.do(stop_the_clock(self.client, self.keys, self.now))

    @invariant()
    def every_member_is_where_it_should_be(self) -> None:
        assert self.do(self._members(leased=True)) == self.held.keys() | self.lost.keys()
        assert self.do(self._members(leased=False)) == self.wishes.keys()

    async def _members(self, *, leased: bool) -> set[str]:
        names = self.keys.queue("deadlines")
        reply = await self.client.zrange(names.leased if leased else names.due, 0, -1)
        return {member.decode() for member in cast("list[bytes]", reply)}

    def teardown(self) -> None:
        """All workers end well, time goes far on: whatever was wished for is handed out."""
        try:
            self._serve_everything()
        finally:
            self.do(self.store.close())
            self.do(self.pool.aclose())
            self.runner.close()

    def _serve_everything(self) -> None:
        self.time_goes_on(3600)
        while self.held or self.lost or self.wishes:
            self.a_worker_claims(4)
            for member, lease_end in list(self.held.items()):
                assert self.do(self.scripts.finish_due("deadlines", member, lease_end))
                del self.held[member]
                if member in self.later:
                    self.wishes[member] = self.later.pop(member)
        assert self.unserved == set(), "a wish was lost"
        self.every_member_is_where_it_should_be()


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

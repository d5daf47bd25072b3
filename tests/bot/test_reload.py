"""Changed configuration is taken over as a whole, or the old one stays and says why."""

from __future__ import annotations

import asyncio
import itertools
import logging
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.errors import StoreUnavailable
from approvals.model import ServiceId
from approvals.policy.loader import load_configuration
from approvals.store.policies import Policies
from approvals.store.processes import ProcessName
from approvals.store.store import Store
from approvals.store.system import SystemRecord
from bot.configuration_files import ConfigurationFiles, Loaded, Stamps
from bot.policy_status import PolicyStatus
from bot.reload import Pace, Reload
from bot.telemetry import Metrics
from tests.approvals.store.support import Servers, wait_until
from tests.bot.web.conftest import make_web
from tests.calling_back import NEXT_SECRET, working
from tests.configurations import CALLBACK_SECRET, POLICY
from tests.conftest import SECRETS, Engine
from tests.reloading import BROKEN, CLOSED, ENVIRONMENT, FIRST_START, TORN, Process, process, save
from tests.stories.telling import asks


@pytest.fixture
async def running(engine: Engine, store: Store, tmp_path: Path) -> Process:
    return await process(engine, store, tmp_path / "files")


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="placet-test-") as folder:
        servers = Servers(Path(folder))
        yield servers
        await servers.end()


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == message]


class TestASavedPolicy:
    async def test_is_taken_over_once_it_stood_still_for_a_look(self, running: Process) -> None:
        before = running.version
        running.save(CLOSED)
        assert not await running.reload.look()
        assert running.version == before
        assert await running.reload.look()
        assert running.version == load_configuration(running.directory, loopback=True).version
        assert (await asks(running.placet, action="report.read")).status == "denied"

    async def test_waits_while_files_are_still_being_saved(self, running: Process) -> None:
        before = running.version
        running.save(TORN)
        assert not await running.reload.look()
        running.save(CLOSED)
        assert not await running.reload.look()
        assert (running.version, running.reload.warnings) == (before, ())
        assert await running.reload.look()

    async def test_is_judged_once(self, running: Process) -> None:
        running.save(CLOSED)
        assert [await running.reload.look() for _ in range(4)] == [False, True, False, False]

    async def test_is_taken_over_at_once_when_asked_for(self, running: Process) -> None:
        running.save(CLOSED)
        assert await running.reload.read_again()
        assert not await running.reload.look()

    async def test_tells_since_when_it_is_in_force(self, running: Process) -> None:
        assert running.reload.status == PolicyStatus(running.version, FIRST_START)
        running.clock.now += timedelta(hours=1)
        running.save(CLOSED)
        await running.reload.read_again()
        since = FIRST_START + timedelta(hours=1)
        assert running.reload.status == PolicyStatus(running.version, since)
        running.clock.now += timedelta(hours=1)
        await running.reload.read_again()
        assert running.reload.status.since == since
        told = f"Policy {running.version} is in force since 2026-11-23 15:17 UTC."
        assert running.reload.status.sentence == told

    async def test_is_kept_and_audited_before_anything_goes_by_it(self, running: Process) -> None:
        first = running.version
        running.save(CLOSED)
        await running.reload.read_again()
        assert await running.store.policies.text(first) == POLICY
        assert await running.store.policies.text(running.version) == CLOSED
        assert await running.store.policies.active() == running.version
        assert await running.entries("policy.activated") == [
            {"version": first},
            {"version": running.version, "previous": first},
        ]

    async def test_that_changes_nothing_but_comments_makes_no_entry(self, running: Process) -> None:
        running.save("# A word more\n" + POLICY)
        assert await running.reload.read_again()
        assert len(await running.entries("policy.activated")) == 1


class TestAFault:
    @pytest.fixture(params=[BROKEN, TORN, "", "rules: [", None])
    async def broken(self, running: Process, request: pytest.FixtureRequest) -> tuple[Process, str]:
        before = running.version
        if request.param is None:
            (running.directory / "policy.yaml").unlink()
        else:
            running.save(request.param)
        assert not await running.reload.read_again()
        return running, before

    async def test_keeps_the_old_policy(self, broken: tuple[Process, str]) -> None:
        running, before = broken
        assert running.version == before
        assert (await asks(running.placet, action="report.read")).status == "approved"

    async def test_is_told_with_its_place(self, broken: tuple[Process, str]) -> None:
        running, _ = broken
        (warning,) = running.reload.warnings
        assert warning.startswith("The changed configuration is not used: it has ")
        assert " at policy.yaml:" in warning
        assert running.reload.status.sentence.endswith(f" UTC. {warning}")
        assert running.figure("placet_policy_reload_failures_total") == 1
        assert running.figure("placet_policy_is_stale") == 1

    async def test_is_on_record(self, broken: tuple[Process, str]) -> None:
        running, before = broken
        (entry,) = await running.entries("policy.refused")
        assert entry["version"] == before
        assert entry["faults"] >= 1

    async def test_is_over_once_it_is_mended(self, broken: tuple[Process, str]) -> None:
        running, _ = broken
        running.save(CLOSED)
        assert not await running.reload.look()
        assert await running.reload.look()
        assert running.reload.warnings == ()
        assert running.figure("placet_policy_is_stale") == 0
        assert running.figure("placet_policy_reload_failures_total") == 1


class TestTheSameFault:
    async def test_is_logged_and_recorded_once(
        self, running: Process, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(3):
            running.save(BROKEN)
            await running.reload.read_again()
        (record,) = logged(caplog, "configuration refused")
        assert record.levelno == logging.ERROR
        (fault,) = vars(record)["faults"]
        line = BROKEN[: BROKEN.index("threshold: two")].count("\n") + 1
        assert fault.startswith(f"policy.yaml:{line}:")
        assert vars(record)["count"] == 1
        assert len(await running.entries("policy.refused")) == 1
        assert running.figure("placet_policy_reload_failures_total") == 3

    async def test_is_told_anew_after_it_was_mended(
        self, running: Process, caplog: pytest.LogCaptureFixture
    ) -> None:
        for text in (BROKEN, POLICY, BROKEN):
            running.save(text)
            await running.reload.read_again()
        assert len(logged(caplog, "configuration refused")) == 2

    async def test_beside_others_is_another_set(
        self, running: Process, caplog: pytest.LogCaptureFixture
    ) -> None:
        for text in (BROKEN, "", BROKEN, ""):
            running.save(text)
            await running.reload.read_again()
        assert len(logged(caplog, "configuration refused")) == 2


async def test_a_fault_in_any_file_keeps_all_of_them(running: Process) -> None:
    before = running.version
    running.save(CLOSED)
    save(running.directory / "people.yaml", "people: nobody\n")
    assert not await running.reload.read_again()
    assert running.version == before
    assert "people.yaml" in running.reload.warnings[0]


FIXTURES = """\
base: {action: report.read, service: crm, requester.id: "okta:00u1", now: 2026-03-02T09:00:00Z}
cases:
  - {name: reports are open, given: {}, expect: {decision: approve}}
"""


async def test_a_policy_that_fails_its_own_fixtures_is_not_taken_over(running: Process) -> None:
    before = running.version
    save(running.directory / "fixtures.yaml", FIXTURES)
    assert not await running.reload.look()
    assert await running.reload.look(), running.reload.warnings
    running.save(CLOSED)
    assert not await running.reload.read_again()
    assert running.version == before
    assert "fixtures.yaml:3:" in running.reload.warnings[0]


async def test_a_key_taken_out_of_the_file_works_no_more(running: Process, engine: Engine) -> None:
    web = make_web(running.placet, engine)
    assert (await web.get("/v1/requests")).status == 200
    services = running.directory / "services.yaml"
    kept = [line for line in services.read_text().splitlines() if "crm-1" not in line]
    save(services, "\n".join(kept).replace("    keys:\n    actions", "    actions") + "\n")
    assert await running.reload.read_again(), running.reload.warnings
    assert (await web.get("/v1/requests")).status == 401


async def test_a_secret_is_read_again_though_no_file_of_the_three_changed(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    first = await process(engine, store, tmp_path / "files")
    services, secret = first.directory / "services.yaml", first.directory / "secret"
    secret.write_text(CALLBACK_SECRET)
    secret.chmod(0o600)
    save(services, services.read_text().replace("{env: CRM_CALLBACK_SECRET}", "{file: secret}"))
    running = await process(engine, store, first.directory, environment={})
    before = running.reload.receivers[ServiceId("crm")].secrets
    secret.write_text(NEXT_SECRET)
    assert not await running.reload.look()
    assert running.reload.receivers[ServiceId("crm")].secrets == before
    assert await running.reload.read_again()
    assert running.reload.receivers[ServiceId("crm")].secrets != before
    secret.chmod(0o644)
    assert not await running.reload.read_again()
    assert "services.yaml" in running.reload.warnings[0]


class Deaf(Policies):
    """Keeps nothing until it is mended."""

    is_deaf = False

    async def keep(self, version: str, text: str) -> None:
        if self.is_deaf:
            raise StoreUnavailable("The store does not answer.")
        await super().keep(version, text)


async def test_what_cannot_be_kept_is_not_used_and_is_tried_again(
    engine: Engine, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policies = Deaf(store.pipeline, store.refs._scripts, store.keys)
    store = replace(store, policies=policies)
    running = await process(engine, store, tmp_path / "files")
    before, policies.is_deaf = running.version, True
    running.save(CLOSED)
    assert [await running.reload.look() for _ in range(3)] == [False, False, False]
    assert running.version == before
    assert "the store does not keep it" in running.reload.warnings[0]
    assert len(logged(caplog, "configuration not kept")) == 1
    policies.is_deaf = False
    assert await running.reload.look()
    assert running.reload.warnings == ()


class Mute(SystemRecord):
    """Does what it is told and never says so, until it is mended."""

    is_mute = False

    async def activate(self, policies: Policies, version: str) -> None:
        await super().activate(policies, version)
        if self.is_mute:
            raise StoreUnavailable("The store did not answer; the outcome is unknown.")


async def test_who_goes_back_after_an_unknown_outcome_says_so(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    system = Mute(store.refs._scripts, store.keys, SECRETS.audit)
    running = await process(engine, replace(store, system=system), tmp_path / "files")
    first, system.is_mute = running.version, True
    running.save(CLOSED)
    assert not await running.reload.read_again()
    assert (running.version, await running.store.policies.active() == first) == (first, False)
    system.is_mute = False
    running.save(POLICY)
    assert await running.reload.read_again()
    assert await running.store.policies.active() == first


async def test_a_process_whose_policy_cannot_be_kept_does_not_start(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    policies = Deaf(store.pipeline, store.refs._scripts, store.keys)
    policies.is_deaf = True
    with pytest.raises(StoreUnavailable):
        await process(engine, replace(store, policies=policies), tmp_path / "files")


class Stumbling(ConfigurationFiles):
    """Fails in a way nobody foresaw."""

    def load(self) -> Loaded:
        raise ZeroDivisionError


class Hanging(ConfigurationFiles):
    """As a file system that does not answer."""

    def load(self) -> Loaded:
        threading.Event().wait(0.2)
        return super().load()


@dataclass(frozen=True)
class Unlisted(ConfigurationFiles):
    """Whose files cannot even be looked at, at first."""

    looks: Iterator[int] = field(default_factory=itertools.count)

    def stamps(self) -> Stamps:
        if next(self.looks) == 0:
            raise ZeroDivisionError
        return super().stamps()


async def test_whatever_a_look_meets_the_watch_goes_on(
    engine: Engine, running: Process, caplog: pytest.LogCaptureFixture
) -> None:
    files = Unlisted(running.directory, ENVIRONMENT, is_demo=True)
    reload = Reload(
        files, files.load(), running.service, running.store, Metrics(), pace=Pace(look_s=0.01)
    )
    running.save(CLOSED)
    first, pool = running.version, engine.pool()

    async def went_over() -> bool:
        return running.version != first

    async with working(reload.run(asyncio.Event(), ProcessName("a", 1, "web"), pool)):
        await wait_until(went_over, "the change is taken over")
    assert len(logged(caplog, "reload failed")) == 1
    await pool.aclose()


@pytest.mark.parametrize("kind", [Stumbling, Hanging])
async def test_whatever_a_load_meets_the_old_one_stays(
    running: Process, kind: type[ConfigurationFiles]
) -> None:
    files = kind(running.directory, ENVIRONMENT, is_demo=True)
    loaded = ConfigurationFiles(running.directory, ENVIRONMENT, is_demo=True).load()
    reload = Reload(
        files, loaded, running.service, running.store, Metrics(), pace=Pace(load_s=0.01)
    )
    await reload.begin(files.stamps())
    before = running.service.configuration
    assert not await reload.read_again()
    assert running.service.configuration is before
    assert "see the log" in reload.warnings[0]


async def test_under_load_each_record_is_decided_by_the_policy_it_names(running: Process) -> None:
    outcome = {running.version: "approved"}
    found: Counter[tuple[str, str]] = Counter()
    for turn in range(20):
        text = (CLOSED, BROKEN, POLICY, TORN)[turn % 4]
        running.save(text)
        before = running.version
        opened, _ = await asyncio.gather(
            asyncio.gather(*(asks(running.placet, action="report.read") for _ in range(50))),
            running.reload.read_again(),
        )
        if text in (BROKEN, TORN):
            assert {request.policy.version for request in opened} == {before}
        outcome.setdefault(running.version, "denied")
        found.update((request.policy.version, request.status) for request in opened)
    assert found.total() == 1000
    assert dict(iter(found)) == outcome
    assert len(found) == 2


class TestAnotherProcess:
    async def test_is_heard_again_after_a_lost_connection(
        self, servers: Servers, tmp_path: Path
    ) -> None:
        server = await servers.start()
        store = servers.store(server)
        engine = Engine("valkey", "lost", None, server.url)
        running = await process(engine, store, tmp_path / "files", pace=Pace(look_s=3600))
        pool = servers.pool(server)
        name = ProcessName("a", 1, "web")
        async with working(running.reload.run(asyncio.Event(), name, pool)):

            async def is_listed() -> bool:
                return [each.name for each in await store.processes.alive()] == [name]

            await wait_until(is_listed, "it runs")
            first = running.version
            running.save(CLOSED)
            server.process.kill()
            await servers.restart(server)

            async def went_over() -> bool:
                return running.version != first

            await wait_until(went_over, "what was missed is found", 20)

    async def test_is_asked_to_look_and_is_told_of(
        self, running: Process, engine: Engine, tmp_path: Path
    ) -> None:
        others_store = engine.store()
        other = await process(engine, others_store, running.directory)
        here, there = ProcessName("a", 1, "web"), ProcessName("b", 2, "worker")
        signalled, never, pool = asyncio.Event(), asyncio.Event(), engine.pool()
        async with (
            working(running.reload.run(signalled, here, pool)),
            working(other.reload.run(never, there, pool)),
        ):

            async def versions() -> dict[ProcessName, str]:
                return {each.name: each.version for each in await running.store.processes.alive()}

            async def went_over() -> bool:
                return running.version != first

            async def both_run(version: str) -> bool:
                return await versions() == {here: version, there: version}

            first = running.version
            await wait_until(lambda: both_run(first), "both are listed")
            running.save(CLOSED)
            signalled.set()
            await wait_until(went_over, "the first went over")
            await wait_until(lambda: both_run(running.version), "the other followed")
        assert await versions() == {}
        assert len(await running.entries("policy.activated")) == 2
        await others_store.close()
        await pool.aclose()

"""P12: when in doubt, no grant, and a clear word about what is wrong and what to do."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from approvals.errors import (
    AlreadyFinal,
    ConfigurationInvalid,
    DeniedByPolicy,
    StoreRefused,
    StoreUnavailable,
)
from approvals.policy.loader import Configuration, load_configuration
from approvals.service import ApprovalService
from approvals.store.health import Demands
from approvals.store.store import Store
from bot.bootstrap import Surroundings, opened
from bot.settings import Settings
from bot.telemetry import Metrics
from bot.web.app import create_app
from bot.web.ops import Condition
from bot.web.waiting import Waiting
from tests.calling_back import ENVIRONMENT
from tests.configurations import API_KEY, POLICY, ask, write_configuration
from tests.conftest import (
    ANNA,
    CLI,
    SECRETS,
    Engine,
    Placet,
    RealServer,
    start_real_server,
)
from tests.servers.asgi_client import Answered, AsgiClient
from tests.signing import grant_tokens
from tests.stories.telling import asks, looks_and_votes, passes, time_works

NOWHERE = "unix:///nonexistent/s.sock"
BEARER = {"Authorization": f"Bearer {API_KEY['crm']}"}
KEY = SecretStr("0123456789abcdef0123456789abcdef")


def no_grant(answered: Answered, slug: str) -> None:
    """An answer that nobody can read as permission."""
    told = answered.json()
    assert answered.status >= 400
    assert told["type"] == f"urn:placet:problem:{slug}"
    assert told["detail"]
    assert b"grant" not in answered.body
    assert "status" not in told or told["status"] == answered.status


@asynccontextmanager
async def web_over(
    service: ApprovalService, engine: Engine, store: Store
) -> AsyncIterator[AsgiClient]:
    client = engine.client()
    app = create_app(
        service=service,
        waiting=Waiting(client, store.keys),
        readiness=lambda: Condition(store.health.faults),
        metrics=Metrics(),
        settings=Settings(),
        tokens=grant_tokens(),
    )
    yield AsgiClient(app)
    await client.aclose()


# The store cannot be reached.


@pytest.fixture
async def unreachable(configuration: Configuration) -> AsyncIterator[Placet]:
    engine = Engine("valkey", "nowhere", None, NOWHERE)
    store = engine.store()
    yield Placet(ApprovalService(store, configuration), store, configuration, engine)
    await store.close()


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/requests"),
        ("GET", "/v1/requests"),
        ("GET", "/v1/requests/req_01M85C49M7FE0V73XVWK199FW7"),
        ("GET", "/v1/requests/req_01M85C49M7FE0V73XVWK199FW7?wait=1"),
        ("DELETE", "/v1/requests/req_01M85C49M7FE0V73XVWK199FW7"),
    ],
)
async def test_without_its_store_placet_answers_503_to_everything(
    unreachable: Placet, method: str, target: str
) -> None:
    async with web_over(unreachable.service, unreachable.engine, unreachable.store) as web:
        if method == "POST":
            answered = await web.post(target, ask(), BEARER)
        else:
            answered = await web.call(method, target, BEARER)

    assert answered.status == 503
    no_grant(answered, "store-unavailable")


async def test_without_its_store_nobody_is_told_that_their_approval_counts(
    placet: Placet, unreachable: Placet
) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)

    with pytest.raises(StoreUnavailable):
        await unreachable.service.review(request.id, ANNA, CLI, "approve")

    assert (await placet.service.card_facts(request.id)).grant is None


async def test_a_store_that_was_never_checked_is_not_thought_well(engine: Engine) -> None:
    store = Store.over(engine.pool(), engine.namespace, SECRETS, Demands())

    with pytest.raises(StoreUnavailable):
        store.health.check_opening()
    with pytest.raises(StoreUnavailable):
        store.health.check_approving()
    await store.close()


# The store has become unfit while Placet runs.


@dataclass(frozen=True)
class Patient:
    """A deployment over a server of its own whose settings a test may spoil."""

    placet: Placet

    async def is_set(self, name: str, value: str) -> tuple[str, ...]:
        """Changes a setting of the server; answers the faults found at the next check."""
        await self.placet.store.pipeline.run("CONFIG", "SET", name, value)
        return await self.placet.store.health.check()


@pytest.fixture(scope="module")
def own_server() -> Iterator[RealServer]:
    with tempfile.TemporaryDirectory(prefix="placet-p12-") as folder:
        server = start_real_server(Path(folder))
        yield server
        server.process.kill()
        server.process.wait()


@pytest.fixture
async def patient(own_server: RealServer, configuration: Configuration) -> AsyncIterator[Patient]:
    engine = Engine("valkey", "p" + uuid.uuid4().hex[:12], None, own_server.url)
    store = Store.over(engine.pool(), engine.namespace, SECRETS, Demands())
    patient = Patient(Placet(ApprovalService(store, configuration), store, configuration, engine))
    assert await patient.is_set("maxmemory-policy", "noeviction") == ()
    yield patient
    for name, value in (("appendfsync", "always"), ("maxmemory-policy", "noeviction")):
        await patient.is_set(name, value)
    await store.close()


SPOILED = [
    ("appendfsync", "everysec", "set appendfsync always"),
    ("maxmemory-policy", "allkeys-lru", "set maxmemory-policy noeviction"),
]


@pytest.mark.parametrize(("setting", "value", "remedy"), SPOILED)
async def test_an_unfit_store_takes_no_request_and_no_approval_while_all_else_goes_on(
    patient: Patient, setting: str, value: str, remedy: str
) -> None:
    placet = patient.placet
    undecided, denied, late = [await asks(placet) for _ in range(3)]
    for request in (undecided, denied):
        await placet.service.view(request.id, ANNA, CLI)

    (fault,) = await patient.is_set(setting, value)

    assert setting in fault
    assert value in fault
    assert remedy in fault
    with pytest.raises(StoreUnavailable):
        await asks(placet)
    with pytest.raises(StoreUnavailable):
        await placet.service.review(undecided.id, ANNA, CLI, "approve")
    told = await placet.service.review(denied.id, ANNA, CLI, "deny", reason="In doubt")
    assert told.status == "denied"
    await passes(placet, late, timedelta(0))
    assert {request.status for request in await time_works(placet)} == {"expired"}


async def test_the_service_is_told_why_and_readyz_names_the_remedy(patient: Patient) -> None:
    placet = patient.placet
    await patient.is_set("appendfsync", "no")

    async with web_over(placet.service, placet.engine, placet.store) as web:
        answered = await web.post("/v1/requests", ask(), BEARER)
        ready = await web.call("GET", "/readyz")

    assert answered.status == 503
    no_grant(answered, "store-unavailable")
    assert ready.status == 503
    assert "set appendfsync always" in ready.json()["faults"][0]


async def test_once_mended_it_goes_on(patient: Patient) -> None:
    placet = patient.placet
    request = await asks(placet)
    await patient.is_set("appendfsync", "no")
    await patient.is_set("appendfsync", "always")

    assert (await looks_and_votes(placet, ANNA, request.id)).status == "approved"


# Placet is set up wrongly: it does not start.


async def starts(server_url: str, directory: Path, environment: dict[str, str]) -> None:
    settings = Settings(
        redis_url=SecretStr(server_url),
        namespace="starts",
        config_dir=directory,
        audit_key=KEY,
        pseudonym_key=KEY,
        vault_key=KEY,
    )
    async with opened(settings, Surroundings(environment, is_demo=True)):
        pass


@pytest.mark.parametrize(("setting", "value", "remedy"), SPOILED)
async def test_it_does_not_start_over_an_unfit_store(
    patient: Patient, tmp_path: Path, setting: str, value: str, remedy: str
) -> None:
    write_configuration(tmp_path / "files")
    await patient.is_set(setting, value)
    assert patient.placet.engine.url is not None

    with pytest.raises(StoreRefused, match=remedy):
        await starts(patient.placet.engine.url, tmp_path / "files", ENVIRONMENT)


async def test_it_does_not_start_without_a_store(tmp_path: Path) -> None:
    write_configuration(tmp_path / "files")

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await starts(NOWHERE, tmp_path / "files", ENVIRONMENT)


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("policy.yaml", "decision: review", "decision: perhaps"),
        ("policy.yaml", "threshold: 2", "threshold: 20"),
        ("policy.yaml", "on_no_match: deny", "on_no_match: approve"),
        ("people.yaml", "roles: [approver]", "roles: [aprover]"),
        ("services.yaml", "sha256:", "md5:"),
    ],
)
async def test_it_does_not_start_with_a_fault_in_its_files_and_names_the_line(
    tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    directory = tmp_path / "files"
    write_configuration(directory)
    text = (directory / file).read_text()
    assert right in text
    (directory / file).write_text(text.replace(right, wrong))

    with pytest.raises(ConfigurationInvalid) as refused:
        await starts(NOWHERE, directory, ENVIRONMENT)

    assert f"{file}:" in refused.value.detail


@pytest.mark.parametrize("secret", [None, "", "whsec_c2hvcnQ=", "not a secret at all"])
async def test_it_does_not_start_when_a_callback_could_not_be_signed(
    tmp_path: Path, secret: str | None
) -> None:
    write_configuration(tmp_path / "files")
    environment = {} if secret is None else {"CRM_CALLBACK_SECRET": secret}

    with pytest.raises(ConfigurationInvalid) as refused:
        await starts(NOWHERE, tmp_path / "files", environment)

    assert "CRM_CALLBACK_SECRET" in refused.value.detail
    assert not secret or secret not in refused.value.detail


# Policy does not say yes.


async def test_what_no_rule_covers_is_denied(placet: Placet) -> None:
    request = await asks(placet, action="rare.thing")

    assert (request.status, request.grant) == ("denied", None)


async def test_a_deny_rule_that_came_later_outdoes_an_approval(
    placet: Placet, tmp_path: Path
) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)
    stricter = POLICY.replace("actions: [data.sell]", "actions: [data.sell, customer.view]")
    write_configuration(tmp_path / "stricter", policy=stricter)
    placet.service.configuration = load_configuration(tmp_path / "stricter")

    with pytest.raises(DeniedByPolicy):
        await placet.service.review(request.id, ANNA, CLI, "approve")

    now = await placet.service.card_facts(request.id)
    assert (now.status, now.grant) == ("denied", None)


async def test_an_approval_and_the_deadline_at_once_give_one_of_both(placet: Placet) -> None:
    request = await asks(placet, expires_in=3)
    await placet.service.view(request.id, ANNA, CLI)
    await passes(placet, request, timedelta(milliseconds=-5))

    async def approves() -> str:
        try:
            return (await placet.service.review(request.id, ANNA, CLI, "approve")).status
        except AlreadyFinal as refusal:
            return str(refusal.facts["status"])

    await asyncio.gather(approves(), time_works(placet))
    await passes(placet, request, timedelta(0))
    told = await approves()
    await time_works(placet)

    now = await placet.service.card_facts(request.id)
    assert now.status == told
    assert (now.grant is not None) == (now.status == "approved")

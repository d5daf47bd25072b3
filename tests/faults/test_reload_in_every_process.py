"""Two webs and a worker over one set of files: they go over together, or stay and say why."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from approvals.policy.loader import load_configuration
from approvals.store.store import Store
from tests.approvals.store.support import wait_until
from tests.calling_back import NEXT_SECRET, SECRETS_OF_CRM
from tests.configurations import CALLBACK_SECRET, POLICY
from tests.conftest import ANNA
from tests.faults.deployment import LONGEST_S, Deployment, Web, drained, request_id
from tests.reloading import BROKEN, CLOSED, save
from tests.servers.callback_receiver import CallbackReceiver


async def versions(store: Store) -> list[tuple[str, str]]:
    """Half and version of every process."""
    alive = await store.processes.alive()
    return sorted((each.name.half, each.version) for each in alive)


async def until(is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    await wait_until(is_so, what, LONGEST_S)


async def until_all_run(store: Store, version: str) -> None:
    wanted = [("web", version), ("web", version), ("worker", version)]

    async def all_run() -> bool:
        return await versions(store) == wanted

    await until(all_run, f"all run {version}")


async def until_warned(web: Web, words: str) -> None:
    async def is_warned() -> bool:
        return any(words in warning for warning in await warnings(web))

    await until(is_warned, f"a warning holds {words}")


async def readiness(web: Web) -> dict[str, object]:
    answer = await web.call("GET", "/readyz")
    assert (answer.status, answer.body["status"]) == (200, "ready")
    return answer.body


async def warnings(web: Web) -> list[str]:
    told = (await readiness(web)).get("warnings", [])
    assert isinstance(told, list)
    return told


def version_in(directory: Path) -> str:
    return load_configuration(directory, loopback=True).version


async def test_every_process_follows_a_saved_policy_and_none_a_broken_one(
    deployed: Deployment,
) -> None:
    directory, store = deployed.folder / "config", deployed.store()
    one, two, _ = await asyncio.gather(deployed.web(), deployed.web(), deployed.worker())
    await until_all_run(store, version_in(directory))

    save(directory / "policy.yaml", CLOSED)
    closed = version_in(directory)
    await until_all_run(store, closed)
    for web in (one, two):
        assert (await readiness(web))["policy"] == {"version": closed}
        answer = await web.asks(f"closed-{web.url}", action="report.read")
        assert (answer.body["status"], answer.body["policy"]["version"]) == ("denied", closed)

    save(directory / "policy.yaml", BROKEN)
    for web in (one, two):
        await until_warned(web, "policy.yaml:")
        assert (await readiness(web))["policy"] == {"version": closed}
        answer = await web.asks(f"broken-{web.url}", action="report.read")
        assert answer.body["policy"]["version"] == closed
    await until_all_run(store, closed)

    save(directory / "policy.yaml", POLICY)
    await until_all_run(store, version_in(directory))

    async def is_quiet() -> bool:
        return await warnings(one) == await warnings(two) == []

    await until(is_quiet, "no warning is left")


async def test_a_key_taken_out_of_the_file_works_nowhere(deployed: Deployment) -> None:
    one, two = await asyncio.gather(deployed.web(), deployed.web())
    for web in (one, two):
        assert (await web.call("GET", "/v1/requests")).status == 200
    services = deployed.folder / "config" / "services.yaml"
    text = services.read_text()
    save(services, re.sub(r"    keys:\n.*crm-1.*\n", "", text))

    async def is_refused() -> bool:
        answers = [await web.call("GET", "/v1/requests") for web in (one, two)]
        return [answer.status for answer in answers] == [401, 401]

    await until(is_refused, "both refuse the key")


async def test_a_signal_to_one_process_brings_the_new_secret_to_all(
    deployed: Deployment, receiver: CallbackReceiver
) -> None:
    directory = deployed.folder / "config"
    services, secret = directory / "services.yaml", directory / "secret"
    secret.write_text(CALLBACK_SECRET)
    secret.chmod(0o600)
    given = "{env: CRM_CALLBACK_SECRET}, {env: CRM_NEXT_SECRET}"
    text = services.read_text()
    assert given in text
    assert SECRETS_OF_CRM == (CALLBACK_SECRET, NEXT_SECRET)
    save(services, text.replace(given, "{file: secret}"))
    web, _ = await asyncio.gather(deployed.web(), deployed.worker())
    store, reviewer = deployed.store(), deployed.reviewer()

    async def is_signed_with(used: str, number: int) -> bool:
        asked = await web.asks(f"signed-{number}", action="customer.view")
        await reviewer.votes(ANNA, request_id(asked))
        await drained(store)
        try:
            receiver.deliveries[-1].verified(used)
        except WebhookVerificationError:
            return False
        return True

    assert await is_signed_with(CALLBACK_SECRET, 0)
    secret.write_text(NEXT_SECRET)
    assert await is_signed_with(CALLBACK_SECRET, 1)
    web.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(LONGEST_S):
        number = 2
        while not await is_signed_with(NEXT_SECRET, number):
            number += 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_who_stops_is_listed_no_more(deployed: Deployment, number: signal.Signals) -> None:
    store = deployed.store()
    process = await deployed.worker()

    async def is_listed() -> bool:
        return await versions(store) != []

    await until(is_listed, "the worker is listed")
    process.send_signal(number)
    async with asyncio.timeout(LONGEST_S):
        assert await process.wait() == 0
    assert await versions(store) == []

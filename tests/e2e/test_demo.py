"""`placet demo` and its kin as processes: what they print, keep, refuse, and leave behind."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.configurations import CALLBACK_SECRET, write_configuration
from tests.conftest import RealServer
from tests.e2e.processes import (
    command,
    demo,
    ended,
    http,
    is_running,
    line_of,
    line_with,
    running,
    started,
    stopped,
)
from tests.signing import SIGNING_KEY

KEYS = {
    "PLACET_AUDIT_KEY": "audit-0123456789-abcdefghijklmnopqrst",
    "PLACET_PSEUDONYM_KEY": "pseudonym-0123456789-abcdefghijklmno",
    "PLACET_VAULT_KEY": "vault-0123456789-abcdefghijklmnopqrst",
    "PLACET_SIGNING_KEY": SIGNING_KEY,
    "CRM_CALLBACK_SECRET": CALLBACK_SECRET,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    directory = tmp_path / "config"
    write_configuration(directory)
    services = directory / "services.yaml"
    elsewhere = "https://crm.internal.example"
    services.write_text(services.read_text().replace("http://127.0.0.1:9", elsewhere))
    return directory


async def test_the_first_line_holds_what_scripts_need(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample") as placet:
        assert placet.facts.keys() == {
            "base_url",
            "console_url",
            "service",
            "api_key",
            "callback_secret",
            "approvers",
            "requesters",
            "actions",
        }
        assert placet.facts["console_url"] == placet.facts["base_url"] + "/console"
        for needed, action in zip((1, 2, 2), placet.facts["actions"], strict=True):
            body = {
                "action": action,
                "requester": {"id": placet.facts["requesters"][-1]},
                "justification": "The three required fields are enough",
            }
            async with (
                http(placet.facts) as client,
                client.post("/v1/requests", json=body) as reply,
            ):
                opened = await reply.json()
                assert (reply.status, opened["approvals"]["needed"]) == (201, needed)
        result = await stopped(placet.process)
        assert "crm has its API key" in result.out


async def test_ctrl_c_ends_it_well_and_leaves_no_process(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample") as placet:
        store = placet.store_pid()
        assert is_running(store)
        result = await stopped(placet.process)
    assert (result.code, result.err) == (0, "")
    assert not is_running(store)
    assert not (placet.home / "running.json").exists()


async def test_state_key_and_secret_survive_a_restart(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample") as first:
        body = {
            "action": "customer.view",
            "requester": {"id": first.facts["requesters"][0]},
            "justification": "It waits while the demo is restarted",
        }
        async with http(first.facts) as client, client.post("/v1/requests", json=body) as reply:
            opened = await reply.json()
        await stopped(first.process, signal.SIGTERM)
    async with demo(tmp_path, "--no-sample") as second:
        for kept in ("api_key", "callback_secret", "approvers"):
            assert second.facts[kept] == first.facts[kept]
        async with (
            http(second.facts) as client,
            client.get(f"/v1/requests/{opened['id']}") as reply,
        ):
            assert (await reply.json())["status"] == "pending"


@pytest.mark.parametrize("and_store", [True, False], ids=["with its store", "alone"])
async def test_after_kill_nine_it_starts_again_with_everything(
    tmp_path: Path, and_store: bool
) -> None:
    async with demo(tmp_path, "--no-sample") as first:
        body = {
            "action": "customer.view",
            "requester": {"id": first.facts["requesters"][0]},
            "justification": "It survives the end of every process",
        }
        async with http(first.facts) as client, client.post("/v1/requests", json=body) as reply:
            opened = await reply.json()
        if and_store:
            os.kill(first.store_pid(), signal.SIGKILL)
        first.process.kill()
        await ended(first.process)
    assert (await command(tmp_path, "pending")).code == 3  # a dead pid is nobody's
    async with demo(tmp_path, "--no-sample") as second:
        words = ("--as", "anna", "--reason", "Ticket checked", "--yes")
        approved = await command(tmp_path, "approve", opened["id"], *words)
        assert approved.code == 0, approved.err
        assert second.facts["api_key"] == first.facts["api_key"]


async def test_the_sample_service_asks_and_tells_what_it_was_told(tmp_path: Path) -> None:
    async with running(tmp_path, "demo") as process:
        assert "http://127.0.0.1:" in await line_of(process)
        assert "crm asks for Jonas Berg" in await line_with(process, "crm asks for")
        _, _, request = (await line_with(process, "/console#req_")).strip().partition("#")
        words = ("--as", "anna", "--reason", "Ticket checked", "--yes")
        assert (await command(tmp_path, "approve", request, *words)).code == 0
        told = await line_with(process, "crm was told")
        assert "approved by anna. It redeemed the grant, and opened the profile." in told
        result = await stopped(process)
    assert (result.code, result.err) == (0, "")
    assert "state is kept" in result.out


async def test_a_second_one_on_the_same_directory_is_refused_by_pid(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample") as placet:
        result = await command(tmp_path, "demo")
        assert (result.code, result.out) == (3, "")
        assert str(placet.process.pid) in result.err
        assert "Traceback" not in result.err


async def test_a_busy_port_is_named_and_the_demo_alone_takes_the_next(
    tmp_path: Path, config: Path
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        for words in (("serve",), ("demo",)):
            result = await command(
                tmp_path, *words, PLACET_PORT=port, CRM_CALLBACK_SECRET=CALLBACK_SECRET
            )
            assert (result.code, result.out) == (3, "")
            assert port in result.err
            assert len(result.err.splitlines()) == 1


async def test_the_demo_is_for_this_machine_alone(tmp_path: Path) -> None:
    result = await command(tmp_path, "demo", PLACET_HOST="0.0.0.0")
    assert result.code == 1
    assert "PLACET_HOST" in result.err


async def test_serve_starts_the_embedded_store_and_says_what_it_is_for(
    tmp_path: Path, config: Path
) -> None:
    async with running(tmp_path, "serve", CRM_CALLBACK_SECRET=CALLBACK_SECRET) as process:
        assert "Placet is ready at http://127.0.0.1:" in await line_of(process)
        assert "single-host pilots" in await line_of(process)
        assert "Nothing waits" in (await command(tmp_path, "pending")).out
        async with demo(tmp_path, "--no-sample"):
            two = await command(tmp_path, "pending")
            assert (two.code, "PLACET_DATA_DIR" in two.err) == (2, True)
        assert (await stopped(process)).code == 0


async def test_durability_none_is_shown_at_every_start(tmp_path: Path, config: Path) -> None:
    async with running(tmp_path, "serve", PLACET_DURABILITY="none", **KEYS) as process:
        assert "trials only" in await line_with(process, "PLACET_DURABILITY is none")


async def test_web_and_worker_are_two_halves_over_one_store(
    tmp_path: Path, config: Path, real_server: RealServer
) -> None:
    given = {
        **KEYS,
        "PLACET_REDIS_URL": real_server.url,
        "PLACET_NAMESPACE": f"e2e-{os.getpid()}",
    }
    async with (
        running(tmp_path, "web", **given) as web,
        running(tmp_path, "worker", **given) as worker,
    ):
        assert "web half is ready at http://127.0.0.1:" in await line_of(web)
        assert "worker half is ready" in await line_of(worker)
        assert (await command(tmp_path, "pending", **given)).code == 0
        for process in (web, worker):
            assert (await stopped(process, signal.SIGTERM)).code == 0


@pytest.mark.parametrize("half", ["web", "worker"])
async def test_a_half_needs_a_store_by_name(tmp_path: Path, config: Path, half: str) -> None:
    result = await command(tmp_path, half, **KEYS)
    assert result.code == 2
    assert "PLACET_REDIS_URL" in result.err


async def test_faults_of_the_files_stop_the_start_in_plain_words(
    tmp_path: Path, config: Path
) -> None:
    (config / "people.yaml").write_text("people: [}\n")
    result = await command(tmp_path, "serve", **KEYS)
    assert (result.code, result.out) == (1, "")
    assert "people.yaml:1:" in result.err
    assert "Traceback" not in result.err


async def test_a_store_out_of_reach_stops_the_start(tmp_path: Path, config: Path) -> None:
    nowhere = f"unix://{tmp_path}/no.sock"
    result = await command(tmp_path, "web", PLACET_REDIS_URL=nowhere, **KEYS)
    assert (result.code, result.out) == (3, "")
    assert f"The store at {tmp_path}/no.sock cannot be reached" in result.err
    assert len(result.err.splitlines()) == 1


async def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample"):
        process = await started(tmp_path, "pending")
        transport = process._transport  # type: ignore[attr-defined]  # asyncio offers no other way
        transport.get_pipe_transport(1).close()
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 0

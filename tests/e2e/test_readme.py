"""What the README shows is run: its Python verifies a real callback, its curl opens a request."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from approvals.model import KeyId
from approvals.policy.loader import load_configuration
from approvals.signing import callback_secret, callback_signature
from bot.settings import KNOWN
from tests.configurations import CALLBACK_SECRET
from tests.e2e.processes import demo

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str, holding: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (found,) = [text for text in blocks if holding in text]
    return str(found)


def test_the_python_verifies_a_callback_of_ours() -> None:
    names: dict[str, object] = {}
    exec(block("python", "standardwebhooks"), names)
    decision = names["decision"]
    assert callable(decision)
    body, now = b'{"type":"request.approved"}', int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": callback_signature(
            [callback_secret(CALLBACK_SECRET)], "evt_1", now, body
        ),
    }

    assert decision(CALLBACK_SECRET, body, headers) == {"type": "request.approved"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_curl_opens_a_request(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample") as running:
        facts = running.facts
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            block("sh", "curl"),
            env={
                "PATH": "/usr/bin:/bin",
                "PLACET_URL": facts["base_url"],
                "PLACET_API_KEY": facts["api_key"],
            },
            stdout=asyncio.subprocess.PIPE,
        )
        answered, _ = await process.communicate()

    assert json.loads(answered)["status"] == "pending"


async def test_the_python_asks_and_waits_until_somebody_decides(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    exec(block("python", "urlopen"), names)
    decided = names["decided"]
    assert callable(decided)
    async with demo(tmp_path, "--no-sample") as running:
        facts = running.facts
        body = {
            "action": facts["actions"][0],
            "requester": {"id": facts["requesters"][0]},
            "justification": "Customer asked for a copy of their data",
        }
        call = asyncio.to_thread(decided, facts["base_url"], facts["api_key"], "ZD-1", body)
        waiting = asyncio.create_task(call)
        await approve_first_pending(facts)

        assert (await waiting)["status"] == "approved"


async def test_the_guard_runs_its_block_after_an_approval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    async with demo(tmp_path, "--no-sample") as running:
        facts = running.facts
        monkeypatch.setenv("PLACET_URL", facts["base_url"])
        monkeypatch.setenv("PLACET_API_KEY", facts["api_key"])
        exec(block("python", "placet.guard("), names)
        why = "Customer asked for a copy of their data"
        call = asyncio.to_thread(names["show"], "48213", facts["requesters"][0], why)
        await asyncio.gather(call, approve_first_pending(facts))
        names["placet"].close()
    assert capsys.readouterr().out == "The profile of 48213\n"


async def approve_first_pending(facts: Mapping[str, Any]) -> None:
    """As a script does by the console's API: wait for a request, look at it, approve it."""
    headers = {"X-Placet-Person": facts["approvers"][0]}
    async with aiohttp.ClientSession(facts["base_url"], headers=headers) as client:
        items: list[dict[str, Any]] = []
        while not items:
            async with client.get("/console/api/requests?status=pending") as reply:
                items = (await reply.json())["items"]
        path = f"/console/api/requests/{items[0]['id']}"
        async with client.post(f"{path}/view") as reply:
            assert reply.status == 200
        async with client.post(f"{path}/review", json={"decision": "approve"}) as reply:
            assert (await reply.json())["status"] == "approved"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_the_start_with_a_copy_of_the_example_passes_the_check(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    *start, serves = block("sh", "cp -r examples/config").splitlines()
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-ec",
        "\n".join(start),
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()

    assert process.returncode == 0
    assert serves == "placet serve"
    assert told.startswith(b"plc_crm-1_")
    assert b"configuration in config: fine" in told
    assert load_configuration(tmp_path / "config").services.key(KeyId("crm-1"))


def test_every_file_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert "examples/config" in links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_setting_it_lists_is_one() -> None:
    table = README.partition("| setting (`PLACET_…`) |")[2].partition("\n\n")[0]
    names = re.findall(r"`([A-Z_]{4,})`", table)
    assert {"REDIS_URL", "BASE_URL", "DURABILITY"} <= set(names) <= KNOWN

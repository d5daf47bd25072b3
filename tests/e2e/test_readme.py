"""What the README shows is run: its Python verifies a real callback, its curl opens a request."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from pathlib import Path

import pytest

from approvals.signing import callback_secret, callback_signature
from tests.configurations import CALLBACK_SECRET
from tests.e2e.processes import demo

README = (Path(__file__).parents[2] / "README.md").read_text()


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

"""A running process and SIGHUP: it reads its files again, and goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import aiohttp

from tests.approvals.store.support import wait_until
from tests.e2e.processes import PLACET, demo, http, stopped
from tests.reloading import save

UNDER_NOHUP = ("/bin/sh", "-c", 'trap "" HUP; exec "$0" "$@"', *PLACET)
TITLE = "title: "


async def readiness(client: aiohttp.ClientSession) -> Mapping[str, Any]:
    async with client.get("/readyz") as reply:
        assert reply.status == 200
        return cast("Mapping[str, Any]", await reply.json())


async def test_the_demo_takes_over_what_is_saved_and_tells_what_is_wrong_with_it(
    tmp_path: Path,
) -> None:
    async with demo(tmp_path, "--no-sample") as placet, http(placet.facts) as client:
        policy = placet.home / "config" / "policy.yaml"
        text = policy.read_text()
        first = await readiness(client)

        async def has_gone_over() -> bool:
            return bool((await readiness(client))["policy"] != first["policy"])

        async def is_warned() -> bool:
            return "warnings" in await readiness(client)

        save(policy, text.replace(TITLE, TITLE + "Really ", 1))
        placet.process.send_signal(signal.SIGHUP)
        await wait_until(has_gone_over, "the new policy is in force", 30)
        save(policy, text + "rules: []\n")
        placet.process.send_signal(signal.SIGHUP)
        await wait_until(is_warned, "the fault is told", 30)
        result = await stopped(placet.process)
    assert result.code == 0
    (line,) = [json.loads(line) for line in result.err.splitlines()]
    assert (line["level"], line["message"]) == ("error", "configuration refused")
    assert line["faults"][0].startswith("policy.yaml:")
    assert placet.facts["callback_secret"] not in result.err


async def test_under_nohup_a_signal_reloads_as_well(tmp_path: Path) -> None:
    async with (
        demo(tmp_path, "--no-sample", program=UNDER_NOHUP) as placet,
        http(placet.facts) as client,
    ):
        policy = placet.home / "config" / "policy.yaml"
        first = await readiness(client)

        async def has_gone_over() -> bool:
            return bool((await readiness(client))["policy"] != first["policy"])

        save(policy, policy.read_text().replace(TITLE, TITLE + "Really ", 1))
        placet.process.send_signal(signal.SIGHUP)
        await wait_until(has_gone_over, "the new policy is in force", 30)
        assert (await stopped(placet.process)).code == 0

"""A smoke run of the benchmark that needs no store, so that it does not fall behind the code."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


async def test_policy_is_measured_against_every_aim() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.policy",
        "--quick",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    result = json.loads(told)
    assert [goal["what"] for goal in result["goals"] if goal["is_met"] is None] == []

"""A smoke run of the benchmarks that need no store, so that they do not fall behind the code."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["policy", "client", "scanning"])
async def test_what_needs_no_store_is_measured_against_every_aim(name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.{name}",
        "--quick",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    result = json.loads(told)
    assert [goal["what"] for goal in result["goals"] if goal["is_met"] is None] == []

"""From the call that decides, made as the CLI makes it, to the callback's last byte."""

from __future__ import annotations

import asyncio
import os
from time import perf_counter

from approvals.model import Origin, RequestId
from benchmarks.company import APPROVER, TOLD
from benchmarks.figures import Json, milliseconds
from benchmarks.openings import open_as
from benchmarks.stage import Stage

AT_ONCE = 16
PATIENCE_S = 30.0
_CLI = Origin(via="cli", os_user="bench", host="localhost")


async def measure(stage: Stage, single: int, rounds: int) -> Json:
    """`single` decisions one at a time, then `rounds` of 16 at a time."""
    before = os.getloadavg()[0]
    one = await _viewed(stage, single)
    many = await _viewed(stage, rounds * AT_ONCE)
    async with asyncio.timeout(PATIENCE_S + (single + rounds) * 0.1):
        alone = [await _told_after(stage, request) for request in one]
        together: list[float] = []
        for start in range(0, len(many), AT_ONCE):
            batch = many[start : start + AT_ONCE]
            together += await asyncio.gather(*(_told_after(stage, each) for each in batch))
    await stage.empty()
    return {
        "one_at_a_time": milliseconds(alone, 0.5, 0.99),
        "16_at_a_time": milliseconds(together, 0.5, 0.99),
        "load_average": [before, os.getloadavg()[0]],
    }


async def _viewed(stage: Stage, count: int) -> list[RequestId]:
    requests = await open_as(stage, TOLD, count)
    for request in requests:
        await stage.service.view(request, APPROVER, _CLI)
    return requests


async def _told_after(stage: Stage, request: RequestId) -> float:
    began = perf_counter()
    decided = await stage.service.review(request, APPROVER, _CLI, "approve", reason="measured")
    if decided.status != "approved":
        raise SystemExit(f"A decision did not take: {decided.status}.")
    return await stage.receiver.arrival(request) - began

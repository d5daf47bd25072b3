"""From the call that decides, made as the CLI makes it, to what the service hears of it:
the callback's last byte, or the answer to its long-poll.
"""

from __future__ import annotations

import asyncio
import os
from time import perf_counter

import aiohttp

from approvals.model import Caller, Origin, RequestId
from benchmarks.company import APPROVER, QUIET, TOLD
from benchmarks.figures import Json, milliseconds
from benchmarks.openings import open_as
from benchmarks.stage import Stage

AT_ONCE = 16
POLLS = 50
SETTLE_S = 0.03
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
        polled = [
            await _answered_after(stage, request) for request in await _viewed(stage, POLLS, QUIET)
        ]
    await stage.empty()
    return {
        "one_at_a_time": milliseconds(alone, 0.5, 0.99),
        "16_at_a_time": milliseconds(together, 0.5, 0.99),
        "to_long_poll": milliseconds(polled, 0.5, 0.99),
        "load_average": [before, os.getloadavg()[0]],
    }


async def _viewed(stage: Stage, count: int, caller: Caller = TOLD) -> list[RequestId]:
    requests = await open_as(stage, caller, count)
    for request in requests:
        await stage.service.view(request, APPROVER, _CLI)
    return requests


async def _told_after(stage: Stage, request: RequestId) -> float:
    began = perf_counter()
    await _approve(stage, request)
    return await stage.receiver.arrival(request) - began


async def _answered_after(stage: Stage, request: RequestId) -> float:
    url = f"http://127.0.0.1:{stage.web.port}/v1/requests/{request}?wait=30"
    headers = {"Authorization": f"Bearer {stage.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def poll() -> tuple[str, float]:
            async with session.get(url) as answer:
                return (await answer.json())["status"], perf_counter()

        polling = asyncio.create_task(poll())
        await asyncio.sleep(SETTLE_S)  # the poll waits by then
        began = perf_counter()
        await _approve(stage, request)
        status, ended = await polling
    if status != "approved":
        raise SystemExit(f"A long-poll was answered {status}.")
    return ended - began


async def _approve(stage: Stage, request: RequestId) -> None:
    decided = await stage.service.review(request, APPROVER, _CLI, "approve", reason="measured")
    if decided.status != "approved":
        raise SystemExit(f"A decision did not take: {decided.status}.")

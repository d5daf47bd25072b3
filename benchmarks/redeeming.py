"""Redeem, with the store and without: interleaved rounds, each counted against the audit log."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from itertools import count

import aiohttp

from benchmarks.figures import Json, middle, milliseconds
from benchmarks.load import Good, Tally, drive
from benchmarks.processes import FLOOR, running
from benchmarks.stage import Stage

CONCURRENCIES = (1, 16, 64)
REDEEMED = Good(b"HTTP/1.1 200", b'"status":"used"')
_OPENED_AT_ONCE = 64
_SLOW = 5  # a fifth of the grants for one connection, which is a good deal slower
_ASK = {
    "action": "report.read",
    "requester": {"id": "okta:u001"},
    "justification": "The monthly report is due today",
    "subject": "report:2026-11",
    "params": {"format": "pdf", "columns": ["email", "address"]},
}
_HEAD = (
    "POST /v1/grants/%s/redeem HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


async def measure(stage: Stage, rounds: int, grants: int, say: Callable[[str], None]) -> Json:
    """F X F X ... for each concurrency; ratios inside a round, then their median.

    A run redeems `grants` grants of one use each, told in full, so that the digest is computed.
    """
    ratios: dict[int, list[float]] = {each: [] for each in CONCURRENCIES}
    runs: list[Json] = []
    async with running(FLOOR, stage.environment, stage.directory / "floor-redeem.log") as floor:
        for number in range(rounds + 1):
            for connections in CONCURRENCIES:
                size = grants // _SLOW if connections == 1 else grants
                without, _ = await _run(stage, floor.port, connections, size)
                whole, recorded = await _run(stage, stage.web.port, connections, size)
                if number == 0:  # to warm up
                    continue
                is_void = bool(without.faults or whole.faults) or recorded != size
                ratio = whole.per_second / without.per_second
                if not is_void:
                    ratios[connections].append(ratio)
                runs.append(
                    {
                        "round": number,
                        "connections": connections,
                        "floor_per_second": round(without.per_second),
                        "per_second": round(whole.per_second),
                        "ratio": round(ratio, 3),
                        **milliseconds(whole.latencies, 0.5, 0.95, 0.99),
                        "recorded": recorded,
                        "is_void": is_void,
                        "load_average": os.getloadavg()[0],
                    }
                )
                say(f"redeem, round {number}, {connections} connections: {ratio:.2f} of its floor")
    await stage.empty()
    results = {str(each): {"ratio": middle(found, 3)} for each, found in ratios.items()}
    return {"grants_per_run": grants, "results": results, "runs": runs}


async def _run(stage: Stage, port: int, connections: int, grants: int) -> tuple[Tally, int]:
    """One run, and how many redeems the audit has of it."""
    await stage.empty()
    ids = await _opened(stage, port, grants)
    before = await stage.count_entries()
    tally = await drive(port, connections, _redeems(stage.api_key, ids), good=REDEEMED)
    return tally, await stage.count_entries() - before


async def _opened(stage: Stage, port: int, grants: int) -> list[str]:
    """Opens requests that a rule approves; answers the ids of their grants."""
    numbers = iter(range(grants))
    ids: list[str] = []
    headers = {"Authorization": f"Bearer {stage.api_key}", "Content-Type": "application/json"}
    body = json.dumps(_ASK).encode()

    async def opens(session: aiohttp.ClientSession) -> None:
        for _ in numbers:
            async with session.post("/v1/requests", data=body, headers=headers) as reply:
                if reply.status != 201:
                    raise SystemExit(f"A request was not accepted: {reply.status}.")
                ids.append((await reply.json())["grant"]["id"])

    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        await asyncio.gather(*(opens(session) for _ in range(_OPENED_AT_ONCE)))
    return ids


def _redeems(api_key: str, grants: list[str]) -> Iterator[bytes]:
    act = {name: _ASK[name] for name in ("action", "subject", "params")}
    for number, grant in zip(count(), grants, strict=False):
        body = json.dumps({"nonce": f"use-{number}", **act}).encode()
        yield (_HEAD % (grant, api_key, len(body))).encode() + body

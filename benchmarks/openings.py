"""Requests opened by the driver itself with the real script, where HTTP is not measured."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice

from approvals.ask import Ask
from approvals.change import Opening
from approvals.encryption import SubjectKey
from approvals.intake import Chance, prepare, request_id
from approvals.lifecycle import open_request
from approvals.model import Caller, RequestId
from approvals.privacy.scanner import Scanner
from benchmarks.company import bodies
from benchmarks.stage import Stage

AT_ONCE = 64


async def open_as(stage: Stage, caller: Caller, count: int) -> list[RequestId]:
    """Opens requests as the web half does."""
    opened = []
    for body in islice(bodies(), count):
        ask = Ask.parse(json.loads(body))
        made = await stage.service.open(caller, ask, body=body, idempotency_key=None)
        opened.append(made.request.id)
    return opened


async def open_until(
    stage: Stage, caller: Caller, deadlines: list[datetime]
) -> dict[RequestId, datetime]:
    """One request for each deadline, exact to the millisecond; which request has which."""
    pattern = await _pattern(stage, caller)
    opened: dict[RequestId, datetime] = {}
    left = iter(deadlines)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(_open_each(stage, pattern, left, opened))
    return opened


async def _open_each(
    stage: Stage, pattern: Opening, deadlines: Iterator[datetime], opened: dict[RequestId, datetime]
) -> None:
    for deadline in deadlines:
        now = await stage.store.records.now()
        opening = replace(pattern, id=request_id(now, os.urandom(10)), expires_in=deadline - now)
        change = open_request(opening, now)
        answer = await stage.store.records.open(change, now, None)
        if answer.code != "OK" or change.request.expires_at != deadline:
            raise SystemExit(f"A request could not be opened: {answer.code}.")
        opened[opening.id] = deadline


async def _pattern(stage: Stage, caller: Caller) -> Opening:
    body = next(bodies())
    now = await stage.store.records.now()
    return prepare(
        stage.service.configuration,
        caller,
        Ask.parse(json.loads(body)),
        now=now,
        marks=stage.store.marks,
        key=SubjectKey.new(),
        scanner=Scanner(),
        body=body,
        chance=Chance(id=request_id(now, os.urandom(10)), salt=os.urandom(16)),
    )

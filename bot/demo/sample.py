"""A sample service: asks Placet by HTTP, hears the outcome, redeems, and tells what it does.

Stands outside, as every service does: it knows the API, its key and its callback secret alone.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import aiohttp
from aiohttp import web

from approvals.signing import callback_secret, callback_signature
from bot.demo.cases import CASES, DEEDS, UNKNOWN_DEED, Case

TOLERANCE_S = 300  # Standard Webhooks: an older signature may be a replay
MOST_WAITING = 3  # the sample stops asking while so many of its requests wait
_MARGIN = " " * 14  # the width of the time in front of a paragraph

Data = dict[str, Any]  # JSON from outside, at the edge


@dataclass(frozen=True, slots=True)
class Access:
    """How the service reaches Placet, and how it knows Placet's word."""

    base_url: str
    api_key: str
    callback_secret: str


class SampleService:
    """Asks every `pause_s` seconds until cancelled. `decide_at` says where people decide."""

    def __init__(
        self,
        access: Access,
        tell: Callable[..., None],
        decide_at: Callable[[str], str],
        pause_s: float = 45.0,
    ) -> None:
        self._access = access
        self._secret = callback_secret(access.callback_secret)
        self._tell = tell
        self._decide_at = decide_at
        self._pause_s = pause_s
        self._heard: set[str] = set()
        self._asked: dict[str, Data] = {}  # by the request's id: what is done once it may be
        self._acting: set[asyncio.Task[None]] = set()

    async def run(self, listener: socket.socket) -> None:
        """Receives callbacks on `listener` and asks, until cancelled."""
        application = web.Application()
        application.router.add_post("/placet", self._hear)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        headers = {"Authorization": f"Bearer {self._access.api_key}"}
        try:
            async with aiohttp.ClientSession(
                self._access.base_url, headers=headers, timeout=aiohttp.ClientTimeout(total=5)
            ) as self._placet:
                await web.SockSite(runner, listener).start()
                await self._ask_now_and_then()
        finally:
            await runner.cleanup()

    async def _ask_now_and_then(self) -> None:
        try:
            for case in cycle(CASES):
                try:
                    if len(await self._waiting()) < MOST_WAITING:
                        await self._ask(case)
                except (aiohttp.ClientError, TimeoutError):
                    self._paragraph("crm could not reach Placet. It asks again later.")
                await asyncio.sleep(self._pause_s)
        finally:
            for task in self._acting:
                task.cancel()
            await asyncio.gather(*self._acting, return_exceptions=True)

    async def _waiting(self) -> list[Data]:
        async with self._placet.get("/v1/requests", params={"status": "pending"}) as reply:
            items: list[Data] = (await reply.json())["items"] if reply.ok else []
            return items

    async def _ask(self, case: Case) -> None:
        async with self._placet.post("/v1/requests", json=case.request) as reply:
            answer: Data = await reply.json(content_type=None)
        if reply.status != 201:
            self._paragraph(f"crm could not ask: {answer.get('detail', reply.status)}")
            return
        self._asked[answer["id"]] = dict(case.request)
        needed = answer["approvals"]["needed"]
        people = "one approval" if needed == 1 else f"{needed} approvals by different people"
        self._paragraph(
            f"crm asks for {case.who}: may it {DEEDS[answer['action']].asked}?",
            f'Reason given: "{case.request["justification"]}"',
            f"It needs {people} until {_clock(datetime.fromisoformat(answer['expires_at']))}:",
            f"  {self._decide_at(answer['id'])}",
        )

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_genuine(self._secret, request.headers, body, time.time()):
            self._paragraph("crm got a message whose signature is wrong, and ignored it.")
            return web.Response(status=401)
        event = request.headers["webhook-id"]
        if event not in self._heard:  # a callback may come twice; it counts once
            self._heard.add(event)
            message: Data = json.loads(body)
            # Answered at once: an attempt has ten seconds, and the work comes after it.
            task = asyncio.create_task(self._act_on(message["type"], message["data"]))
            self._acting.add(task)
            task.add_done_callback(self._acting.discard)
        return web.Response(status=204)

    async def _act_on(self, event: str, data: Data) -> None:
        if event == "grant.redeemed":  # its own doing
            return
        if event != "request.approved":
            self._paragraph(*told(event, data))
            return
        why_not = await self._redeems(data)
        self._paragraph(*told(event, data, why_not))
        if why_not is None:
            await self._accounts_for(data)

    async def _redeems(self, data: Data) -> str | None:
        """Takes the one use of the grant, for what it has asked for. Answers why it may not act."""
        act = self._asked.get(data["id"])
        if act is None:
            return "it no longer knows what that was about"
        body: Data = {name: act[name] for name in ("action", "subject", "params") if name in act}
        body["nonce"] = f"act-on-{data['id']}"
        try:
            async with self._placet.post(
                f"/v1/grants/{data['grant']['id']}/redeem", json=body
            ) as reply:
                answer: Data = await reply.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError):
            return "Placet could not be reached"
        return None if reply.status == 200 else str(answer.get("detail", reply.status))

    async def _accounts_for(self, data: Data) -> None:
        """Says how much was really done."""
        receipt = {"records": self._asked[data["id"]]["record_count"], "outcome": "succeeded"}
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._placet.post(f"/v1/grants/{data['grant']['id']}/receipt", json=receipt):
                pass

    def _paragraph(self, first: str, *more: str) -> None:
        lines = (_MARGIN + line for line in more)
        self._tell(f"{_clock(datetime.now(UTC))}  {first}", *lines, "")


def is_genuine(secret: bytes, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether Placet signed these very bytes, just now (Standard Webhooks 1.0)."""
    event, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (sent.isascii() and sent.isdigit()) or abs(now - int(sent)) > TOLERANCE_S:
        return False
    expected = callback_signature([secret], event, int(sent), body)
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected.encode(), signature) for signature in given)


def told(event: str, data: Data, why_not: str | None = None) -> list[str]:
    """What the service was told, and what it then did or did not do.

    `why_not` is why the grant of an approval could not be redeemed.
    """
    deed = DEEDS.get(data["action"], UNKNOWN_DEED)
    if event.startswith("grant."):
        became = "was revoked" if event == "grant.revoked" else "has ended"
        return [f"crm was told: the permission to {deed.asked} {became}."]
    decision: Data = data["decision"]
    by = " and ".join(who["person"] for who in decision["by"]) or "nobody"
    heard = {
        "approved": f"approved by {by}. It redeemed the grant, and {deed.done}.",
        "denied": f"denied by {by}. So it {deed.undone}.",
        "expired": f"expired, since nobody decided in time. So it {deed.undone}.",
        "cancelled": f"cancelled ({decision['reason']}). So it {deed.undone}.",
    }
    if why_not is not None:
        heard["approved"] = f"approved by {by}. The grant opens nothing: {why_not.rstrip('.')}."
        heard["approved"] += f" So it {deed.undone}."
    return [f"crm was told: {heard[data['status']]}", f"The request was {data['id']}."]


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"

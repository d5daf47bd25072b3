"""A made-up support desk: it prints a customer's profile only with a grant that Placet redeemed.

Ask, wait, redeem, act, account for it, else do nothing: all calls by hand, as in any language.
README.md beside it says how to run it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

CUSTOMERS = {"48213": "Dana Weiss, dana.weiss@example.com", "48214": "Timo Brandt, no address"}
AGENT = "okta:00u1"  # a real desk knows from its own login who asks
PORT = int(os.environ.get("DESK_PORT", "8090"))
PAUSES_S = (0, 1, 3)  # before each try of a call
PATIENCE_S = float(os.environ.get("DESK_PATIENCE_S", "10"))  # no callback by then: we ask
WAIT_S = 30  # how long Placet may hold our question
OVERDUE = timedelta(minutes=1)  # so long after its end Placet has surely said so

Data = dict[str, Any]  # JSON from Placet


class Receiver:
    """Takes callbacks. A real service keeps on disk what it has heard."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._heard: set[str] = set()  # webhook ids
        self._latest: dict[str, tuple[int, Data]] = {}  # by request: the highest seq and its data
        self._news = asyncio.Condition()

    async def hear(self, request: web.Request) -> web.Response:
        """One callback: verified by its raw bytes, counted once, never older than the last."""
        try:
            event: Data = self._webhook.verify(await request.read(), dict(request.headers))
        except (WebhookVerificationError, ValueError):
            print("A message without a right signature was ignored.", flush=True)
            return web.Response(status=401)
        webhook_id, request_id = request.headers["webhook-id"], event["data"]["id"]
        latest, _ = self._latest.get(request_id, (0, {}))
        if webhook_id not in self._heard and event["seq"] > latest:
            async with self._news:
                self._latest[request_id] = (event["seq"], event["data"])
                self._news.notify_all()
        self._heard.add(webhook_id)
        return web.Response(status=204)

    async def told_of(self, request_id: str) -> Data | None:
        """What callbacks say of a request, or None while they say nothing."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(lambda: request_id in self._latest)
        except TimeoutError:
            return None
        return self._latest[request_id][1]


class Placet:
    """The calls that a service needs. They raise `LookupError` when nothing may be done."""

    def __init__(self, http: aiohttp.ClientSession, receiver: Receiver) -> None:
        self._http = http
        self._receiver = receiver

    async def opened(self, body: Data, key: str) -> Data:
        """Asks. Each try has the same key, so people are asked once."""
        return await self._tried("/v1/requests", body, "to ask", key=key)

    async def redeemed(self, grant_id: str, act: Data) -> None:
        """Takes the grant for what will be done now. Each try has the same nonce, so one use."""
        body = {**act, "nonce": secrets.token_hex(16)}
        answer = await self._tried(f"/v1/grants/{grant_id}/redeem", body, "to open it")
        if answer.get("id") != grant_id or answer.get("status") not in ("active", "used"):
            raise LookupError("the answer to redeem makes no sense")

    async def account_for(self, grant_id: str, records: int) -> None:
        """Says what was done. A failure is told, and changes nothing: Placet sees it missing."""
        body = {"records": records, "outcome": "succeeded"}
        try:
            await self._tried(f"/v1/grants/{grant_id}/receipt", body, "the receipt")
        except LookupError as error:
            print(f"The receipt is not recorded: {error}.", file=sys.stderr)

    async def _tried(self, path: str, body: Data, what: str, key: str | None = None) -> Data:
        """A POST; after silence or a 5xx once more, with the same bytes."""
        for pause in PAUSES_S:
            await asyncio.sleep(pause)
            status, answer = await self._call("POST", path, body, key=key)
            if status in (200, 201):
                return answer
            if 400 <= status < 500:
                said = str(answer.get("detail", status)).rstrip(".")
                raise LookupError(f"Placet refuses {what}: {said}")
        raise LookupError("Placet cannot be asked")

    async def outcome(self, data: Data) -> Data:
        """The request once it is final: as a callback tells, else as Placet answers."""
        until = datetime.fromisoformat(data["expires_at"]) + OVERDUE
        while data["status"] == "pending":
            if datetime.now(UTC) > until:
                raise LookupError("Placet has told no outcome")
            told = await self._receiver.told_of(data["id"])
            if told is None:
                path = f"/v1/requests/{data['id']}?wait={WAIT_S}"
                status, answer = await self._call("GET", path)
                told = answer if status == 200 else None
            data = told or data
        return data

    async def _call(
        self, method: str, path: str, body: Data | None = None, key: str | None = None
    ) -> tuple[int, Data]:
        """Status and JSON; 0 when nobody knows what became of the call."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._http.request(method, path, json=body, headers=headers) as reply:
                return reply.status, await reply.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, {}


async def show(placet: Placet, customer: str, body: Data) -> None:
    """Prints the profile once this very look is permitted. Raises `LookupError` when it is not."""
    opened = await placet.opened(body, f"{body['ticket']}-{customer}")
    print(f"Asked: {opened['id']} is {opened['status']}.", flush=True)
    data = await placet.outcome(opened)
    if data["status"] != "approved":
        raise LookupError(f"the request is {data['status']}")
    grant_id = data["grant"]["id"]
    await placet.redeemed(grant_id, {name: body[name] for name in ("action", "subject")})
    print(f"Approved. The profile of {customer}: {CUSTOMERS[customer]}", flush=True)
    await placet.account_for(grant_id, records=1)


async def look(ticket: str, customer: str, why: str) -> bool:
    """Prints the profile of `customer`, or why it stays closed."""
    receiver = Receiver(os.environ["CALLBACK_SECRET"])
    application = web.Application()
    application.router.add_post("/placet", receiver.hear)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    body = {
        "action": "customer.view",
        "subject": f"customer:{customer}",
        "requester": {"id": AGENT},
        "justification": why,
        "ticket": ticket,
        "callback_url": f"http://127.0.0.1:{runner.addresses[0][1]}/placet",
    }
    headers = {"Authorization": f"Bearer {os.environ['PLACET_API_KEY']}"}
    timeout = aiohttp.ClientTimeout(total=WAIT_S + 10)
    try:
        async with aiohttp.ClientSession(
            os.environ["PLACET_URL"], headers=headers, timeout=timeout
        ) as http:
            await show(Placet(http, receiver), customer, body)
            return True
    except LookupError as error:
        print(f"The profile of {customer} stays closed: {error}.")
        return False
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[2] not in CUSTOMERS:
        sys.exit(f"Usage: support_desk.py TICKET CUSTOMER WHY, the customer one of {[*CUSTOMERS]}")
    sys.exit(0 if asyncio.run(look(*sys.argv[1:])) else 1)

"""A FastAPI service that opens customer profiles behind Placet's gate, without anybody waiting.

`POST /profiles` asks and answers at once; Placet's callback tells of the outcome; `GET` redeems
and shows. README.md says how to run it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from approvals.callback_receiver import BadCallback, CallbackEvent, verify_callback
from approvals.client import AsyncPlacet, ClientError, Refused
from approvals.client import Request as Approval

CUSTOMERS = {"48213": "Dana Weiss, dana.weiss@example.com", "48214": "Timo Brandt, no address"}
AGENT = "okta:00u1"  # a real service knows from its own login who asks


class Wish(BaseModel):
    """What an agent asks for."""

    customer: str
    why: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the whole service. What is asked for would be in a real one's database."""
    async with AsyncPlacet.from_environment() as placet:
        app.state.placet, app.state.asked, app.state.heard = placet, {}, {}
        yield


app = FastAPI(lifespan=lifespan)


async def callback(request: Request) -> CallbackEvent:
    """The event in a callback, or 401 for what Placet has not signed just now."""
    secret = os.environ["CALLBACK_SECRET"]
    try:
        return verify_callback(secret, request.headers, await request.body())
    except BadCallback as error:
        raise HTTPException(401) from error


@app.post("/placet", status_code=204)
async def hear(event: Annotated[CallbackEvent, Depends(callback)]) -> None:
    """Notes the latest that is known of a request. It tells, and permits nothing."""
    seq, _ = app.state.heard.get(event.request.id, (0, ""))
    if event.seq > seq:
        app.state.heard[event.request.id] = (event.seq, event.request.status)


@app.post("/profiles", status_code=202)
async def ask(wish: Wish) -> dict[str, str]:
    """Asks Placet, and does not wait."""
    if wish.customer not in CUSTOMERS:
        raise HTTPException(404)
    try:
        request = await app.state.placet.request(
            action="customer.view",
            subject=f"customer:{wish.customer}",
            requester=AGENT,
            justification=wish.why,
            callback_url=os.environ["CALLBACK_URL"],
        )
    except Refused as error:
        raise HTTPException(422, str(error)) from error
    except ClientError as error:
        raise HTTPException(503, str(error)) from error
    app.state.asked[request.id] = wish.customer
    return {"id": request.id, "status": request.status}


@app.get("/profiles/{request_id}")
async def show(request_id: str) -> dict[str, str]:
    """The profile, once: redeemed for the customer that was asked for, then shown."""
    customer = app.state.asked.get(request_id)
    if customer is None:
        raise HTTPException(404)
    _, status = app.state.heard.get(request_id, (0, "pending"))
    if status != "approved":
        raise HTTPException(403, f"The request is {status}")
    placet, subject = app.state.placet, f"customer:{customer}"
    try:
        approved = await placet.wait(await placet.show(request_id), timeout=0)
        await placet.redeem(approved, action="customer.view", subject=subject)
    except ClientError as error:
        raise HTTPException(403, str(error)) from error
    await account_for(approved)
    return {"profile": CUSTOMERS[customer]}


async def account_for(approved: Approval) -> None:
    """A receipt that fails keeps nothing from anybody: Placet sees that it is missing."""
    try:
        await app.state.placet.receipt(approved, records=1)
    except ClientError as error:
        print(error)

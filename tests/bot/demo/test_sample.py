"""The sample service believes nothing unsigned, counts a callback once, and tells what it does."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from approvals.errors import ConfigurationInvalid
from approvals.model import PersonId
from approvals.policy.loader import load_configuration
from approvals.signing import callback_secret, callback_signature
from bot.bootstrap import listen
from bot.demo import company
from bot.demo.cases import CASES
from bot.demo.company import found_company, keep_port, last_port
from bot.demo.run import Options, run_demo
from bot.demo.sample import Access, Data, SampleService, is_genuine, told
from bot.settings import Settings
from bot.signals import Signals
from bot.terminal import Terminal
from tests.configurations import CALLBACK_SECRET

SECRET = callback_secret(CALLBACK_SECRET)


def signed(body: bytes, at: float, event: str = "evt_1", secret: bytes = SECRET) -> dict[str, str]:
    return {
        "webhook-id": event,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": callback_signature([secret], event, int(at), body),
    }


def test_a_signature_is_good_for_these_bytes_this_id_and_these_minutes() -> None:
    body, now = b"{}", 1_800_000_000.0
    good = signed(body, now)
    assert is_genuine(SECRET, good, body, now + 299)
    assert is_genuine(
        SECRET, good | {"webhook-signature": f"v1,x {good['webhook-signature']}"}, body, now
    )
    for headers, sent, at in (
        (good, b"{ }", now),
        (good | {"webhook-id": "evt_2"}, body, now),
        (good, body, now + 301),
        (good | {"webhook-timestamp": "soon"}, body, now),
        (signed(body, now, secret=b"another secret of good length"), body, now),
        (good | {"webhook-signature": ""}, body, now),
        ({}, body, now),
    ):
        assert not is_genuine(SECRET, headers, sent, at)


def data(
    status: str, by: Iterable[str] = (), reason: str | None = None, action: str = "customer.view"
) -> Data:
    decision = {"by": [{"person": person, "via": "cli"} for person in by], "reason": reason}
    grant = {"id": "grt_1"} if status == "approved" else None
    return {
        "id": "req_1",
        "action": action,
        "status": status,
        "decision": decision,
        "grant": grant,
    }


@pytest.mark.parametrize(
    ("event", "sent", "words"),
    [
        (
            "request.approved",
            data("approved", ["anna", "ben"]),
            "approved by anna and ben. It redeemed the grant, and opened the profile.",
        ),
        (
            "request.denied",
            data("denied", ["anna"]),
            "denied by anna. So it left the profile closed",
        ),
        ("request.expired", data("expired"), "nobody decided in time. So it left"),
        ("request.cancelled", data("cancelled", reason="by_admin"), "cancelled (by_admin). So it"),
        (
            "grant.ended",
            data("approved", ["anna"]),
            "the permission to open one customer's profile has ended",
        ),
        (
            "request.approved",
            data("approved", ["anna"], action="new.thing"),
            "It redeemed the grant, and went ahead",
        ),
    ],
)
def test_every_outcome_is_told_with_its_consequence(event: str, sent: Data, words: str) -> None:
    assert words in told(event, sent)[0]


@dataclass
class Placet:
    """As much of Placet as the sample talks to."""

    port: int = 0
    waiting: int = 0
    status: int = 201
    redeems: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    acts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(self, _: web.Request) -> web.Response:
        return web.json_response({"items": [{}] * self.waiting})

    async def open(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        answer = {
            "id": f"req_{len(self.asked)}",
            "action": self.asked[-1]["action"],
            "approvals": {"needed": len(self.asked), "given": 0},
            "expires_at": "2026-11-23T14:32:00.123Z",
            "detail": "It is not to be.",
        }
        return web.json_response(answer, status=self.status)

    async def act(self, request: web.Request) -> web.Response:
        call = request.path.rpartition("/")[2]
        self.acts.append((call, await request.json()))
        self.tell(f"{call} was called")
        status = self.redeems if call == "redeem" else 200
        return web.json_response({"detail": "The grant was revoked."}, status=status)

    def tell(self, *lines: str) -> None:
        self.lines += lines
        self._more.set()

    async def told(self, words: str) -> None:
        async with asyncio.timeout(10):
            while not any(words in line for line in self.lines):
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def sampled(
    prepare: Callable[[Placet], None] = lambda _: None, *, stop_placet: bool = False
) -> AsyncIterator[tuple[Placet, str]]:
    """A sample service between a stand-in for Placet and its own callback URL."""
    placet = Placet()
    prepare(placet)
    app = web.Application()
    app.router.add_get("/v1/requests", placet.list)
    app.router.add_post("/v1/requests", placet.open)
    app.router.add_post("/v1/grants/grt_1/redeem", placet.act)
    app.router.add_post("/v1/grants/grt_1/receipt", placet.act)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", "plc_crm-1_x", CALLBACK_SECRET)
    if stop_placet:
        await runner.cleanup()
    receiver = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.getsockname()[1]}/placet"
    service = SampleService(access, placet.tell, lambda request: f"approve {request}", 0.005)
    running = asyncio.create_task(service.run(receiver))
    try:
        yield placet, url
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await runner.cleanup()


async def test_it_asks_one_case_after_the_other() -> None:
    async with sampled() as (placet, _):
        await placet.told("approve req_4")
    assert placet.asked[:4] == [dict(case.request) for case in (*CASES, CASES[0])]
    text = "\n".join(placet.lines)
    assert "crm asks for Jonas Berg: may it open one customer's profile?" in text
    assert "one approval until" in text
    assert "2 approvals by different people until" in text


async def test_it_does_not_ask_while_enough_of_its_requests_wait() -> None:
    def busy(placet: Placet) -> None:
        placet.waiting = 3

    async with sampled(busy) as (placet, url), aiohttp.ClientSession() as client:
        async with client.post(url, data=b"{}") as reply:
            assert reply.status == 401
        assert placet.asked == []


async def test_a_refusal_is_told() -> None:
    def refusing(placet: Placet) -> None:
        placet.status = 422

    async with sampled(refusing) as (placet, _):
        await placet.told("crm could not ask: It is not to be.")


async def test_it_outlives_a_placet_out_of_reach() -> None:
    async with sampled(stop_placet=True) as (placet, _):
        await placet.told("It asks again later.")


def approved(**changes: object) -> bytes:
    told = {**data("approved", ["anna"]), **changes}
    return json.dumps({"type": "request.approved", "data": told}).encode()


async def calls(url: str, body: bytes, event: str = "evt_1") -> None:
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=body, headers=signed(body, time.time(), event)) as reply,
    ):
        assert reply.status == 204


async def test_a_callback_that_comes_twice_counts_once() -> None:
    async with sampled() as (placet, url):
        await placet.told("approve req_1")
        for _ in range(2):
            await calls(url, approved())
        await placet.told("crm was told")
    assert sum("crm was told" in line for line in placet.lines) == 1


async def test_it_acts_on_a_redeemed_grant_and_says_what_it_did() -> None:
    async with sampled() as (placet, url):
        await placet.told("approve req_1")
        await calls(url, approved())
        await placet.told("It redeemed the grant, and opened the profile.")
        await placet.told("receipt was called")
    case = CASES[0].request
    assert placet.acts[0] == (
        "redeem",
        {
            "nonce": "act-on-req_1",
            "action": case["action"],
            "subject": case["subject"],
            "params": case["params"],
        },
    )
    assert placet.acts[1:] == [("receipt", {"records": 1, "outcome": "succeeded"})]


async def test_a_grant_that_cannot_be_redeemed_leaves_the_deed_undone() -> None:
    def refusing(placet: Placet) -> None:
        placet.redeems = 409

    async with sampled(refusing) as (placet, url):
        await placet.told("approve req_1")
        await calls(url, approved())
        await placet.told("opens nothing: The grant was revoked. So it left the profile closed.")
    assert [call for call, _ in placet.acts] == ["redeem"]


async def test_it_does_nothing_on_an_approval_of_what_it_no_longer_knows() -> None:
    async with sampled() as (placet, url):
        await calls(url, approved(id="req_old"))
        await placet.told("it no longer knows what that was about. So it left the profile closed.")
    assert placet.acts == []


async def test_an_unsigned_callback_is_told_and_refused() -> None:
    async with sampled() as (placet, url), aiohttp.ClientSession() as client:
        async with client.post(url, data=b'{"type": "request.approved"}') as reply:
            assert reply.status == 401
        await placet.told("signature is wrong")


def test_the_company_holds_what_is_promised_of_it(tmp_path: Path) -> None:
    made = found_company(tmp_path, "http://127.0.0.1:8090/placet")
    loaded = load_configuration(made.config_dir, loopback=True)
    assert list(loaded.policy.actions) == list(company.ACTIONS)
    reviews = [rule for rule in loaded.policy.rules if rule.then.decision == "review"]
    assert [rule.then.threshold for rule in reviews] == [1, 2]
    everyone = loaded.people.who_may_decide(["privacy"], None)
    assert everyone == {PersonId(person) for person in company.APPROVERS}
    for requester in company.REQUESTERS:
        person = loaded.people.by_requester_id(requester)
        assert person is not None
        assert person.id not in everyone
    (service,) = loaded.services.all()
    assert service.callback_url(None) == "http://127.0.0.1:8090/placet"
    assert service.callback_url("http://127.0.0.1:9/x") == "http://127.0.0.1:9/x"


def test_key_and_secret_are_made_once_and_are_ours_alone(tmp_path: Path) -> None:
    first, again = found_company(tmp_path, None), found_company(tmp_path, None)
    assert (first.api_key, first.callback_secret) == (again.api_key, again.callback_secret)
    for name in ("api_key", "callback_secret"):
        assert (tmp_path / "keys" / name).stat().st_mode & 0o777 == 0o600
    assert len(callback_secret(first.callback_secret)) == 32
    (service,) = load_configuration(first.config_dir).services.all()
    assert service.callback_url(None) is None


def test_the_samples_port_is_kept(tmp_path: Path) -> None:
    assert last_port(tmp_path) == 0
    keep_port(tmp_path, 4711)
    assert last_port(tmp_path) == 4711


async def test_another_port_is_taken_where_none_was_asked_for(tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = Terminal({}, io.StringIO(), out, io.StringIO())
    signals = Signals()
    with listen("127.0.0.1", 0) as busy, listen("127.0.0.1", 0) as old_receiver:
        port = busy.getsockname()[1]
        (tmp_path / "demo").mkdir()
        keep_port(tmp_path / "demo", old_receiver.getsockname()[1])
        settings = Settings(data_dir=tmp_path, port=port)
        running = asyncio.create_task(run_demo(settings, Options(pause_s=0.01), terminal, signals))
        async with asyncio.timeout(20):
            while "pii" not in out.getvalue() and "print shop" not in out.getvalue():
                assert not running.done(), running.exception()
                await asyncio.sleep(0.005)
        signals.stop.set()
        await running
    assert f"http://127.0.0.1:{port}." not in out.getvalue()
    assert "Who may approve: anna (Anna Ek), ben" in out.getvalue()
    assert re.search(r"^\d\d:\d\d:\d\d UTC  crm asks", out.getvalue(), re.MULTILINE)


async def test_the_sample_asks_at_our_own_door_whatever_others_call_it(tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = Terminal({}, io.StringIO(), out, io.StringIO())
    signals = Signals()
    settings = Settings(data_dir=tmp_path, port=0, base_url="http://127.0.0.1:1")
    running = asyncio.create_task(run_demo(settings, Options(pause_s=0.01), terminal, signals))
    async with asyncio.timeout(20):
        while "crm asks" not in out.getvalue():
            assert not running.done(), running.exception()
            assert "could not reach" not in out.getvalue()
            await asyncio.sleep(0.005)
    signals.stop.set()
    await running
    assert "API: http://127.0.0.1:1/docs" in out.getvalue()


async def test_the_demo_refuses_an_address_that_others_can_reach(tmp_path: Path) -> None:
    terminal = Terminal({}, io.StringIO(), io.StringIO(), io.StringIO())
    for host in ("0.0.0.0", "demo.example"):
        settings = Settings(data_dir=tmp_path, host=host)
        with pytest.raises(ConfigurationInvalid, match="PLACET_HOST"):
            await run_demo(settings, Options(), terminal, Signals())

"""P9 over real processes: canaries in, and none in what the demo shows, logs, tells and keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.canaries import Canaries
from tests.e2e.processes import command, demo, http
from tests.servers.callback_receiver import CallbackReceiver, answers, callback_receiver

Heard = dict[str, list[str | bytes]]
# Where a canary may be heard, by its place; anywhere else is a leak. As in the story of P9.
MAY_BE_HEARD: Mapping[str, frozenset[str]] = {
    "justification": frozenset({"view"}),
    "ticket": frozenset({"view"}),
    "requester.name": frozenset({"view"}),
    "plain": frozenset({"view"}),
    "comment": frozenset({"view"}),
    "deny reason": frozenset({"view", "answer"}),
    "machine": frozenset({"view", "page", "answer", "callback", "terminal", "disk"}),
    "data_classes": frozenset({"view", "page", "terminal", "disk"}),
    "context": frozenset({"view", "disk"}),
    "callback_url": frozenset({"callback", "disk"}),
}


def asks(canaries: Canaries, receiver: CallbackReceiver, **changes: object) -> dict[str, Any]:
    """A request with a canary wherever it holds text."""
    word, email = canaries.word, canaries.email
    return {
        "action": "users.export",
        "requester": {"id": f"job:{word('machine')}", "name": word("requester.name")},
        "justification": f"{word('justification')} asked for a copy, see {email('masked')}",
        "ticket": word("ticket"),
        "subject": email("subject"),
        "data_classes": [word("data_classes")],
        "params": {
            "format": word("plain"),
            "columns": f"<{word('plain')}>",
            word("undeclared name"): {word("nested"): email("undeclared")},
        },
        "context": {"geo.country": "DE", "device.type": word("ignored")},
        "callback_url": f"{receiver.origin}/{word('callback_url')}?{word('callback_url')}",
    } | changes


class People:
    """The demo's service and its people, over HTTP; all that they are told is kept."""

    def __init__(self, service: aiohttp.ClientSession, heard: Heard) -> None:
        self._service = service
        self._heard = heard

    async def call(
        self,
        channel: str,
        method: str,
        path: str,
        *,
        person: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - as the client takes it
    ) -> dict[str, Any]:
        sent = {**({"X-Placet-Person": person} if person else {}), **(headers or {})}
        async with self._service.request(method, path, headers=sent, **more) as reply:
            text = await reply.text()
            is_problem = reply.content_type == "application/problem+json"
            self._heard[channel if not is_problem else "problem"] += [text, str(reply.headers)]
            is_json = reply.content_type.endswith("json")
            return dict(await reply.json(content_type=None)) if is_json else {}

    async def decide(self, person: str, request: str, decision: str, reason: str) -> None:
        path = f"/console/api/requests/{request}"
        await self.call("view", "POST", f"{path}/view", person=person, json={})
        sent = {"decision": decision, "reason": reason}
        await self.call("page", "POST", f"{path}/review", person=person, json=sent)

    async def look(self, requests: list[str]) -> None:
        for person in ("anna", "dana", "olga", "jonas"):
            for path in ("/console", "/console/board", "/console/api/requests"):
                await self.call("page", "GET", path, person=person)
            for request in requests:
                path = f"/console/api/requests/{request}/view"
                await self.call("view", "POST", path, person=person, json={})
        for path in ("/metrics", "/readyz", "/v1/requests"):
            await self.call("answer" if path == "/v1/requests" else "figures", "GET", path)


async def test_no_canary_in_what_the_demo_shows_logs_tells_and_keeps(tmp_path: Path) -> None:
    canaries = Canaries()
    channels = (
        "answer", "problem", "view", "page", "figures", "callback", "terminal", "log", "disk"
    )  # fmt: skip
    heard: Heard = {channel: [] for channel in channels}
    async with (
        callback_receiver() as receiver,
        demo(tmp_path, "--no-sample", PLACET_LOG_LEVEL="debug") as placet,
    ):
        # Read all the while, or the process would stand still once the pipe is full.
        assert placet.process.stderr is not None
        logging = asyncio.create_task(placet.process.stderr.read())
        async with http(placet.facts) as service:
            waiting = await everything_happens(People(service, heard), canaries, receiver)
        await at_the_terminal(tmp_path, waiting, heard, canaries)
        await receiver.got(6)
        heard["disk"] += await asyncio.to_thread(files_below, tmp_path)
        placet.process.terminate()
        heard["log"].append(await logging)
        assert placet.process.stdout is not None
        heard["terminal"].append(await placet.process.stdout.read())
        assert await placet.process.wait() == 0
    for delivery in receiver.deliveries:
        heard["callback"] += [delivery.path, str(delivery.headers), delivery.body]

    seen = {
        (place, channel)
        for channel, texts in heard.items()
        for text in texts
        for place in canaries.in_text(text)
    }
    assert [each for each in seen if each[1] not in MAY_BE_HEARD.get(each[0], ())] == []
    assert seen >= {("justification", "view"), ("deny reason", "answer"), ("machine", "callback")}
    assert all(heard.values()), "something was not listened to"


async def everything_happens(people: People, canaries: Canaries, receiver: CallbackReceiver) -> str:
    """Requests are denied, used, cancelled and refused; answers the id of one that waits."""
    word = canaries.word
    receiver.script.append(answers(500, X_Reason=word("reply")))

    async def opened(**changes: object) -> dict[str, Any]:
        sent = asks(canaries, receiver, **changes)
        headers = {"Idempotency-Key": word("header"), "User-Agent": word("header")}
        return await people.call("answer", "POST", "/v1/requests", json=sent, headers=headers)

    denied, cancelled, waiting = [(await opened())["id"] for _ in range(3)]
    granted = await opened(action="customer.view", params={})
    await people.decide("anna", denied, "deny", word("deny reason"))
    await people.decide("ben", granted["id"], "approve", word("comment"))
    await people.call("answer", "DELETE", f"/v1/requests/{cancelled}")
    grant = granted["id"].replace("req_", "/v1/grants/grt_")
    for digest in ("sha256:" + "0" * 64, granted["digest"], granted["digest"]):
        body = {"nonce": word("nonce"), "digest": digest}
        await people.call("answer", "POST", f"{grant}/redeem", json=body)
    await people.call("answer", "GET", f"/v1/requests/{denied}")
    await opened(action=word("action"), **{f"<{word('member')}>": word("value")})
    await opened(justification=f"The key is {canaries.cloud_key('secret')}, they said")
    for path in (f"/v1/requests/{word('path')}?{word('query')}=1", f"/{word('path')}"):
        await people.call("answer", "GET", path, headers={"Referer": word("header")})
    broken = b'{"subject": "' + word("broken").encode()
    json = {"Content-Type": "application/json"}
    await people.call("answer", "POST", "/v1/requests", data=broken, headers=json)
    await people.call("answer", "POST", "/v1/requests", headers={"Authorization": word("header")})
    await people.look([denied, cancelled, waiting, granted["id"]])
    await receiver.got(5)  # denied, approved, cancelled, redeemed, and one of them again
    return str(waiting)


async def at_the_terminal(tmp_path: Path, request: str, heard: Heard, canaries: Canaries) -> None:
    """Somebody looks at all that the commands tell, and denies what waits."""
    deny = ("deny", request, "--as", "anna", "--reason", canaries.word("deny reason"), "--yes")
    for channel, words in (
        ("terminal", ("pending",)),
        ("terminal", ("show", request)),
        ("view", ("show", request, "--as", "anna")),
        ("view", deny),
        ("terminal", ("callbacks", "list")),
        ("terminal", ("check",)),
    ):
        result = await command(tmp_path, *words)
        heard[channel].append(result.out)
        heard["terminal"].append(result.err)


def files_below(folder: Path) -> list[bytes]:
    """Every file of the data directory, the store's own too; a socket is none."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]

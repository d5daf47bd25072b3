"""P9: nothing personal reaches chat, logs, figures, problems, names of keys, or another service.

Each text that somebody sends is a canary. All that leaves the deployment is kept, and searched for
them in every spelling. Where one may be heard stands in one table; anywhere else is a leak.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.model import RequestId
from bot.callbacks import SCHEDULE
from bot.web.body import MAX_BYTES
from tests.bot.cli.conftest import Shell
from tests.calling_back import ENVIRONMENT, due_callbacks
from tests.canaries import Canaries
from tests.canary_company import Company
from tests.conftest import ANNA, BEN, CLEO, CLI, RealServer, start_real_server
from tests.odd_spellings import Oddly, odd_spellings, spelled_oddly
from tests.overhearing import KEYS, Channel, Overheard, overheard, receivers
from tests.servers.callback_receiver import (
    CallbackReceiver,
    answers,
    closes_mid_body,
    closes_without_a_word,
)
from tests.servers.recording_port import breaks, loses_the_reply, refused
from tests.signing import SIGNING_KEY
from tests.stories.telling import passes, set_store_time, time_works

# Where a canary may be heard, by the place it was planted in: privacy.md section 2, CONTRACT.
MAY_BE_HEARD: Mapping[str, frozenset[Channel]] = {
    "justification": frozenset({"view"}),
    "ticket": frozenset({"view"}),
    "requester.name": frozenset({"view"}),
    "params.plain": frozenset({"view"}),
    "comment": frozenset({"view"}),
    "cancel reason": frozenset({"view"}),
    "revoke reason": frozenset({"view"}),
    "receipt note": frozenset({"view"}),
    "deny reason": frozenset({"view", "answer"}),
    # Words of policy and of the service's own that identify nobody.
    "purpose": frozenset({"view", "value"}),
    "data_classes": frozenset({"card", "view", "value", "terminal"}),
    "context.asserted": frozenset({"view", "value", "entry"}),
    "context at redeem": frozenset({"entry"}),
    # Who asks goes by an id with services and in the audit, and by a name with people.
    "person's requester id": frozenset({"view", "console", "answer", "callback", "value", "entry"}),
    "machine's requester id": frozenset(
        {"card", "reply", "view", "console", "answer", "callback", "value", "entry", "terminal"}
    ),
    "person's name": frozenset({"card", "reply", "view", "terminal"}),
    # Words of an admin that a fault of the files names; the scan's kinds among them it may not.
    "person id": frozenset({"log"}),
    "key of a file": frozenset({"log"}),
    # The receiver's own address.
    "callback_url": frozenset({"callback", "value"}),
    # Only to who sent it, and only where it looks like a name of ours: the pointer of a finding.
    "unknown member": frozenset({"problem"}),
}


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
async def both() -> AsyncIterator[tuple[CallbackReceiver, CallbackReceiver]]:
    async with receivers() as both:
        yield both


@pytest.fixture
def company(
    tmp_path: Path, canaries: Canaries, both: tuple[CallbackReceiver, CallbackReceiver]
) -> Company:
    company = Company(tmp_path / "config", canaries, *(each.port for each in both))
    company.write()
    return company


@pytest.fixture
async def placet(
    company: Company, real_server: RealServer, both: tuple[CallbackReceiver, CallbackReceiver]
) -> AsyncIterator[Overheard]:
    async with overheard(company.folder, real_server, *both) as placet:
        yield placet


async def assert_nothing_leaks(placet: Overheard, canaries: Canaries) -> set[tuple[str, Channel]]:
    """Answers what was heard where it may be."""
    await placet.listens()
    assert {"log", "metric", "key name", "value", "entry", "policy"} <= placet.heard.texts.keys()
    seen = placet.heard.sightings(canaries)
    leaks = sorted((at, to) for at, to in seen if to not in MAY_BE_HEARD.get(at, frozenset()))
    assert leaks == [], f"heard where they must not be: {leaks}"
    return seen


async def opened(placet: Overheard, company: Company, **changes: object) -> dict[str, Any]:
    """A service asks, and the cards are drawn."""
    answer = await placet.call("POST", "/v1/requests", company.asks(**changes))
    assert answer.status == 201, answer.text
    await placet.works()
    return answer.data


async def viewed_by_all(placet: Overheard, request: str) -> None:
    """Everybody looks at everything of a request, and may or may not see it."""
    for person in ("anna", "ben", "cleo", "jonas", "olga", "nobody"):
        await placet.sees(person, f"/console/api/requests/{request}")
        await placet.sees(person, f"/console/api/requests/{request}/view", {})
        await placet.clicks(person, "review", request)
        await placet.page(person)
        await placet.sees(person, "/console/api/requests")


async def decides(
    placet: Overheard, person: str, request: str, decision: str, reason: str | None = None
) -> None:
    sent = {"decision": decision, "reason": reason}
    answer = await placet.sees(person, f"/console/api/requests/{request}/review", sent)
    assert answer.status == 200, answer.text
    await placet.works()


async def time_passes(placet: Overheard, request: str, after: timedelta) -> None:
    """The store's time goes on to `after` the opening; the worker does what is due by then."""
    found = await placet.placet.service.card_facts(RequestId(request))
    await set_store_time(placet.placet, found.created_at + after)
    await time_works(placet.placet)
    await placet.works()


async def the_clock_is_put_right(placet: Overheard, canaries: Canaries) -> None:
    await placet.placet.service.reset_clock(BEN, CLI, reason=canaries.word("admin's reason"))


async def test_an_approval_its_uses_and_its_end(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    sent = company.asks()
    answer = await placet.call("POST", "/v1/requests", sent)
    assert answer.status == 201, answer.text
    request, grant = answer.data["id"], answer.data["id"].replace("req_", "/v1/grants/grt_")
    await placet.works()
    await viewed_by_all(placet, request)
    await decides(placet, "anna", request, "approve", canaries.word("comment"))
    await viewed_by_all(placet, request)

    act = {name: sent[name] for name in ("action", "subject", "params")}
    context = {"geo.country": "DE", "device.type": canaries.word("context at redeem")}
    for nonce, but, status in (
        (canaries.word("nonce"), {"context": context}, 200),
        (canaries.word("nonce"), {"action": canaries.word("another action")}, 422),
        (canaries.word("nonce"), {"subject": canaries.email("another subject")}, 422),
        (canaries.word("nonce"), {"params": company.params()}, 422),
        (canaries.word("nonce"), {"context": {"device.type": f"<{canaries.word('x')}>"}}, 422),
        (canaries.word("nonce"), {}, 200),
        (canaries.word("nonce"), {}, 409),
    ):
        body = {"nonce": nonce, **act, **but}
        redeemed = await placet.call("POST", f"{grant}/redeem", body)
        assert redeemed.status == status, redeemed.text
    note = f"{canaries.word('receipt note')} of {canaries.email('masked')}"
    receipt = {"records": 900, "outcome": "succeeded", "note": note}
    for status in (200, 409):
        assert (await placet.call("POST", f"{grant}/receipt", receipt)).status == status
    for call in (("GET", f"/v1/requests/{request}"), ("DELETE", f"/v1/requests/{request}")):
        await placet.call(*call)
    await placet.works()
    await viewed_by_all(placet, request)

    seen = await assert_nothing_leaks(placet, canaries)
    assert seen >= {
        (place, "view")
        for place in (
            "justification", "ticket", "requester.name", "params.plain", "comment",
            "receipt note", "purpose", "data_classes", "context.asserted",
        )
    }  # fmt: skip
    assert seen >= {
        ("data_classes", "card"),
        ("person's name", "card"),
        ("person's requester id", "callback"),
        ("callback_url", "callback"),
        ("context at redeem", "entry"),
    }


async def test_a_denial_and_every_way_of_taking_back(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    service, mint = placet.placet.service, canaries.word
    denied, withdrawn, cancelled, forgotten = [
        (await opened(placet, company))["id"] for _ in range(4)
    ]
    await decides(
        placet, "ben", denied, "deny", f"{mint('deny reason')} {canaries.email('masked')}"
    )
    assert (await placet.call("DELETE", f"/v1/requests/{denied}")).status == 409
    assert (await placet.call("DELETE", f"/v1/requests/{withdrawn}")).status == 200
    await placet.clicks("jonas", "cancel", cancelled, reason=mint("cancel reason"))
    await placet.clicks("ben", "cancel", forgotten, reason=mint("cancel reason"))

    revoked, ended = [(await opened(placet, company, action="report.read"))["id"] for _ in range(2)]
    reason = {"reason": mint("revoke reason")}
    await placet.sees("jonas", f"/console/api/requests/{revoked}/revoke", reason)
    await placet.call("DELETE", ended.replace("req_", "/v1/grants/grt_"))
    by_rule = await opened(placet, company, action="data.sell")
    assert by_rule["status"] == "denied"
    for request in (denied, withdrawn, cancelled, revoked, ended, by_rule["id"]):
        await placet.call("GET", f"/v1/requests/{request}?wait=1")
        await viewed_by_all(placet, request)
        await placet.clicks("anna", "approve", request, reason=mint("too late"))
        await placet.clicks("anna", "deny", request, reason=mint("too late"))
        await placet.clicks("ben", "revoke", request, reason=mint("too late"))
        await placet.clicks("ben", "cancel", request, reason=mint("too late"))
    await placet.call("GET", "/v1/requests")
    await placet.call("GET", "/v1/requests", service="billing")
    assert (await service.card_facts(forgotten)).status == "cancelled"

    seen = await assert_nothing_leaks(placet, canaries)
    assert seen >= {
        ("deny reason", "answer"),
        ("deny reason", "view"),
        ("cancel reason", "view"),
        ("revoke reason", "view"),
        ("person's name", "reply"),
    }


async def test_a_quorum_with_its_reminder_and_escalation_and_an_expiry(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    machine = company.machine()
    exported = await opened(placet, company, action="users.export")
    expired = await opened(placet, company, requester=machine)
    await time_passes(placet, exported["id"], timedelta(minutes=1))
    await time_passes(placet, exported["id"], timedelta(minutes=3))
    await the_clock_is_put_right(placet, canaries)
    await placet.page("ben")
    for person in (ANNA, CLEO):
        await placet.sees(person, f"/console/api/requests/{exported['id']}/view", {})
        await decides(placet, person, exported["id"], "approve", canaries.word("comment"))
    await viewed_by_all(placet, exported["id"])
    await passes(placet.placet, await placet.placet.service.card_facts(expired["id"]), timedelta(0))
    await time_works(placet.placet)
    await placet.works()
    await viewed_by_all(placet, expired["id"])

    seen = await assert_nothing_leaks(placet, canaries)
    assert ("machine's requester id", "card") in seen


async def test_whoever_is_erased(placet: Overheard, company: Company, canaries: Canaries) -> None:
    subject = f"customer:{canaries.email('subject')}"
    asked = [
        await opened(placet, company, subject=subject, action=action)
        for action in ("customer.view", "report.read", "users.export")
    ]
    denied = await opened(placet, company, subject=subject)
    reason = canaries.word("deny reason")
    await decides(placet, "anna", denied["id"], "deny", reason)
    await placet.listens()

    told = canaries.word("admin's reason")
    erasure = placet.placet.service.erasure
    erased = await erasure.erase_subject(subject, BEN, CLI, reason=told)
    assert (erased.requests, erased.cancelled, erased.revoked) == (4, 2, 1)
    await placet.works()
    placet.heard.texts.clear()  # from here on they are nowhere at all, wherever they were before

    for request in (*asked, denied):
        await placet.call("GET", f"/v1/requests/{request['id']}")
        await viewed_by_all(placet, request["id"])
    await assert_nothing_leaks(placet, canaries)
    placet.heard.texts["callback"].clear()  # sent before
    seen = {place for place, _ in placet.heard.sightings(canaries)}
    gone = {"justification", "ticket", "requester.name", "subject", "deny reason"}
    assert seen & {*gone, "params.plain"} == set()
    assert "[erased]" in "".join(map(str, placet.heard.texts["view"]))


async def test_whatever_a_service_sends_wrong(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    mint = canaries.word
    plain, strange = mint("unknown member"), f"<{mint('strange member')}>"
    deep: object = mint("deep")
    for _ in range(25):
        deep = {mint("unknown member"): deep}
    bodies: dict[str, Any] = {
        "an unknown action": company.asks(action=mint("action")),
        "an unknown person": company.asks(requester={"id": f"okta:{mint('nobody')}"}),
        "a machine with an address for an id": company.asks(
            requester={"id": f"job:{canaries.email('machine')}"}
        ),
        "a secret in a text": company.asks(justification=f"The key is {canaries.cloud_key('key')}"),
        "a secret in a shown field": company.asks(params={"country": canaries.cloud_key("key")}),
        "unknown members": company.asks(**{plain: mint("value"), strange: mint("value")}),
        "an unknown member of who asks": company.asks(
            requester={"id": company.jonas, strange: mint("value")}
        ),
        "wrong types": {name: {plain: mint("value")} for name in company.asks()},
        "too long": company.asks(ticket=mint("long") * 200, justification=mint("long") * 200),
        "hidden characters": company.asks(ticket="\u200b".join(mint("zero width"))),
        "an unknown attribute": company.asks(context={mint("unknown member"): mint("value")}),
        "a strange attribute": company.asks(context={strange: mint("value")}),
        "an attribute of ours": company.asks(context={"client.ip": mint("value")}),
        "a misshapen attribute": company.asks(context={"geo.country": mint("value")}),
        "another's receiver": company.asks(callback_url=f"https://{mint('host')}.example/{plain}"),
        "no receiver": company.asks(callback_url=f"http://x@{mint('host')}/ {mint('host')}#"),
        "too many params": company.asks(params={mint("param"): mint("value") for _ in range(21)}),
        "no number": company.asks(expires_in=mint("value"), record_count=mint("value")),
        "too deep": deep,
        "no JSON": b'{"subject": "' + mint("broken").encode() + b'", ' + mint("broken").encode(),
        "the same key twice": b'{"%b": 1, "%b": 2}' % ((mint("twice").encode(),) * 2),
        "half a pair": f'{{"subject": "{mint("half")}\\ud800"}}'.encode(),
        "no UTF-8": b"\xff" + mint("bytes").encode(),
        "too large": b" " * MAX_BYTES + mint("large").encode(),
        "no object": f'["{mint("list")}"]'.encode(),
    }
    for about, body in bodies.items():
        answer = await placet.call("POST", "/v1/requests", body)
        assert 400 <= answer.status < 500, f"{about}: {answer.text}"

    seen = await assert_nothing_leaks(placet, canaries)
    assert ("unknown member", "problem") in seen


async def test_headers_paths_queries_and_what_is_no_http(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    mint = canaries.word
    secret = mint("header").ljust(40, "x")
    headers = {
        "Idempotency-Key": mint("header"),
        "User-Agent": mint("header"),
        "Referer": f"https://crm.example/{mint('header')}",
        "Cookie": f"placet_console_1={mint('header')}; {mint('header')}=1",
        "X-Forwarded-For": f"{mint('header')}, 203.0.113.7",
        "Forwarded": f"for={mint('header')}",
        "traceparent": f"00-{mint('header')}-01",
        "Origin": f"http://{mint('header')}",
        mint("header"): mint("header"),
    }
    assert (
        await placet.call("POST", "/v1/requests", company.asks(), headers=headers)
    ).status == 201
    key = {"Idempotency-Key": headers["Idempotency-Key"]}
    again = await placet.call("POST", "/v1/requests", company.asks(), headers=key)
    assert again.status == 409
    for wrong in (
        {"Authorization": f"Bearer plc_crm-1_{secret}"},
        {"Authorization": f"Bearer plc_{mint('header')}_{secret}"},
        {"Authorization": f"Basic {mint('header')}"},
        {"Content-Type": f"text/{mint('header')}"},
        {"Content-Encoding": mint("header")},
        {"Idempotency-Key": f" {mint('header')}\té"},
        {"Host": mint("header")},
    ):
        await placet.call("POST", "/v1/requests", company.asks(), headers=headers | wrong)
    for path in (
        f"/v1/requests/{mint('path')}",
        f"/v1/requests/req_{mint('path').upper()}?wait={mint('query')}",
        "/v1/requests?" + "&".join(f"{name}={mint('query')}" for name in ("status", "cursor", "x")),
        f"/v1/requests?{mint('query')}=1&limit={mint('query')}",
        f"/v1/requests?action={mint('query')}",
        f"/v1/grants/{mint('path')}/redeem",
        f"/v1/{mint('path')}/",
        f"/{mint('path')}%0d%0a{mint('path')}?{mint('query')}",
        f"/console/api/requests/{mint('path')}",
        f"/console/cards?id={mint('query')}",
    ):
        for method in ("GET", "POST", "DELETE", "PUT", mint("method").upper()):
            await placet.call(method, path, headers=headers)
        await placet.sees(mint("person"), path)
        await placet.sees("anna", path, {mint("member"): mint("value")})
    for sent in (
        f"{mint('line')} /{mint('line')} {mint('line')}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{mint('line')}\r\n: {mint('line')}\r\n\r\n",
        f"GET /{mint('line')} HTTP/1.1\r\nHost: x\r\nx: {mint('line') * 4000}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {mint('line')}\r\n\r\n{mint('line')}",
    ):
        await placet.says(sent.encode())

    await assert_nothing_leaks(placet, canaries)


async def test_limits_and_the_same_key_for_another_body(
    company: Company,
    canaries: Canaries,
    real_server: RealServer,
    both: tuple[CallbackReceiver, CallbackReceiver],
) -> None:
    company.write(rate="{per_minute: 20, per_requester: 4, pending_per_requester: 2}")
    machine = company.machine()
    async with overheard(company.folder, real_server, *both) as placet:
        statuses = [
            (await placet.call("POST", "/v1/requests", company.asks(**who))).status
            for who in [{}, {}, {}, {}, {}, {"requester": machine}, {"requester": machine}]
        ]
        assert statuses == [201, 201, 429, 429, 429, 201, 201]
        await assert_nothing_leaks(placet, canaries)


async def test_receivers_that_fail_until_their_callback_is_dead(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    mint = canaries.word
    placet.crm.script.extend(
        [
            closes_mid_body,  # after its status, which counts
            answers(500, Retry_After=mint("reply"), X_Reason=mint("reply")),
            answers(302, Location=f"http://127.0.0.1:9/{mint('reply')}"),
            answers(401, WWW_Authenticate=mint("reply"), Set_Cookie=f"a={mint('reply')}"),
            closes_without_a_word,
        ]
    )
    placet.crm.otherwise = answers(503, Retry_After=mint("reply"))
    nowhere = f"http://127.0.0.1:9/{mint('callback_url')}"
    for receiver in ({}, {}, {"callback_url": nowhere}):
        await opened(placet, company, action="report.read", **receiver)
    for _ in range(2 * len(SCHEDULE)):
        await placet.post.goes_round()
        if not await due_callbacks(placet.placet):
            break
        await placet.post.waits_for_the_next_try()
    assert len(await placet.placet.store.outbox.dead()) == 2

    await assert_nothing_leaks(placet, canaries)


async def test_a_chat_platform_that_fails(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    placet.port.faults["post"].extend([refused(), breaks(), loses_the_reply()])
    for _ in range(3):
        await opened(placet, company)
    placet.port.closed["C-desk"] = "is_archived"
    kept = await opened(placet, company)
    await decides(placet, "anna", kept["id"], "deny", canaries.word("deny reason"))

    await assert_nothing_leaks(placet, canaries)


async def test_a_store_that_is_full_and_one_that_is_gone(
    tmp_path: Path,
    company: Company,
    canaries: Canaries,
    both: tuple[CallbackReceiver, CallbackReceiver],
) -> None:
    (tmp_path / "store").mkdir()
    server = await asyncio.to_thread(start_real_server, tmp_path / "store")
    try:
        async with overheard(company.folder, server, *both) as placet:
            request = await opened(placet, company)
            async with placet.placet.engine.client() as client:
                await client.config_set("maxmemory", 1)
                full = await placet.call("POST", "/v1/requests", company.asks())
                await decides(placet, "anna", request["id"], "deny", canaries.word("deny reason"))
                await client.config_set("maxmemory", 0)
            await placet.listens()
            server.process.kill()
            gone = await placet.call("POST", "/v1/requests", company.asks())
            await placet.sees("anna", f"/console/api/requests/{request['id']}/view", {})
            await placet.clicks("anna", "deny", request["id"], reason=canaries.word("deny reason"))
            assert [full.status, gone.status] == [503, 503]
        seen = placet.heard.sightings(canaries)
        assert [each for each in seen if each[1] not in MAY_BE_HEARD.get(each[0], ())] == []
    finally:
        server.process.kill()
        await asyncio.to_thread(server.process.wait)


async def test_changed_files_that_hold_faults(
    placet: Overheard, company: Company, canaries: Canaries
) -> None:
    people = (company.folder / "people.yaml").read_text()
    twice = f'  - {{id: dora, name: Dora Lind, requester_ids: ["{company.jonas}"]}}\ngroups:'
    strange = f"  - {{id: <{canaries.word('id')}>, {canaries.word('key of a file')}: 1}}\ngroups:"
    for changed in (
        people.replace("groups:", twice),
        people.replace("groups:", strange),
        people.replace("[anna, ben]", f"[anna, {canaries.word('person id')}]"),
        people.replace("[anna, ben]", f"[anna, {canaries.email('member')}]"),
        people.replace("  duty:", f"  {canaries.email('group')}:"),
        people.replace("roles: [auditor]", f"roles: [{canaries.email('role')}]"),
        people.replace("{id: olga", f"{{{canaries.email('key')}: 1, id: olga"),
        people.replace("Anna Ek", f"Anna \u200b{canaries.word('name')}"),
        people[: people.index("olga")] + f"{{{canaries.word('torn')}: ",
    ):
        (company.folder / "people.yaml").write_text(changed)
        assert not await placet.parts.reload.read_again()
        await placet.page("ben")
        await placet.listens()

    await assert_nothing_leaks(placet, canaries)


async def test_what_people_do_at_a_terminal(
    placet: Overheard, company: Company, canaries: Canaries, real_server: RealServer
) -> None:
    mint = canaries.word
    shell = Shell(
        {
            **ENVIRONMENT,
            **{f"PLACET_{name.upper()}": key.get_secret_value() for name, key in KEYS.items()},
            "PLACET_SIGNING_KEY": SIGNING_KEY,
            "PLACET_REDIS_URL": real_server.url,
            "PLACET_NAMESPACE": placet.placet.engine.namespace,
            "PLACET_CONFIG_DIR": str(company.folder),
            "PLACET_DATA_DIR": str(company.folder.parent / "data"),
        }
    )
    machine = company.machine()
    denied, cancelled, approved = [
        (await opened(placet, company, requester=machine))["id"] for _ in range(3)
    ]
    revoked = (await opened(placet, company, action="report.read"))["id"]
    yes = ("--yes",)
    commands: list[tuple[Channel, tuple[str, ...]]] = [
        ("terminal", ("pending",)),
        ("terminal", ("show", denied)),
        ("view", ("show", denied, "--as", "anna")),
        ("view", ("show", denied, "--as", "anna", "--json")),
        ("view", ("deny", denied, "--as", "anna", "--reason", mint("deny reason"), *yes)),
        ("terminal", ("cancel", cancelled, "--as", "ben", "--reason", mint("cancel reason"))),
        ("view", ("approve", approved, "--as", "anna", "--reason", mint("comment"), *yes)),
        ("terminal", ("revoke", revoked, "--as", "ben", "--reason", mint("revoke reason"))),
        ("terminal", ("callbacks", "list")),
        ("terminal", ("callbacks", "replay", f"evt_{revoked}_1", "--as", "ben", "--reason",
                      mint("admin's reason"))),
        ("terminal", ("deny", denied, "--as", mint("nobody"), "--reason", mint("x"), *yes)),
        ("terminal", ("show", mint("no id"))),
        ("terminal", ("cancel", denied, "--as", "jonas", "--reason", canaries.cloud_key("key"))),
        ("terminal", ("check",)),
        ("terminal", ("policy", "check")),
    ]  # fmt: skip
    for channel, words in commands:
        result = await shell(*words)
        placet.heard.note(channel, result.out)
        placet.heard.note("terminal", result.err)
        await placet.works()
    for request in (denied, cancelled, approved, revoked):
        await viewed_by_all(placet, request)

    seen = await assert_nothing_leaks(placet, canaries)
    assert seen >= {
        ("deny reason", "view"),
        ("cancel reason", "view"),
        ("revoke reason", "view"),
        ("machine's requester id", "terminal"),
    }


_FIELDS = ("subject", "ticket", "purpose", "justification", "params", "data_classes", "context")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    odd=odd_spellings(_FIELDS),
    action=st.sampled_from(["customer.view", "report.read", "data.sell"]),
)
async def test_canaries_among_odd_characters(
    placet: Overheard,
    company: Company,
    canaries: Canaries,
    odd: Mapping[str, Oddly],
    action: str,
) -> None:
    sent = company.asks(action=action)
    sent |= {field: spelled_oddly(sent[field], odd[field]) for field in odd}
    answer = await placet.call("POST", "/v1/requests", sent)
    assert answer.status in (201, 400, 422), answer.text
    if answer.status == 201:
        await placet.works()
        await placet.sees("anna", f"/console/api/requests/{answer.data['id']}/view", {})
        await placet.clicks("ben", "review", answer.data["id"])
    await assert_nothing_leaks(placet, canaries)
    for texts in placet.heard.texts.values():
        texts.clear()

"""Who sits at the console: loopback alone, a cookie nobody can make, a token nobody can borrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.policy.loader import load_configuration
from bot.chat.console.sessions import PERSON_HEADER, TOKEN_HEADER, Sessions
from tests.bot.chat.console.conftest import HOST, JSON, KEY, NO_REQUEST, Console
from tests.configurations import PEOPLE, write_configuration
from tests.conftest import Placet
from tests.servers.asgi_client import Answered, AsgiClient
from tests.stories.telling import asks

COOKIE = "placet_console_8080"
READS = ("/console", "/console/board", "/console/cards?id=" + NO_REQUEST, "/console/events",
         "/console/api/requests", f"/console/api/requests/{NO_REQUEST}", "/console/console.js",
         "/console/console.css", "/console/icon.svg")  # fmt: skip
WRITES = ("/console/clicks", "/console/person", f"/console/api/requests/{NO_REQUEST}/view",
          f"/console/api/requests/{NO_REQUEST}/review")  # fmt: skip
Pairs = list[tuple[str, str]]


def assert_problem(answered: Answered, status: int, slug: str) -> dict[str, Any]:
    told = answered.json()
    assert (answered.status, told["type"]) == (status, f"urn:placet:problem:{slug}"), told
    assert answered.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answered.headers
    return told


async def send(console: Console, method: str, target: str, headers: Pairs) -> Answered:
    """Exactly these headers, beside those by which Anna's script would be served."""
    pairs = [*headers, (PERSON_HEADER, "anna")]
    if method == "GET":
        return await AsgiClient(console.app).call("GET", target, pairs)
    return await AsgiClient(console.app).call("POST", target, [*pairs, *JSON.items()], b"{}")


CALLS = [*(("GET", target) for target in READS), *(("POST", target) for target in WRITES)]
every_call = pytest.mark.parametrize(("method", "target"), CALLS)

# -- this machine alone ---------------------------------------------------------------------------

FOREIGN_HOSTS = (
    "evil.example",  # a name that its owner lets point to 127.0.0.1
    "evil.example:8080",
    "127.0.0.1.evil.example:8080",
    "localhost.evil.example:8080",
    "127.0.0.1:8080@evil.example",
    "127.0.0.1, evil.example",
    "localhost.:8080",
    "placet:8080",
    "0.0.0.0:8080",
    "192.168.1.5:8080",
    "2130706433:8080",
    "0x7f000001",
    "127.1",
    "[::]:8080",
    "[fe80::1]:8080",
    "[::1",
    "",
)
FOREIGN_ORIGINS = (
    "null",
    "",
    "http://evil.example",
    "http://evil.example:8080",
    "http://127.0.0.1:8080.evil.example",
    "http://127.0.0.1:8080@evil.example",
    "http://127.0.0.1:9999",  # another program of this machine
    "http://127.0.0.1",
    "http://localhost:8080",
    "http://[::1]:8080",
    "http://[::1",
    "file://",
    "chrome-extension://abcdefghijklmnop",
)


@every_call
async def test_every_route_refuses_a_foreign_host(
    console: Console, method: str, target: str
) -> None:
    answered = await send(console, method, target, [("Host", "evil.example:8080")])
    assert_problem(answered, 403, "not-allowed")


@every_call
async def test_every_route_refuses_a_foreign_origin(
    console: Console, method: str, target: str
) -> None:
    headers = [("Host", HOST), ("Origin", "http://evil.example")]
    assert_problem(await send(console, method, target, headers), 403, "not-allowed")


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_a_host_that_is_not_this_machine_is_refused(console: Console, host: str) -> None:
    answered = await send(console, "GET", "/console/api/requests", [("Host", host)])
    assert_problem(answered, 403, "not-allowed")
    assert b"evil" not in answered.body


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_an_origin_that_is_not_this_very_page_is_refused(
    console: Console, origin: str
) -> None:
    headers = [("Host", HOST), ("Origin", origin)]
    for method, target in (("GET", "/console/api/requests"), ("POST", "/console/clicks")):
        assert_problem(await send(console, method, target, headers), 403, "not-allowed")


@pytest.mark.parametrize(
    "hosts", [[], [HOST, HOST], [HOST, "evil.example"], ["evil.example", HOST]], ids=str
)
async def test_a_call_names_its_host_once(console: Console, hosts: list[str]) -> None:
    headers = [("Host", host) for host in hosts]
    answered = await send(console, "GET", "/console/api/requests", headers)
    assert_problem(answered, 403, "not-allowed")


@pytest.mark.parametrize("second", ["http://evil.example", "http://127.0.0.1:9999", "null"])
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_second_origin_does_not_slip_in(
    console: Console, second: str, *, is_first: bool
) -> None:
    origins = [f"http://{HOST}", second]
    pairs = [("Origin", origin) for origin in (reversed(origins) if is_first else origins)]
    answered = await send(console, "GET", "/console/api/requests", [("Host", HOST), *pairs])
    assert_problem(answered, 403, "not-allowed")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080", "127.0.0.1", "127.0.0.2"],
)
async def test_every_name_of_this_machine_serves(console: Console, host: str) -> None:
    for headers in ([("Host", host)], [("Host", host), ("Origin", f"http://{host}")]):
        answered = await send(console, "GET", "/console/api/requests", headers)
        assert answered.status == 200, answered.body


@every_call
async def test_nobody_answers_a_preflight(console: Console, method: str, target: str) -> None:
    # So a foreign page can send neither our header nor JSON.
    path = target.partition("?")[0]
    headers = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": PERSON_HEADER,
    }
    answered = await console.call("OPTIONS", path, headers)
    assert answered.status == 405
    assert not [name for name in answered.headers if name.startswith("access-control")]


# -- the cookie -----------------------------------------------------------------------------------


async def test_a_session_is_kept_from_scripts_from_other_sites_posts_and_from_other_ports(
    console: Console,
) -> None:
    # Lax, not Strict: a link from another site must find who sits here, or it seats somebody else.
    page = await console.browser().opens()
    name_and_value, *attributes = page.headers["set-cookie"].split("; ")
    assert name_and_value.startswith(COOKIE + "=anna!")
    assert {"Path=/console", "HttpOnly", "SameSite=Lax"} <= set(attributes)
    assert not [each for each in attributes if each.startswith("Domain")]


async def test_the_first_approver_sits_there_until_somebody_is_chosen(console: Console) -> None:
    browser = console.browser()
    await browser.opens()
    assert browser.person == "anna"
    again = await browser.opens()
    assert "set-cookie" not in again.headers


def forgeries(good: str, other: str) -> dict[str, str]:
    person, nonce, mac = good.split("!")
    return {
        "another person": f"ben!{nonce}!{mac}",
        "another nonce": f"{person}!{'0' * len(nonce)}!{mac}",
        "another's mac": f"{person}!{nonce}!{other.split('!')[2]}",
        "no mac": f"{person}!{nonce}!",
        "half a mac": f"{person}!{nonce}!{mac[:16]}",
        "a mac too long": f"{good}0",
        "capital letters": f"{person}!{nonce}!{mac.upper()}",
        "no nonce": f"{person}!{mac}",
        "a name alone": person,
        "separators": "!!!",
        "nothing": "",
        "letters beyond ASCII": f"{person}!{nonce}!{mac[:-1]}\xe9",
        "a quoted form": f'"{person}!{nonce}!{mac[:-1]}"',
    }


@pytest.mark.parametrize("forgery", forgeries("a!b!c", "d!e!f"))
async def test_a_cookie_that_we_did_not_make_is_nobodys(console: Console, forgery: str) -> None:
    people = console.placet.configuration.people
    good, other = (console.sessions.begin(person).cookie for person in people.everyone()[:2])
    forged = forgeries(good, other)[forgery]
    browser = console.browser()
    browser.cookies[COOKIE] = forged
    assert_problem(await browser.get("/console/board"), 401, "unauthorized")
    assert_problem(await browser.get("/console/api/requests"), 401, "unauthorized")
    assert_problem(await browser.post("/console/clicks", {}), 401, "unauthorized")
    page = await browser.opens()
    assert (page.status, browser.person) == (200, "anna")
    assert browser.cookies[COOKIE] != forged


async def test_a_cookie_made_with_another_key_is_nobodys(console: Console) -> None:
    everyone = console.placet.configuration.people.everyone()
    foreign = Sessions(KEY[:-1] + b"x", lambda: console.placet.configuration.people)
    browser = console.browser()
    browser.cookies[COOKIE] = foreign.begin(everyone[1]).cookie
    assert_problem(await browser.get("/console/board"), 401, "unauthorized")


async def test_the_token_is_no_cookie_and_the_cookie_no_token(console: Console) -> None:
    browser = await console.browser().sits("anna")
    person, nonce, mac = browser.cookies[COOKIE].split("!")
    refused = await browser.post("/console/clicks", {}, {TOKEN_HEADER: mac})
    assert_problem(refused, 403, "not-allowed")
    browser.cookies[COOKIE] = f"{person}!{nonce}!{browser.token}"
    assert_problem(await browser.get("/console/board"), 401, "unauthorized")


async def test_the_cookie_of_another_port_is_not_looked_at(console: Console) -> None:
    browser = await console.browser().sits("ben")
    browser.cookies = {"placet_console_9090": browser.cookies[COOKIE]}
    assert_problem(await browser.get("/console/board"), 401, "unauthorized")


async def test_two_sessions_of_one_person_differ(console: Console) -> None:
    one, other = await console.browser().sits("anna"), await console.browser().sits("anna")
    assert one.cookies != other.cookies
    assert one.token != other.token


async def test_who_has_left_people_yaml_sits_there_no_more(
    console: Console, tmp_path: Path
) -> None:
    browser = await console.browser().sits("cleo")
    later = tmp_path / "later"
    write_configuration(later)
    people = [line for line in PEOPLE.splitlines() if "id: cleo" not in line]
    text = "\n".join(people).replace("[cleo]", "[anna]")
    (later / "people.yaml").write_text(text)
    console.placet.service.configuration = load_configuration(later)
    assert_problem(await browser.get("/console/board"), 401, "unauthorized")
    assert_problem(await browser.post("/console/clicks", {}), 401, "unauthorized")
    assert_problem(await console.get_as("cleo", "/console/api/requests"), 401, "unauthorized")
    await browser.opens()
    assert browser.person == "anna"


# -- the token ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", WRITES)
async def test_a_post_by_cookie_alone_is_refused(console: Console, target: str) -> None:
    browser = await console.browser().sits("anna")
    refused = await browser.post(target, {}, {TOKEN_HEADER: ""})
    assert_problem(refused, 403, "not-allowed")
    headers = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}", **JSON}
    assert_problem(await console.call("POST", target, headers, b"{}"), 403, "not-allowed")


@pytest.mark.parametrize("target", WRITES)
async def test_a_token_that_is_not_this_sessions_is_refused(console: Console, target: str) -> None:
    anna, ben = await console.browser().sits("anna"), await console.browser().sits("ben")
    same = await console.browser().sits("anna")
    for token in (ben.token, same.token, "0" * len(anna.token), anna.token[:-1], "\xe9"):
        refused = await anna.post(target, {}, {TOKEN_HEADER: token})
        assert_problem(refused, 403, "not-allowed")


async def test_a_refused_post_changes_nothing(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    before = await console.trace()
    click = {"action": "deny", "request": request.id, "revision": 1, "inputs": {"reason": "No"}}
    await browser.post("/console/clicks", click, {TOKEN_HEADER: "wrong"})
    await browser.post("/console/clicks", click, {"Origin": "http://evil.example"})
    await browser.post("/console/person", {"person": "ben"}, {TOKEN_HEADER: "wrong"})
    assert await console.trace() == before
    assert (await browser.get("/console/board")).json()["person"] == "anna"


async def test_a_tab_that_still_shows_anna_cannot_act_as_ben(
    console: Console, placet: Placet
) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    old = browser.token
    await browser.sits("ben")
    click = {"action": "review", "request": request.id, "revision": 1, "inputs": {}}
    refused = await browser.post("/console/clicks", click, {TOKEN_HEADER: old})
    told = assert_problem(refused, 403, "not-allowed")
    assert told["detail"] == "This tab is not the one who sits here now. Reload the page."
    assert (await placet.service.card_facts(request.id)).views == ()


# -- the header for scripts -----------------------------------------------------------------------


@pytest.mark.parametrize("named", ["nobody", "", "ANNA", "anna,ben", "Anna Ek", "anna!", "\xe9"])
async def test_a_header_that_names_nobody_is_told_to_say_who(console: Console, named: str) -> None:
    answered = await console.get_as(named, "/console/api/requests")
    told = assert_problem(answered, 401, "unauthorized")
    assert "X-Placet-Person" in told["detail"]


@pytest.mark.parametrize("others", [["anna", "ben"], ["anna", "anna"], ["anna", ""]], ids=str)
async def test_a_header_sent_twice_names_nobody(console: Console, others: list[str]) -> None:
    pairs = [(PERSON_HEADER, each) for each in others]
    answered = await console.call("GET", "/console/api/requests", pairs)
    assert_problem(answered, 401, "unauthorized")


async def test_no_header_and_no_cookie_is_nobody(console: Console) -> None:
    for target in READS[1:6]:
        assert_problem(await console.call("GET", target), 401, "unauthorized")
    for target in WRITES:
        assert_problem(await console.call("POST", target, JSON, b"{}"), 401, "unauthorized")


async def test_a_wrong_header_is_not_mended_by_a_cookie(console: Console) -> None:
    browser = await console.browser().sits("anna")
    for named in ("nobody", ""):
        headers = {PERSON_HEADER: named}
        assert_problem(await browser.get("/console/board", headers), 401, "unauthorized")
        assert_problem(await browser.post("/console/clicks", {}, headers), 401, "unauthorized")


async def test_a_header_and_a_cookie_of_somebody_else_are_not_mixed_up(
    console: Console, placet: Placet
) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    headers = {PERSON_HEADER: "ben"}
    assert (await browser.get("/console/board", headers)).json()["person"] == "ben"
    target = f"/console/api/requests/{request.id}/view"
    assert (await browser.post(target, {}, headers)).status == 200
    (view,) = (await placet.service.card_facts(request.id)).views
    assert view.person == "ben"

"""The routes of the console: what a person sees of the page, and that looking changes nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from approvals.model import ApprovalRequest, PersonId, RequestId
from approvals.policy.loader import load_configuration
from bot.chat.console.board import SECTIONS
from tests.bot.chat.console.conftest import (
    HOST,
    JSON,
    NO_REQUEST,
    Browser,
    Console,
    application,
    pages_of,
)
from tests.configurations import PEOPLE, POLICY, write_configuration
from tests.conftest import ANNA, BEN, CLEO, CRM, JONAS, OLGA, Placet
from tests.servers.asgi_client import Answered, AsgiClient
from tests.stories.telling import asks, history, looks_and_votes, set_store_time
from tests.words import JUSTIFICATION

EVERYONE = (ANNA, BEN, CLEO, JONAS, OLGA)
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
FILES = ("/console/console.css", "/console/console.js", "/console/icon.svg")


class Tags(HTMLParser):
    """The tags of a document with their attributes, and what stands between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._last = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._last = tag

    def handle_data(self, data: str) -> None:
        self.inside[self._last] = self.inside.get(self._last, "") + data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.found if tag == name]


def lists(html: str) -> dict[str, list[str | None]]:
    """The ids of the cards by section."""
    found: dict[str, list[str | None]] = {}
    for section in re.findall(r"<section .*?</section>", html, re.DOTALL):
        tags = Tags(section)
        (name,) = [attrs["id"] for attrs in tags.named("section")]
        found[str(name)] = [attrs["id"] for attrs in tags.named("article")]
    return found


async def board(console: Console, person: str) -> dict[str, list[str | None]]:
    told = (await console.get_as(person, "/console/board")).json()
    assert told["person"] == person
    return lists(told["html"])


async def three(placet: Placet) -> tuple[ApprovalRequest, ApprovalRequest, ApprovalRequest]:
    """One that waits for Anna and Ben, one that Cleo may decide too, one that Ben has denied."""
    waiting = await asks(placet)
    wide = await asks(placet, action="users.export", params={"format": "csv"})
    denied = await asks(placet, requester={"id": "okta:anna"})
    return waiting, wide, await looks_and_votes(placet, BEN, denied.id, "deny", "No")


def reads(request: str) -> list[str]:
    return [
        "/console", "/console/board", f"/console/cards?id={request}&id={NO_REQUEST}",
        "/console/api/requests", "/console/api/requests?status=pending",
        f"/console/api/requests/{request}", *FILES,
    ]  # fmt: skip


# -- where it stands ------------------------------------------------------------------------------


async def test_no_route_is_there_where_the_console_is_not_registered(
    console: Console, placet: Placet
) -> None:
    pages = pages_of(console)
    bare = AsgiClient(application(placet, {}))
    for path, methods in pages.items():
        target = path.replace("{request_id}", NO_REQUEST)
        for method in methods:
            headers = {"Host": HOST, "X-Placet-Person": ANNA, **JSON}
            answered = await bare.call(method, target, headers, b"{}" if method == "POST" else b"")
            assert (target, answered.status) == (target, 404)
            assert answered.json()["type"] == "urn:placet:problem:not-found"


async def test_it_hides_no_route_of_the_services(console: Console) -> None:
    paths = set(pages_of(console))
    assert {path for path in paths if not f"{path}/".startswith("/console/")} == set()
    assert (await console.call("GET", "/healthz")).status == 200
    assert (await console.call("GET", "/v1/requests")).status == 401


async def test_only_what_posts_can_change_anything(console: Console) -> None:
    for methods in pages_of(console).values():
        assert len(methods) == 1
        assert set(methods) <= {"GET", "POST"}


@pytest.mark.parametrize("person", EVERYONE)
async def test_looking_changes_nothing(console: Console, placet: Placet, person: str) -> None:
    requests = await three(placet)
    browser = await console.browser().sits(person)
    before = await console.trace()
    for request in requests:
        for target in reads(request.id):
            await browser.get(target)
            await console.get_as(person, target)
            await console.call("HEAD", target, {"X-Placet-Person": person})
    assert await console.trace() == before


# -- headers and markup ---------------------------------------------------------------------------


def assert_guarded(answered: Answered) -> None:
    policy = answered.headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert {name: answered.headers.get(name) for name in HEADERS} == HEADERS
    assert not [name for name in answered.headers if name.startswith("access-control")]


async def test_every_answer_that_is_given_is_guarded(console: Console, placet: Placet) -> None:
    request, *_ = await three(placet)
    for target in reads(request.id):
        answered = await console.get_as(ANNA, target)
        assert answered.status == 200
        assert_guarded(answered)
    browser = await console.browser().sits("anna")
    click = {"action": "review", "request": request.id, "revision": 1, "inputs": {}}
    assert_guarded(await browser.post("/console/clicks", click))
    assert_guarded(await browser.post("/console/person", {"person": "anna"}))
    assert_guarded(await console.post_as(ANNA, f"/console/api/requests/{request.id}/view"))
    target = f"/console/api/requests/{request.id}/review"
    assert_guarded(await console.post_as(ANNA, target, b'{"decision": "approve"}'))


async def test_every_refusal_is_guarded_too(console: Console) -> None:
    refused = [
        await console.call("GET", "/console", {"Host": "evil.example"}),
        await console.call("GET", "/console/board"),
        await console.call("GET", "/console/events"),
        await console.get_as(ANNA, f"/console/api/requests/{NO_REQUEST}"),
        await console.get_as(ANNA, "/console/api/requests?status=odd"),
        await console.post_as(ANNA, "/console/clicks", b"{"),
    ]
    assert [answered.status for answered in refused] == [403, 401, 401, 404, 422, 400]
    for answered in refused:
        assert_guarded(answered)
        assert answered.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("part", ["page", "board", "form"])
async def test_the_page_holds_no_script_style_or_handler_of_its_own(
    console: Console, placet: Placet, part: str
) -> None:
    request, *_ = await three(placet)
    browser = await console.browser().sits("ben")
    parts = {
        "page": (await browser.get("/console")).body.decode(),
        "board": (await browser.get("/console/board")).json()["html"],
        "form": (await browser.clicks("review", request.id))["form"],
    }
    html = parts[part]
    tags = Tags(html)
    names = {name for _, attrs in tags.found for name in attrs}
    assert not [name for name in names if name.startswith("on")]
    assert "style" not in names
    assert not tags.named("style")
    for script in tags.named("script"):
        assert script == {"src": "/console/console.js"}
    assert not tags.inside.get("script", "").strip()
    sources = [attrs.get(name) for _, attrs in tags.found for name in ("src", "href")]
    assert {source for source in sources if source} <= {*FILES, "#waiting-head"}


async def test_every_file_that_the_page_names_is_served(console: Console) -> None:
    page = Tags((await console.call("GET", "/console")).body.decode())
    named = {attrs.get(n) for _, attrs in page.found for n in ("src", "href")} - {None}
    for path in named - {"#waiting-head"}:
        answered = await console.call("GET", str(path))
        assert answered.status == 200
    assert set(FILES) <= named


async def test_names_and_titles_of_the_configuration_are_text_too(
    console: Console, placet: Placet, tmp_path: Path
) -> None:
    await asks(placet)
    shape = [tag for tag, _ in Tags((await console.get_as(JONAS, "/console")).body.decode()).found]
    nasty = "</option></select><script>alert(1)</script>$token"
    write_configuration(tmp_path / "later", policy=POLICY)
    people = PEOPLE.replace("Anna Ek", nasty).replace("Jonas Berg", nasty)
    (tmp_path / "later" / "people.yaml").write_text(people)
    placet.service.configuration = load_configuration(tmp_path / "later")
    page = (await console.get_as(JONAS, "/console")).body.decode()
    assert [tag for tag, _ in Tags(page).found] == shape
    assert "$token" in page


# -- who sees what --------------------------------------------------------------------------------


async def test_each_person_sees_what_concerns_them_in_its_list(
    console: Console, placet: Placet
) -> None:
    waiting, wide, denied = await three(placet)
    everything: dict[PersonId, dict[str, list[RequestId]]] = {
        ANNA: {"waiting": [wide.id, waiting.id], "settled": [denied.id]},  # she asked for it
        BEN: {"waiting": [wide.id, waiting.id], "reviewed": [denied.id]},
        CLEO: {"waiting": [wide.id]},
        JONAS: {"open": [wide.id, waiting.id]},
        OLGA: {"open": [wide.id, waiting.id], "settled": [denied.id]},
    }
    for person, lists_of_one in everything.items():
        nothing: dict[str, list[RequestId]] = {section: [] for section in SECTIONS}
        assert await board(console, person) == nothing | lists_of_one


async def test_an_open_access_stands_by_itself_until_it_is_over(
    console: Console, placet: Placet
) -> None:
    request = await looks_and_votes(placet, BEN, (await asks(placet)).id)
    for person in (ANNA, BEN, JONAS, OLGA):
        assert (await board(console, person))["granted"] == [request.id]
    assert (await board(console, CLEO))["granted"] == []
    await placet.service.grants.end(CRM, request.id)
    for person, section in ((ANNA, "settled"), (BEN, "reviewed"), (OLGA, "settled")):
        after = await board(console, person)
        assert (after["granted"], after[section]) == ([], [request.id])


async def test_a_list_and_the_cards_of_it_agree(console: Console, placet: Placet) -> None:
    requests = await three(placet)
    query = "&".join(f"id={request.id}" for request in requests)
    for person in EVERYONE:
        told = (await console.get_as(person, f"/console/cards?{query}")).json()["cards"]
        assert [card["id"] for card in told] == [request.id for request in requests]
        by_section = await board(console, person)
        for card in told:
            holders = [name for name, ids in by_section.items() if card["id"] in ids]
            assert holders == ([card["section"]] if card["section"] else [])
            page = (await console.get_as(person, "/console/board")).json()["html"]
            assert card["html"] in page


async def test_a_card_that_may_not_be_seen_tells_nothing(console: Console, placet: Placet) -> None:
    waiting, *_ = await three(placet)
    target = f"/console/cards?id={waiting.id}&id={NO_REQUEST}"
    told = (await console.get_as(CLEO, target)).json()["cards"]
    # What is not theirs looks just like what is not there.
    assert told == [
        {"id": each, "section": None, "order": 0, "html": "", "text": ""}
        for each in (waiting.id, NO_REQUEST)
    ]


async def test_cards_of_one_section_stand_in_the_order_that_they_tell(
    console: Console, placet: Placet
) -> None:
    waiting, wide, _ = await three(placet)
    target = f"/console/cards?id={waiting.id}&id={wide.id}"
    first, second = (await console.get_as(OLGA, target)).json()["cards"]
    assert second["order"] < first["order"]  # its half hour ends before the other's hour


async def test_what_is_final_stands_with_the_newest_first(console: Console, placet: Placet) -> None:
    ids = [(await asks(placet)).id for _ in range(2)]
    older = await looks_and_votes(placet, BEN, ids[0], "deny", "No")
    assert older.decision is not None
    await set_store_time(placet, older.decision.at + timedelta(seconds=1))
    await looks_and_votes(placet, BEN, ids[1], "deny", "No")
    assert (await board(console, BEN))["reviewed"] == [ids[1], ids[0]]


@pytest.mark.parametrize("count", [0, 51])
async def test_cards_are_asked_for_by_the_fifty(console: Console, count: int) -> None:
    ids = [f"req_{number:026d}" for number in range(count)]
    target = "/console/cards?" + "&".join(f"id={each}" for each in ids)
    answered = await console.get_as(ANNA, target)
    assert answered.status == 422
    assert [each["pointer"] for each in answered.json()["errors"]] == ["/id"]


async def test_a_card_asked_for_twice_is_drawn_once(console: Console) -> None:
    target = f"/console/cards?id={NO_REQUEST}&id={NO_REQUEST}"
    assert len((await console.get_as(ANNA, target)).json()["cards"]) == 1


@pytest.mark.parametrize("odd", ["x", "../requests", "req_1", NO_REQUEST.upper(), ""])
async def test_what_cannot_be_an_id_is_not_there(console: Console, odd: str) -> None:
    assert (await console.get_as(ANNA, f"/console/cards?id={odd}")).status == 404


# -- clicks ---------------------------------------------------------------------------------------


async def test_a_click_walks_from_review_to_approval(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    shown = await browser.clicks("review", request.id)
    assert set(shown) == {"form"}
    assert JUSTIFICATION in shown["form"]
    told = await browser.clicks("approve", request.id)
    assert set(told) == {"reply", "text", "done"}
    assert told["done"] is True
    assert told["text"].startswith("You approved it.")
    after = await placet.service.card_facts(request.id)
    assert after.decision is not None
    assert [(who.person, who.via) for who in after.decision.by] == [(ANNA, "console")]


async def test_a_refused_click_is_an_answer_and_not_done(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    told = await browser.clicks("approve", request.id)
    assert told["done"] is False
    assert told["text"].startswith("View the full request before you approve it.")
    assert "Not done" in told["reply"]
    assert (await placet.service.card_facts(request.id)).reviews == ()


async def test_deny_asks_for_the_reason_and_then_takes_it(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    assert "Why is it denied?" in (await browser.clicks("deny", request.id))["form"]
    told = await browser.clicks("deny", request.id, inputs={"reason": "<b>No</b>"})
    assert told["done"] is True
    assert "<b>" not in told["reply"]
    assert (await placet.service.card_facts(request.id)).status == "denied"


async def test_who_clicks_is_who_sits_there_whatever_the_body_says(
    console: Console, placet: Placet
) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("jonas")
    sent = {"action": "deny", "request": request.id, "revision": 1, "inputs": {"reason": "No"}}
    refused = await browser.post("/console/clicks", {**sent, "person": "anna"})
    assert refused.status == 422
    assert (await placet.service.card_facts(request.id)).status == "pending"
    entries = await history(placet, request.id)
    assert [entry["type"] for entry in entries] == ["request.opened"]


BAD_CLICKS: dict[str, tuple[object, str]] = {
    "no action": ({"request": NO_REQUEST}, "/action"),
    "an unknown action": ({"action": "erase", "request": NO_REQUEST}, "/action"),
    "an action that is a list": ({"action": ["deny"], "request": NO_REQUEST}, "/action"),
    "a request that is no text": ({"action": "deny", "request": 7}, "/request"),
    "a revision that is text": (
        {"action": "deny", "request": NO_REQUEST, "revision": "1"},
        "/revision",
    ),
    "a revision that is true": (
        {"action": "deny", "request": NO_REQUEST, "revision": True},
        "/revision",
    ),
    "half a revision": ({"action": "deny", "request": NO_REQUEST, "revision": 1.5}, "/revision"),
    "inputs that are text": ({"action": "deny", "request": NO_REQUEST, "inputs": "x"}, "/inputs"),
    "inputs that are a list": ({"action": "deny", "request": NO_REQUEST, "inputs": []}, "/inputs"),
    "inputs that are false": (
        {"action": "deny", "request": NO_REQUEST, "inputs": False},
        "/inputs",
    ),
    "a reason that is no text": (
        {"action": "deny", "request": NO_REQUEST, "inputs": {"reason": 7}},
        "/inputs/reason",
    ),
    "an input too many": (
        {"action": "deny", "request": NO_REQUEST, "inputs": {"canary": "x"}},
        "/inputs",
    ),
    "a field too many": ({"action": "deny", "request": NO_REQUEST, "canary": 1}, ""),
}


@pytest.mark.parametrize("case", BAD_CLICKS)
async def test_a_click_that_is_malformed_is_told_where(console: Console, case: str) -> None:
    sent, pointer = BAD_CLICKS[case]
    browser = await console.browser().sits("anna")
    answered = await browser.post("/console/clicks", sent)
    told = answered.json()
    assert (answered.status, told["type"]) == (422, "urn:placet:problem:invalid-request")
    assert pointer in [each["pointer"] for each in told["errors"]]
    assert b"canary" not in answered.body


# -- another person -------------------------------------------------------------------------------


async def chosen(browser: Browser) -> str | None:
    page = Tags((await browser.get("/console")).body.decode())
    (current,) = [each for each in page.named("option") if "selected" in each]
    return current["value"]


async def test_another_person_sits_there_after_a_switch(console: Console, placet: Placet) -> None:
    request = await asks(placet)
    browser = await console.browser().sits("anna")
    answered = await browser.post("/console/person", {"person": "jonas"})
    assert answered.json() == {"person": "jonas"}
    assert await chosen(browser) == "jonas"
    html = (await browser.get("/console/board")).json()["html"]
    assert lists(html)["open"] == [request.id]


async def test_everybody_of_people_yaml_can_be_chosen(console: Console) -> None:
    page = Tags((await console.call("GET", "/console")).body.decode())
    people = [each["value"] for each in page.named("option") if each["value"] in EVERYONE]
    assert people == list(EVERYONE)


@pytest.mark.parametrize("named", ["nobody", "", None, 7, ["anna"]])
async def test_nobody_sits_there_who_is_not_in_people_yaml(console: Console, named: object) -> None:
    browser = await console.browser().sits("ben")
    answered = await browser.post("/console/person", {"person": named})
    assert answered.status == 422
    assert [each["pointer"] for each in answered.json()["errors"]] == ["/person"]
    assert "set-cookie" not in answered.headers
    assert await chosen(browser) == "ben"


async def test_two_browsers_are_two_people(console: Console) -> None:
    anna, jonas = await console.browser().sits("anna"), await console.browser().sits("jonas")
    assert (await anna.get("/console/board")).json()["person"] == "anna"
    assert (await jonas.get("/console/board")).json()["person"] == "jonas"


async def test_an_admin_is_told_which_policy_is_in_force(console: Console) -> None:
    told = await console.get_as("ben", "/console/board")
    line = "Policy 3f9a0c1d27ab is in force since 2026-11-23 14:17 UTC."
    assert f'<p class="policy">{line}</p>' in told.json()["html"]
    assert "in force" not in (await console.get_as("anna", "/console/board")).json()["html"]

    fault = "The changed configuration is not used: it has 1 fault at policy.yaml:3:1."
    console.policy = replace(console.policy, fault=fault)
    told = await console.get_as("ben", "/console/board")
    assert f'<p class="policy stale">{line} {fault}</p>' in told.json()["html"]

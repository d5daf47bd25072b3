"""People at the console: who sits where, what they ask, and where things stand on the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, Request, ViewportSize, expect

from tests.e2e.browser import DESKTOP, Screen, person_at
from tests.e2e.processes import http

JONAS, MIRA = "okta:00u1", "okta:00u2"
ONE, TWO = "customer.view", "users.export"  # actions that need so many approvals
WHY = "Customer asked for a copy of their data, ticket ZD-48213"
SMALL = ViewportSize(width=360, height=740)
DEAF = "window.EventSource = class extends EventTarget { close() {} }"  # it opens and says nothing
PATIENCE_MS = 20_000  # two busy cores; every wait ends as soon as what it waits for is there

Scheme = Literal["light", "dark"]

expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Desk:
    """A demo and a browser, shared by the tests of a file: each asks requests of its own."""

    facts: Mapping[str, Any]
    browser: Browser
    service: aiohttp.ClientSession

    async def ask(
        self, action: str = ONE, *, by: str = JONAS, name: str | None = None, **more: object
    ) -> str:
        """A service asks; the id of the request."""
        requester = {"id": by} if name is None else {"id": by, "name": name}
        body = {"action": action, "requester": requester, "justification": WHY, **more}
        async with self.service.post("/v1/requests", json=body) as reply:
            assert reply.status == 201, await reply.text()
            return str((await reply.json())["id"])

    async def status(self, request: str) -> tuple[str, list[str]]:
        """A request's state and who decided it, as the service is told."""
        async with self.service.get(f"/v1/requests/{request}") as reply:
            told = await reply.json()
        by = (told["decision"] or {"by": []})["by"]
        return str(told["status"]), [who["person"] for who in by]

    async def call(self, person: str, request: str, verb: str, **body: object) -> None:
        """Somebody acts without a browser."""
        url = f"/console/api/requests/{request}/{verb}"
        headers = {"X-Placet-Person": person}
        async with self.service.post(url, json=body, headers=headers) as reply:
            assert reply.status == 200, await reply.text()

    async def approve(self, person: str, request: str) -> None:
        """Somebody looks at a request and approves it, without a browser."""
        await self.call(person, request, "view")
        await self.call(person, request, "review", decision="approve")

    @asynccontextmanager
    async def sit(
        self, person: str, *, viewport: ViewportSize = DESKTOP, scheme: Scheme = "light"
    ) -> AsyncIterator[Screen]:
        """Somebody at the console with the stream open. Nothing may go wrong in their browser."""
        async with self.at_the_door(viewport=viewport, scheme=scheme) as screen:
            await enter(screen.page, person)
            yield screen
            assert screen.faults == [], screen.faults  # pytest explains only tests' own asserts

    @asynccontextmanager
    async def at_the_door(
        self, *, viewport: ViewportSize = DESKTOP, scheme: Scheme = "light"
    ) -> AsyncIterator[Screen]:
        """A browser that has not opened the console yet; its faults are for the test to judge."""
        origin = self.facts["base_url"]
        async with person_at(self.browser, origin, viewport=viewport, scheme=scheme) as screen:
            _keep_at_home(screen, origin)
            yield screen


@asynccontextmanager
async def desk_at(facts: Mapping[str, Any], browser: Browser) -> AsyncIterator[Desk]:
    """A desk at a running demo."""
    async with http(facts) as service:
        yield Desk(facts, browser, service)


async def enter(page: Page, person: str) -> None:
    """Opens the console as `person`; returns once the page has heard from its stream."""
    await open_console(page)
    if await page.locator("body").get_attribute("data-person") != person:
        await page.get_by_label("You are").select_option(person)
        async with hearing(page):
            await page.get_by_role("button", name="Switch").click()
    await expect(page.locator("body")).to_have_attribute("data-person", person)


async def open_console(page: Page) -> None:
    """Opens the console as whoever sits there; returns once the page has heard from its stream."""
    async with hearing(page):
        await page.goto("/console")


@asynccontextmanager
async def hearing(page: Page) -> AsyncIterator[None]:
    """Until the page's stream has begun and it has drawn what it missed: hints count from here."""
    async with page.expect_response("**/console/board") as board:
        yield
    await (await board.value).finished()


def card(page: Page, request: str) -> Locator:
    """A request's card, wherever it stands."""
    return page.locator(f"article#{request}")


def card_in(page: Page, section: str, request: str) -> Locator:
    """A request's card in one of the lists."""
    return page.locator(f"#{section} article#{request}")


def press(page: Page, request: str, label: str) -> Locator:
    """A button of a request's card."""
    return card(page, request).get_by_role("button", name=f"{label}:")


def panel(page: Page) -> Locator:
    """The dialog that shows a request in full."""
    return page.get_by_role("dialog")


def vote(page: Page, label: str) -> Locator:
    """A button of the open panel."""
    return panel(page).get_by_role("button", name=f"{label}:")


def reply(page: Page) -> Locator:
    """What the page tells about one's last click."""
    return page.locator("#reply")


async def review(page: Page, request: str) -> None:
    """Opens the panel of a request."""
    await press(page, request, "Review").click()
    await expect(panel(page).locator(f'[data-request="{request}"]').first).to_be_visible()


@dataclass(frozen=True)
class Judgement:
    """What axe-core says of a page: rules broken, rules it could not judge, rules it saw kept."""

    broken: list[str]
    unsure: list[str]
    kept: frozenset[str]


async def judged(page: Page) -> Judgement:
    """Runs axe-core."""
    found = (await Axe().run(page)).response
    return Judgement(
        [_told(each) for each in found["violations"]],
        [_told(each) for each in found["incomplete"]],
        frozenset(each["id"] for each in found["passes"]),
    )


def _told(found: dict[str, Any]) -> str:
    nodes = found["nodes"]
    places = "; ".join(f"{' '.join(map(str, n['target']))}: {n['failureSummary']}" for n in nodes)
    return f"{found['id']}: {found['help']}: {places}"


def _keep_at_home(screen: Screen, origin: str) -> None:
    def asked(request: Request) -> None:
        if not request.url.startswith((f"{origin}/", "data:", "about:", "blob:")):
            screen.faults.append(f"not of the demo: {request.method} {request.url}")

    screen.page.context.on("request", asked)

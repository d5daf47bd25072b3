"""The page's script in a real browser over the real routes; only the stream is the test's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Request, Route, expect

from approvals.model import ApprovalRequest, PersonId, RequestId
from tests.bot.chat.console.conftest import HOST, Console
from tests.conftest import ANNA, BEN, JONAS, Placet
from tests.e2e.browser import REMEDY, installed, launched
from tests.stories.telling import asks, looks_and_votes

pytestmark = [
    pytest.mark.skipif(
        installed() is None and "NEEDS_BROWSER" not in os.environ,  # set by .ci/run
        reason=REMEDY,
    ),
    # What a browser does with an answer is the same over every store.
    pytest.mark.parametrize("engine", ["fakeredis"], indirect=True),
]


# A stream says what the test lets it say. The clock of the browser can be set wrong.
_STAGE = """
window.streams = []
window.EventSource = class extends EventTarget {
    constructor() {
        super()
        this.isOpen = true
        streams.push(this)
        setTimeout(() => this.say("beat", String(realNow())))
    }
    say(type, data) { if (this.isOpen) this.dispatchEvent(new MessageEvent(type, { data })) }
    close() { this.isOpen = false }
}
window.realNow = Date.now.bind(Date)
window.wrongBy = 0
window.turns = (hidden) => {
    Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true })
    document.dispatchEvent(new Event("visibilitychange"))
}
Date.now = () => realNow() + wrongBy
"""

_WHERE_IT_WAS = """([pressed, appearing]) => {
    const { left, top } = document.querySelector(pressed).getBoundingClientRect()
    const put = () => {
        const button = document.querySelector(appearing)
        const there = { position: "fixed", left: `${left}px`, top: `${top}px` }
        if (button) Object.assign(button.style, there)
    }
    put()
    new MutationObserver(put).observe(document.getElementById("panel-form"), { childList: true })
}"""

Answers = Callable[[Route, Request], Awaitable[bool]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = installed()
    assert path is not None, REMEDY
    async with launched(path) as chromium:
        yield chromium


@asynccontextmanager
async def page_of(
    browser: Browser, console: Console, person: PersonId, *, first: Answers | None = None
) -> AsyncIterator[Page]:
    """The page as `person` has it. `first` may answer a call in place of the routes."""
    desk = await console.browser().sits(person)

    async def answer(route: Route, request: Request) -> None:
        if first is not None and await first(route, request):
            return
        url = urlsplit(request.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        if request.method == "GET":
            answered = await desk.get(target)
        else:
            answered = await desk.post(target, request.post_data_buffer or b"{}")
        await route.fulfill(
            status=answered.status, headers=dict(answered.headers), body=answered.body
        )

    page = await browser.new_page()
    await page.add_init_script(_STAGE)
    await page.route("**/*", answer)
    await page.goto(f"http://{HOST}/console")
    await expect(page.locator("html[data-ready]")).to_be_attached()
    await page.wait_for_load_state("networkidle")
    yield page
    await page.close()


def posts(page: Page) -> list[str]:
    """What the page posts from now on."""
    seen: list[str] = []
    page.on("request", lambda sent: seen.append(sent.url) if sent.method == "POST" else None)
    return seen


async def after_all(page: Page) -> None:
    """Returns once everything that the page has asked for before this has been asked for."""
    await page.evaluate("fetch('/console/console.css').then((answer) => answer.text())")


async def hears_of(page: Page, *requests: RequestId) -> None:
    """A hint arrives at the page."""
    await page.evaluate("ids => streams.at(-1).say('changed', ids)", " ".join(requests))


def card(request: ApprovalRequest, state: str) -> str:
    return f'#board article[id="{request.id}"][data-state="{state}"]'


# -- clicks ---------------------------------------------------------------------------------------


async def double_click(page: Page, selector: str, between: str) -> None:
    """Both halves on the same spot; `between` appears before the second."""
    box = await page.locator(selector).first.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.mouse.down()
    await page.mouse.up()
    await page.wait_for_selector(between)
    await page.mouse.down(click_count=2)
    await page.mouse.up(click_count=2)
    await after_all(page)


async def test_a_double_click_on_cancel_does_not_answer_the_question_too(
    console: Console, placet: Placet, browser: Browser
) -> None:
    asked = await asks(placet)
    async with page_of(browser, console, JONAS) as page:
        posted = posts(page)
        await page.evaluate(_WHERE_IT_WAS, ['[data-action="cancel"]', "#ask-yes"])
        await double_click(page, '[data-action="cancel"]', "#ask[open] #ask-yes")
        await expect(page.locator("#ask")).to_be_visible()
        assert posted == []
    assert (await placet.service.card_facts(asked.id)).status == "pending"


async def test_a_double_click_on_review_does_not_approve_unseen(
    console: Console, placet: Placet, browser: Browser
) -> None:
    asked = await asks(placet)
    async with page_of(browser, console, ANNA) as page:
        posted = posts(page)
        # In a small window the panel's Approve comes to stand where Review was.
        await page.evaluate(
            _WHERE_IT_WAS, ['[data-action="review"]', '#panel [data-action="approve"]']
        )
        await double_click(page, '[data-action="review"]', '#panel[open] [data-action="approve"]')
        await expect(page.locator("#panel")).to_be_visible()
        assert len(posted) == 1
        assert (await placet.service.card_facts(asked.id)).status == "pending"
        # A click elsewhere on it is one of its own.
        await page.click('#panel [data-action="approve"]', position={"x": 3, "y": 3})
        await expect(page.locator("#panel")).to_be_hidden()
    assert (await placet.service.card_facts(asked.id)).status == "approved"


# -- the lists ------------------------------------------------------------------------------------


async def test_an_answer_that_comes_late_does_not_bring_back_an_older_state(
    console: Console, placet: Placet, browser: Browser
) -> None:
    is_held, may_go_on = asyncio.Event(), asyncio.Event()

    async def hold_first(route: Route, request: Request) -> bool:
        if "/console/cards" in request.url and not is_held.is_set():
            early = await console.get_as(ANNA, request.url.removeprefix(f"http://{HOST}"))
            is_held.set()
            await may_go_on.wait()
            await route.fulfill(status=early.status, headers=dict(early.headers), body=early.body)
            return True
        return False

    async with page_of(browser, console, ANNA, first=hold_first) as page:
        asked = await asks(placet)
        await hears_of(page, asked.id)
        await is_held.wait()
        await looks_and_votes(placet, BEN, asked.id, "deny", "The ticket is closed.")
        await hears_of(page, asked.id)
        await page.evaluate("streams.at(-1).say('resync', String(Date.now()))")
        await after_all(page)
        may_go_on.set()
        await expect(page.locator(card(asked, "denied"))).to_be_visible()
        await after_all(page)
        await expect(page.locator(card(asked, "pending"))).to_have_count(0)


async def test_what_could_not_be_drawn_is_drawn_at_the_next_look(
    console: Console, placet: Placet, browser: Browser
) -> None:
    is_broken = False

    async def refuse(route: Route, request: Request) -> bool:
        if is_broken and "/console/cards" in request.url:
            await route.abort()
            return True
        return False

    requests = [await asks(placet) for _ in range(101)]
    async with page_of(browser, console, ANNA, first=refuse) as page:
        await expect(page.locator("#waiting article")).to_have_count(100)
        is_broken = True
        await page.click("#waiting .more")
        await expect(page.locator("#reply")).to_contain_text("cannot be reached")
        is_broken = False
        await page.evaluate("streams.at(-1).say('resync', String(Date.now()))")
        await expect(page.locator('#waiting:not([data-more=""])')).to_be_visible()
        await page.click("#waiting .more")
        await expect(page.locator("#waiting article")).to_have_count(len(requests))


# -- the stream -----------------------------------------------------------------------------------

_OPEN = "streams.filter((each) => each.isOpen).length"


async def test_a_hidden_tab_holds_no_connection_and_yet_counts_what_waits(
    console: Console, placet: Placet, browser: Browser
) -> None:
    async with page_of(browser, console, ANNA) as page:
        assert await page.evaluate(_OPEN) == 1
        await page.evaluate("turns(true)")
        assert await page.evaluate(_OPEN) == 0
        await asks(placet)
        await page.evaluate("wrongBy = 16000")
        await expect(page).to_have_title("(1) Placet")
        assert await page.evaluate(_OPEN) == 0


async def test_a_tab_that_is_seen_again_listens_and_has_missed_nothing(
    console: Console, placet: Placet, browser: Browser
) -> None:
    async with page_of(browser, console, ANNA) as page:
        await page.evaluate("turns(true)")
        asked = await asks(placet)
        await page.evaluate("turns(false)")
        await expect(page.locator(card(asked, "pending"))).to_be_visible()
        assert await page.evaluate(_OPEN) == 1


# -- times ----------------------------------------------------------------------------------------


async def test_a_clock_that_was_wrong_for_a_while_closes_no_vote(
    console: Console, placet: Placet, browser: Browser
) -> None:
    asked = await asks(placet, expires_in=30)
    async with page_of(browser, console, ANNA) as page:
        await page.click(f'[id="{asked.id}"] [data-action="review"]')
        approve = page.locator('#panel [data-action="approve"]')
        await expect(approve).to_be_enabled()
        await page.evaluate("wrongBy = 35 * 1000")
        await expect(approve).to_be_disabled()
        await page.evaluate("streams.at(-1).say('beat', String(realNow()))")
        await expect(approve).to_be_enabled()


async def test_what_somebody_else_has_decided_stays_closed(
    console: Console, placet: Placet, browser: Browser
) -> None:
    asked = await asks(placet)
    async with page_of(browser, console, ANNA) as page:
        await page.click(f'[id="{asked.id}"] [data-action="review"]')
        approve = page.locator('#panel [data-action="approve"]')
        await expect(approve).to_be_enabled()
        await looks_and_votes(placet, BEN, asked.id, "deny", "The ticket is closed.")
        await hears_of(page, asked.id)
        await expect(approve).to_be_disabled()
        await page.evaluate("streams.at(-1).say('beat', String(realNow()))")
        await after_all(page)
        await expect(approve).to_be_disabled()

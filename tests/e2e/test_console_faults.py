"""The console when something is wrong: no line, no server, too much, or text that means harm."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Dialog, Page, Route, expect

from tests.e2e.console import (
    DEAF,
    Desk,
    card,
    card_in,
    desk_at,
    enter,
    hearing,
    open_console,
    panel,
    press,
    reply,
    review,
    vote,
)
from tests.e2e.processes import Demo, demo, ended, stopped

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_LINE = re.compile(r"^(console: Failed to load resource: |failed: .*: )net::ERR_")
IMAGE = '<img src=x onerror="alert(1)">'
SCRIPT = "</blockquote></dd><script>alert(2)</script>"
MORE = re.compile(r"^Show \d+ more of \d+$")
QUOTE = "\"'><svg onload=alert(3)> &lt;b&gt; $person ${person}"
HEBREW = 'שלום <b dir="rtl">עולם</b> 123'
ARABIC = "<i>مرحبا</i> (١٢) ABC"
REASON = f"{HEBREW}\n{SCRIPT}\n{QUOTE}"


async def test_a_tab_without_a_line_says_so_and_heals_by_itself(desk: Desk) -> None:
    decided, other = await desk.ask(), await desk.ask()
    async with desk.at_the_door() as screen:
        page = screen.page
        await page.route("**/console/events", _breaks())
        await enter(page, "anna")
        await expect(page.locator("#offline")).to_be_visible()
        await desk.approve("ben", decided)
        new = await desk.ask()
        await expect(card_in(page, "waiting", decided)).to_be_visible()
        await expect(card(page, new)).to_have_count(0)

        await page.unroute("**/console/events")
        await expect(card_in(page, "granted", decided)).to_contain_text("Approved by Ben Okafor")
        await expect(card_in(page, "waiting", new)).to_be_visible()
        await expect(page.locator("#offline")).to_be_hidden()
        await review(page, other)
        await vote(page, "Approve").click()
        await expect(card_in(page, "granted", other)).to_contain_text("Approved by Anna Ek")
        assert [told for told in screen.faults if not NO_LINE.match(told)] == []
    assert await desk.status(other) == ("approved", ["anna"])


async def test_a_stream_that_falls_silent_is_opened_anew(desk: Desk) -> None:
    decided = await desk.ask()
    async with desk.at_the_door() as screen:
        page = screen.page
        await page.clock.install()
        await page.add_init_script(f"window.Loud = EventSource; {DEAF}")
        await page.goto("/console")
        await expect(card_in(page, "waiting", decided)).to_be_visible()
        await desk.approve("ben", decided)
        await page.evaluate("() => { window.EventSource = window.Loud }")
        await page.clock.fast_forward("01:00")
        await expect(card_in(page, "granted", decided)).to_contain_text("Approved by Ben Okafor")
        assert screen.faults == []


async def test_votes_come_back_when_only_this_computers_clock_was_wrong(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.at_the_door() as screen:
        page = screen.page
        await page.clock.install()
        await enter(page, "anna")
        deadline = card(page, request).locator("time[data-deadline]")
        is_seen = asyncio.Event()

        async def late(route: Route) -> None:
            await is_seen.wait()
            await route.continue_()

        await page.route("**/console/events", late)  # whose beat brings the server's clock
        async with hearing(page):
            await page.clock.fast_forward("20:00")
            await expect(deadline).to_contain_text("time is up")
            await expect(press(page, request, "Review")).to_be_enabled()
            await expect(press(page, request, "Deny")).to_be_disabled()
            is_seen.set()
        await expect(deadline).to_contain_text("min left")
        await expect(press(page, request, "Deny")).to_be_enabled()
        assert screen.faults == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda it: it.name)
async def test_a_page_outlives_a_restart_of_the_server(
    tmp_path: Path, shared_browser: Browser, number: signal.Signals
) -> None:
    port = _free_port()
    async with (
        demo(tmp_path, "--no-sample", PLACET_PORT=port) as first,
        desk_at(first.facts, shared_browser) as desk,
        desk.at_the_door() as screen,
    ):
        page = screen.page
        request = await desk.ask()
        await enter(page, "ben")
        await expect(card_in(page, "waiting", request)).to_be_visible()
        token = await page.locator("meta[name=placet-token]").get_attribute("content")

        await _end(first, number)
        await expect(page.locator("#offline")).to_contain_text("Placet cannot be reached")
        await expect(page.locator("#offline")).to_be_visible()
        await press(page, request, "Review").click()
        await expect(reply(page)).to_contain_text("it is not known whether this counted")
        await expect(card_in(page, "waiting", request)).to_be_visible()

        async with demo(tmp_path, "--no-sample", PLACET_PORT=port):
            await expect(page.locator("#offline")).to_be_hidden()
            await review(page, request)
            await vote(page, "Approve").click()
            await expect(card_in(page, "granted", request)).to_contain_text("by Ben Okafor")
            kept = await page.locator("meta[name=placet-token]").get_attribute("content")
            assert kept == token  # nothing was reloaded and nobody sat down anew
            await open_console(page)
            await expect(page.locator("body")).to_have_attribute("data-person", "ben")
            assert await desk.status(request) == ("approved", ["ben"])
        assert [told for told in screen.faults if not NO_LINE.match(told)] == []


async def test_two_hundred_requests_are_all_counted_and_shown_by_the_hundred(
    tmp_path: Path, shared_browser: Browser
) -> None:
    async with (
        demo(tmp_path, "--no-sample") as placet,
        desk_at(placet.facts, shared_browser) as desk,
        desk.at_the_door() as screen,
    ):
        page = screen.page
        await enter(page, "anna")
        # As many as one requester may have waiting, by ten of them.
        asking = [desk.ask(by=f"job:night-{number % 10}") for number in range(200)]
        asked = await asyncio.gather(*asking)
        shown, counted = page.locator("#waiting article"), page.locator("#waiting .count")
        await expect(counted).to_have_text("200")
        await open_console(page)
        await expect(counted).to_have_text("200")
        await expect(page).to_have_title("(200) Placet")
        await expect(shown).to_have_count(100)

        first = str(await shown.first.get_attribute("id"))
        hidden = str(await page.locator("#waiting").get_attribute("data-more")).split(":")[0]
        await review(page, first)
        await vote(page, "Approve").click()
        await expect(counted).to_have_text("199")
        await desk.approve("ben", hidden)
        await expect(counted).to_have_text("198")

        more = page.get_by_role("button", name="Show 99 more of 99")
        await page.route("**/console/cards?*", _no_line)
        await more.click()
        await expect(reply(page)).to_contain_text("Placet cannot be reached")
        await expect(counted).to_have_text("198")
        await page.unroute("**/console/cards?*")
        await more.click()
        await expect(shown).to_have_count(198)
        await expect(shown.nth(99)).to_be_focused()
        await expect(page.locator("#announce")).to_be_empty()  # they are not new
        await expect(page.get_by_role("button", name=MORE)).to_have_count(0)
        await expect(counted).to_have_text("198")
        drawn = await shown.evaluate_all("all => all.map(it => it.id)")
        assert len(set(drawn)) == 198
        assert set(drawn) == set(asked) - {first, hidden}
        assert [told for told in screen.faults if not NO_LINE.match(told)] == []


async def test_what_was_shown_stays_shown_when_the_page_heals(
    tmp_path: Path, shared_browser: Browser
) -> None:
    async with (
        demo(tmp_path, "--no-sample") as placet,
        desk_at(placet.facts, shared_browser) as desk,
        desk.at_the_door() as screen,
    ):
        page = screen.page
        await page.clock.install()
        asking = [desk.ask(by=f"job:night-{number % 6}") for number in range(120)]
        asked = await asyncio.gather(*asking)
        await enter(page, "anna")
        shown = page.locator("#waiting article")
        await page.get_by_role("button", name=MORE).click()
        await expect(shown).to_have_count(120)
        last = await shown.nth(119).get_attribute("id")
        await press(page, str(last), "Deny").focus()
        scrolled = await page.evaluate("scrollY")
        await desk.approve("ben", next(each for each in asked if each != last))
        await expect(shown).to_have_count(119)

        async with hearing(page):
            await page.clock.fast_forward("01:00")  # the stream counts as lost
        await expect(page.locator("#waiting")).to_have_attribute("data-more", "")
        await expect(shown).to_have_count(119)
        await expect(press(page, str(last), "Deny")).to_be_focused()
        assert await page.evaluate("scrollY") > scrolled / 2
        assert screen.faults == []


async def test_text_of_others_is_shown_as_it_is_and_never_runs(desk: Desk) -> None:
    async with desk.sit("anna") as anna, desk.sit("cleo") as cleo:
        for page in (anna.page, cleo.page):
            page.on("dialog", _refuse)
        request = await desk.ask(
            "pii.send_to_processor",
            by=f"job:{IMAGE} {HEBREW}",
            name=QUOTE,
            justification=f"{SCRIPT}\n{HEBREW}\n{IMAGE}",
            subject=IMAGE,
            ticket=f"{ARABIC} {QUOTE}",
            purpose=SCRIPT,
            data_classes=[IMAGE, HEBREW],
            params={"processor": f"{HEBREW} {SCRIPT}", "country": [IMAGE, {QUOTE: ARABIC}]},
        )
        shown = card_in(anna.page, "waiting", request)
        await expect(shown).to_contain_text(f"job:{IMAGE} {HEBREW}, a machine of Dana Holm")
        await expect(shown).to_contain_text(f"contact, {IMAGE}, {HEBREW}")
        await review(anna.page, request)
        full = panel(anna.page)
        for label, text in (
            ("Ticket", f"{ARABIC} {QUOTE}"),
            ("Purpose", SCRIPT),
            ("Field processor", f"{HEBREW} {SCRIPT}"),
            ("Name given by the service", QUOTE),
        ):
            fact = full.locator("dl div", has=anna.page.get_by_text(label, exact=True))
            await expect(fact.locator("dd")).to_have_text(text)
        await expect(full.locator("blockquote")).to_have_text(f"{SCRIPT} {HEBREW} {IMAGE}")
        await _nothing_was_made(anna.page)

        await anna.page.get_by_label("Reason or comment").fill(REASON)
        await vote(anna.page, "Deny").click()
        await expect(reply(anna.page)).to_contain_text("You denied it.")
        await press(cleo.page, request, "Details").click()
        said = panel(cleo.page).locator("figure", has_text="Why it was denied")
        await expect(said.locator("blockquote")).to_have_text(REASON.replace("\n", " "))
        for page in (anna.page, cleo.page):
            await _nothing_was_made(page)


def _breaks() -> Callable[[Route], Awaitable[None]]:
    """A stream that begins and ends, and then nothing."""
    beginning = ["event: beat\ndata: 0\n\n"]

    async def handle(route: Route) -> None:
        if beginning:
            await route.fulfill(body=beginning.pop(), content_type="text/event-stream")
        else:
            await _no_line(route)

    return handle


async def _no_line(route: Route) -> None:
    await route.abort("connectionreset")


async def _nothing_was_made(page: Page) -> None:
    """No element came of anybody's text, and what reads the other way turns nothing around it."""
    foreign = "img, script, b, i, svg:not(.sign), [onload], [onerror], [dir=rtl]"
    for place in ("#board", "#panel", "#reply", "#announce"):
        await expect(page.locator(place).locator(foreign)).to_have_count(0)
    said = page.locator("bdi.said, blockquote[dir=auto]")
    ways = await said.evaluate_all("all => all.map(it => getComputedStyle(it).unicodeBidi)")
    assert ways
    assert set(ways) <= {"isolate", "plaintext"}


async def _refuse(dialog: Dialog) -> None:
    await dialog.dismiss()
    raise AssertionError(f"a text ran: {dialog.message}")


async def _end(placet: Demo, number: signal.Signals) -> None:
    if number == signal.SIGTERM:
        await stopped(placet.process, number)
    else:
        placet.process.kill()
        await ended(placet.process)


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])

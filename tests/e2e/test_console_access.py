"""The console without a mouse, on a small screen, in the dark, and as axe-core judges it."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.async_api import FloatRect, Locator, Page, ViewportSize, expect

from tests.e2e.browser import DESKTOP
from tests.e2e.console import (
    SMALL,
    TWO,
    Desk,
    Judgement,
    Scheme,
    card_in,
    enter,
    judged,
    panel,
    press,
    reply,
    review,
    vote,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST_TABS = 60
TALL = 12_000
TWO_FRAMES = "() => new Promise(it => requestAnimationFrame(() => requestAnimationFrame(it)))"
LONG = "W" * 150  # a word that no line of a small screen holds


async def test_the_whole_way_by_keyboard_alone(desk: Desk) -> None:
    approved, denied = await desk.ask(), await desk.ask()
    async with desk.sit("anna") as anna:
        page = anna.page
        keys = page.keyboard
        await keys.press("Tab")
        await expect(page.get_by_role("link", name="Skip to what waits")).to_be_focused()
        await _focus_is_seen(page)
        await keys.press("Enter")
        await _tab_to(page, press(page, approved, "Review"))
        await keys.press("Enter")
        await expect(panel(page).get_by_role("heading", level=2)).to_be_focused()
        await keys.press("Escape")
        await expect(panel(page)).to_have_count(0)
        await expect(press(page, approved, "Review")).to_be_focused()

        await keys.press("Enter")
        await expect(panel(page).get_by_role("heading", level=2)).to_be_focused()
        await _tab_to(page, vote(page, "Approve"))
        await keys.press("Enter")
        await expect(reply(page)).to_contain_text("You approved it.")
        await expect(card_in(page, "granted", approved)).to_be_visible()
        await expect(press(page, approved, "Details")).to_be_focused()

        await _tab_to(page, press(page, denied, "Deny"))
        await keys.press("Space")
        await _tab_to(page, vote(page, "Deny"))
        await keys.press("Enter")
        await expect(page.get_by_label("Why is it denied?")).to_be_focused()
        await keys.type("Not our customer")
        await keys.press("Enter")  # a new line, and nothing sent
        await keys.type("and no ticket")
        await _tab_to(page, vote(page, "Deny"))
        await keys.press("Enter")
        await expect(reply(page)).to_contain_text("You denied it.")
        await expect(card_in(page, "reviewed", denied)).to_be_focused()
        await _focus_is_seen(page)

        await _tab_to(page, press(page, denied, "Details"))
        await keys.press("Enter")
        await expect(panel(page)).to_contain_text("Not our customer\nand no ticket")
        await keys.press("Shift+Tab")
        await expect(panel(page).get_by_role("button", name="Close")).to_be_focused()
        await _focus_is_seen(page)
        await keys.press("Enter")
        await expect(press(page, denied, "Details")).to_be_focused()
    assert await desk.status(approved) == ("approved", ["anna"])
    assert await desk.status(denied) == ("denied", ["anna"])


async def test_enter_in_the_reason_never_votes(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.sit("anna") as anna:
        await review(anna.page, request)
        field = anna.page.get_by_label("Reason or comment")
        await field.press("Enter")
        await field.press_sequentially("It is fine")
        await field.press("Enter")
        await expect(field).to_have_value("\nIt is fine\n")
        await expect(vote(anna.page, "Approve")).to_be_enabled()
    assert await desk.status(request) == ("pending", [])


async def test_focus_stays_where_it_is_while_the_page_changes(desk: Desk) -> None:
    request = await desk.ask(TWO)
    async with desk.sit("anna") as anna:
        await press(anna.page, request, "Deny").focus()
        await desk.approve("ben", request)
        await expect(card_in(anna.page, "waiting", request)).to_contain_text("Ben Okafor approved")
        await expect(press(anna.page, request, "Deny")).to_be_focused()
        new = await desk.ask()
        await expect(card_in(anna.page, "waiting", new)).to_be_visible()
        await expect(press(anna.page, request, "Deny")).to_be_focused()
        await desk.approve("cleo", request)
        await expect(card_in(anna.page, "granted", request)).to_be_focused()


async def test_focus_is_not_lost_when_a_reply_is_closed(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.sit("anna") as anna:
        await review(anna.page, request)
        await vote(anna.page, "Approve").click()
        await reply(anna.page).get_by_role("button", name="Close").press("Enter")
        await expect(reply(anna.page)).to_be_empty()
        await expect(press(anna.page, request, "Details")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, SMALL], ids=["1280", "360"])
async def test_every_view_is_accessible_and_fits(
    desk: Desk, scheme: Scheme, viewport: ViewportSize
) -> None:
    request = await desk.ask(
        TWO, by=f"job:{LONG}", ticket=LONG, subject="customer 4711", params={"columns": LONG}
    )
    await desk.approve("ben", request)
    async with desk.sit("anna", viewport=viewport, scheme=scheme) as anna:
        page = anna.page
        # Only brings it into view; scrolling alone would not wait for a page that is drawn anew.
        await press(page, request, "Review").click(trial=True)
        await _is_fit(page, page.locator("#board"))
        await review(page, request)
        await _is_fit(page, panel(page))
        await page.keyboard.press("Escape")
        await press(page, request, "Deny").click()
        await vote(page, "Deny").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await _is_fit(page, panel(page))
        await page.get_by_label("Why is it denied?").fill(LONG)
        await vote(page, "Deny").click()
        await expect(reply(page)).to_contain_text("You denied it.")
        await _is_fit(page, reply(page))


@pytest.mark.parametrize("viewport", [DESKTOP, SMALL], ids=["1280", "360"])
async def test_a_deadline_of_another_day_covers_no_other_fact(
    desk: Desk, viewport: ViewportSize
) -> None:
    request = await desk.ask(ticket="ZD-48213", subject="customer:48213")
    async with desk.at_the_door(viewport=viewport) as screen:
        page = screen.page
        await page.clock.install(time="2020-02-20T12:00:00Z")
        await enter(page, "anna")
        await review(page, request)
        facts = panel(page).locator(".facts > div")
        deadline = facts.filter(has_text="Decide by")
        await expect(deadline).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d .* min left"))
        boxes = [box for fact in await facts.all() if (box := await fact.bounding_box())]
        assert len(boxes) == await facts.count()
        sides = {box["x"] + box["width"] for box in boxes}
        whole = await panel(page).locator(".facts").bounding_box()
        assert whole is not None
        assert max(sides) <= whole["x"] + whole["width"] + 1
        for one, other in itertools.combinations(boxes, 2):
            assert not _overlap(one, other), (one, other)
        assert screen.faults == []


@pytest.mark.parametrize("person", ["anna", "olga"])
async def test_who_sits_here_stands_on_one_line_of_a_small_screen(desk: Desk, person: str) -> None:
    async with desk.sit(person, viewport=SMALL) as screen:
        choice = await screen.page.get_by_label("You are").bounding_box()
        switch = await screen.page.get_by_role("button", name="Switch").bounding_box()
        assert choice is not None
        assert switch is not None
        assert abs(choice["y"] - switch["y"]) < 2
        assert switch["x"] + switch["width"] <= SMALL["width"]


def _overlap(one: FloatRect, other: FloatRect) -> bool:
    beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
    apart = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
    return not (beside or apart)


async def _is_fit(page: Page, view: Locator) -> None:
    """Nothing breaks a rule, contrast was judged everywhere, and every button can be reached."""
    judgement = await _judged_whole(page, view)
    assert judgement.broken == []
    assert judgement.unsure == []
    assert "color-contrast" in judgement.kept
    wide = "() => [document.documentElement, ...document.querySelectorAll('dialog[open]')]"
    widths = await page.evaluate(f"({wide})().map(it => [it.scrollWidth, it.clientWidth])")
    assert [each for each in widths if each[0] > each[1]] == []
    for button in await view.get_by_role("button").all():
        if await button.is_enabled():
            await button.click(trial=True)


async def _judged_whole(page: Page, view: Locator) -> Judgement:
    """axe-core's word on a view that nothing covers, cuts off, or stands behind.

    A line under a scrolled edge, or two on an opaque box over others' lines, it cannot judge.
    """
    before = page.viewport_size
    assert before is not None
    await page.set_viewport_size(ViewportSize(width=before["width"], height=TALL))
    behind = page.locator("#board .cards")
    if await view.get_attribute("id") != "board":
        await behind.evaluate_all("all => all.forEach(it => { it.style.display = 'none' })")
    await page.evaluate(TWO_FRAMES)  # the browser lays out far cards only when they come into view
    judgement = await _judged_at_rest(page)
    await behind.evaluate_all("all => all.forEach(it => { it.style.display = '' })")
    await page.set_viewport_size(before)
    return judgement


async def _judged_at_rest(page: Page) -> Judgement:
    """axe-core's word on what stood still meanwhile: of a card drawn anew it can say nothing."""
    headings = "[...document.querySelectorAll('h1, h2, h3')]"
    while True:
        await page.evaluate(f"() => {headings}.forEach(it => {{ it.wasThere = true }})")
        judgement = await judged(page)
        if await page.evaluate(f"() => {headings}.every(it => it.wasThere)"):
            return judgement


async def _tab_to(page: Page, target: Locator) -> None:
    """Presses Tab until `target` has the focus, which is seen at every stop."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            continue  # around the end of the page stands the browser itself
        await _focus_is_seen(page)
        if await target.evaluate("it => it === document.activeElement"):
            return
    raise AssertionError(f"{MOST_TABS} times Tab did not lead to {target}")


async def _focus_is_seen(page: Page) -> None:
    look = """() => {
        const it = document.activeElement;
        const style = getComputedStyle(it), box = it.getBoundingClientRect();
        return {
            what: it.outerHTML.slice(0, 80), outline: style.outlineStyle,
            width: parseFloat(style.outlineWidth),
            inside: box.right > 0 && box.left < innerWidth
                && box.bottom > 0 && box.top < innerHeight,
        };
    }"""
    seen = await page.evaluate(look)
    assert (seen["outline"], seen["width"], seen["inside"]) == ("solid", 3, True), seen

"""The console as people use it: two real browsers, a real demo, and nothing reloaded by hand."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.console import (
    DEAF,
    JONAS,
    MIRA,
    TWO,
    Desk,
    card,
    card_in,
    enter,
    open_console,
    panel,
    press,
    reply,
    review,
    vote,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

REASON = "The ticket names another customer"
AT = r"\d\d:\d\d"


async def deny(page: Page, request: str, reason: str) -> None:
    """Denies a request at its card."""
    await press(page, request, "Deny").click()
    await page.get_by_label("Why is it denied?").fill(reason)
    await vote(page, "Deny").click()


async def test_two_approvers_reach_a_quorum_and_each_sees_the_other(desk: Desk) -> None:
    async with desk.sit("anna") as anna, desk.sit("ben") as ben:
        request = await desk.ask(TWO, by=MIRA)
        for one in (anna.page, ben.page):
            await expect(card_in(one, "waiting", request)).to_contain_text("0 of 2 approvals")

        await review(anna.page, request)
        await vote(anna.page, "Approve").click()
        await expect(reply(anna.page)).to_contain_text("Your approval counts: 1 of 2 approvals.")
        await expect(card_in(anna.page, "open", request)).to_contain_text("1 of 2 approvals")
        await expect(press(anna.page, request, "Review")).to_have_count(0)

        seen = card_in(ben.page, "waiting", request)
        await expect(seen).to_contain_text(re.compile(rf"Anna Ek approved at {AT}\."))
        await expect(seen).to_contain_text("One more approver is needed.")
        await review(ben.page, request)
        await vote(ben.page, "Approve").click()
        await expect(reply(ben.page)).to_contain_text("You approved it.")

        told = re.compile(rf"Approved by Anna Ek and Ben Okafor at {AT}\.")
        for one in (anna.page, ben.page):
            await expect(card_in(one, "granted", request)).to_contain_text(told)
            await card(one, request).get_by_text("Timeline").click()
            for step in ("Asked by Mira Novak", "Anna Ek approved", "Ben Okafor approved"):
                row = card(one, request).locator("ol li", has_text=step)
                await expect(row).to_contain_text(re.compile(AT))
    assert await desk.status(request) == ("approved", ["anna", "ben"])


async def test_a_denial_without_a_reason_is_refused_where_it_is_typed(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.sit("anna") as anna:
        page = anna.page
        for opened_by, field in (("Deny", "Why is it denied?"), ("Review", "Reason or comment")):
            await press(page, request, opened_by).click()
            for empty in ("", "  \n "):
                await page.get_by_label(field).fill(empty)
                await vote(page, "Deny").click()
                await expect(page.get_by_role("alert")).to_contain_text("a denial needs a reason")
                await expect(page.get_by_label(field)).to_be_focused()
                await expect(page.get_by_label(field)).to_have_attribute("aria-invalid", "true")
            await panel(page).get_by_role("button", name="Close").click()
        assert await desk.status(request) == ("pending", [])


async def test_a_reason_stands_in_the_details_and_not_on_the_card(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.sit("anna") as anna, desk.sit("cleo") as cleo:
        await deny(anna.page, request, REASON)
        await expect(reply(anna.page)).to_contain_text("You denied it.")
        for one, section in ((anna.page, "reviewed"), (cleo.page, "settled")):
            ended = card_in(one, section, request)
            await expect(ended).to_contain_text(re.compile(rf"Denied by Anna Ek at {AT}\."))
            await expect(one.locator("#board")).not_to_contain_text(REASON)
            await press(one, request, "Details").click()
            await expect(panel(one)).to_contain_text(REASON)
            await expect(vote(one, "Approve")).to_have_count(0)
    assert await desk.status(request) == ("denied", ["anna"])


async def test_a_request_asked_while_the_page_is_open_appears_and_counts_down(desk: Desk) -> None:
    async with desk.sit("anna") as anna:
        before = await anna.page.locator("#waiting article").count()
        request = await desk.ask(expires_in=250)
        deadline = card_in(anna.page, "waiting", request).locator("time[data-deadline]")
        await expect(deadline).to_have_text(re.compile(rf"^{AT} \(4 min \d\d s left\)$"))
        first = await deadline.text_content()
        await expect(deadline).not_to_have_text(str(first))
        await expect(anna.page.locator("#waiting .count")).to_have_text(str(before + 1))
        await expect(anna.page).to_have_title(f"({before + 1}) Placet")
        await expect(anna.page.locator("#announce")).to_contain_text(request)


async def test_an_expiry_is_seen_as_it_happens(desk: Desk) -> None:
    async with desk.sit("anna") as anna:
        request = await desk.ask(expires_in=2)
        ended = card_in(anna.page, "settled", request)
        await expect(ended).to_have_attribute("data-state", "expired")
        told = re.compile(rf"Expired with 0 of 1 approval at {AT}\..* No access was given\.")
        await expect(ended).to_contain_text(told)
        await expect(press(anna.page, request, "Review")).to_have_count(0)


async def test_votes_close_when_time_is_up_even_if_nobody_says_so(desk: Desk) -> None:
    async with desk.at_the_door() as screen:
        page = screen.page
        await page.clock.install()
        request = await desk.ask(expires_in=600)
        await _open_deaf(page)
        await review(page, request)
        await expect(vote(page, "Approve")).to_be_enabled()
        await page.clock.fast_forward("11:00")
        for gone in (vote(page, "Approve"), vote(page, "Deny")):
            await expect(gone).to_be_disabled()
        await expect(panel(page).locator("time[data-deadline]")).to_contain_text("time is up")
        assert screen.faults == []


async def test_who_comes_second_is_told_who_was_first(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.at_the_door() as screen:
        await _open_deaf(screen.page)
        await review(screen.page, request)
        await desk.approve("ben", request)
        await vote(screen.page, "Approve").click()
        told = rf"already decided\. Approved by Ben Okafor at .*{AT}.*Nothing was changed\."
        await expect(vote(screen.page, "Approve")).to_be_disabled()
        await expect(screen.page.get_by_role("alert")).to_contain_text(re.compile(told))
        assert screen.faults == []
    assert await desk.status(request) == ("approved", ["ben"])


async def test_of_two_tabs_that_vote_at_once_one_counts(desk: Desk) -> None:
    request = await desk.ask(TWO)
    async with desk.sit("anna") as anna:
        other = await anna.page.context.new_page()
        await open_console(other)
        for tab in (anna.page, other):
            await review(tab, request)
        both = [vote(tab, "Approve").evaluate("it => it.click()") for tab in (anna.page, other)]
        await asyncio.gather(*both)
        for tab in (anna.page, other):
            await expect(card_in(tab, "open", request)).to_contain_text("1 of 2 approvals")
        told = [
            *await anna.page.locator("#reply, #panel-error").all_inner_texts(),
            *await other.locator("#reply, #panel-error").all_inner_texts(),
        ]
        assert sum("Your approval counts" in each for each in told) == 1
    assert await desk.status(request) == ("pending", [])


async def test_an_open_panel_closes_its_votes_when_somebody_else_decides(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.sit("anna") as anna:
        await review(anna.page, request)
        await anna.page.get_by_label("Reason or comment").fill("Half a thou")
        await desk.approve("ben", request)
        told = re.compile(rf"nothing left for you to decide.*Approved by Ben Okafor at .*{AT}")
        await expect(anna.page.get_by_role("alert")).to_contain_text(told)
        for gone in (vote(anna.page, "Approve"), vote(anna.page, "Deny")):
            await expect(gone).to_be_disabled()
        await anna.page.keyboard.press("Escape")
        await expect(press(anna.page, request, "Details")).to_be_focused()


async def test_another_tab_of_the_same_browser_becomes_the_new_person(desk: Desk) -> None:
    async with desk.sit("anna") as anna:
        other = await anna.page.context.new_page()
        await open_console(other)
        await enter(anna.page, "ben")
        await expect(other.locator("body")).to_have_attribute("data-person", "ben")
        await expect(other.get_by_label("You are")).to_have_value("ben")


async def test_a_tab_that_shows_somebody_else_never_acts_for_them(desk: Desk) -> None:
    request = await desk.ask()
    async with desk.at_the_door() as screen:
        stale = screen.page
        await stale.add_init_script(
            "addEventListener('storage', event => event.stopImmediatePropagation(), true)"
        )
        await _open_deaf(stale)
        await review(stale, request)
        fresh = await stale.context.new_page()
        await enter(fresh, "ben")
        await expect(stale.locator("body")).to_have_attribute("data-person", "anna")
        await vote(stale, "Approve").click()
        await expect(stale.locator("body")).to_have_attribute("data-person", "ben")
        [refused] = screen.faults
        assert "403" in refused
    assert await desk.status(request) == ("pending", [])


async def test_a_requester_sees_their_own_request_and_no_vote(desk: Desk) -> None:
    request = await desk.ask(by=JONAS)
    async with desk.sit("jonas") as jonas:
        page = jonas.page
        await expect(card_in(page, "open", request)).to_contain_text("0 of 1 approval")
        labels = await card(page, request).get_by_role("button").all_text_contents()
        assert labels == ["Cancel request"]
        for action in ("approve", "deny", "review"):
            await _forged(page, request, action)
            await expect(reply(page)).to_contain_text("Not done")
            await expect(reply(page)).to_contain_text("Nothing was changed.")
            await expect(reply(page)).to_contain_text("Nobody decides their own request")
    assert await desk.status(request) == ("pending", [])


async def test_a_stranger_sees_nothing_and_a_forged_click_tells_nothing(desk: Desk) -> None:
    request, decided = await desk.ask(), await desk.ask(TWO)
    await desk.approve("anna", decided)
    await desk.approve("ben", decided)
    async with desk.sit("mira") as mira:
        for target in (request, decided):
            await expect(card(mira.page, target)).to_have_count(0)
            for action in ("approve", "deny", "review", "cancel", "revoke"):
                await _forged(mira.page, target, action)
                await expect(reply(mira.page)).to_contain_text("Not done")
                await expect(reply(mira.page)).to_contain_text("Nothing was changed.")
                told = await reply(mira.page).inner_text()
                assert not re.search("Export|customer|Anna|Ben|Jonas|already", told), told
    assert await desk.status(request) == ("pending", [])


async def test_the_requester_takes_a_request_back(desk: Desk) -> None:
    request = await desk.ask(by=JONAS)
    async with desk.sit("jonas") as jonas, desk.sit("anna") as anna:
        await press(jonas.page, request, "Cancel request").click()
        asked = jonas.page.get_by_role("dialog", name="Cancel this request?")
        await asked.get_by_role("button", name="Back").click()
        await expect(card_in(anna.page, "waiting", request)).to_have_count(1)
        await press(jonas.page, request, "Cancel request").click()
        await asked.get_by_role("button", name="Cancel request").click()
        await expect(reply(jonas.page)).to_contain_text("The request is cancelled.")
        for one in (jonas.page, anna.page):
            ended = card_in(one, "settled", request)
            await expect(ended).to_contain_text("Cancelled by the requester")
            await expect(ended.get_by_role("button", name="Cancel request:")).to_have_count(0)


async def test_the_requester_revokes_an_open_access_and_the_approver_sees_it(desk: Desk) -> None:
    request = await desk.ask(by=JONAS)
    async with desk.sit("jonas") as jonas, desk.sit("anna") as anna:
        await desk.approve("anna", request)
        for one in (jonas.page, anna.page):
            opened = card_in(one, "granted", request)
            told = re.compile(rf"Access may be used until {AT} \(\d+ min left\)\.")
            await expect(opened).to_contain_text(told)
        await press(jonas.page, request, "Revoke access").click()
        asked = jonas.page.get_by_role("dialog", name="Revoke this access?")
        await asked.get_by_role("button", name="Back").click()
        await expect(press(anna.page, request, "Revoke access")).to_have_count(1)
        await press(jonas.page, request, "Revoke access").click()
        await asked.get_by_role("button", name="Revoke access").click()
        await expect(reply(jonas.page)).to_contain_text("You revoked the access.")
        for one, section in ((jonas.page, "settled"), (anna.page, "reviewed")):
            ended = card_in(one, section, request)
            told = re.compile(rf"Jonas Berg revoked the access at {AT}\. It was not used\.")
            await expect(ended).to_contain_text(told)
            await expect(press(one, request, "Revoke access")).to_have_count(0)
    assert await desk.status(request) == ("approved", ["anna"])


async def test_in_the_details_a_reason_may_be_given_and_the_first_one_counts(desk: Desk) -> None:
    request = await desk.ask()
    await desk.approve("ben", request)
    async with desk.sit("anna") as anna, desk.sit("ben") as ben:
        for one in (anna.page, ben.page):
            await press(one, request, "Details").click()
            await expect(vote(one, "Revoke access")).to_be_enabled()
        await anna.page.get_by_label("Reason, if you revoke").fill(REASON)
        await vote(anna.page, "Revoke access").click()
        await expect(reply(anna.page)).to_contain_text("You revoked the access.")
        told = re.compile(r"nothing left for you to revoke here.*Anna Ek revoked the access at ")
        await expect(ben.page.get_by_role("alert")).to_contain_text(told)
        await expect(vote(ben.page, "Revoke access")).to_be_disabled()
        await expect(anna.page.locator("#board")).not_to_contain_text(REASON)
        await reply(anna.page).get_by_role("button", name="Close").click()
        await press(anna.page, request, "Details").click()
        for words in ("Why the access was revoked", REASON):
            await expect(panel(anna.page)).to_contain_text(words)


async def _open_deaf(page: Page) -> None:
    """Opens the console as Anna with a stream that stands open and says nothing."""
    await page.add_init_script(DEAF)
    await page.goto("/console")
    await expect(page.locator("html")).to_have_attribute("data-ready", "yes")


async def _forged(page: Page, request: str, action: str) -> None:
    """Clicks a button that the page never offered, and waits for what the server says of it."""
    make = """([request, action]) => {
        const made = document.createElement("button");
        Object.assign(made.dataset, {request, action, revision: "1"});
        document.querySelector("#board h2").append(made);
        made.click();
        made.remove();
    }"""
    async with page.expect_response("**/console/clicks") as answer:
        await page.evaluate(make, [request, action])
    assert (await answer.value).status == 200

"""Draws the pictures of the documentation from a real demo, in a real browser.

script/pictures    writes docs/pictures/*.png; look at each before you commit it
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.console import BROWSERS, FLAGS, demo
from benchmarks.figures import Json
from bot.demo.cases import CASES

PICTURES = Path(__file__).with_name("pictures")
VIEW, EXPORT, SEND = range(len(CASES))
WIDE, PHONE = (1280, 900), (360, 780)


class Scene:
    """Requests in every state, made as a service and as approvers make them."""

    def __init__(self, facts: Json, client: aiohttp.ClientSession) -> None:
        self._facts = facts
        self._client = client

    async def ask(self, case: int, **changes: object) -> str:
        """The id of a new request, once its card stands."""
        headers = {"Authorization": f"Bearer {self._facts['api_key']}"}
        body = {**CASES[case].request, **changes}
        async with self._client.post("/v1/requests", json=body, headers=headers) as reply:
            asked = await reply.json()
        while asked["presented_at"] is None:
            path = f"/v1/requests/{asked['id']}"
            async with self._client.get(path, headers=headers) as reply:
                asked = await reply.json()
        return str(asked["id"])

    async def review(self, request: str, person: str, decision: str, reason: str = "") -> None:
        """A person looks and votes."""
        headers = {"X-Placet-Person": person}
        path = f"/console/api/requests/{request}"
        await (await self._client.post(f"{path}/view", headers=headers)).release()
        vote: Mapping[str, str] = {"decision": decision, **({"reason": reason} if reason else {})}
        async with self._client.post(f"{path}/review", json=vote, headers=headers) as reply:
            assert reply.status == 200, await reply.text()

    async def settled(self, request: str) -> None:
        """Waits until a request is final."""
        headers = {"Authorization": f"Bearer {self._facts['api_key']}"}
        waiting = self._client.get(f"/v1/requests/{request}?wait=30", headers=headers)
        await (await waiting).release()


async def made(scene: Scene) -> dict[str, str]:
    """The scene: ids by what became of them."""
    expired = await scene.ask(VIEW, expires_in=2)
    approved = await scene.ask(EXPORT)
    await scene.review(approved, "ben", "approve")
    await scene.review(approved, "anna", "approve")
    denied = await scene.ask(SEND)
    await scene.review(denied, "anna", "deny", "The winter catalogue was sent last week")
    await scene.settled(expired)
    half = await scene.ask(SEND, expires_in=240)
    await scene.review(half, "cleo", "approve")
    view = await scene.ask(VIEW, expires_in=290)
    await scene.ask(EXPORT, expires_in=1500)
    mine = await scene.ask(EXPORT, expires_in=900)
    await scene.review(mine, "anna", "approve")
    return {"denied": denied, "view": view}


async def page_of(browser: Browser, facts: Json, size: tuple[int, int], scheme: str) -> Page:
    """The page as the first approver sees it."""
    width, height = size
    is_dark = scheme == "dark"
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if is_dark else "light"
    )
    page = await context.new_page()
    await page.goto(str(facts["console_url"]))
    await page.wait_for_selector("html[data-ready]")
    return page


async def draw(browser: Browser, facts: Json, ids: Mapping[str, str]) -> None:
    """All pictures."""

    async def take(name: str, page: Page, button: str = "") -> None:
        if button:
            await page.click(button)
            await page.wait_for_selector("#panel[open]")
        await page.screenshot(path=PICTURES / f"console-{name}.png")
        await page.context.close()

    await take("waiting", await page_of(browser, facts, WIDE, "light"))
    review = f"#{ids['view']} [data-action=review]"
    await take("review", await page_of(browser, facts, WIDE, "light"), review)
    details = f"#{ids['denied']} [data-action=review]"
    await take("denied", await page_of(browser, facts, WIDE, "light"), details)
    await take("dark", await page_of(browser, facts, WIDE, "dark"))
    await take("phone", await page_of(browser, facts, PHONE, "light"))


async def main() -> None:
    """Starts a demo of its own, makes the scene, and draws it."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit("No Chromium is installed: apt-get install chromium.")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="placet-pictures-") as folder:
        async with demo(Path(folder)) as facts, async_playwright() as playwright:
            async with aiohttp.ClientSession(str(facts["base_url"])) as client:
                ids = await made(Scene(facts, client))
            browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
            await draw(browser, facts, ids)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())

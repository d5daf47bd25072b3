"""The browser itself, tried on the page at /docs, and that it notes every fault of a page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, ViewportSize, expect

from tests.e2e.browser import DESKTOP, PHONE, axe, person_at
from tests.e2e.processes import demo

PAGE = """
<title>Wrong</title><p>Wrong</p><img id="silent" src="/missing.png">
<script>
    console.error("said aloud")
    fetch("http://elsewhere.example/beacon").catch(() => console.warn("no harm"))
    setTimeout(() => { throw new Error("thrown") })
</script>
"""


@asynccontextmanager
async def served(html: str) -> AsyncIterator[str]:
    """A page of the test's own, and its address."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    application = web.Application()
    application.router.add_get("/", page)
    async with TestServer(application, host="127.0.0.1") as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_the_page_of_the_api_is_accessible_and_quiet(
    tmp_path: Path, browser: Browser, scheme: Literal["light", "dark"], viewport: ViewportSize
) -> None:
    async with (
        demo(tmp_path, "--no-sample") as placet,
        person_at(browser, placet.facts["base_url"], viewport=viewport, scheme=scheme) as screen,
    ):
        await screen.page.goto("/docs")
        await expect(screen.page.get_by_role("heading", name="Calls")).to_be_visible()
        assert await axe(screen.page) == []
        assert screen.faults == []


async def test_every_fault_of_a_page_is_noted(browser: Browser) -> None:
    async with served(PAGE) as url, person_at(browser, url) as screen:
        async with screen.page.context.expect_event("weberror"):
            await screen.page.goto("/")
        await screen.page.wait_for_load_state("networkidle")
        violations = await axe(screen.page)

    assert any(told.startswith("console: said aloud") for told in screen.faults)
    assert any("404" in told and "/missing.png" in told for told in screen.faults)
    assert any(told.startswith("script: ") and "thrown" in told for told in screen.faults)
    assert "elsewhere: GET http://elsewhere.example/beacon" in screen.faults
    assert not any("no harm" in told for told in screen.faults)
    assert any(told.startswith("image-alt (critical)") and "#silent" in told for told in violations)


async def test_two_people_share_no_cookie(browser: Browser) -> None:
    async with (
        served("<title>Cookies</title>") as url,
        person_at(browser, url) as anna,
        person_at(browser, url) as ben,
    ):
        await anna.page.goto("/")
        await ben.page.goto("/")
        await anna.page.evaluate("document.cookie = 'who=anna'")
        assert await anna.page.evaluate("document.cookie") == "who=anna"
        assert await ben.page.evaluate("document.cookie") == ""

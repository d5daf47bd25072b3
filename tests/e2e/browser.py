"""A real browser: the system's Chromium, and a note of all that goes wrong in its pages.

Nothing is fetched for it: Playwright only drives what is installed, and no page reaches another
host than this one.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    async_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = (
    "no browser is installed: install Chromium (on Debian as root: apt-get install chromium) so "
    f"that PATH holds {', '.join(NAMES[:-1])} or {NAMES[-1]}"
)
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)

_FLAGS = (
    "--headless",
    "--no-sandbox",  # the sandbox refuses root, and containers' tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_OWN = {"127.0.0.1", "localhost", None}  # data: and about: have no host
_LEFT = "net::ERR_ABORTED"  # a page that is left, or a script, ends its own calls: no fault


@dataclass(frozen=True)
class Screen:
    """One person's page in a browser of their own; `faults` grows as things go wrong."""

    page: Page
    faults: list[str] = field(default_factory=list)


def installed() -> str | None:
    """The path of the system's Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def launched(path: str) -> AsyncIterator[Browser]:
    """A browser with new, empty data; half a second, so that each test may have its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def person_at(
    browser: Browser,
    base_url: str,
    *,
    viewport: ViewportSize = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
) -> AsyncIterator[Screen]:
    """A person who shares no cookie with another. Paths given to `page.goto` follow `base_url`."""
    context = await browser.new_context(
        base_url=base_url,
        viewport=viewport,
        color_scheme=scheme,
        locale="en-GB",
        timezone_id="UTC",
    )
    try:
        screen = Screen(await context.new_page())
        _take_note(context, screen.faults)
        yield screen
    finally:
        await context.close()


async def axe(page: Page) -> list[str]:
    """What axe-core finds against the page's accessibility, a line for each rule it breaks."""
    found = (await Axe().run(page)).response["violations"]
    return [_violation(each) for each in found]


def _take_note(context: BrowserContext, faults: list[str]) -> None:
    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(f"console: {message.text} ({message.location['url']})")

    def failed(request: Request) -> None:
        if request.failure != _LEFT:
            faults.append(f"failed: {request.method} {request.url}: {request.failure}")

    def asked(request: Request) -> None:
        if urlsplit(request.url).hostname not in _OWN:
            faults.append(f"elsewhere: {request.method} {request.url}")

    context.on("console", said)
    context.on("weberror", lambda thrown: faults.append(f"script: {thrown.error}"))
    context.on("requestfailed", failed)
    context.on("request", asked)


def _violation(found: dict[str, Any]) -> str:
    places = "; ".join(" ".join(map(str, node["target"])) for node in found["nodes"])
    return f"{found['id']} ({found['impact']}): {found['help']}: {places}"

"""Measures the page of the console in a real browser and prints one JSON document.

python -m benchmarks.console [--pending 1000] [--loads 7] [--decisions 30]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.figures import Json, milliseconds

LONGEST_S = 600
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_AT_ONCE = 16
# Both pages go by the clock of the same browser process, in ms since 1970.
_WATCH = """
id => {
  const seen = () => performance.timeOrigin + performance.now();
  const look = () => {
    const card = document.getElementById(id);
    if (!card || card.dataset.state === "pending") return;
    document.body.dataset.settledAt = seen();
    watcher.disconnect();
  };
  const watcher = new MutationObserver(look);
  delete document.body.dataset.settledAt;
  watcher.observe(document.getElementById("board"), {childList: true, subtree: true});
  look();
}
"""
_PRESS = """
() => {
  const at = performance.timeOrigin + performance.now();
  document.querySelector('#panel-form [data-action="approve"]').click();
  return at;
}
"""


@asynccontextmanager
async def demo(directory: Path) -> AsyncIterator[Json]:
    """The facts of a demo without its sample service, until the end of the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot.cli.main", "demo", "--no-sample", "--ready-json"),
        env={**os.environ, "PLACET_DATA_DIR": str(directory), "PLACET_PORT": "0"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        facts: Json = json.loads(await process.stdout.readline())
        yield facts
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def ask(facts: Json, count: int) -> list[str]:
    """Opens `count` requests that need one approval; answers their ids."""
    body = {
        "action": "customer.view",
        "requester": {"id": "okta:00u1"},
        "justification": "Customer asked for a copy of their data",
        "subject": "customer:48213",
        "params": {"email": "dana@example.com"},
    }
    ids: list[str] = []
    headers = {"Authorization": f"Bearer {facts['api_key']}"}
    async with aiohttp.ClientSession(str(facts["base_url"]), headers=headers) as client:

        async def some(number: int) -> None:
            for _ in range(number):
                async with client.post("/v1/requests", json=body) as reply:
                    assert reply.status == 201, await reply.text()
                    ids.append((await reply.json())["id"])

        shares = [count // _AT_ONCE + (n < count % _AT_ONCE) for n in range(_AT_ONCE)]
        await asyncio.gather(*map(some, shares))
    return sorted(ids)


async def opened(browser: Browser, facts: Json, person: str) -> Page:
    """The page as `person` sees it, in a browser of their own, drawn and listening."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(str(facts["console_url"]))
    await page.wait_for_selector("html[data-ready]")
    if await page.locator("body").get_attribute("data-person") != person:
        await page.select_option("#person", person)
        async with page.expect_navigation():
            await page.click("#switch button")
        await page.wait_for_selector("html[data-ready]")
    return page


async def load_times(browser: Browser, facts: Json, loads: int) -> list[float]:
    """Seconds from the start of a navigation until every button works, caches empty."""
    took = []
    for _ in range(loads):
        page = await opened(browser, facts, "anna")
        mark = "performance.getEntriesByName('placet-interactive')[0].startTime"
        took.append(await page.evaluate(mark) / 1000)
        await page.context.close()
    return took


async def decision_times(browser: Browser, facts: Json, ids: list[str]) -> list[float]:
    """Seconds from the press of Approve in one person's page until another's shows it."""
    mine, other = [await opened(browser, facts, person) for person in ("anna", "ben")]
    took = []
    for request in ids:
        await other.evaluate(_WATCH, request)
        await mine.click(f"#{request} [data-action='review']")
        await mine.wait_for_selector("#panel-form [data-action='approve']")
        pressed = await mine.evaluate(_PRESS)
        await other.wait_for_selector("body[data-settled-at]")
        settled = await other.evaluate("Number(document.body.dataset.settledAt)")
        took.append((settled - pressed) / 1000)
        await mine.wait_for_selector("#panel:not([open])", state="attached")
    return took


async def measure(pending: int, loads: int, decisions: int) -> Json:
    """Everything, over one demo."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit("No Chromium is installed: apt-get install chromium.")
    with tempfile.TemporaryDirectory(prefix="placet-console-") as folder:
        async with demo(Path(folder)) as facts, async_playwright() as playwright:
            ids = await ask(facts, pending)
            browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
            loaded = await load_times(browser, facts, loads)
            decided = await decision_times(browser, facts, ids[:decisions])
            version = browser.version
            await browser.close()
    return {
        "benchmark": "console",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "browser": f"Chromium {version}",
        "cores": os.cpu_count(),
        "pending": pending,
        "interactive": {**milliseconds(loaded, 0.5), "aim": "< 1000 ms"},
        "decision_in_another_page": {**milliseconds(decided, 0.5, 0.99), "aim": "< 200 ms"},
        "load_average": os.getloadavg(),
    }


def main() -> None:
    """Reads the options, measures within bounds, prints."""
    parser = argparse.ArgumentParser(description="Measures the page of the console.")
    for name, default in (("pending", 1000), ("loads", 7), ("decisions", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    bounded = asyncio.wait_for(
        measure(options.pending, options.loads, options.decisions), LONGEST_S
    )
    print(json.dumps(asyncio.run(bounded)))


if __name__ == "__main__":
    main()

"""The browser of tests that look at pages."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser import REMEDY, installed, launched
from tests.e2e.console import Desk, desk_at
from tests.e2e.processes import demo

NEED_A_BROWSER = {"browser", "shared_browser"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a browser its tests are skipped, all in one line; where it must be there, they fail.

    A hook, since a skip in a fixture is told once for each test.
    """
    if not NEED_A_BROWSER & set(getattr(item, "fixturenames", ())) or installed():
        return
    if "NEEDS_BROWSER" in os.environ:  # set by .ci/run
        pytest.fail(REMEDY, pytrace=False)
    pytest.skip(REMEDY)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of this test's own."""
    path = installed()
    assert path is not None
    async with launched(path) as chromium:
        yield chromium


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_browser() -> AsyncIterator[Browser]:
    """A Chromium for a file of tests, each of whose people has a profile of their own."""
    path = installed()
    assert path is not None
    async with launched(path) as chromium:
        yield chromium


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(
    tmp_path_factory: pytest.TempPathFactory, shared_browser: Browser
) -> AsyncIterator[Desk]:
    """A demo for a file of tests: they share its requests, so each looks at its own alone."""
    directory = tmp_path_factory.mktemp("desk")
    async with (
        demo(directory, "--no-sample") as placet,
        desk_at(placet.facts, shared_browser) as at,
    ):
        yield at

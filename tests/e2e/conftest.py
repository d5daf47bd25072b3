"""The browser of tests that look at pages."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.e2e.browser import REMEDY, installed, launched


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a browser its tests are skipped, all in one line; where it must be there, they fail.

    A hook, since a skip in a fixture is told once for each test.
    """
    if "browser" not in getattr(item, "fixturenames", ()) or installed():
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

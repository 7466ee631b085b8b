"""A server with the dashboard, and tabs of Chromium that look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.helpers.tabs import Browser
from tests.web.dashboard.site import Site, dashboard_site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
async def site(browser: Browser) -> AsyncIterator[Site]:
    async with dashboard_site(browser) as site:
        yield site

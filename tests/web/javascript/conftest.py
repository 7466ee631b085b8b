"""A browser and a Node for the tests of one file, with pages that use React."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.helpers.react_site import Page, Site, driven, in_chromium, in_node, react_site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Page]:
    async with driven(*in_chromium()) as page:
        yield page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Page]:
    async with driven(*in_node()) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> AsyncIterator[Site]:
    async with react_site() as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module", params=["19", "18"])
async def page(request: pytest.FixtureRequest, site: Site, chromium: Page) -> Page:
    """A page in Chromium with either version of React."""
    await chromium.open(f"{site.base}/page/{request.param}")
    return chromium


@pytest_asyncio.fixture(loop_scope="module")
async def newest(site: Site, chromium: Page) -> Page:
    """A page in Chromium with the newest React."""
    await chromium.open(f"{site.base}/page/19")
    return chromium

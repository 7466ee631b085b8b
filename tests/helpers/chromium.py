"""Scripts of ``tests/node`` that drive a real Chromium (Debian's), headless."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.helpers.stream_clients import Script, script


def find_chromium() -> str:
    """Skips the test where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    pytest.skip("runs in Chromium, which is not here")


@asynccontextmanager
async def browser_script(name: str, *arguments: str) -> AsyncGenerator[Script]:
    """Runs ``tests/node/<name>`` with the path of Chromium before its arguments; ``launch`` of ``browser.mjs`` there
    starts it. What the script prints are lines of JSON."""
    async with script(name, find_chromium(), *arguments) as running:
        yield running

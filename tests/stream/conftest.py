"""Where the laws of following are held: in process, over HTTP, over a wire that is cut."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.helpers.places import PLACES, Place, placed


@pytest.fixture(params=PLACES)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with placed(request.param) as place:
        yield place

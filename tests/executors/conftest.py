"""Some modules of this room share executors between their tests, so their tests share an event loop."""

from __future__ import annotations

import pytest
import pytest_asyncio

SHARING = ("test_laws", "test_processes")
"""To start a process takes longer than what most tests do with it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if pytest_asyncio.is_async_test(item) and item.path.stem in SHARING and item.path.parent.name == "executors":
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)

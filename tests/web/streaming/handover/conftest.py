"""Fixtures for clients without a handler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.tls import certificate as certificate


@pytest.fixture(autouse=True)
def nothing_goes_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client does is logged as an error: not by us, not by aiohttp, not by the loop."""
    yield
    wrong = [record for record in caplog.records if record.levelno >= logging.WARNING]
    ours = [record for record in wrong if record.name.startswith("reactor") and record.levelno < logging.ERROR]
    assert [record.getMessage() for record in wrong if record not in ours] == []


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> Path | None:
    """Runs a test twice, without TLS and with it."""
    return request.getfixturevalue("certificate") if request.param == "tls" else None

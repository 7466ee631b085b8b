"""The fixtures that all rooms share."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from reactor import Engine
from reactor.bounds import BLOCKED_LOOP_SECONDS
from reactor.executors import local
from reactor_web.bounds import HEARTBEAT_RANGE
from reactor_web.http import query
from tests.helpers import left_open
from tests.helpers.planted import WATCH, install
from tests.helpers.server import serve as serve
from tests.helpers.server import server as server

install()
left_open.install()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Processes that share the tests send reports as UTF-8, which half a character in a log line does not fit into."""
    return _in_utf8((yield))


def _in_utf8(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case list() | tuple():
            return [_in_utf8(one) for one in value]
        case dict():
            return {name: _in_utf8(one) for name, one in value.items()}
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    left_open.name_who_left_it(report)
    return report


@pytest.fixture(autouse=True)
def no_secret_comes_out() -> Iterator[None]:
    """No log line, event or problem document of any test has a key, a ticket, a token or a secret that was planted."""
    yield
    WATCH.check()


@pytest.fixture(autouse=True, scope="session")
def no_body_seems_to_hold_the_loop() -> Iterator[None]:
    """Where the machine stands still for a tenth of a second, no body is blamed for it: that would be one more event in
    its run. ``blames_bodies`` is for tests about that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "BLOCKED_LOOP_SECONDS", 60.0)
        yield


@pytest.fixture
def blames_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that holds the loop for a tenth of a second is named in its run, as outside of tests."""
    monkeypatch.setattr(local, "BLOCKED_LOOP_SECONDS", BLOCKED_LOOP_SECONDS)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """An engine on a log in memory; what still runs at the end of the test is cancelled."""
    async with Engine(grace=0) as engine:
        yield engine


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """``heartbeat=`` may be less than a second: what comes after a silence is tested without a second of it."""
    monkeypatch.setattr(query, "HEARTBEAT_RANGE", (0.01, HEARTBEAT_RANGE[1]))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds threads, also those that ignore a cancel; it opens at the end, so that none outlives its test."""
    gate = threading.Event()
    yield gate
    gate.set()

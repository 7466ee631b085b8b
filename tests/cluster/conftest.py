"""One redis-server for the tests of a file; each log in it has a prefix of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.nodes import Node
from tests.helpers.redis import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where bodies say that they begin."""
    monkeypatch.setenv("NODE_FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    """Those of the test, which are killed at its end."""
    nodes: list[Node] = []
    yield nodes
    for node in nodes:
        node.send(signal.SIGKILL)
        node.process.wait(timeout=10)
        node.process.close_pipes()

"""The recovery tests of the embedded logs, once more on a log in Redis.

They are the very functions of their files. Wherever such a test opens a SQLite file, it opens a log in Redis whose
prefix stands for the path. Those that look into a file by themselves, or start a process on it, are left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.logs.schemes import SCHEMES, Scheme
from tests.helpers import crash
from tests.helpers.redis import RedisServer, redis_server
from tests.recovery import (
    test_child_ids,
    test_control,
    test_dormant,
    test_gone_children,
    test_graphs,
    test_inputs,
    test_left,
    test_mapped_children,
    test_outputs,
    test_prefix,
    test_retry,
    test_semantics,
    test_sessions,
)

MODULES: list[ModuleType] = [
    test_child_ids, test_control, test_dormant, test_gone_children, test_graphs, test_inputs, test_left,
    test_mapped_children, test_outputs, test_prefix, test_retry, test_semantics, test_sessions,
]  # fmt: skip
OF_FILES = ("sqlite3", "in_log(", "live_and_die", "start_", "Life(", "SqliteLog", "MemoryLog", "mark.slow", "lived(")
"""A test whose text has one of these is about a file, a process, or the log in memory, or takes long."""

LOGS = {"kind", "url", "store"}
"""Parameters of tests that are a log, or its URL."""

LEFT_OUT = {
    "test_in_process_a_follower_gets_the_rest_once_the_parent_asks",
    "test_a_page_waits_for_it_and_commands_say_what_it_waits_for",
    "test_a_child_whose_parent_nobody_goes_on_with_is_not_waited_for",
    "test_a_child_that_turns_out_not_to_go_on_is_told_of",
}
"""A child that waits for its parent is told of as such by the one process that could go on with it. Where several share
the log, any of them may be about to: its streams wait, and its commands are not answered (503) until somebody does."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def opened(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A log of each path that the test names."""
    prefixes: dict[str, str] = {}

    class OnRedis(RedisLog):
        def __init__(self, path: str | Path) -> None:
            self.path = Path(path)
            self.path.touch()  # tests count files to name the next one
            prefix = prefixes.setdefault(str(path), server.prefix())
            super().__init__(open_redis(server.url()).address, prefix=prefix)

    def open_url(url: str) -> RedisLog:
        return OnRedis(url.removeprefix("sqlite:///"))

    monkeypatch.setattr(crash, "SqliteLog", OnRedis)
    monkeypatch.setitem(SCHEMES, "sqlite", Scheme(open_url, "sqlite:///path"))
    yield
    assert prefixes, "this test has used no log in Redis"


def _is_of_a_file(function: Callable[..., Any]) -> bool:
    text = inspect.getsource(function)
    return any(word in text for word in OF_FILES)


def _uses_a_log(function: Callable[..., Any]) -> bool:
    """Also by a fixture that names one."""
    text, parameters = inspect.getsource(function), inspect.signature(function).parameters.keys()
    return "sqlite" in text or "begun_log(" in text or bool(LOGS & parameters)


def _on_redis(function: FunctionType) -> FunctionType:
    """The same function; of several kinds of logs only the one that stands for Redis here."""
    again = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    again.__kwdefaults__, again.__doc__ = function.__kwdefaults__, function.__doc__
    again.__dict__.update(function.__dict__)
    marks: list[pytest.Mark] = []
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "parametrize" and mark.args[0] in ("kind", "url"):
            mark = pytest.mark.parametrize(mark.args[0], [one for one in mark.args[1] if "sqlite" in one]).mark
        marks.append(mark)
    again.pytestmark = marks  # type: ignore[attr-defined]
    return again


def _collected() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in MODULES:
        of = module.__name__.rpartition("test_")[2]
        for name, value in vars(module).items():
            if type(value).__name__ == "FixtureFunctionDefinition":
                found.setdefault(name, value)
            elif isinstance(value, FunctionType) and name.startswith("test_") and _is_taken(value, module):
                found[f"test_{of}_{name.removeprefix('test_')}"] = _on_redis(value)
    return found


def _is_taken(function: FunctionType, module: ModuleType) -> bool:
    is_own = function.__module__ == module.__name__ and function.__name__ not in LEFT_OUT
    return is_own and _uses_a_log(function) and not _is_of_a_file(function)


globals().update(_collected())

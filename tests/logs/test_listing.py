"""Lists of runs under filters, over histories that hypothesis makes: the same in every log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.logs.memory import MemoryLog
from reactor.logs.redis.url import open_redis
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.stores import Log
from reactor.testing.listing_laws import START, Told, expected, pages
from tests.helpers.redis import RedisServer, redis_server

Opened = Callable[[], Any]
History = tuple[list[Any], list[Any], list[Any]]
"""What is said before and after the log is opened again, and the filters of its lists."""

WORKFLOWS, TASKS, KEYS = ("a", "b"), ("t", "u"), ("k", "l")
TIMES = st.integers(0, 6)
MEMBERS = st.dictionaries(st.sampled_from(["c", "d"]), st.sampled_from(["1", 1, True, None, [1], "ü"]), max_size=2)
TEXTS = st.dictionaries(st.sampled_from(["c", "d"]), st.sampled_from(["1", "true", "null", "[1]", "ü"]), max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), TIMES, st.sampled_from(WORKFLOWS), MEMBERS, st.integers(-4, 5)),
        st.tuples(st.just("ask"), st.integers(0, 9), st.sampled_from(TASKS), st.sampled_from(KEYS)),
        st.tuples(
            st.just("close"), st.integers(0, 9), st.sampled_from(TASKS), st.sampled_from(KEYS),
            st.sampled_from(["received", "expired", "withdrawn"]),
        ),
        st.tuples(st.just("task"), st.integers(0, 9), st.sampled_from(TASKS), st.sampled_from(["started", "failed"])),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["completed", "failed", "cancelled"])),
        st.tuples(st.just("delete"), st.integers(0, 9)),
    ),
    max_size=15,
)  # fmt: skip
MOMENTS = TIMES.map(lambda seconds: START + timedelta(seconds=seconds))
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["running", "completed", "failed"]),
        "workflow": st.sampled_from([*WORKFLOWS, "no"]),
        "parent": st.sampled_from(["r0", "r1"]),
        "root": st.sampled_from(["r0", "r1", "r2"]),
        "since": MOMENTS,
        "until": MOMENTS,
        "meta": TEXTS,
        "question": st.booleans(),
        "open": st.booleans(),
    },
)


class Histories:
    """Does what hypothesis says to a log, and knows what must be in its lists."""

    def __init__(self) -> None:
        self.runs: list[Told] = []
        self._count = 0

    async def do(self, log: Log, what: str, *said: Any) -> None:
        if what == "start":
            at, workflow, meta, parent = said
            of = self.runs[parent] if 0 <= parent < len(self.runs) else None
            run = Told(f"r{self._count}", of)
            self._count += 1
            await run.start(log, at, workflow, meta)
            self.runs.append(run)
            return
        if not self.runs:
            return
        run = self.runs[int(said[0]) % len(self.runs)]
        if what == "delete":
            if run.state.has_ended:
                await log.delete(run.run_id)
                self.runs.remove(run)
        elif not run.state.has_ended:
            await self._say(log, run, what, *said[1:])

    async def _say(self, log: Log, run: Told, what: str, *said: Any) -> None:
        if what == "ask":
            await run.ask(log, *said)
        elif what == "close":
            await run.close(log, *said)
        elif what == "end":
            await run.end(log, *said)
        else:
            task, type = said
            data = {"executor": "loop", "index": 0, "total": 2, "error": None, "duration_ms": 1.0}
            await run.say(log, (f"task.{type}", task, data))


async def check(history: History, opened: Opened) -> None:
    """``opened()`` opens one log again and again: what it goes on with must be in the log, and not in its memory."""
    known, (*parts, filters) = Histories(), history
    for steps in (*parts, ()):
        async with opened() as log:
            for step in steps:
                await known.do(log, *step)
            for wanted in filters:
                for limit in (1, 3, 100):
                    assert await pages(log, limit, **wanted) == expected(known.runs, **wanted)


HISTORIES = st.tuples(STEPS, STEPS, st.lists(FILTERS, min_size=1, max_size=4))
MANY = settings(max_examples=60, deadline=None)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@MANY
@given(HISTORIES)
def test_a_list_in_memory_is_what_looking_at_every_run_finds(history: History) -> None:
    """Every filter, alone and with others, page by page: nothing is lost, nothing comes twice."""
    log = MemoryLog()

    @asynccontextmanager
    async def opened() -> AsyncGenerator[MemoryLog]:
        yield log

    run(check(history, opened))


@MANY
@given(HISTORIES)
def test_a_list_in_a_file_is_what_looking_at_every_run_finds(history: History) -> None:
    """The same, and again once the file was closed and opened."""
    with TemporaryDirectory() as folder:

        @asynccontextmanager
        async def opened() -> AsyncGenerator[SqliteLog]:
            log = SqliteLog(Path(folder, "runs.db"))
            await log.open()
            try:
                yield log
            finally:
                await log.close()

        run(check(history, opened))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_a_list_in_redis_is_what_looking_at_every_run_finds(server: RedisServer) -> None:
    """The same, and again for another process that comes later."""

    @MANY
    @given(HISTORIES)
    def holds(history: History) -> None:
        url = server.url()

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Any]:
            log = open_redis(url)
            await log.open()
            try:
                yield log
            finally:
                await log.close()

        run(check(history, opened))

    holds()

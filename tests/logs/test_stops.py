"""The mark of a clean stop: an engine that was killed is noticed by the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from reactor import Engine, Workflow
from reactor.errors import LogUnavailable
from reactor.logs.memory import MemoryLog
from reactor.logs.schemes import open_log
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.stops import take_stop
from reactor.logs.stores import stores_of

flow = Workflow("short")
flow.task(lambda: 1, name="one")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_engine_leaves_the_mark_and_the_next_one_takes_it(kind: str, tmp_path: Path) -> None:
    """True after an engine that ended as it should, False where one took the mark and left none."""
    memory = MemoryLog()

    def log() -> MemoryLog | SqliteLog:
        return memory if kind == "memory" else SqliteLog(tmp_path / "runs.db")

    async def told() -> bool | None:
        opened = log()
        await opened.open()
        answer = await take_stop(opened)
        await opened.close()
        return answer

    async with Engine(log()) as engine:
        await (await engine.start(flow))
    assert await told() is True
    assert await told() is False


async def test_a_log_that_cannot_be_marked_still_opens(tmp_path: Path) -> None:
    """Reading runs must not depend on it: the engine warns, and goes on."""

    class Stubborn(SqliteLog):
        async def take_stop(self) -> bool | None:
            raise LogUnavailable("the disk is full", path=str(self.path))

        mark_stop = take_stop  # type: ignore[assignment]

    async with Engine(Stubborn(tmp_path / "runs.db")) as engine:
        assert await (await engine.start(flow)) == {"one": 1}


def test_the_logs_of_both_schemes_keep_everything(tmp_path: Path) -> None:
    """So an engine keeps nothing beside them."""
    for url in ("memory://", f"sqlite:///{tmp_path}/runs.db"):
        assert stores_of(open_log(url)).embedded == ()

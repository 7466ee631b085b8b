"""What a SQLite log lets go of, and what who asks for it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reactor import Context, Engine, Workflow
from reactor.errors import UnknownRun
from reactor.events.event import Event, Notice
from reactor.events.fold import replay
from reactor.logs.schemes import open_log
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import read_all

flow = Workflow("kept")


@flow.task
async def talk(ctx: Context, lines: int = 1) -> int:
    for number in range(lines):
        await ctx.emit("line.said", {"number": number})
        if number % 100 == 0:
            await ctx.committed()  # many windows
    return lines


async def test_the_last_runs_are_kept_and_the_older_ones_are_gone(tmp_path: Path) -> None:
    """keep_runs counts ended runs; keep_days by when they ended; what is gone is unknown, what is kept is whole."""
    path = tmp_path / "runs.db"
    async with Engine(SqliteLog(path), workflows=[flow]) as engine:
        for number in range(6):
            await (await engine.start(flow, run_id=f"r{number}"))
    async with Engine(f"sqlite:///{path}?keep_runs=2", workflows=[flow]) as engine:
        assert [record.run_id for record in await engine.list()] == ["r5", "r4"]
        with pytest.raises(UnknownRun):
            await engine.get("r3")
        assert (await engine.get("r4")).status == "completed"
    async with Engine(f"sqlite:///{path}?keep_days=1", workflows=[flow]) as engine:
        assert len(await engine.list()) == 2
    log = SqliteLog(path, keep_days=0)
    await log.open()
    assert await log.vacuum() == 0  # opening has deleted them
    assert await log.records(status=None, workflow=None, before=None, limit=9) == []
    await log.close()


async def test_a_trimmed_run_says_so_and_keeps_its_state(tmp_path: Path) -> None:
    """stream.gap {from, to}, then the rest; base + events = state; an unfinished run is refused."""
    log = SqliteLog(tmp_path / "runs.db")
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.start(flow, {"lines": 1_000}, run_id="long")
        with pytest.raises(ValueError, match="has not ended"):
            await log.trim("long", 10)
        await run
        everything = await read_all(log, "long")
        cut = await log.trim("long", 150)
        assert 0 < cut <= len(everything) - 150
        assert (await log.base("long")) == replay("long", everything[:cut])
    async with Engine(SqliteLog(tmp_path / "runs.db"), workflows=[flow]) as engine:
        again = await engine.get("long")
        assert again.state == replay("long", everything)
        gap, *rest = [message async for message in again]
        assert isinstance(gap, Notice)
        assert gap.data == {"from": 1, "to": cut, "reason": "trimmed"}
        assert rest == everything[cut:]
        assert all(isinstance(event, Event) for event in rest)


@pytest.mark.parametrize("query", ["keep_days=x", "keep_runs=-1", "keep_runs=1.5", "keep=1", "synchronous=OFF"])
def test_a_bad_option_of_the_url_is_refused(query: str) -> None:
    """A bad option is refused by its name before anything is opened."""
    with pytest.raises(ValueError, match=query.partition("=")[0]):
        open_log(f"sqlite:///x.db?{query}")

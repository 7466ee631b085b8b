"""``engine.delete``: what is gone, what stays, and when it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reactor import Context, Engine, UnknownRun, Workflow
from reactor.errors import RunOpen
from reactor.testing.log_laws import completed, started
from tests.helpers.crash import crashed_log

flow = Workflow("short")
family = Workflow("family")
gates: dict[str, asyncio.Event] = {}


@flow.task
async def work(ctx: Context, lines: int = 1) -> int:
    for number in range(lines):
        await ctx.emit("line.said", {"number": number})
    return lines


@family.task
async def parent(ctx: Context) -> None:
    await ctx.run(flow, {}, key="child")
    gates["asked"].set()
    await gates["go"].wait()


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    gates.update(asked=asyncio.Event(), go=asyncio.Event())
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[flow, family]) as engine:
        yield engine


async def test_a_deleted_run_is_unknown_and_its_id_is_free(engine: Engine) -> None:
    """Also to somebody who has asked for it before; a new run of that id begins with seq 1."""
    run = await engine.start(flow, {"lines": 5}, run_id="r")
    await run
    await (await engine.start(flow, run_id="other"))
    assert (await engine.get("r")).status == "completed"
    await engine.delete("r")
    for question in (engine.get("r"), engine.delete("r")):
        with pytest.raises(UnknownRun):
            await question
    assert [record.run_id for record in await engine.list()] == ["other"]
    again = await engine.start(flow, {"lines": 2}, run_id="r")
    assert await again == {"work": 2}
    assert (await engine.get("r")).state.seq == again.state.seq < run.state.seq


async def test_an_open_run_is_refused_and_its_ended_child_is_not(engine: Engine) -> None:
    """The log of the parent has the end of the child: after a crash the parent would not start it again."""
    run = await engine.start(family, run_id="top")
    await gates["asked"].wait()
    (child,) = await engine.list(parent="top")
    with pytest.raises(RunOpen, match="run top is open"):
        await engine.delete("top")
    await engine.delete(child.run_id)
    assert [record.run_id for record in await engine.list(root="top")] == ["top"]
    gates["go"].set()
    await run
    await engine.delete("top")
    assert await engine.list() == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_child_whose_open_parent_does_not_know_its_end_is_refused(kind: str, tmp_path: Path) -> None:
    """As in the logs of earlier versions: before the parent has ended, a crash would make it start the child again."""
    log = await crashed_log(kind, [started("top")], tmp_path, [started("c", parent="top"), completed(2, "c")])
    async with Engine(log) as engine:
        with pytest.raises(RunOpen, match="run c is a child of run top, which is open"):
            await engine.delete("c")
        await engine.cancel("top")
        await engine.delete("c")
        assert [record.run_id for record in await engine.list()] == ["top"]


async def test_a_subscriber_of_a_run_that_is_deleted_meanwhile_is_told(engine: Engine) -> None:
    """An iteration ends with UnknownRun; it never goes on with the events of another run of that id."""
    run = await engine.start(flow, {"lines": 3_000}, run_id="r")
    await run
    seen: list[int] = []

    async def read() -> None:
        async for _ in await engine.get("r"):
            seen.append(1)
            if len(seen) == 1:
                await engine.delete("r")

    with pytest.raises(UnknownRun):
        await read()
    assert 0 < len(seen) < 3_000


async def test_a_reader_of_a_deleted_run_gets_nothing_of_a_new_run_of_its_id(engine: Engine) -> None:
    """The id may be used again at once: two runs never make one stream."""
    await (await engine.start(flow, {"lines": 3_000}, run_id="r"))
    seen: list[int] = []

    async def read() -> None:
        async for event in await engine.get("r"):
            seen.append(event.seq or 0)
            if len(seen) == 1:
                await engine.delete("r")
                await (await engine.start(flow, {"lines": 4_000}, run_id="r"))

    with pytest.raises(UnknownRun):
        await read()
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 3_000

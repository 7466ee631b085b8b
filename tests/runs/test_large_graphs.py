"""A run of many tasks is made in turns of the loop, before anybody sees it: as if it were made at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reactor import Engine, Run, RunExists, Workflow, waiting
from reactor.errors import EngineClosed, ReactorError
from reactor.runs import crew, open_runs
from tests.helpers.runs import PATIENCE


@pytest.fixture(autouse=True)
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of more than three tasks is large; each of its actors is made, and connected, in a turn of its own."""
    monkeypatch.setattr(open_runs, "_AT_ONCE", 3)
    monkeypatch.setattr(crew, "_AT_ONCE", 1)
    monkeypatch.setattr(waiting, "TURN_SECONDS", 0.0)


def chains(tasks: int) -> Workflow:
    flow = Workflow("chains")

    async def one() -> int:
        return 1

    for n in range(tasks):
        flow.task(one, name=f"t{n}", after=[f"t{n - 1}"] if n % 10 else [])
    return flow


async def turns_until(started: asyncio.Future[Run]) -> int:
    turns = 0
    while not started.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.parametrize("tasks", [3, 4, 100])
async def test_it_says_the_same(engine: Engine, tasks: int) -> None:
    """run.started first, each task once, and the outputs of the last ones."""
    run = await engine.start(chains(tasks))
    assert len((await run).keys()) == -(-tasks // 10)
    events = [event async for event in run]
    assert events[0].type == "run.started"
    assert events[-1].type == "run.completed"
    ends = [event.task_id for event in events if event.type == "task.completed"]
    assert sorted(ends) == sorted(f"t{n}" for n in range(tasks))


async def test_others_have_their_turn_meanwhile(engine: Engine) -> None:
    """There is a turn of the loop between any two of two hundred steps; nobody sees the run before they are done."""
    starting = asyncio.ensure_future(engine.start(chains(200), run_id="r"))
    for _ in range(100):
        await asyncio.sleep(0)
        assert engine.running() == []
    assert await turns_until(starting) >= 100
    await (await starting)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_one_of_two_that_start_it_at_once_gets_in(kind: str, tmp_path: Path) -> None:
    """The other is told that there is such a run, also by ``ensure``."""
    async with Engine("memory://" if kind == "memory" else f"sqlite:///{tmp_path}/runs.db") as engine:
        flow = chains(50)
        both = [engine.start(flow, run_id="r"), engine.start(flow, run_id="r")]
        run, refused = sorted(
            await asyncio.gather(*both, return_exceptions=True), key=lambda r: isinstance(r, Exception)
        )
        assert isinstance(refused, RunExists)
        assert isinstance(run, Run)
        await run
        ensured = await asyncio.gather(*(engine.ensure(flow, run_id="s") for _ in range(4)))
        assert sorted(is_new for _, is_new in ensured) == [False, False, False, True]
        await ensured[0][0]


async def test_a_start_that_is_cancelled_leaves_nothing(engine: Engine) -> None:
    """Its id is free again."""
    starting = asyncio.ensure_future(engine.start(chains(200), run_id="r"))
    for _ in range(50):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert engine.running() == []
    assert len(await (await engine.start(chains(20), run_id="r"))) == 2


async def test_an_engine_that_closes_meanwhile_does_not_start_it() -> None:
    """Who starts it is told, and nothing of it is in the log."""
    async with Engine(grace=0) as engine:
        starting = asyncio.ensure_future(engine.start(chains(200), run_id="r"))
        for _ in range(50):
            await asyncio.sleep(0)
    with pytest.raises(EngineClosed):
        await asyncio.wait_for(starting, PATIENCE)
    with pytest.raises(ReactorError):
        await engine.get("r")

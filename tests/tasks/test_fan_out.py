"""A map of many items fans out in turns of the loop: what it does then is what it does at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from reactor import Context, Engine, Run, RunFailed, Workflow
from reactor.tasks import mapped, turns
from tests.helpers.runs import PATIENCE


@pytest.fixture
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each child is made in a turn of its own."""
    monkeypatch.setattr(mapped, "_AT_ONCE", 1)
    monkeypatch.setattr(turns, "_HOLD_SECONDS", 0.0)


def squares(count: int, gate: asyncio.Event | None = None) -> Workflow:
    """``gate``: the list is there once it is set; and a last task goes on until it has a value."""
    flow = Workflow("squares")

    @flow.task
    async def numbers() -> list[int]:
        if gate is not None:
            await gate.wait()
        return list(range(count))

    @flow.task(map={"n": "numbers"})
    async def square(n: int) -> int:
        if n == 13:
            raise ValueError("unlucky")
        return n * n

    @flow.task(map={"n": "square"})
    async def half(n: int) -> float:
        return n / 2

    @flow.task
    async def stay(ctx: Context) -> None:
        if gate is not None:
            await ctx.receive()

    return flow


async def events_by_task(run: Run) -> dict[str, list[str]]:
    await run.ended()
    found: dict[str, list[str]] = {}
    async for event in run:
        found.setdefault(event.task_id or "", []).append(event.type)
    return found


@pytest.mark.parametrize("count", [0, 1, 5, 20])
async def test_each_task_says_the_same_as_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Of a map, of a map over that map, with an item that fails and with no item at all."""
    at_once = await events_by_task(await engine.start(squares(count), run_id="at-once"))
    monkeypatch.setattr(mapped, "_AT_ONCE", 1)
    monkeypatch.setattr(turns, "_HOLD_SECONDS", 0.0)
    flow = squares(count)
    in_turns = await engine.start(flow, run_id="in-turns")
    assert await events_by_task(in_turns) == at_once
    if count <= 13:
        assert await in_turns == {"half": [n * n / 2 for n in range(count)], "stay": None}
    else:
        with pytest.raises(RunFailed, match="unlucky"):
            await in_turns


async def fan_out(run: Run, gate: asyncio.Event) -> None:
    """The list is there, and the fan-out is under way."""
    gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert run.state.tasks["square"].status == "pending"


@pytest.mark.usefixtures("step_by_step")
async def test_others_have_their_turn_meanwhile(engine: Engine) -> None:
    """A thousand items are a thousand steps, and there is a turn of the loop between any two."""
    gate = asyncio.Event()
    run = await engine.start(squares(1_000, gate))
    await fan_out(run, gate)
    others = 0
    while run.state.tasks["square"].status == "pending":
        await asyncio.sleep(0)
        others += 1
    assert others >= 900
    await run.cancel()


@pytest.mark.usefixtures("step_by_step")
@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (lambda run: run.cancel(reason="enough"), "enough"),
        (lambda run: run.cancel(task="square", reason="enough"), "enough"),
    ],
    ids=["the run", "the task"],
)
async def test_a_cancel_meanwhile_ends_the_task_without_children(
    engine: Engine, stop: Callable[[Run], asyncio.Future[None]], reason: str
) -> None:
    """No child has an event, none begins later, and the run ends."""
    gate = asyncio.Event()
    run = await engine.start(squares(200, gate))
    await fan_out(run, gate)
    await asyncio.wait_for(stop(run), PATIENCE)
    for _ in range(300):
        await asyncio.sleep(0)
    if not run.state.has_ended:
        await run.send("stay", "go")
    await asyncio.wait_for(run.ended(), PATIENCE)
    square = run.state.tasks["square"]
    assert (square.status, square.reason, square.count) == ("cancelled", reason, None)
    said = [event.type async for event in run if (event.task_id or "").startswith("square")]
    assert [type for type in said if type != "task.cancelling"] == ["task.cancelled"]


@pytest.mark.usefixtures("step_by_step")
async def test_an_engine_that_ends_meanwhile_leaves_it_to_the_next(tmp_path: Path) -> None:
    """Nothing of the fan-out is in the log: the next engine does all of it."""
    log = f"sqlite:///{tmp_path}/runs.db"
    gate = asyncio.Event()
    async with Engine(log, workflows=[squares(12, gate)], grace=0) as engine:
        run = await engine.start("squares", run_id="r")
        await fan_out(run, gate)
    async with Engine(log, workflows=[squares(12)]) as engine:
        run = await engine.get("r")
        assert await asyncio.wait_for(run.ended(), PATIENCE)
        assert await run == {"half": [n * n / 2 for n in range(12)], "stay": None}


@pytest.mark.usefixtures("step_by_step")
async def test_a_pause_meanwhile_holds_the_children(engine: Engine) -> None:
    """The list is fanned out, and no body begins before the run goes on."""
    began, gate = list[int](), asyncio.Event()
    flow = Workflow("held")

    @flow.task
    async def numbers() -> list[int]:
        await gate.wait()
        return list(range(50))

    @flow.task(map={"n": "numbers"})
    async def square(n: int, ctx: Context) -> int:
        began.append(n)
        return n * n

    run = await engine.start(flow)
    await fan_out(run, gate)
    await run.pause()
    for _ in range(100):
        await asyncio.sleep(0)
    assert began == []
    await run.resume()
    assert await asyncio.wait_for(run.ended(), PATIENCE)
    assert began == list(range(50))

"""While a large output is encoded, the task is still running, and everybody else has the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, model_serializer

from reactor import Context, ContextClosed, Engine, Run, RunCancelled, Workflow
from reactor.tasks import turns
from tests.helpers.runs import PATIENCE


@pytest.fixture(autouse=True)
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step has a turn of the loop of its own, on a fast machine too."""
    monkeypatch.setattr(turns, "_HOLD_SECONDS", 0.0)


COUNT = 100_000
"""Numbers of an output: 50 steps."""


async def events_of(run: Run) -> list[Any]:
    return [event async for event in run]


async def turns_until(run: asyncio.Future[Any]) -> int:
    """How often the loop went round before it was done."""
    count = 0
    while not run.done():
        await asyncio.sleep(0)
        count += 1
    return count


async def test_others_have_the_loop_and_the_output_is_the_same() -> None:
    """A small output takes few turns of the loop, a large one as many as it has pieces; it is whole in the log."""
    flow = Workflow("some")

    @flow.task
    async def numbers(count: int) -> list[int]:
        return list(range(count))

    async with Engine() as engine:
        few = await turns_until(asyncio.ensure_future((await engine.start(flow, {"count": 100})).ended()))
        run = await engine.start(flow, {"count": COUNT})
        many = await turns_until(asyncio.ensure_future(run.ended()))
        assert few < 20
        assert many > COUNT / 2_000
        assert await run == {"numbers": list(range(COUNT))}
        expected = orjson.dumps(list(range(COUNT)))
        assert await run.output("numbers") == expected
        completed = [event for event in await events_of(run) if event.type == "task.completed"]
        assert [event.data["size"] for event in completed] == [len(expected)]


class Waits(BaseModel):
    """Takes its time to be shown."""

    seconds: float

    @model_serializer
    def show(self) -> dict[str, float]:
        time.sleep(self.seconds)
        return {"seconds": self.seconds}


async def test_a_timeout_is_the_time_of_the_body() -> None:
    """What the encoding takes does not count."""
    flow = Workflow("in-time")

    @flow.task(timeout=0.3)
    async def slow_to_show() -> list[Waits]:
        return [Waits(seconds=0.005) for _ in range(100)]

    async with Engine() as engine:
        run = await engine.start(flow)
        assert len((await run)["slow_to_show"]) == 100
        assert run.state.duration_ms is not None
        assert run.state.duration_ms > 300


def ending_flow(after: Callable[[Context], Any]) -> Workflow:
    """Its task returns a large output; ``after`` is awaited while that is encoded."""
    flow = Workflow("ending")

    @flow.task
    async def large(ctx: Context) -> list[int]:
        _started.append(asyncio.ensure_future(after(ctx)))
        return list(range(COUNT))

    return flow


_started: list[asyncio.Future[Any]] = []
"""What goes on beside a body that has ended."""


async def after_the_body(ctx: Context) -> str:
    for _ in range(5):
        await asyncio.sleep(0)
    try:
        await ctx.emit("demo.late")
    except ContextClosed:
        return "closed"
    return "said"


async def test_the_body_has_ended() -> None:
    """What it left behind says nothing any more."""
    async with Engine() as engine:
        run = await engine.start(ending_flow(after_the_body))
        assert await _started.pop() == "closed"
        assert not run.state.has_ended  # it is still being encoded
        await run


@pytest.mark.parametrize("grace", [0.0, PATIENCE], ids=["at once", "in time"])
async def test_a_cancel_in_between(grace: float) -> None:
    """The body ended before it: the task completes, if there is time. Else it is cancelled, and has stopped."""
    found: asyncio.Future[Run] = asyncio.get_running_loop().create_future()

    async def cancel(_: Context) -> None:
        run = await found
        await run.request_cancel(grace)

    async with Engine() as engine:
        run = await engine.start(ending_flow(cancel))
        found.set_result(run)
        with pytest.raises(RunCancelled):
            await run
        await _started.pop()
        ends = [event for event in await events_of(run) if event.type in ("task.completed", "task.cancelled")]
        assert [event.type for event in ends] == ["task.cancelled" if grace == 0 else "task.completed"]
        if grace == 0:
            assert ends[0].data["stopped"] is True
            assert run.state.to_dict()["cancelled"] == 1


async def test_an_engine_that_closes_does_not_wait_for_it() -> None:
    """The run ends as it would with a body that does not stop; nothing goes on afterwards."""
    async with Engine(grace=0.0) as engine:
        run = await engine.start(ending_flow(after_the_body))
        await _started.pop()
    assert run.state.status == "cancelled"
    assert "task.completed" not in [event.type for event in await events_of(run)]


async def test_a_slot_is_free_when_the_task_has_completed() -> None:
    """With one slot, no task begins before the one before it has ended, in the log too."""
    flow = Workflow("one-by-one", concurrency=1)
    for name in ("a", "b", "c"):
        flow.task(numbers, name=name)
    async with Engine() as engine:
        run = await engine.start(flow)
        await run
        types = [event.type for event in await events_of(run)]
    assert types == ["run.started", *["task.started", "task.completed"] * 3, "run.completed"]


async def numbers() -> list[int]:
    return list(range(COUNT // 5))


class Broken(BaseModel):
    """Its ``__eq__`` raises."""

    x: int

    def __eq__(self, other: object) -> bool:
        raise ValueError("no")


async def test_what_raises_in_a_piece_is_shown() -> None:
    """As in a small output: the task completes, and its output is not recoverable."""
    flow = Workflow("broken")

    @flow.task
    async def broken(count: int) -> list[Broken]:
        return [Broken(x=i) for i in range(count)]

    async with Engine() as engine:
        for count in (3, 300):
            run = await engine.start(flow, {"count": count})
            assert len((await run)["broken"]) == count
            assert run.state.tasks["broken"].recoverable is False
            assert orjson.loads(await run.output("broken")) == [{"x": i} for i in range(count)]

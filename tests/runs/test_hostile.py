"""Bodies, values and subscribers that do what nobody should: one task or subscriber fails, everything else goes on."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, field_validator

from reactor import Context, Engine, Run, RunFailed, Workflow
from reactor.errors import InputError, InvalidEvent, InvalidRunId, LogLost
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, read_all
from tests.helpers.flows import one_task
from tests.helpers.runs import PATIENCE


async def finished(engine: Engine, flow: Workflow, **options: Any) -> Run:
    run = await engine.start(flow, **options)
    await asyncio.wait_for(run.ended(), PATIENCE)
    return run


async def still_works(engine: Engine) -> None:
    """A normal run, on the loop and in a thread, completes on this engine."""
    flow = Workflow("normal")
    flow.task(lambda: 1, name="thread")
    run = await engine.start(flow)
    assert await asyncio.wait_for(run, PATIENCE) == {"thread": 1}


async def test_def_bodies_of_many_runs_share_the_threads_without_anybody_waiting_for_ever() -> None:
    """A slot that one run frees goes to a run that waits for it, and starts it at once."""
    flow = Workflow("threads")
    for number in range(4):
        flow.task(lambda: threading.Event().wait(0.002), name=f"t{number}")
    async with Engine() as engine:
        runs = [await engine.start(flow) for _ in range(40)]
        await asyncio.wait_for(asyncio.gather(*runs), PATIENCE)
        await still_works(engine)


@dataclass
class WithLock:
    lock: Any
    other: threading.Event | None = None


class Strict(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def refuse(cls, n: int) -> int:
        if n < 0:
            raise KeyError("negative")
        return n


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        raise SystemExit("repr")


class Untrue:
    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


def itself() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


async def annotated_lock() -> WithLock:
    return WithLock(threading.Lock(), threading.Event())


async def annotated_model() -> Strict:
    return Strict.model_construct(n=-1)


async def annotated_big() -> int:
    return math.factorial(200)


async def fragment() -> Any:
    return orjson.Fragment(b"nonsense")


ODD: list[Callable[[], Any]] = [
    annotated_lock, annotated_model, annotated_big, fragment, itself, Unequal, lambda: deep(300), lambda: {1, 2},
    lambda: float("nan"), lambda: 2**70, lambda: "\ud800", lambda: b"\xff", lambda: {1: {"a": (1,)}}, lambda: iter([1]),
    lambda: Path("/x"), lambda: {"k": iter([1])},
]  # fmt: skip


@pytest.mark.parametrize("body", ODD)
async def test_a_value_that_is_no_json_flows_in_memory_and_is_shown_as_what_it_is(body: Callable[[], Any]) -> None:
    """The downstream gets the very object; the event is valid JSON and says that it cannot be recovered."""
    got: list[Any] = []
    flow = one_task(body)
    flow.task(lambda body: got.append(body), name="after")
    async with Engine() as engine:
        run = await finished(engine, flow)
        assert run.status == "completed"
        assert len(got) == 1
        events = await read_all(engine.log, run.id)
        completed = next(e for e in events if e.type == "task.completed" and e.task_id == "body")
        assert completed.data["recoverable"] is False
        await still_works(engine)


@pytest.mark.parametrize("body", [lambda: (n for n in [1]), lambda: asyncio.sleep(0)], ids=["generator", "coroutine"])
async def test_a_value_that_could_be_taken_only_once_fails_its_task(body: Callable[[], Any]) -> None:
    """A generator or a coroutine would be consumed by whoever looks first: the task fails and says what to do."""
    async with Engine() as engine:
        run = await finished(engine, one_task(body))
        assert run.status == "failed"
        assert "the body returned the " in run.state.tasks["body"].error["message"]  # type: ignore[index]


@pytest.mark.parametrize("condition", [lambda: Untrue(), lambda: 1 / 0, lambda: asyncio.sleep(0)])
async def test_a_condition_without_an_answer_fails_its_task(condition: Callable[[], Any]) -> None:
    """It raises, its truth raises, or it is a promise."""
    async with Engine() as engine:
        run = await finished(engine, one_task(lambda: 1, when=condition))
        assert (run.status, run.state.tasks["body"].status) == ("failed", "failed")


async def test_a_list_that_cannot_be_walked_fails_the_map() -> None:
    """The mapped task fails; the run and the engine go on."""

    class Broken(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            raise RuntimeError("no")

    flow = one_task(lambda: Broken([1]))
    flow.task(lambda body: body, name="each", map="body")
    async with Engine() as engine:
        run = await finished(engine, flow)
        assert run.state.tasks["each"].status == "failed"


ERRORS = [SystemExit(3), asyncio.CancelledError(), StopIteration(), BaseExceptionGroup("g", [KeyError()])]


@pytest.mark.parametrize("error", ERRORS)
async def test_whatever_a_body_raises_is_its_failure(error: BaseException) -> None:
    """Whatever is raised, in a thread or on the loop, is the failure of its task."""

    def in_thread() -> None:
        raise error

    async def on_loop() -> None:
        raise error

    async with Engine() as engine:
        for body in (in_thread, on_loop):
            run = await finished(engine, one_task(body))
            with pytest.raises(RunFailed):
                await run


class Raising(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError(), GeneratorExit(), Raising()])
async def test_whatever_a_subscriber_raises_is_its_own(error: BaseException) -> None:
    """It is detached; the run and the next subscriber see everything."""

    def raise_it(_: object) -> None:
        raise error

    async with Engine() as engine:
        run = await engine.start(one_task(lambda: 1))
        seen: list[Any] = []
        run.events.subscribe(raise_it)
        run.events.subscribe(seen.append)
        await asyncio.wait_for(run.ended(), PATIENCE)
        assert [e.json async for e in run] == [e.json for e in await read_all(engine.log, run.id)]
        await asyncio.sleep(0)
        assert len(seen) == run.state.seq


async def test_a_lost_log_gives_back_what_its_runs_held() -> None:
    """Bodies of the lost run are abandoned, its slots are free, other runs go on."""
    release = threading.Event()
    flow = Workflow("blocked")
    for number in range(20):  # fewer than may be abandoned at once
        flow.task(lambda: release.wait(10), name=f"t{number}")

    @flow.task
    async def speaker(ctx: Context) -> None:
        await ctx.committed()
        await ctx.emit("second.window")

    async with Engine(FaultyLog(MemoryLog(), fails={"bad"}, after=1)) as engine:
        with pytest.raises(LogLost):
            await finished(engine, flow, run_id="bad")
        await still_works(engine)
        release.set()


async def test_a_cancel_before_a_bodys_first_step_is_no_abandonment() -> None:
    """What was started and never ran stops at once."""

    async def wait() -> None:
        await asyncio.sleep(3600)

    flow = Workflow("many")
    for number in range(200):
        flow.task(wait, name=f"t{number}")
    async with Engine() as engine:
        run = await engine.start(flow)
        await asyncio.wait_for(run.cancel(grace=30), PATIENCE)
        last = (await read_all(engine.log, run.id))[-1]
        assert (last.type, last.data["abandoned"]) == ("run.cancelled", 0)


async def test_a_start_that_is_refused_leaves_nothing_open() -> None:
    """Meta, input and ids that no event could carry; the engine ends at once."""
    async with Engine() as engine:
        flow = one_task(lambda x=None: x)
        for meta in ({"p": {1: object()}}, {"deep": deep(250)}, {"big": "x" * 9000}, {"s": "\ud800"}):
            with pytest.raises(ValueError, match="meta of a run"):
                await engine.start(flow, meta=meta)
        with pytest.raises(InputError, match="nested more than 100 levels"):
            await engine.start(flow, {"x": deep(150)})
        for run_id in (".", "..", "", "a/b", "a b", "x" * 65, "é"):
            with pytest.raises(InvalidRunId):
                await engine.start(flow, run_id=run_id)
        run = await finished(engine, flow, meta={"path": Path("/x")})
        assert run.state.meta == {"path": "/x"}
        assert engine.open_runs == 0


async def test_a_cancel_that_cannot_be_told_is_refused_and_can_be_repeated() -> None:
    """A reason that is no text, too long, or a grace that is no number changes nothing."""

    async def wait() -> None:
        await asyncio.sleep(3600)

    async with Engine() as engine:
        run = await engine.start(one_task(wait))
        for options in ({"reason": "\ud800"}, {"reason": "x" * 201}, {"grace": float("nan")}, {"grace": -1}):
            with pytest.raises(ValueError, match=r"reason|grace"):
                await run.cancel(**options)  # type: ignore[arg-type]
        await run.cancel(reason="enough")
        assert run.state.reason == "enough"


async def test_a_condition_speaks_for_the_attempt_to_come_and_not_after_it() -> None:
    """ctx in ``when``: attempt 1, and closed once the condition has answered."""
    seen: list[Context] = []

    def condition(ctx: Context) -> bool:
        seen.append(ctx)
        return True

    def body(ctx: Context) -> int:
        seen.append(ctx)
        return ctx.attempt

    async with Engine() as engine:
        run = await engine.start(one_task(body, when=condition))
        assert await run == {"body": 1}
        assert [ctx.attempt for ctx in seen] == [1, 1]
        assert seen[0] is not seen[1]


async def test_json_that_somebody_made_by_hand_is_checked_before_it_is_logged() -> None:
    """A fragment must be JSON, and one line of it."""
    failures: list[Exception] = []

    async def body(ctx: Context) -> None:
        for bad in (b'{"a":', b"[1]", b"1e999"):
            try:
                await ctx.emit("x.y", orjson.Fragment(bad))
            except InvalidEvent as error:
                failures.append(error)
        await ctx.emit("x.y", orjson.Fragment(b'{"a":\n1}'))
        await ctx.emit("x.z", ctx.input)

    async with Engine() as engine:
        run = await finished(engine, one_task(body))
        assert run.status == "completed"
        events = await read_all(engine.log, run.id)
        assert [e.data for e in events if e.type.startswith("x.")] == [{"a": 1}, {}]
        assert all(b"\n" not in e.json for e in events)
        assert len(failures) == 3


def test_a_cancelled_future_read_in_a_subscriber_is_no_cancel_of_the_run() -> None:
    """``.result()`` of a cancelled future raises CancelledError where nobody was cancelled."""

    async def main() -> None:
        cancelled: Future[None] = Future()
        cancelled.cancel()
        async with Engine() as engine:
            run = await engine.start(one_task(lambda: 1))
            run.events.subscribe(lambda _: cancelled.result())
            await asyncio.wait_for(run, PATIENCE)

    asyncio.run(main())

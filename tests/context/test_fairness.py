"""Whatever a body awaits of ours lets others run, and is where cancels and budgets take hold."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reactor import Budget, Context, Engine, Run, RunFailed, Workflow
from reactor.errors import ContextClosed, ReactorError, RunEnded
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, wait_for_event
from tests.helpers.spending import spends_in_a_process, spends_in_a_process_async

child = Workflow("child")


@child.task
async def one() -> int:
    return 1


async def logs(ctx: Context) -> None:
    await ctx.log.info("x")


async def calls_tool(ctx: Context) -> None:
    async with ctx.tool_call("t"):
        pass


async def calls_model(ctx: Context) -> None:
    async with ctx.llm_call("m") as call:
        call.tokens = 1


async def calls_tool_wrongly(ctx: Context) -> None:
    async with ctx.tool_call("t", 5):  # type: ignore[arg-type]
        raise AssertionError("it has begun")


async def calls_model_wrongly(ctx: Context) -> None:
    async with ctx.llm_call("m", estimated_cost=-1):
        raise AssertionError("it has begun")


CALLS: dict[str, Callable[[Context], Awaitable[Any]]] = {
    "checkpoint": lambda ctx: ctx.checkpoint(),
    "progress": lambda ctx: ctx.progress(0.5),
    "chunk": lambda ctx: ctx.chunk("x"),
    "emit": lambda ctx: ctx.emit("a.b"),
    "spend": lambda ctx: ctx.spend(tokens=1),
    "committed": lambda ctx: ctx.committed(),
    "log": logs,
    "tool_call": calls_tool,
    "llm_call": calls_model,
    "receive": lambda ctx: ctx.receive(key="a"),
    "run": lambda ctx: ctx.run("child", key="a"),
}


def looping(call: Callable[[Context], Awaitable[Any]]) -> Workflow:
    flow = Workflow("looping")

    @flow.task
    async def loop(ctx: Context) -> None:
        while True:
            await call(ctx)

    return flow


@pytest.mark.parametrize("call", CALLS)
async def test_a_loop_around_one_call_lets_others_run_and_is_cancelled(engine: Engine, call: str) -> None:
    """Without that this test would not end: nobody else would ever run again."""
    engine.register(child)
    run = await engine.start(looping(CALLS[call]))
    if call == "receive":
        await run.send("loop", 1, key="a")
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.wait_for(run.cancel(grace=PATIENCE), PATIENCE)
    assert run.state.tasks["loop"].status == "cancelled"
    last = await run.feed.event(run.feed.last_seq)
    assert last is not None
    assert last.data["abandoned"] == 0


TOO_LARGE = "x" * 60_000

REFUSED: dict[str, Callable[[Context], Awaitable[Any]]] = {
    "emit, its type": lambda ctx: ctx.emit("no type"),
    "emit, its size": lambda ctx: ctx.emit("a.b", {"text": TOO_LARGE}),
    "progress": lambda ctx: ctx.progress(float("nan")),
    "progress, its message": lambda ctx: ctx.progress(0.5, TOO_LARGE),
    "chunk": lambda ctx: ctx.chunk(TOO_LARGE),
    "spend, cost": lambda ctx: ctx.spend(cost=-1),
    "spend, tokens": lambda ctx: ctx.spend(tokens=-1),
    "log": lambda ctx: ctx.log.info(TOO_LARGE),
    "receive, its key": lambda ctx: ctx.receive(key=""),
    "receive, its schema": lambda ctx: ctx.receive(schema=5),
    "receive, its timeout": lambda ctx: ctx.receive(timeout=0),
    "receive, its size": lambda ctx: ctx.receive(TOO_LARGE),
    "tool_call, its arguments": calls_tool_wrongly,
    "llm_call, its estimate": calls_model_wrongly,
    "run, its key": lambda ctx: ctx.run("child", key=""),
    "run, its budget": lambda ctx: ctx.run("child", budget={"no": 1}),
    "run, its workflow": lambda ctx: ctx.run("nobody's"),
}


@pytest.mark.parametrize("call", REFUSED)
async def test_a_loop_that_goes_on_after_each_error_of_a_call_lets_others_run(engine: Engine, call: str) -> None:
    """It is refused each time, and a cancel arrives; the first errors are raised where the call is, awaited or not."""
    flow, refused, rounds = Workflow("stubborn"), [0], 20_000
    engine.register(child)

    @flow.task
    async def loop(ctx: Context) -> None:
        for _ in range(rounds):
            try:
                await REFUSED[call](ctx)
            except Exception:
                refused[0] += 1

    run = await engine.start(flow)
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < refused[0] < rounds
    await asyncio.wait_for(run.cancel(grace=PATIENCE), PATIENCE)
    assert run.state.tasks["loop"].status == "cancelled"
    assert refused[0] < rounds


async def test_a_call_that_cannot_be_raises_at_once_where_nobody_awaits_it(engine: Engine) -> None:
    flow = Workflow("forgetful")

    @flow.task
    async def forget(ctx: Context) -> None:
        ctx.emit("no type")

    with pytest.raises(RunFailed, match="'no type' is not an event type"):
        await (await engine.start(flow))


async def test_many_loops_share_one_turn(engine: Engine) -> None:
    """A hundred bodies that never wait hold the loop together for little longer than one of them.

    Had each its own milliseconds, a turn would be a hundred times as long: others would see few of them.
    """
    flow = Workflow("many")
    counts = [0] * 100

    @flow.task(map={"item": "items"})
    async def loop(item: int, ctx: Context) -> None:
        while True:
            await ctx.checkpoint()
            counts[item] += 1

    @flow.task
    async def items() -> list[int]:
        return list(range(100))

    run = await engine.start(flow)
    while not all(counts):
        await asyncio.sleep(0)
    before = list(counts)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    most = sorted(after - b for after, b in zip(counts, before, strict=True))
    assert most[50] <= 4, "half of them made at most a call or two in each turn"
    await run.cancel(grace=PATIENCE)


async def test_a_loop_around_a_long_log_lets_others_run(engine: Engine) -> None:
    """Between two events of one window, too, where the reader takes its time for each."""
    session = await engine.session("s")
    await session.emit_all([{"type": "a.b"}] * 200)
    turns, seen = 0, 0

    async def others() -> None:
        nonlocal turns
        while seen < 200:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(others())
    async for _ in session:
        seen += 1
        time.sleep(0.001)  # noqa: ASYNC251  # it is this that must not add up
        if seen == 200:
            break
    await counting
    await session.close()
    assert turns > 40


async def test_a_loop_around_session_emit_lets_others_run(engine: Engine) -> None:
    """Also where the key says that nothing new is emitted."""
    session = await engine.session("s")
    for call in (lambda: session.emit("a.b"), lambda: session.emit("a.b", key="k"), session.committed):
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, turned.set_result, None)
        while not turned.done():
            await call()
    await session.close()


# --- budgets ------------------------------------------------------------------------------------------------------


async def spends(ctx: Context) -> None:
    for _ in range(10_000):
        await ctx.spend(cost=0.01)


def spends_in_a_thread(ctx: Context) -> None:
    for _ in range(10_000):
        ctx.spend(cost=0.01)


async def calls(ctx: Context) -> None:
    for _ in range(10_000):
        async with ctx.llm_call("m") as call:
            call.cost = 0.01


def calls_in_a_thread(ctx: Context) -> None:
    for _ in range(10_000):
        with ctx.llm_call("m") as call:
            call.cost = 0.01


@pytest.mark.parametrize("body", [spends, calls, spends_in_a_thread, calls_in_a_thread])
async def test_a_budget_takes_hold_at_the_call_that_exceeds_it(engine: Engine, body: Any) -> None:
    """0.05 is reached by five calls and exceeded by the sixth. A thread is stopped at the seventh, if that spends."""
    flow = Workflow("spending")
    flow.task(name="spend")(body)
    run = await engine.start(flow, budget=Budget(cost=0.05))
    with pytest.raises(RunFailed, match="budget"):
        await asyncio.wait_for(run, PATIENCE)
    assert float(run.state.cost or 0) == (0.07 if body is spends_in_a_thread else 0.06)


@pytest.mark.parametrize("flow", [spends_in_a_process, spends_in_a_process_async], ids=lambda flow: flow.name)
async def test_a_budget_takes_hold_in_a_process(engine: Engine, flow: Workflow) -> None:
    """There the answer to one call may overtake the interrupt, so one more may come."""
    run = await engine.start(flow, budget=Budget(cost=0.05))
    with pytest.raises(RunFailed, match="budget"):
        await asyncio.wait_for(run, PATIENCE)
    assert 0.06 <= float(run.state.cost or 0) <= 0.08
    last = await run.feed.event(run.feed.last_seq)
    assert last is not None
    assert run.state.tasks["spend"].status == "cancelled"


# --- def bodies ---------------------------------------------------------------------------------------------------


async def test_a_thread_is_told_of_a_cancel_once_where_it_speaks(engine: Engine) -> None:
    """As an ``async def`` body is interrupted once: what it says while it cleans up is heard."""
    flow, told = Workflow("told"), list[str]()

    @flow.task
    def body(ctx: Context) -> None:
        try:
            while True:
                ctx.emit("going.on")
        except ContextClosed as error:
            told.append(str(error))
            ctx.emit("cleaned.up")
            raise

    run = await engine.start(flow)
    await asyncio.wait_for(run.cancel(grace=PATIENCE), PATIENCE)
    assert len(told) == 1
    types = [event.type async for event in run]
    assert types[-3:] == ["cleaned.up", "task.cancelled", "run.cancelled"]


async def test_a_thread_that_is_told_at_the_end_of_a_call_of_a_model_has_paid_for_it(engine: Engine) -> None:
    flow, stopped = Workflow("paid"), threading.Event()

    @flow.task
    def body(ctx: Context) -> None:
        with ctx.llm_call("m") as call, ctx.tool_call("t"):
            call.cost = 0.5
            stopped.wait(PATIENCE)

    run = await engine.start(flow)
    await wait_for_event(run, "tool.call.started")
    cancelled = asyncio.ensure_future(run.cancel(grace=PATIENCE))
    while run.state.status != "cancelling":
        await asyncio.sleep(0.001)
    stopped.set()
    await asyncio.wait_for(cancelled, PATIENCE)
    assert float(run.state.cost or 0) == 0.5


async def test_a_thread_that_has_seen_the_cancel_is_not_told_again(engine: Engine) -> None:
    """It looks at ``ctx.cancelled`` and ends as it likes, with the last words it has."""
    flow = Workflow("seen")

    @flow.task
    def body(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)
        ctx.emit("last.words")
        ctx.progress(1.0)

    run = await engine.start(flow)
    await asyncio.wait_for(run.cancel(grace=PATIENCE), PATIENCE)
    assert "last.words" in [event.type async for event in run]


# --- after the end ------------------------------------------------------------------------------------------------


LATE: dict[str, Callable[[Context], Awaitable[Any]]] = {
    **{name: CALLS[name] for name in ("checkpoint", "progress", "chunk", "emit", "spend", "committed", "run")},
    "log": lambda ctx: ctx.log.info("x"),
}


@pytest.mark.parametrize("call", LATE)
async def test_a_task_that_speaks_on_after_its_body_holds_nobody_up(engine: Engine, call: str) -> None:
    """However often it tries, others run; it is refused each time; the log has one line about it."""
    flow, left, refused = Workflow("left"), list[asyncio.Task[None]](), [0]

    async def speak_on(ctx: Context) -> None:
        while True:
            try:
                await LATE[call](ctx)
            except ContextClosed:
                refused[0] += 1

    @flow.task
    async def body(ctx: Context) -> None:
        left.append(asyncio.create_task(speak_on(ctx)))

    with log_lines() as lines:
        run = await engine.start(flow)
        await asyncio.wait_for(run, PATIENCE)
        while refused[0] < 100:
            await asyncio.sleep(0)
    left[0].cancel()
    assert [line["event"] for line in lines].count("a body speaks after its end, and is not heard") == 1


async def test_a_thread_that_speaks_on_after_its_body_asks_the_loop_for_nothing(engine: Engine) -> None:
    """It is refused where it is, and pauses between two tries."""
    flow, refused, stop = Workflow("left"), [0], threading.Event()

    def speak_on(ctx: Context) -> None:
        while not stop.is_set():
            try:
                ctx.emit("a.b")
            except ContextClosed:
                refused[0] += 1

    @flow.task
    def body(ctx: Context) -> None:
        threading.Thread(target=speak_on, args=(ctx,), daemon=True).start()

    run = await engine.start(flow)
    await asyncio.wait_for(run, PATIENCE)
    began, before = time.monotonic(), refused[0]
    while refused[0] < before + 10:
        await asyncio.sleep(0.001)
    stop.set()
    assert time.monotonic() - began >= 0.08, "ten refusals are nine pauses"


async def test_emitting_in_a_run_that_has_ended_holds_nobody_up(engine: Engine) -> None:
    """It raises, at once or where it is awaited; a loop that goes on regardless lets others run."""
    session = await engine.session("s")
    await session.close()

    async def speak_on(run: Run) -> None:
        while True:
            try:
                await run.emit("a.b")
            except RunEnded:
                continue

    speaking = asyncio.ensure_future(speak_on(session))
    for _ in range(20):
        await asyncio.sleep(0)
    speaking.cancel()
    await asyncio.sleep(0)
    with pytest.raises(RunEnded):
        session.emit("a.b")


OUTSIDE: dict[str, Callable[[Run], Awaitable[Any]]] = {
    "emit": lambda run: run.emit("no type"),
    "emit, its task": lambda run: run.emit("a.b", task="no task"),
    "emit, its key": lambda run: run.emit("a.b", {"n": 2}, key="used"),
    "emit_all": lambda run: run.emit_all([{"type": "no type"}]),
    "emit_all, none": lambda run: run.emit_all([]),
    "log": lambda run: run.log.info(TOO_LARGE),
    "spend": lambda run: run.spend(cost=-1),
}


@pytest.mark.parametrize("call", OUTSIDE)
async def test_who_speaks_from_outside_and_goes_on_after_each_error_lets_others_run(engine: Engine, call: str) -> None:
    session, refused, rounds = await engine.session("s"), [0], 20_000
    await session.emit("a.b", {"n": 1}, key="used")

    async def speak_on() -> None:
        for _ in range(rounds):
            try:
                await OUTSIDE[call](session)
            except (ReactorError, ValueError):
                refused[0] += 1

    speaking = asyncio.ensure_future(speak_on())
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < refused[0] < rounds
    speaking.cancel()
    await session.close()


# --- the calls of an engine and of its runs -----------------------------------------------------------------------


AT_ONCE: dict[str, Callable[[Engine, Run, Run], Awaitable[Any]]] = {
    "engine.get": lambda engine, run, ended: engine.get(run.id),
    "engine.get, of nobody": lambda engine, run, ended: engine.get("nobody"),
    "engine.start, of nothing": lambda engine, run, ended: engine.start("nothing"),
    "engine.start, an id that is taken": lambda engine, run, ended: engine.start("child", run_id=run.id),
    "engine.ensure": lambda engine, run, ended: engine.ensure("child", run_id=ended.id),
    "run.send, to no task": lambda engine, run, ended: run.send("no task", 1),
    "run.pause": lambda engine, run, ended: ended.pause(),
    "run.cancel": lambda engine, run, ended: ended.cancel(),
    "run.output": lambda engine, run, ended: ended.output("no task"),
    "await run": lambda engine, run, ended: ended,
}


@pytest.mark.parametrize("call", AT_ONCE)
async def test_a_loop_around_a_call_of_an_engine_lets_others_run(engine: Engine, call: str) -> None:
    """Whether it has its answer at once or its error: who asks until a run has ended waits for others to end it."""
    session, rounds, asked = await engine.session("s"), 5_000, [0]
    ended = await engine.start(child, run_id="ended")
    await ended

    async def ask_on() -> None:
        for _ in range(rounds):
            asked[0] += 1
            try:
                await AT_ONCE[call](engine, session, ended)
            except ReactorError:
                continue

    asking = asyncio.ensure_future(ask_on())
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < asked[0] < rounds
    asking.cancel()
    await session.close()

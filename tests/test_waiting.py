"""A forgotten ``await`` fails or warns with the sentence that helps; nothing takes it for a value."""

from __future__ import annotations

import asyncio
import inspect
import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Context, Engine, NotAwaited, Run, RunFailed, Workflow
from reactor.waiting import PendingCall
from tests.helpers.runs import PATIENCE, wait_for_event


async def seven() -> int:
    await asyncio.sleep(0)
    return 7


def call() -> PendingCall[int]:
    return PendingCall("ctx.receive", seven)


USES: dict[str, Callable[[Any], Any]] = {
    "if": bool,
    "not": lambda value: not value,
    "==": lambda value: value == 7,
    "!=": lambda value: value != 7,
    "<": lambda value: value < 7,
    ">=": lambda value: value >= 7,
    "+": lambda value: value + 1,
    "text": lambda value: f"{value}",
    "format": lambda value: f"{value:>3}",
    "len": len,
    "for": list,
    "in": lambda value: 7 in value,
    "item": lambda value: value["task"],
    "attribute": lambda value: value.id,
    "int": int,
}


@pytest.mark.parametrize("use", USES)
def test_a_call_that_was_not_awaited_is_no_value(use: str) -> None:
    """Whatever is done with it as if it were the result raises, and says what to write instead."""
    pending = call()
    with pytest.raises(NotAwaited, match=r"^ctx\.receive\(\.\.\.\) gives its result only when it is awaited: write "):
        USES[use](pending)
    pending.close()


def test_it_can_be_looked_at_all_the_same() -> None:
    """For debuggers and log lines: a repr, a place in a set, itself is itself; an unknown attribute is one."""
    pending = call()
    assert repr(pending) == str(pending) == "<ctx.receive(...), not awaited>"
    assert pending == pending
    assert {pending: 1}[pending] == 1
    assert not hasattr(pending, "id")
    assert inspect.isawaitable(pending)
    assert asyncio.iscoroutine(pending)
    pending.close()


async def test_it_is_awaited_like_a_coroutine() -> None:
    """By itself, in a task, a group, with a timeout or among others; once."""
    assert await call() == 7
    assert await asyncio.create_task(call()) == 7
    assert await asyncio.wait_for(call(), PATIENCE) == 7
    assert await asyncio.gather(call(), call()) == [7, 7]
    assert await asyncio.shield(call()) == 7
    async with asyncio.TaskGroup() as group:
        task = group.create_task(call())
    assert task.result() == 7
    pending = call()
    await pending
    with pytest.raises(RuntimeError, match=r"ctx\.receive\(\.\.\.\) was awaited before"):
        await pending


async def test_a_cancel_reaches_what_it_waits_for() -> None:
    """Also before its first step, when nothing has begun."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    task = asyncio.ensure_future(PendingCall("wait", wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]
    task = asyncio.ensure_future(PendingCall("wait", wait))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]


def test_one_that_is_forgotten_warns() -> None:
    """Where nobody uses it, nothing was done: the warning says so."""
    with pytest.warns(
        RuntimeWarning, match=r"run\.send\(\.\.\.\) was never awaited, so it did nothing: write await run"
    ):
        PendingCall("run.send", seven)


# --- where it stands ----------------------------------------------------------------------------------------------


async def fails_with(engine: Engine, body: Any) -> str:
    """The message of a run with this one body."""
    flow = Workflow("forgetful")
    flow.task(body, name="body")
    run = await engine.start(flow)
    with pytest.raises(RunFailed) as failed:
        await asyncio.wait_for(run, PATIENCE)
    return str(failed.value)


def quietly(question: Any) -> None:
    """It need not warn in a test of what else it does."""
    question.close()


async def test_a_forgotten_receive_is_no_approval(engine: Engine) -> None:
    """The task fails, nobody is asked, and nothing is deleted."""
    deleted: list[bool] = []

    async def body(ctx: Context) -> None:
        answer = ctx.receive("delete PRODUCTION?", schema=bool)
        try:
            if answer:
                deleted.append(True)
        finally:
            quietly(answer)

    message = await fails_with(engine, body)
    assert "NotAwaited: ctx.receive(...) gives its result only when it is awaited: write await ctx.rece" in message
    assert deleted == []


@pytest.mark.parametrize("what", ["run", "committed", "checkpoint"])
async def test_no_other_call_of_a_context_is_a_value(engine: Engine, what: str) -> None:
    """A child run that never starts is no result, and a commit that was not waited for has not happened."""

    async def body(ctx: Context) -> None:
        calls = {"run": lambda: ctx.run("child"), "committed": ctx.committed, "checkpoint": ctx.checkpoint}
        pending: Any = calls[what]()
        try:
            assert pending
        finally:
            quietly(pending)

    assert f"ctx.{what}(...) gives its result only when it is awaited" in await fails_with(engine, body)


async def test_a_receive_that_a_body_returns_fails_it(engine: Engine) -> None:
    """An awaitable is no output; one that could not run any more does not warn as well."""

    async def body(ctx: Context) -> Any:
        return ctx.receive("approve?")

    assert "the body returned <ctx.receive(...), not awaited>; declare it with async def, or await it" in (
        await fails_with(engine, body)
    )


METHODS = {
    "engine.start": lambda engine, run: engine.start("waits"),
    "engine.get": lambda engine, run: engine.get(run.id),
    "engine.list": lambda engine, run: engine.list(),
    "engine.cancel": lambda engine, run: engine.cancel(run.id),
    "engine.retry": lambda engine, run: engine.retry(run.id),
    "engine.ensure": lambda engine, run: engine.ensure("waits", run_id="other"),
    "engine.delete": lambda engine, run: engine.delete(run.id),
    "run.cancel": lambda engine, run: run.cancel(),
    "run.request_cancel": lambda engine, run: run.request_cancel(),
    "run.pause": lambda engine, run: run.pause(),
    "run.resume": lambda engine, run: run.resume(),
    "run.send": lambda engine, run: run.send("body", 1),
    "run.ended": lambda engine, run: run.ended(),
    "run.outputs": lambda engine, run: run.outputs(),
    "run.output": lambda engine, run: run.output("body"),
}


@pytest.mark.parametrize("name", METHODS)
async def test_a_command_that_was_not_awaited_is_no_value(engine: Engine, name: str) -> None:
    """It has done nothing, and whatever looks at its result is told."""
    flow = Workflow("waits")

    @flow.task
    async def body(ctx: Context) -> Any:
        return await ctx.receive()

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    pending: Any = METHODS[name](engine, run)
    with pytest.raises(NotAwaited, match=name.replace(".", r"\.")):
        assert pending
    with pytest.raises(NotAwaited, match=f"write await {name}"):
        _ = pending.status
    pending.close()
    assert run.status == "running"
    assert len(await engine.list()) == 1


async def test_a_run_is_not_its_outputs(engine: Engine) -> None:
    """``run["task"]`` says how to get them; a run by itself is true, as any object is."""
    flow = Workflow("one")

    @flow.task
    async def body() -> int:
        return 1

    run: Any = await engine.start(flow)
    assert run
    with pytest.raises(NotAwaited, match=rf"run {run.id} gives its outputs when it is awaited: write \(await run\)\["):
        _ = run["body"]
    assert (await run)["body"] == 1


async def test_an_engine_says_which_run_nobody_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """On a log in memory it is lost with the engine: a warning names the run and what to write."""
    flow = Workflow("slow")

    @flow.task
    async def body() -> None:
        await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING, logger="reactor"):
        async with Engine(grace=0) as engine:
            run: Run = await engine.start(flow)
    assert run.status == "cancelled"
    assert any("open runs are cancelled, their engine ends before them: await run" in text and run.id in text
               for text in caplog.messages)  # fmt: skip


async def test_a_body_in_a_thread_gets_the_value_itself(engine: Engine) -> None:
    """There is nothing to await, and a false answer is false."""
    flow = Workflow("thread")

    @flow.task
    def body(ctx: Context) -> str:
        return "paid" if ctx.receive("pay?", schema=bool) else "declined"

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await run.send("body", False)
    assert await asyncio.wait_for(run, PATIENCE) == {"body": "declined"}


async def test_a_run_in_a_plain_loop_says_how_to_follow_it(engine: Engine) -> None:
    """A forgotten ``async`` names ``async for``, and not the outputs; so does an index and ``list(run)``."""
    flow = Workflow("one")
    flow.task(lambda: 1, name="body")
    run: Any = await engine.start(flow)
    for use in (lambda: [event.type for event in run], lambda: list(run), lambda: run[0], lambda: 1 in run):
        with pytest.raises(NotAwaited, match="write async for event in run; its outputs are await run"):
            use()
    assert await run == {"body": 1}

"""A body may return an Observable: any pipeline of the stock library can be a task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable, Subject
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler import NewThreadScheduler

from reactor import Context, Engine, RunCancelled, RunFailed, Workflow
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import wait_until

_numbers = count()


def workflow_of(body: Callable[..., Any], **options: Any) -> Workflow:
    flow = Workflow(f"observed-{next(_numbers)}")
    flow.task(body, name="body", **options)
    return flow


def both_colours(make: Callable[[], Any]) -> list[Any]:
    """The same body as ``async def`` and as ``def``."""

    async def on_the_loop() -> Any:
        return make()

    def in_a_thread() -> Any:
        return make()

    return [on_the_loop, in_a_thread]


async def outputs_of(engine: Engine, flow: Workflow) -> dict[str, Any]:
    return await asyncio.wait_for(await engine.start(flow), 10)


async def test_the_last_value_is_the_output(engine: Engine) -> None:
    """Of a timer piped through stock operators, on the loop and in a thread."""
    for body in both_colours(lambda: rx.timer(0.01, 0.01).pipe(ops.map(lambda n: n * 10), ops.take(3))):
        assert await outputs_of(engine, workflow_of(body)) == {"body": 20}


async def test_an_empty_one_gives_none(engine: Engine) -> None:
    for body in both_colours(rx.empty):
        assert await outputs_of(engine, workflow_of(body)) == {"body": None}


async def test_its_error_is_the_failure_and_is_tried_again(engine: Engine) -> None:
    """``on_error`` is a failure like an exception: ``retry`` and ``task.failed`` see it."""
    attempts: list[int] = []

    async def body(ctx: Context) -> Observable[Any]:
        attempts.append(ctx.attempt)
        return rx.throw(ValueError("broken")) if ctx.attempt == 1 else rx.of(1, 2)

    assert await outputs_of(engine, workflow_of(body, retry=2)) == {"body": 2}
    assert attempts == [1, 2]
    run = await engine.start(workflow_of(lambda: rx.throw(ValueError("broken"))))
    with pytest.raises(RunFailed, match="ValueError: broken"):
        await run


async def test_an_error_while_subscribing_is_the_failure(engine: Engine) -> None:
    def subscribe(observer: Any, scheduler: Any = None) -> Any:
        raise RuntimeError("not today")

    run = await engine.start(workflow_of(lambda: Observable(subscribe)))
    with pytest.raises(RunFailed, match="RuntimeError: not today"):
        await run


def held() -> tuple[Observable[Any], list[str]]:
    """An Observable without an end, and what happened to its subscriptions."""
    seen: list[str] = []

    def subscribe(observer: Any, scheduler: Any = None) -> Disposable:
        seen.append("subscribed")
        return Disposable(lambda: seen.append("disposed"))

    return Observable(subscribe), seen


async def test_a_cancel_disposes_it(engine: Engine) -> None:
    source, seen = held()
    run = await engine.start(workflow_of(lambda: source))
    await wait_until(lambda: seen == ["subscribed"])
    await run.cancel()
    with pytest.raises(RunCancelled):
        await run
    assert seen == ["subscribed", "disposed"]


async def test_a_timeout_disposes_it(engine: Engine) -> None:
    source, seen = held()
    run = await engine.start(workflow_of(lambda: source, timeout=0.05))
    with pytest.raises(RunFailed, match="longer than its timeout"):
        await run
    assert seen == ["subscribed", "disposed"]


async def test_the_end_of_the_engine_disposes_it() -> None:
    source, seen = held()
    async with Engine(grace=0) as engine:
        await engine.start(workflow_of(lambda: source))
        await wait_until(lambda: seen == ["subscribed"])
    assert seen == ["subscribed", "disposed"]


async def test_it_may_emit_on_a_thread_of_its_own(engine: Engine) -> None:
    """Its end comes back to the loop, whichever scheduler it uses."""
    threads: set[str] = set()

    async def body() -> Observable[int]:
        return rx.range(5, scheduler=NewThreadScheduler()).pipe(
            ops.do_action(lambda _: threads.add(threading.current_thread().name))
        )

    assert await outputs_of(engine, workflow_of(body)) == {"body": 4}
    assert threading.main_thread().name not in threads


async def test_dependents_take_its_value_and_its_context_speaks(engine: Engine) -> None:
    """What its operators emit through the context is in the log; a dependent gets the last value."""
    flow = Workflow("piped")
    source: Subject[int] = Subject()

    @flow.task
    async def total(ctx: Context) -> Observable[int]:
        return source.pipe(ops.do_action(lambda n: ctx.emit("number.seen", {"n": n})), ops.sum())

    @flow.task
    async def doubled(total: int) -> int:
        return total * 2

    run = await engine.start(flow)
    await wait_until(lambda: bool(source.observers))
    for n in (1, 2, 3):
        source.on_next(n)
    source.on_completed()
    assert await asyncio.wait_for(run, 10) == {"doubled": 12}
    assert [event.data["n"] async for event in run if event.type == "number.seen"] == [1, 2, 3]
    assert not source.observers


async def test_its_annotation_is_that_of_its_values(engine: Engine) -> None:
    """``-> Observable[tuple[int, int]]``: the output can be restored, as with ``-> tuple[int, int]``."""

    async def body() -> Observable[tuple[int, int]]:
        return rx.of((1, 2))

    run = await engine.start(workflow_of(body))
    assert await run == {"body": (1, 2)}
    completed = [event.data async for event in run if event.type == "task.completed"]
    assert completed[0]["typed"] is True


async def test_a_clean_up_that_raises_is_logged_and_ends_nothing_else(engine: Engine) -> None:
    """The output stands, a cancel is proven, and the engine closes."""

    def fails() -> None:
        raise RuntimeError("clean-up")

    with log_lines() as lines:
        assert await outputs_of(engine, workflow_of(lambda: rx.of(1).pipe(ops.finally_action(fails)))) == {"body": 1}
        held = rx.never().pipe(ops.finally_action(fails))
        run = await engine.start(workflow_of(lambda: held))
        await wait_until(lambda: run.state.tasks["body"].status == "running")
        await asyncio.sleep(0.01)  # until its thread has handed the Observable over
        await asyncio.wait_for(run.cancel(), 10)
    assert run.status == "cancelled"
    assert {line["event"] for line in lines if line["log_level"] == "error"} >= {"the clean-up of an Observable failed"}


@pytest.mark.parametrize("error", [asyncio.CancelledError(), None], ids=repr)
async def test_what_is_no_failure_of_the_body_fails_its_task(engine: Engine, error: Any) -> None:
    """A CancelledError that nobody asked for, and ``on_error(None)``: the run must not wait for ever."""

    def subscribe(observer: Any, scheduler: Any = None) -> Any:
        if error is not None:
            raise error
        observer.on_error(None)
        return Disposable()

    run = await engine.start(workflow_of(lambda: Observable(subscribe)))
    with pytest.raises(RunFailed, match="the Observable of the body ended with"):
        await asyncio.wait_for(run, 10)

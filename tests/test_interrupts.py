"""Only a signal ends the process: what a body raises is its own failure, whatever it is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import reactivex as rx
from pydantic import AfterValidator
from reactivex import Observable
from reactivex import operators as ops

from reactor import Cache, Context, Engine, Event, Retry, Workflow
from reactor.interrupts import is_from_signal
from tests.helpers import bodies as bodies_of
from tests.helpers import raising
from tests.helpers.events import only
from tests.helpers.runs import PATIENCE, full_log, run_to_end

FATAL = [KeyboardInterrupt("mine"), SystemExit(3), GeneratorExit("mine"), asyncio.CancelledError("mine")]


def fail_with(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


class Rude(list[int]):
    """A list that ends whoever looks at it."""

    def __iter__(self) -> Any:
        raise SystemExit(4)


def bodies(error: BaseException) -> dict[str, Callable[[Workflow], Any]]:
    """Ways in which the code of a user may raise: each adds a task ``body`` to a workflow."""
    fail = fail_with(error)

    async def on_the_loop() -> None:
        await asyncio.sleep(0)
        raise error

    def in_a_thread() -> None:
        raise error

    async def fine() -> int:
        return 1

    async def asks(ctx: Context) -> None:
        await ctx.emit("said.before")
        raise error

    return {
        "loop": lambda flow: flow.task(on_the_loop, name="body"),
        "with a Context": lambda flow: flow.task(asks, name="body"),
        "thread": lambda flow: flow.task(in_a_thread, name="body"),
        "condition": lambda flow: flow.task(fine, name="body", when=lambda: fail()),
        "cache key": lambda flow: flow.task(fine, name="body", cache=Cache(key=lambda: fail())),
        "subscribe": lambda flow: flow.task(lambda: Observable(fail), name="body"),
        "operator": lambda flow: flow.task(lambda: rx.of(1).pipe(ops.map(fail)), name="body"),
        "operator on a timer": lambda flow: flow.task(lambda: rx.timer(0.001).pipe(ops.map(fail)), name="body"),
        "operator on two timers": lambda flow: flow.task(
            lambda: rx.timer(0.001, 0.001).pipe(ops.delay(0.001), ops.map(fail)), name="body"
        ),
    }


@pytest.mark.parametrize("error", FATAL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", list(bodies(ValueError())))
async def test_what_the_code_of_a_user_raises_is_the_failure_of_its_task(way: str, error: BaseException) -> None:
    """The loop goes on, and so do other tasks of the run. A cancel that nobody asked for is a failure as well."""
    flow = Workflow("rude")
    bodies(error)[way](flow)

    @flow.task
    async def polite() -> str:
        await asyncio.sleep(0.02)
        return "done"

    events = await asyncio.wait_for(run_to_end(flow), PATIENCE)
    assert only(events, "task.failed").task_id == "body"
    assert only(events, "task.completed").task_id == "polite"
    told = only(events, "task.failed").data["error"]
    assert type(error).__name__ in (told["type"], *told["message"].replace("(", " ").split())


@pytest.mark.parametrize("kind", ["exit", "generator exit", "own"])
async def test_a_process_is_no_other_place(kind: str) -> None:
    """Its worker goes on as well."""
    flow = Workflow("rude")
    flow.task(raising.fail, name="body", executor="process")
    events = await run_to_end(flow, {"kind": kind})
    assert only(events, "task.failed").data["error"]["type"] == type(raising.make(kind)).__name__


async def test_a_predicate_of_a_retry_and_an_output_may_be_as_rude() -> None:
    """``retry_on``, and the list that a map goes over."""
    flow = Workflow("rude")

    @flow.task(retry=Retry(attempts=2, retry_on=fail_with(SystemExit(5))))
    async def retried() -> None:
        raise ValueError

    @flow.task
    async def items() -> list[int]:
        return Rude([1])

    @flow.task(map="items")
    async def mapped(items: int) -> int:
        return items

    async with Engine() as engine:
        run = await engine.start(flow)
        await asyncio.wait_for(run.ended(), PATIENCE)
    assert run.state.tasks["retried"].status == "failed"
    assert run.state.tasks["mapped"].status == "failed"
    assert run.status == "failed"


def refuse(value: int) -> int:
    raise SystemExit(6)


RudeNumber = Annotated[int, AfterValidator(refuse)]


def rude_child() -> Workflow:
    """A workflow that ends whoever validates its input."""
    inner = Workflow("rude")

    @inner.task
    async def leaf(number: RudeNumber) -> int:
        return number

    return inner


async def run_beside(flow: Workflow, input: dict[str, Any] | None = None) -> list[Event]:
    async with Engine(workflows=[rude_child()]) as engine:
        return await full_log(engine, await engine.start(flow, input))


@pytest.mark.parametrize("place", ["loop", "thread", "process"])
async def test_a_validator_that_an_answer_goes_through_may_be_as_rude(place: Any) -> None:
    """The run calls it for the body, which gets what it raises."""
    flow = Workflow("asks")

    @flow.task(name="rude_child_run")
    async def on_the_loop(ctx: Context) -> None:
        await ctx.run("rude", {"number": 1})

    if place != "loop":
        flow = Workflow("asks")
        flow.task(bodies_of.rude_child_run, executor=place)
    events = await run_beside(flow)
    assert only(events, "task.failed").data["error"] == {"type": "SystemExit", "message": "6"}


@pytest.mark.parametrize("at", ["dumps", "loads"])
@pytest.mark.parametrize("body", [bodies_of.give_rude, bodies_of.return_rude])
async def test_a_value_on_its_way_between_processes_may_be_as_rude(body: Any, at: str) -> None:
    """Whoever pickles it or reads its pickle goes on: worker and engine."""
    flow = Workflow("gives")
    flow.task(body, name="body", executor="process")
    flow.task(bodies_of.pid, name="after", executor="process", after="body", on_upstream_failure="run")
    events = await run_beside(flow, {"at": at})
    assert only(events, "task.failed").task_id == "body"
    assert only(events, "task.completed").task_id == "after"


# --- signals ---


SCRIPT = """
import asyncio, signal, sys, time
from reactor import Engine, Workflow

flow = Workflow("busy")


@flow.task
async def body() -> None:
    print("busy", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:  # holds the loop: only a signal gets in
        pass


def stop(*_):
    sys.exit(7)


async def main():
    async with Engine() as engine:
        await (await engine.start(flow))


if sys.argv[1] == "handler":
    signal.signal(signal.SIGTERM, stop)
if sys.argv[1] == "plain loop":
    asyncio.new_event_loop().run_until_complete(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("how", "signals", "code"),
    [
        ("handler", [signal.SIGTERM], 7),
        ("plain loop", [signal.SIGINT], -signal.SIGINT),
        ("asyncio.run", [signal.SIGINT, signal.SIGINT], -signal.SIGINT),
    ],
)
async def test_a_signal_that_strikes_in_a_body_ends_the_process(
    tmp_path: Path, how: str, signals: list[signal.Signals], code: int
) -> None:
    """What the handler of a signal raises is meant for the process, wherever it was raised."""
    (tmp_path / "busy.py").write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(tmp_path / "busy.py"),
        how,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"busy\n"
    for number in signals:
        process.send_signal(number)
        await asyncio.sleep(0.1)  # two of the same kind that come at once are one
    await asyncio.wait_for(process.stdout.read(), 30)  # to its end: else the pipe may be open when the loop closes
    assert await asyncio.wait_for(process.wait(), 30) == code


def test_a_body_s_exit_looks_like_none_of_a_handler() -> None:
    """Neither a plain one nor one that was never raised; a handler's is told by its frame."""

    def handler(*_: object) -> None:
        raise SystemExit(1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(SystemExit) as raised:
            signal.raise_signal(signal.SIGUSR1)
        assert is_from_signal(raised.value)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not is_from_signal(raised.value)
    assert not is_from_signal(SystemExit(1))
    assert not is_from_signal(ValueError())

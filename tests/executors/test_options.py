"""Bodies in processes and threads through the engine: what they say, ask and are given, and what their death does."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, InvalidValue, Retry, RunFailed, Workflow
from reactor.errors import WorkerDied, WorkflowError
from reactor.executors import local
from tests.helpers import bodies
from tests.helpers.events import of_type, only, story
from tests.helpers.runs import PATIENCE, full_log, run_to_end, wait_for_event

PLACES = pytest.mark.parametrize("place", ["thread", "process"])


# --- what crosses -------------------------------------------------------------------------------------------------


async def test_a_graph_may_run_in_processes() -> None:
    """Outputs, mapped items and lists cross; ``task.started`` says where."""
    flow = Workflow("processes")

    @flow.task
    async def numbers() -> list[int]:
        return [1, 2, 3]

    flow.task(bodies.double, map="numbers", executor="process")
    flow.task(bodies.sum_up, executor="process")
    events = await run_to_end(flow)
    assert only(events, "run.completed").data["outputs"] == {"sum_up": 12}
    where = {event.task: event.data["executor"] for event in of_type(events, "task.started")}
    assert where == {"numbers": "loop", "double": "process", "sum_up": "process"}


@PLACES
async def test_what_a_body_says_is_in_the_log_in_its_order(place: Any) -> None:
    """emit, log, chunk, progress and spend, with the body's id and attempt, between its start and its end."""
    flow = Workflow("speaks")
    flow.task(bodies.speak, executor=place)
    events = await run_to_end(flow, {"number": 7})
    types = [event.type for event in events if event.type != "task.progress"]
    chunks = types.count("task.chunk")
    assert chunks in (1, 2)  # joined where they come within a twentieth of a second
    assert [type for type in types if type != "task.chunk"] == [
        "run.started",
        "task.started",
        "number.said",
        "log.created",
        "task.spent",
        "task.completed",
        "run.completed",
    ]
    assert {(event.task_id, event.attempt) for event in events[1:-1]} == {("speak", 1)}
    assert only(events, "number.said").data == {"number": 7}
    assert only(events, "log.created").data == {"level": "info", "message": "loaded", "fields": {"rows": 12}}
    assert "".join(event.data["text"] for event in of_type(events, "task.chunk")) == "some text"
    assert of_type(events, "task.progress")[-1].data["message"] == "done"
    spent = only(events, "task.spent").data
    assert (spent["cost"], spent["tokens"], spent["source"]) == (0.25, 3, "spend")
    assert only(events, "run.completed").data["cost"] == 0.25


@PLACES
async def test_shared_resources_are_given_to_threads_and_not_to_processes(place: Any) -> None:
    """A pool or a client cannot leave its process; the rest of the Context can."""
    flow = Workflow("looks")
    flow.task(bodies.speak, executor=place)
    events = await run_to_end(flow, {"number": 7}, resources={"pool": "a pool"})
    expected = {"pool": "a pool"} if place == "thread" else {}
    assert events[-1].data["outputs"]["speak"] == {"attempt": 1, "input": {"number": 7}, "resources": expected}


@PLACES
async def test_a_body_may_wait_for_what_somebody_sends(place: Any) -> None:
    """It blocks in ``receive`` and goes on with the value, as often as it asks; a wrong value is refused."""
    flow = Workflow("asks")
    flow.task(bodies.question, executor=place)
    async with Engine() as engine:
        run = await engine.start(flow)
        for count, value in ((1, 40), (2, 2)):
            await wait_for_event(run, "task.waiting", count=count)
            with pytest.raises(InvalidValue, match="does not fit"):
                await run.send("question", "many")
            await run.send("question", value)
        assert await asyncio.wait_for(run, PATIENCE) == {"question": 42}
        events = await full_log(engine, run)
    assert [event.data["prompt"] for event in of_type(events, "task.waiting")] == ["how many?", "and how many more?"]


@PLACES
async def test_a_body_may_ask_for_child_runs(place: Any) -> None:
    """A body asks for a child run by the workflow's name and gets its outputs where it runs."""
    inner = Workflow("inner")

    @inner.task
    async def leaf(number: int, ctx: Context) -> int:
        await ctx.spend(tokens=number)
        return number * 10

    flow = Workflow("asks")
    flow.task(bodies.child_run, executor=place)
    async with Engine(workflows=[inner]) as engine:
        run = await engine.start(flow, run_id="parent")
        assert await asyncio.wait_for(run, PATIENCE) == {"child_run": 30}
        children = sorted(record.run_id for record in await engine.list(workflow="inner"))
        assert children == ["parent.child_run.1", "parent.child_run.2"]
        assert run.state.tokens == 3


@PLACES
async def test_an_exception_is_the_task_s_failure_wherever_it_was_raised(place: Any) -> None:
    """A failure has the type and message of the exception; another attempt may complete."""
    flow = Workflow("fails")
    flow.task(bodies.fail_once, executor=place, retry=Retry(attempts=2, delay=0))
    events = await run_to_end(flow)
    assert only(events, "task.retrying").data["error"] == {"type": "TwoPartError", "message": "7: seven"}
    assert events[-1].data["outputs"] == {"fail_once": 2}


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_function_that_no_process_can_import_is_refused_at_its_definition() -> None:
    """A lambda, and a function in a function, by the task's name."""

    def local() -> None: ...

    flow = Workflow("local")
    with pytest.raises(WorkflowError, match=r"'anonymous' cannot run in a process: .* is a lambda"):
        flow.task(lambda: 1, name="anonymous", executor="process")
    with pytest.raises(WorkflowError, match=r"'local' cannot run in a process: .* inside a function"):
        flow.task(local, executor="process")
    assert not flow.tasks


def test_a_function_whose_name_means_another_one_is_refused_before_a_run() -> None:
    """The check comes when the module of the function is complete."""
    flow = Workflow("replaced")
    flow.task(bodies.first_replaced, executor="process")
    with pytest.raises(WorkflowError, match="no longer this function"):
        flow.validate()


async def test_an_output_that_cannot_leave_its_process_fails_its_task() -> None:
    """The error names the task, and the pool goes on."""
    flow = Workflow("lock")
    flow.task(bodies.lock, executor="process")
    flow.task(bodies.pid, executor="process", after="lock", on_upstream_failure="run")
    events = await run_to_end(flow)
    assert "the output of task lock" in only(events, "task.failed").data["error"]["message"]
    assert only(events, "task.completed").task_id == "pid"


MODULE = """
import asyncio

from reactor import Engine
from reactor.definition.address import importing


def body():
    return "ran"


async def main():
    async with Engine():
        pass


if importing.now:  # only in a worker, while it looks for the body
    asyncio.run(main())
"""


async def test_an_engine_that_the_import_of_a_body_starts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a script without its guard would start workers without end; the sentence says what to write."""
    (tmp_path / "starts_at_import.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    flow = Workflow("outer")
    try:
        flow.task(importlib.import_module("starts_at_import").body, executor="process")
        events = await run_to_end(flow)
    finally:
        sys.modules.pop("starts_at_import", None)
    error = only(events, "task.failed").data["error"]
    assert "starts_at_import cannot be imported: EngineClosed" in error["message"]
    assert 'if __name__ == "__main__"' in error["message"]


# --- death --------------------------------------------------------------------------------------------------------


async def test_a_killed_worker_fails_its_task_and_the_pool_heals() -> None:
    """``kill -9`` is one failed task that says how; others go on, and the next body gets another process."""
    flow = Workflow("killed")
    flow.task(bodies.begin_and_hang, name="victim", executor="process")
    flow.task(bodies.pid, name="after", executor="process", after="victim", on_upstream_failure="run")
    other = Workflow("other")
    other.task(bodies.pid, name="body", executor="process")
    async with Engine() as engine:
        run = await engine.start(flow)
        pid = (await wait_for_event(run, "demo.began")).data["pid"]
        os.kill(pid, signal.SIGKILL)
        events = await full_log(engine, run)
        assert (await asyncio.wait_for(await engine.start(other), PATIENCE))["body"] != pid
    error = only(events, "task.failed").data["error"]
    assert error["type"] == "WorkerDied"
    assert "SIGKILL" in error["message"]
    assert only(events, "task.completed", "after").data["output"] != pid


async def test_a_killed_worker_is_a_failure_that_may_be_retried() -> None:
    """The next attempt runs in another process; the log says that the worker was lost, and not that the body failed."""
    flow = Workflow("killed")
    retry = Retry(attempts=2, delay=0, retry_on=WorkerDied)
    flow.task(bodies.begin_and_hang, name="victim", executor="process", retry=retry)
    async with Engine() as engine:
        run = await engine.start(flow)
        pid = (await wait_for_event(run, "demo.began")).data["pid"]
        os.kill(pid, signal.SIGKILL)
        events = await full_log(engine, run)
    assert story(events) == [
        ("task.started", "victim", 1),
        ("task.retrying", "victim", 1),
        ("task.started", "victim", 2),
        ("task.completed", "victim", 2),
    ]
    assert events[-1].data["outputs"]["victim"] != pid
    assert only(events, "task.retrying").data["reason"] == "worker_lost"


async def test_a_cancel_stops_a_process_within_the_grace() -> None:
    """A body that ignores everything is killed: it was stopped, nothing was abandoned, and no process is left."""
    flow = Workflow("stubborn")
    flow.task(bodies.ignore, name="body", executor="process")
    async with Engine() as engine:
        run = await engine.start(flow)
        pid = (await wait_for_event(run, "demo.began")).data["pid"]
        await asyncio.wait_for(run.cancel(grace=0.5), PATIENCE)
        events = await full_log(engine, run)
    assert only(events, "task.cancelled").data["stopped"] is True
    assert only(events, "run.cancelled").data["abandoned"] == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_end_of_an_engine_leaves_no_process() -> None:
    """Idle workers are let go, busy ones ended with their run."""
    flow = Workflow("pids")
    flow.task(bodies.pid, name="idle", executor="process")
    flow.task(bodies.begin_and_hang, name="busy", executor="process")
    async with Engine(grace=0) as engine:
        run = await engine.start(flow)
        began = await wait_for_event(run, "demo.began")
        idle = await wait_for_event(run, "task.completed", "idle")
    for pid in (began.data["pid"], idle.data["output"]):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert run.status == "cancelled"


async def test_the_cause_of_a_failed_run_is_the_worker_s_death() -> None:
    """Whoever awaits the run finds the death of the worker itself as the cause."""
    flow = Workflow("dies")
    flow.task(bodies.die, executor="process")
    async with Engine() as engine:
        run = await engine.start(flow, {"code": 3})
        with pytest.raises(RunFailed) as failed:
            await asyncio.wait_for(run, PATIENCE)
    assert isinstance(failed.value.__cause__, WorkerDied)
    assert "exit code 3" in str(failed.value.__cause__)


# --- bodies that hold the loop ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("blames_bodies")
async def test_a_body_that_holds_the_loop_is_named() -> None:
    """A warning in its own name, with how long; in a thread the same is nobody's trouble."""
    flow = Workflow("busy")
    flow.task(bodies.busy, name="guilty")

    @flow.task
    async def innocent() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    events = await run_to_end(flow, {"seconds": 0.15})
    warning = only([event for event in events if event.task_id == "guilty"], "log.created")
    assert warning.data["level"] == "warning"
    assert "held the event loop" in warning.data["message"]
    assert warning.data["fields"]["held_ms"] >= 150
    assert events[-1].type == "run.completed"


class SlowMotion:
    """The clock by which steps are measured: it goes only where a body says so, whatever the machine does."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def motion(monkeypatch: pytest.MonkeyPatch) -> SlowMotion:
    motion = SlowMotion()
    monkeypatch.setattr(local, "time", motion)
    return motion


@pytest.mark.usefixtures("blames_bodies")
async def test_a_body_that_lets_others_run_is_not_named(motion: SlowMotion) -> None:
    """However long it takes in all: each step counts by itself."""
    flow = Workflow("polite")

    @flow.task
    async def body() -> None:
        for _ in range(30):
            motion.now += 0.09
            await asyncio.sleep(0)

    assert of_type(await run_to_end(flow), "log.created") == []


@pytest.mark.usefixtures("blames_bodies")
async def test_a_body_is_named_again_only_for_twice_as_long(motion: SlowMotion) -> None:
    """One that always holds the loop does not fill the log."""
    flow = Workflow("again")

    @flow.task
    async def body() -> None:
        for seconds in (0.11, 0.15, 0.2, 0.23, 0.3, 0.47):
            motion.now += seconds
            await asyncio.sleep(0)

    held = [event.data["fields"]["held_ms"] for event in of_type(await run_to_end(flow), "log.created")]
    assert held == pytest.approx([110, 230, 470], abs=5)  # less what the garbage collector took


@pytest.mark.usefixtures("blames_bodies")
async def test_a_body_in_a_thread_or_process_never_holds_the_loop() -> None:
    """``def`` bodies may be as busy as they like."""
    flow = Workflow("busy")

    @flow.task
    def in_thread(seconds: float) -> None:
        asyncio.run(bodies.busy(seconds))

    flow.task(bodies.busy, name="in_process", executor="process")
    events = await run_to_end(flow, {"seconds": 0.15})
    assert of_type(events, "log.created") == []
    assert {event.data["executor"] for event in of_type(events, "task.started")} == {"thread", "process"}


@pytest.mark.usefixtures("blames_bodies")
async def test_the_last_step_of_a_body_counts_too(motion: SlowMotion) -> None:
    """The one that raises, as the one that returns; the warning stands before the end."""
    flow = Workflow("busy")

    @flow.task
    async def body() -> None:
        await asyncio.sleep(0)
        motion.now += 0.15
        raise ConnectionError

    events = await run_to_end(flow)
    assert [event.type for event in events][1:-1] == ["task.started", "log.created", "task.failed"]
    assert only(events, "log.created").task_id == "body"

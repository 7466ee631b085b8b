"""What a run says in the log lines of the library: its start, its end, and what failed in between."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Retry, Run, RunFailed, Workflow
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog
from tests.helpers import bodies
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import result, wait_for_event


def lines_of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


def breaks() -> None:
    raise ValueError("broken on purpose")


async def breaks_async() -> None:
    raise ValueError("broken on purpose")


@pytest.mark.parametrize(
    ("body", "executor", "place"),
    [
        (breaks_async, None, "in breaks_async"),
        (breaks, "thread", "in breaks"),
        (bodies.fail_once, "process", "in fail_once"),
    ],
)
async def test_a_failed_task_is_one_line_with_run_task_attempt_and_traceback(
    engine: Engine, body: Any, executor: Any, place: str
) -> None:
    """At ERROR, wherever the body ran: the traceback names the function of the body."""
    flow = Workflow("failing")
    flow.task(body, name="broken", executor=executor)
    with log_lines() as lines:
        run = await engine.start(flow)
        with pytest.raises(RunFailed):
            await result(run)
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["event"] == "task failed"
    assert (line["run_id"], line["task_id"], line["attempt"]) == (run.id, "broken", 1)
    assert place in line["traceback"]


async def test_each_failed_child_of_a_map_is_a_line_and_so_is_a_map_that_has_no_list(engine: Engine) -> None:
    """The mapped task whose children failed has said it with them, so it has no line of its own."""
    flow = Workflow("mapped")

    @flow.task
    def items() -> list[int]:
        return [0, 1, 2]

    @flow.task(map="items")
    def each(items: int) -> float:
        return 1 / (items % 2)

    @flow.task
    def none() -> int:
        return 3

    @flow.task(map="none")
    def of_none(none: int) -> int:
        return none

    with log_lines() as lines:
        await (await engine.start(flow)).ended()
    failed = [line["task_id"] for line in lines_of(lines, "task failed")]
    assert sorted(failed) == ["each[0]", "each[2]", "of_none"]


async def test_only_the_last_attempt_is_a_failure(engine: Engine) -> None:
    """An attempt that is tried again is a line at INFO, with its error."""
    flow = Workflow("stubborn")
    flow.task(breaks, name="broken", retry=Retry(3, delay=0))
    with log_lines() as lines:
        await (await engine.start(flow)).ended()
    again = lines_of(lines, "task fails and is tried again")
    assert [(line["attempt"], line["error"]) for line in again] == [
        (1, "ValueError: broken on purpose"),
        (2, "ValueError: broken on purpose"),
    ]
    assert {line["log_level"] for line in again} == {"info"}
    assert [line["attempt"] for line in lines_of(lines, "task failed")] == [3]


async def test_the_start_and_the_end_of_a_run_are_a_line_each(engine: Engine) -> None:
    """At INFO, in this order, also for a run that ends within its first window, and for its child runs."""
    child = Workflow("child")

    @child.task
    async def leaf() -> int:
        return 1

    flow = Workflow("parent")

    @flow.task
    async def calls(ctx: Context) -> Any:
        return await ctx.run(child)

    with log_lines() as lines:
        run = await engine.start(flow)
        await result(run)
    said = [(line["event"], line["workflow"], line.get("parent"), line.get("status")) for line in lines]
    assert said == [
        ("run started", "parent", None, None),
        ("run started", "child", run.id, None),
        ("run ended", "child", None, "completed"),
        ("run ended", "parent", None, "completed"),
    ]
    assert {line["log_level"] for line in lines} == {"info"}
    assert all("duration_ms" in line for line in lines_of(lines, "run ended"))


async def test_the_end_says_why(engine: Engine) -> None:
    """A failed run its error, a cancelled one its reason; a pause that is over is no reason."""
    flow = Workflow("ends")

    @flow.task
    async def waits(fails: bool = False) -> None:
        if fails:
            raise ValueError("no")
        await asyncio.sleep(3600)

    async def end_of(run: Run) -> dict[str, Any]:
        await run.ended()
        return lines_of(lines, "run ended")[-1]

    with log_lines() as lines:
        failed = await end_of(await engine.start(flow, {"fails": True}))
        run = await engine.start(flow)
        await run.pause(reason="lunch")
        await run.resume()
        await run.request_cancel(reason="enough")
        cancelled = await end_of(run)
    assert (failed["status"], failed["error"]) == ("failed", "ValueError: no")
    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "enough")


async def test_a_level_above_info_makes_no_line_of_a_run(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """A run that completes says nothing at WARNING, which is what an application shows that configures nothing."""
    flow = Workflow("quiet")

    @flow.task
    async def one() -> int:
        return 1

    with caplog.at_level(logging.WARNING, logger="reactor"):
        await result(await engine.start(flow))
    assert caplog.records == []


# --- the end of an engine ---------------------------------------------------------------------------------------


def sleeper() -> Workflow:
    flow = Workflow("sleeper")

    @flow.task
    async def sleeps() -> None:
        await asyncio.sleep(3600)

    return flow


async def test_runs_that_the_end_of_an_engine_cancels_are_named() -> None:
    """A WARNING: what ``async with Engine()`` cancels when it is left is not lost without a word."""
    with log_lines() as lines:
        async with Engine(grace=0) as engine:
            runs = [await engine.start(sleeper()) for _ in range(2)]
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert line["event"].startswith("open runs are cancelled")
    assert all(run.id in line["runs"] for run in runs)
    [waits] = lines_of(lines, "waiting for open runs to end")
    assert (waits["seconds"], waits["log_level"]) == (0, "info")


async def test_of_many_runs_the_first_are_named_and_the_rest_is_counted() -> None:
    """A line has a bound."""
    flow = sleeper()
    with log_lines() as lines:
        async with Engine(grace=0) as engine:
            for number in range(25):
                await engine.start(flow, run_id=f"r{number}")
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert line["runs"].endswith("r18, r19 and 5 more")


async def test_runs_that_are_left_in_the_log_are_no_warning(tmp_path: Path) -> None:
    """The next engine goes on with them, and says so, too."""
    url, flow = f"sqlite:///{tmp_path}/runs.db", sleeper()
    with log_lines() as lines:
        async with Engine(url, workflows=[flow], grace=0) as engine:
            run = await engine.start(flow)
            await wait_for_event(run, "task.started")
        async with Engine(url, workflows=[flow], grace=0):
            pass
    assert {line["log_level"] for line in lines} == {"info"}
    left = [line for line in lines if line["event"].startswith("open runs are left")]
    assert [line["runs"] for line in left] == [run.id, run.id]
    assert [line["run_id"] for line in lines_of(lines, "run recovered")] == [run.id]
    assert lines_of(lines, "run ended") == []


async def test_an_engine_without_open_runs_ends_without_a_word() -> None:
    """There is nothing to wait for."""
    with log_lines() as lines:
        async with Engine():
            pass
    assert lines == []


# --- bodies that nobody waits for any more ----------------------------------------------------------------------


async def test_a_body_that_ends_when_it_is_asked_is_not_called_abandoned(tmp_path: Path) -> None:
    """The end of an engine leaves its runs at once; bodies that then end by their cancel have done nothing wrong."""
    flow, ended = Workflow("obeys"), threading.Event()

    @flow.task
    def in_a_thread(ctx: Context) -> None:
        while not ctx.cancelled:
            threading.Event().wait(0.001)
        ended.set()

    @flow.task
    async def on_the_loop() -> None:
        await asyncio.sleep(3600)

    with log_lines() as lines:
        async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow], grace=0) as engine:
            run = await engine.start(flow)
            await wait_for_event(run, "task.started", count=2)
        await asyncio.to_thread(ended.wait, 20)
        await asyncio.sleep(0.05)  # the thread has handed over its answer
    assert ended.is_set()
    assert [line for line in lines if line["log_level"] != "info"] == []


async def test_a_body_that_ends_long_after_is_named(
    engine: Engine, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked may have gone on without it: the line says which body, and how late it was."""
    monkeypatch.setattr("reactor.executors.local.LATE_SECONDS", 0.0)
    flow = Workflow("stuck")
    flow.task(lambda: gate.wait(), name="stuck")
    with log_lines() as lines:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started")
        await run.request_cancel(0.0)
        await run.ended()
        gate.set()
        while not (late := lines_of(lines, "an abandoned body ended after all")):
            await asyncio.sleep(0.005)
    assert (late[0]["task_id"], late[0]["how"], late[0]["log_level"]) == ("stuck", "completed", "warning")
    assert late[0]["seconds"] >= 0


async def test_a_handler_that_raises_does_not_change_a_run(engine: Engine) -> None:
    """The run ends as it would have: failed, with the error of its body."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the disk of the logs is full")

    flow, handler = Workflow("failing"), Broken()
    flow.task(breaks, name="broken")
    logging.getLogger("reactor").addHandler(handler)
    try:
        state = await (await engine.start(flow)).ended()
    finally:
        logging.getLogger("reactor").removeHandler(handler)
    assert state.error is not None
    assert state.error["type"] == "ValueError"


async def test_a_lost_log_is_a_line_that_names_the_run() -> None:
    """And the run has no line that says it ended: it has not."""
    flow = Workflow("speaks")

    @flow.task
    async def speaks(ctx: Context) -> None:
        while True:
            await ctx.emit("still.here", {})
            await asyncio.sleep(0.001)

    async with Engine(FaultyLog(MemoryLog(), fails=["r"], after=1), grace=0) as engine:
        with log_lines() as lines:
            run = await engine.start(flow, run_id="r")
            await run.feed.wait_closed()
    [line] = lines_of(lines, "run lost, its log failed")
    assert (line["run_id"], line["log_level"]) == (run.id, "error")
    assert lines_of(lines, "run ended") == []

"""``execution``: what its clients are told of tasks that end in every way, and the same as one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from reactor import Context, Engine, Event, Retry, Workflow, load_plan
from reactor.events.event import Notice
from reactor_web.dialects import End
from reactor_web.dialects.execution import EXECUTION
from reactor_web.testing import DIALECT_LAWS
from tests.events.golden.record import FOLDER, read
from tests.helpers.dags import Spec, build, expected
from tests.helpers.documents import TOOLS
from tests.helpers.folding import (
    CANCELS,
    GRAPHS,
    Told,
    ended,
    frames_of,
    log_of,
    recorded,
    session,
    started,
    told,
    told_at_end,
    told_when_closing,
)
from tests.helpers.runs import run_to_end, wait_for_event

GOLDEN = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def names(frames: Sequence[Told]) -> list[tuple[str, str]]:
    """(event name, task) of each frame."""
    return [(frame.event, frame.data.get("taskId", "")) for frame in frames]


def results(frames: Sequence[Told]) -> dict[str, dict[str, Any]]:
    """``task_complete`` by task."""
    return {frame.data["taskId"]: frame.data for frame in frames if frame.event == "task_complete"}


# --- the frames -------------------------------------------------------------------------------------------------


def test_a_plan_is_told_task_by_task_and_then_as_a_whole() -> None:
    """Every field, with the tool of the plan, and the times of the events."""
    plan = {"tasks": [
        {"id": "page", "tool": "fetch", "arguments": {"url": "u"}},
        {"id": "sum", "tool": "add", "arguments": {"a": "$page.limit"}, "dependsOn": ["page"]},
    ]}  # fmt: skip
    log = asyncio.run(run_to_end(load_plan(plan, TOOLS)))
    page, total, end = log[2], log[4], log[-1]
    assert told(EXECUTION, log) == [
        ("2", "task_start", {"taskId": "page", "tool": "fetch", "timestamp": log[1].time}),
        ("3", "task_complete", {
            "taskId": "page", "tool": "fetch", "status": "success", "output": page.data["output"],
            "executionTimeMs": page.data["duration_ms"], "timestamp": page.time,
        }),
        ("4", "task_start", {"taskId": "sum", "tool": "add", "timestamp": log[3].time}),
        ("5", "task_complete", {
            "taskId": "sum", "tool": "add", "status": "success", "output": 11,
            "executionTimeMs": total.data["duration_ms"], "timestamp": total.time,
        }),
        ("6", "execution_complete", {
            "totalTasks": 2, "successCount": 2, "errorCount": 0, "totalExecutionTimeMs": end.data["duration_ms"],
            "speedup": end.data["speedup"], "timestamp": end.time,
        }),
    ]  # fmt: skip
    assert told_at_end(EXECUTION, log) == []


def test_a_task_that_is_tried_again_starts_once_and_completes_once() -> None:
    """The time is that of the last attempt."""
    flow = Workflow("flaky")

    @flow.task(retry=Retry(attempts=3, delay=0.0, jitter=0.0))
    async def shaky(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise ConnectionError
        return ctx.attempt

    log = asyncio.run(run_to_end(flow))
    frames = told(EXECUTION, log)
    assert names(frames) == [("task_start", "shaky"), ("task_complete", "shaky"), ("execution_complete", "")]
    assert frames[1].data["executionTimeMs"] == log[-2].data["duration_ms"]


def test_failed_skipped_and_cancelled_tasks_are_errors_that_say_why() -> None:
    """A task that never began has no start. The execution is complete, also when tasks failed."""
    flow = Workflow("fragile")

    @flow.task
    async def broken() -> None:
        raise ValueError("no such thing")

    @flow.task
    async def after(broken: None) -> None: ...

    @flow.task(when=lambda: False)
    async def unwanted() -> None: ...

    @flow.task
    async def stopped() -> None:
        await asyncio.Event().wait()

    async def main() -> list[Event]:
        async with Engine() as engine:
            run = await engine.start(flow)
            await wait_for_event(run, "task.failed")
            await run.request_cancel(task="stopped", reason="not needed")
            await run.ended()
            return [event async for event in run]

    frames = told(EXECUTION, asyncio.run(main()))
    ends = results(frames)
    assert {id: (end["status"], end["error"]) for id, end in ends.items()} == {
        "broken": ("error", "no such thing"),
        "after": ("error", "skipped: upstream_failed (broken)"),
        "unwanted": ("error", "skipped: condition (unwanted)"),
        "stopped": ("error", "cancelled: not needed"),
    }
    assert {name for name in names(frames) if name[0] == "task_start"} == {
        ("task_start", "broken"), ("task_start", "stopped"),
    }  # fmt: skip
    assert ends["after"]["executionTimeMs"] == ends["unwanted"]["executionTimeMs"] == 0
    assert ends["stopped"]["executionTimeMs"] > 0
    assert "output" not in ends["broken"]
    counted = frames[-1].data
    assert (counted["totalTasks"], counted["successCount"], counted["errorCount"]) == (4, 0, 4)


def test_a_mapped_task_is_what_its_children_are() -> None:
    """It has a frame of its own only without children: for an empty list, or if it is skipped or fails before."""
    log = log_of(
        started("list", {"id": "each", "kind": "map"}, {"id": "none", "kind": "map"}, {"id": "never", "kind": "map"}),
        ("task.mapped", {"count": 2}, "each"),
        ("task.started", {}, "each[0]"),
        ("task.started", {}, "each[1]"),
        ("task.mapped", {"count": 0, "progress": 0.5}, "none"),
        ("task.completed", {"output": "b", "duration_ms": 1.0}, "each[1]"),
        ("task.failed", {"error": {"type": "E", "message": "bad"}, "duration_ms": 1.0}, "each[0]"),
        ("task.skipped", {"reason": "upstream_failed", "because": "each[0]", "mapped": True, "attempt": 0}, "never"),
        ended("failed", total_tasks=3, completed=1, failed=1, skipped=1),
    )
    frames = told(EXECUTION, log)
    assert names(frames) == [
        ("task_start", "each[0]"), ("task_start", "each[1]"), ("task_complete", "none"), ("task_complete", "each[1]"),
        ("task_complete", "each[0]"), ("task_complete", "never"), ("execution_complete", ""),
    ]  # fmt: skip
    assert (results(frames)["none"]["output"], results(frames)["none"]["executionTimeMs"]) == ([], 0)
    assert {data["tool"] for id, data in results(frames).items() if id.startswith("each")} == {"each"}
    counted = frames[-1].data
    assert (counted["totalTasks"], counted["successCount"], counted["errorCount"]) == (4, 2, 2)


def test_a_large_output_has_a_preview_and_a_reference_and_is_whole_in_the_batch() -> None:
    """A frame of more than 64 KiB breaks clients."""
    flow = Workflow("large")

    @flow.task
    async def large() -> str:
        return "x" * 40_000

    async def main() -> tuple[list[Event], Any]:
        async with Engine() as engine:
            run = await engine.start(flow)
            await run
            return [event async for event in run], await run.output("large")

    log, output = asyncio.run(main())
    (end,) = results(told(EXECUTION, log)).values()
    assert "output" not in end
    assert end["outputRef"] == f"runs/{log[0].run_id}/tasks/large/output"
    assert end["preview"].startswith('"xxx')
    assert end["size"] == 40_002
    (result,) = EXECUTION.batch(log, {"large": output}).body["results"]
    assert result["output"] == output
    assert not result.keys() & {"preview", "outputRef", "size"}


def test_a_task_that_had_to_run_again_after_a_restart_completes_once_unless_it_ended_otherwise() -> None:
    """Its output could not be kept, so a crash made it run again. The batch has its last output."""
    log = log_of(
        started("a", "b"),
        ("task.started", {}, "a"),
        ("task.completed", {"output": 1, "duration_ms": 1.0, "recoverable": False}, "a"),
        ("run.resumed", {"reason": "recovered", "by": None}),
        ("task.started", {"attempt": 2}, "a"),
        ("task.completed", {"output": 2, "duration_ms": 1.0, "attempt": 2}, "a"),
        ("run.resumed", {"reason": "recovered", "by": None}),
        ("task.started", {"attempt": 3}, "a"),
        ("task.failed", {"error": {"type": "E", "message": "bad"}, "duration_ms": 1.0, "attempt": 3}, "a"),
        ended("failed", total_tasks=1, failed=1),
    )
    frames = told(EXECUTION, log)
    assert [(frame.id, frame.event) for frame in frames] == [
        ("2", "task_start"), ("3", "task_complete"), ("9", "task_complete"), ("10", "execution_complete"),
    ]  # fmt: skip
    assert (frames[-1].data["totalTasks"], frames[-1].data["errorCount"]) == (1, 1)
    completed = [*log[:6], log_of(*[ended(total_tasks=1, completed=1)] * 7)[6]]
    assert EXECUTION.batch(completed, {}).body["results"][0]["output"] == 2


def test_a_log_whose_beginning_is_gone_is_counted_as_its_end_says() -> None:
    """Tasks that ended in what was trimmed are counted too."""
    log = log_of(started("a", "b"), ("task.completed", {"output": 1, "duration_ms": 1.0}, "b"), ended(
        total_tasks=2, completed=2,
    ))  # fmt: skip
    state, _ = EXECUTION.begin(None, "resume")
    frames = frames_of(b"".join([EXECUTION.step(state, event) for event in log[1:]]))
    assert names(frames) == [("task_complete", "b"), ("execution_complete", "")]
    assert (frames[-1].data["totalTasks"], frames[-1].data["successCount"]) == (2, 2)


# --- what ends a stream without an execution ----------------------------------------------------------------------


def test_a_cancelled_run_ends_with_an_error() -> None:
    """After the task_complete of each task."""
    frames = told(EXECUTION, read("cancelled_with_an_abandoned_thread_2")[0])
    assert [frame.event for frame in frames[-4:]] == ["task_complete", "task_complete", "task_complete", "error"]
    assert frames[-1] == ("8", "error", {"error": "cancelled: asked", "timestamp": "2026-11-29T20:43:54.331462Z"})


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("not_found", "there is no run 'run-1'"),
        ("shutdown", "the server is shutting down before the end of the run"),
        ("log", "the log of the server has failed; the run goes on when it can be written again"),
        ("not_recovered", "the server cannot go on with the run: its workflow is unknown or has changed"),
        ("lifetime", "the stream closes before the end of the run: lifetime"),
    ],
)
def test_a_stream_that_closes_before_the_end_says_so_in_an_error(reason: str, sentence: str) -> None:
    """These clients know no other word for it. It has no id: the client can come back to where it was."""
    ((id, event, data),) = told_when_closing(EXECUTION, reason)
    assert (id, event, data["error"]) == ("", "error", sentence)
    assert data["timestamp"] == "2026-11-30T12:00:00.000000Z"
    assert EXECUTION.end(None, _closing(reason)).count(b"\n\n") == 1


def _closing(reason: str) -> End:
    return End(Notice("stream.closing", "run-1", "2026-11-30T12:00:00.000000Z", {"reason": reason, "retry_ms": 1}))


def test_a_refused_plan_is_an_error_event() -> None:
    """An EventSource sees no status, so the sentence comes in the stream."""
    assert frames_of(EXECUTION.refused("tasks[0].tool is missing", "2026-11-30T12:00:00Z")) == [
        ("", "error", {"error": "tasks[0].tool is missing", "timestamp": "2026-11-30T12:00:00Z"})
    ]


def test_what_no_client_listens_to_has_a_name_of_its_own() -> None:
    """A gap, and heartbeats that are comments."""
    gap = Notice("stream.gap", "run-1", "t", {"from": 1, "to": 5, "reason": "trimmed"})
    assert [frame.event for frame in frames_of(EXECUTION.notice(None, gap))] == ["stream.gap"]
    assert EXECUTION.heartbeat(None, 1, "t") == b":\n"


# --- what applications emit -------------------------------------------------------------------------------------


def test_in_a_session_the_application_says_all_of_it() -> None:
    """What it leaves out is filled in. Its own end is the end: that of the run has no frame, only its id is sent."""
    log = log_of(
        session(),
        ("task_start", {"taskId": "a", "tool": "t"}),
        ("thought", {"text": "no word of these clients"}),
        ("task_start", {}, "b"),
        ("task_complete", {"taskId": "a", "tool": "t", "status": "success", "output": 1, "executionTimeMs": 9}),
        ("task_complete", {"error": "bad", "timestamp": "2026-01-01T00:00:00Z"}, "b"),
        ("execution_complete", {"totalTasks": 2}),
        ended(),
    )
    frames = told(EXECUTION, log)
    assert names(frames) == [
        ("task_start", "a"), ("task_start", "b"), ("task_complete", "a"), ("task_complete", "b"),
        ("execution_complete", ""),
    ]  # fmt: skip
    assert frames[1].data == {"taskId": "b", "tool": "b", "timestamp": log[3].time}
    assert frames[2].data["executionTimeMs"] == 9
    assert frames[3].data == {
        "taskId": "b", "tool": "b", "status": "error", "executionTimeMs": 2.0, "error": "bad",
        "timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert frames[4].data == {"totalTasks": 2, "timestamp": log[6].time}
    assert [(frame.id, frame.event) for frame in told_at_end(EXECUTION, log)] == [("8", "stream.end")]


@pytest.mark.parametrize(
    ("end", "event", "data"),
    [
        (ended(), "execution_complete", {"totalTasks": 2, "successCount": 1, "errorCount": 1}),
        (ended("failed", error={"type": "E", "message": "out of paper"}), "error", {"error": "out of paper"}),
        (ended("cancelled", reason="asked", abandoned=0), "error", {"error": "cancelled: asked"}),
    ],
)
def test_a_session_whose_application_said_no_end_has_the_end_of_the_run(
    end: tuple[str, dict[str, Any]], event: str, data: dict[str, Any]
) -> None:
    """It counts the tasks that the application told of."""
    log = log_of(
        session(), ("task_complete", {"taskId": "a", "status": "success"}), ("task_start", {"taskId": "b"}), end
    )
    last = told(EXECUTION, log)[-1]
    assert (last.id, last.event) == ("4", event)
    assert data.items() <= last.data.items()


def test_in_any_other_run_an_application_cannot_end_the_stream() -> None:
    """Clients leave at an end, and the run goes on. Tasks it tells of are shown, but no tasks of the run."""
    log = log_of(
        started("a"),
        ("task.started", {}, "a"),
        ("task_start", {"taskId": "part"}, "a"),
        ("task_complete", {"taskId": "a", "status": "success"}, "a"),
        ("execution_complete", {"totalTasks": 9}, "a"),
        ("error", {"error": "not the end"}, "a"),
        ("task.completed", {"output": 1, "duration_ms": 1.0}, "a"),
        ended(total_tasks=1, completed=1),
    )
    frames = told(EXECUTION, log)
    assert names(frames) == [
        ("task_start", "a"), ("task_start", "part"), ("task_complete", "a"), ("task_complete", "a"),
        ("execution_complete", ""),
    ]  # fmt: skip
    assert (frames[-1].data["totalTasks"], frames[-1].data["successCount"]) == (1, 1)


# --- the batch --------------------------------------------------------------------------------------------------


def test_the_batch_has_the_results_of_all_tasks_also_when_some_failed() -> None:
    """In the order of the graph; errors are those of them that failed; layers are counted from the dependencies."""
    log = read("failed_with_skips_2")[0]
    status, body = EXECUTION.batch(log, {})
    assert status == 200
    assert body["results"] == [
        {"taskId": "numbers", "status": "success", "output": [1, 0, 2], "executionTimeMs": 0.399},
        {"taskId": "other", "status": "error", "error": "no such thing", "executionTimeMs": 0.59},
        {"taskId": "divide[0]", "status": "success", "output": 1.0, "executionTimeMs": 0.386},
        {"taskId": "divide[1]", "status": "error", "error": "division by zero", "executionTimeMs": 0.393},
        {"taskId": "divide[2]", "status": "success", "output": 0.5, "executionTimeMs": 0.396},
        {"taskId": "clean_up", "status": "success", "output": "failed", "executionTimeMs": 0.4},
        {
            "taskId": "total", "status": "error", "error": "skipped: upstream_failed (divide[1])",
            "executionTimeMs": 0.0,
        },
        {
            "taskId": "report", "status": "error", "error": "skipped: upstream_failed (divide[1])",
            "executionTimeMs": 0.0,
        },
    ]  # fmt: skip
    assert (body["executionTimeMs"], body["parallelizationLayers"]) == (1.429, 4)
    assert [error["taskId"] for error in body["errors"]] == ["other", "divide[1]", "total", "report"]
    assert body["errors"][0] == {"taskId": "other", "error": "no such thing", "status": "error"}


def test_a_cancelled_run_has_its_results_and_one_without_any_is_a_problem() -> None:
    """Somebody who waits for results must not take none for all."""
    assert EXECUTION.batch(read("cancelled_with_an_abandoned_thread_2")[0], {}).status == 200
    log = log_of(session(), ended("failed", error={"type": "E", "message": "out of paper"}))
    assert EXECUTION.batch(log, {}) == (500, {"detail": "the execution has ended without results: out of paper"})


def check_batch(log: Sequence[Event]) -> None:
    """The batch says of each task what the stream said last, and counts what the stream counted."""
    frames, (status, body) = told(EXECUTION, log), EXECUTION.batch(log, {})
    ends = results(frames)
    if status != 200:
        assert (frames[-1].event, ends) == ("error", {})
        assert body["detail"].endswith(frames[-1].data["error"])
        return
    assert {row["taskId"]: row["status"] for row in body["results"]} == {id: end["status"] for id, end in ends.items()}
    assert [row for row in body["results"] if "error" in row] == [
        {**error, "executionTimeMs": ends[error["taskId"]]["executionTimeMs"]} for error in body["errors"]
    ]
    if frames[-1].event == "execution_complete":
        counted = frames[-1].data
        assert counted["totalTasks"] == counted["successCount"] + counted["errorCount"] == len(body["results"])
        assert counted["errorCount"] == len(body["errors"])


@pytest.mark.parametrize("name", GOLDEN)
def test_the_batch_says_what_the_stream_said(name: str) -> None:
    """Over each recorded run."""
    check_batch(read(name)[0])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GRAPHS, CANCELS)
def test_any_run_is_told_by_the_laws(spec: Spec, cancel_after: int | None) -> None:
    """Random graphs with failures, retries, conditions and maps, some cancelled: the laws hold, each end is told."""
    log = asyncio.run(recorded(build(spec), cancel_after))
    for law in DIALECT_LAWS:
        law(EXECUTION, log)
    check_batch(log)
    frames = told(EXECUTION, log)
    completes = [frame.data["taskId"] for frame in frames if frame.event == "task_complete"]
    starts = [frame.data["taskId"] for frame in frames if frame.event == "task_start"]
    assert len(completes) == len(set(completes))
    assert len(starts) == len(set(starts))
    assert set(starts) <= set(completes)
    assert [frame.event for frame in frames if frame.event in ("execution_complete", "error")] == [frames[-1].event]
    if log[-1].type != "run.cancelled":
        went = {id: end for id, end in expected(spec).outcomes.items() if not end.children}
        assert {id: end["status"] == "success" for id, end in results(frames).items()} == {
            id: end.status == "completed" for id, end in went.items()
        }
        assert frames[-1].data["totalTasks"] == len(went)

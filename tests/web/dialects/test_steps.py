"""``steps``: unnamed updates of one shape, a progress that never falls, and an end that no update looks like."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from reactor import Context, Event, Retry, Workflow
from reactor.events.event import Notice
from reactor_web import dialects
from reactor_web.dialects import Dialect, End
from reactor_web.dialects.steps import STEPS
from reactor_web.testing import DIALECT_LAWS
from tests.events.golden.record import FOLDER, read
from tests.helpers.dags import Spec, build, expected
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

GOLDEN = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
SHAPE = [
    "workflow_id", "session_id", "step_name", "step_index", "step_type", "status", "progress", "message", "timestamp",
]  # fmt: skip
WITH_LOGS = dialects.find("steps", (("logs", True),))
ONLY_ENDS = dialects.find("steps", (("started", False),))


def done(output: Any = 1, **more: Any) -> dict[str, Any]:
    return {"output": output, "duration_ms": 1.0, **more}


def bad(message: str = "bad") -> dict[str, Any]:
    return {"error": {"type": "E", "message": message}, "duration_ms": 1.0}


def of(frames: Sequence[Told], *names: str) -> list[tuple[Any, ...]]:
    """These fields of each update."""
    return [tuple(frame.data.get(name) for name in names) for frame in frames]


# --- the updates ------------------------------------------------------------------------------------------------


def test_each_step_is_told_when_it_starts_and_when_it_completes() -> None:
    """Every field, in the one shape, without an event name; the times are those of the events."""
    flow = Workflow("two")

    @flow.task
    async def analyzer() -> str:
        return "Analysis complete"

    @flow.task
    async def writer(analyzer: str) -> dict[str, Any]:
        return {"success": False, "output": None, "score": 3}

    log = asyncio.run(recorded(flow))
    run = log[0].run_id
    assert told(STEPS, log) == [
        (str(event.seq), "message", {
            "workflow_id": run, "session_id": run, "step_name": name, "step_index": index, "step_type": "agent",
            "status": status, "progress": progress, "message": message, "timestamp": event.time, **result,
        })
        for event, name, index, status, progress, message, result in (
            (log[1], "analyzer", 0, "started", 0.0, "Started step 1 of 2", {}),
            (log[2], "analyzer", 0, "completed", 0.5, "Completed step 1 of 2", {
                "result": {"success": True, "output": "Analysis complete"},
            }),
            (log[3], "writer", 1, "started", 0.5, "Started step 2 of 2", {}),
            (log[4], "writer", 1, "completed", 1.0, "Completed step 2 of 2", {
                "result": {"success": False, "output": None, "score": 3},
            }),
        )
    ]  # fmt: skip


def test_the_session_is_that_of_the_meta() -> None:
    """A session_id that is no text is none."""
    for meta, session_id in (({"session_id": "s-1"}, "s-1"), ({"session_id": 1}, "run-1"), ({}, "run-1")):
        log = log_of(started("a", meta=meta), ("task.started", {}, "a"))
        assert of(told(STEPS, log), "workflow_id", "session_id") == [("run-1", session_id)]


def test_the_kind_of_a_step_is_the_first_that_fits() -> None:
    """Parallel, conditional, retry, sequential, agent, in this order."""
    parallel, sequence = {"kind": "parallel", "index": 1, "total": 3}, {"kind": "sequence", "index": 0, "total": 2}
    log = log_of(
        started(
            "agent", {"id": "member", "group": parallel, "when": True}, {"id": "next", "group": sequence},
            {"id": "if", "group": sequence, "when": True}, {"id": "each", "kind": "map", "group": sequence},
        ),
        ("task.started", {}, "agent"),
        ("task.started", {"attempt": 2}, "agent"),
        ("task.started", {"attempt": 2}, "member"),
        ("task.started", {}, "next"),
        ("task.started", {"attempt": 2}, "next"),
        ("task.started", {"attempt": 2}, "if"),
        ("task.mapped", {"count": 2}, "each"),
        ("task.started", {"attempt": 2}, "each[1]"),
        ("task.completed", done(progress=0.5), "each[1]"),
    )  # fmt: skip
    frames = told(STEPS, log)
    assert of(frames, "step_type", "step_name", "message", "parallel_index", "parallel_total") == [
        ("agent", "agent", "Started step 1 of 5", None, None),
        ("retry", "agent", "Started step 1 of 5 (attempt 2)", None, None),
        ("parallel", "member", "Started step 2 of 5 (attempt 2)", 1, 3),
        ("sequential", "next", "Started step 3 of 5", None, None),
        ("retry", "next", "Started step 3 of 5 (attempt 2)", None, None),
        ("conditional", "if", "Started step 4 of 5 (attempt 2)", None, None),
        ("parallel", "each[1]", "Started step 5 of 5 (2 of 2) (attempt 2)", 1, 2),
        ("parallel", "each[1]", "Completed step 5 of 5 (2 of 2)", 1, 2),
    ]
    assert [*frames[-1].data] == [*SHAPE, "result", "parallel_index", "parallel_total"]


def test_parallel_results_are_told_as_each_completes() -> None:
    """In the order of their ends, each with its own index."""
    flow = Workflow("parallel")
    gates = [asyncio.Event() for _ in range(3)]

    def agent(index: int, then: int | None) -> None:
        async def body() -> int:
            await gates[index].wait()
            if then is not None:
                gates[then].set()
            return index

        flow.task(body, name=f"agent-{index}")

    for index, then in ((0, None), (1, 2), (2, 0)):
        agent(index, then)
    flow.parallel("agent-0", "agent-1", "agent-2")
    gates[1].set()
    frames = told(ONLY_ENDS, asyncio.run(recorded(flow)))
    assert of(frames, "step_type", "step_name", "parallel_index", "parallel_total") == [
        ("parallel", f"agent-{index}", index, 3) for index in (1, 2, 0)
    ]


def test_steps_that_do_not_complete_say_why() -> None:
    """A failed one its error; a skipped or cancelled one is cancelled. None of them has a result."""
    log = log_of(
        started("a", "b", "c"),
        ("task.failed", {**bad("no such thing"), "progress": 0.333333}, "a"),
        ("task.skipped", {"reason": "upstream_failed", "because": "a", "progress": 0.666666}, "b"),
        ("task.cancelled", {"reason": "asked", "stop_ms": 0.0, "stopped": True, "progress": 1.0}, "c"),
        ended("failed", failed=1),
    )
    frames = told(STEPS, log)
    assert of(frames, "status", "message", "progress") == [
        ("failed", "no such thing", 0.333333),
        ("cancelled", "skipped: upstream_failed (a)", 0.666666),
        ("cancelled", "cancelled: asked", 1.0),
    ]
    assert all([*frame.data] == SHAPE for frame in frames)


def test_each_attempt_has_its_own_start_and_the_step_one_end() -> None:
    """What failed and is tried again is no failed step."""
    flow = Workflow("flaky")

    @flow.task(retry=Retry(attempts=3, delay=0.0, jitter=0.0))
    async def shaky(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise ConnectionError
        return ctx.attempt

    assert of(told(STEPS, asyncio.run(recorded(flow))), "status", "step_type") == [
        ("started", "agent"), ("started", "retry"), ("started", "retry"), ("completed", "retry"),
    ]  # fmt: skip


def test_a_mapped_task_is_a_step_only_without_children() -> None:
    """Of an empty list it completes at once; skipped it is cancelled."""
    log = log_of(
        started({"id": "none", "kind": "map"}, {"id": "never", "kind": "map"}),
        ("task.mapped", {"count": 0, "progress": 0.5}, "none"),
        ("task.skipped", {"reason": "condition", "because": "never", "mapped": True, "progress": 1.0}, "never"),
        ended(),
    )
    frames = told(STEPS, log)
    assert of(frames, "step_name", "step_type", "status", "progress", "result") == [
        ("none", "parallel", "completed", 0.5, {"success": True, "output": []}),
        ("never", "parallel", "cancelled", 1.0, None),
    ]


def test_a_large_output_is_a_result_with_a_preview_and_a_reference() -> None:
    """A frame of more than 64 KiB breaks clients."""
    flow = Workflow("large")

    @flow.task
    async def large() -> str:
        return "x" * 40_000

    (frame,) = told(ONLY_ENDS, asyncio.run(recorded(flow)))
    result = frame.data["result"]
    assert (result["success"], result["size"], result["preview"][:4]) == (True, 40_002, '"xxx')
    assert result["output_ref"].endswith("/tasks/large/output")


def test_the_progress_never_falls_also_in_logs_of_0_1() -> None:
    """Their events do not have the progress; what ends twice after a restart counts once."""
    log = log_of(
        started("a", {"id": "m", "kind": "map"}),
        ("task.completed", done(), "a"),
        ("task.mapped", {"count": 2}, "m"),
        ("task.completed", done(), "m[1]"),
        ("task.completed", {**done(), "attempt": 2}, "m[1]"),
        ("task.failed", bad(), "m[0]"),
        ended("failed"),
    )
    assert of(told(STEPS, log), "progress") == [(0.5,), (0.75,), (0.75,), (1.0,)]
    later = log_of(("run.resumed", {"reason": "recovered"}), ("task.failed", {**bad(), "progress": 0.7}, "m[0]"))
    assert of(told(STEPS, [*log[:5], later[1]]), "progress")[-1] == (0.75,)  # a newer version has gone on with the run


# --- options ----------------------------------------------------------------------------------------------------


def test_log_lines_are_updates_only_if_asked_for() -> None:
    """Of a task or of the run, with the status log, which changes nothing else."""
    log = log_of(
        started("a", "b"),
        ("task.started", {}, "b"),
        ("log.created", {"level": "info", "message": "found", "fields": {}}, "b"),
        ("log.created", {"level": "info", "message": "hello", "fields": {}}),
    )
    frames = told(WITH_LOGS, log)
    assert of(frames, "step_name", "step_index", "status", "message") == [
        ("b", 1, "started", "Started step 2 of 2"), ("b", 1, "log", "found"), ("flow", 0, "log", "hello"),
    ]  # fmt: skip
    assert [*frames[1].data] == SHAPE
    assert told(STEPS, log) == frames[:1]


def test_without_starts_only_ends_are_told() -> None:
    """The same ends, with the same ids."""
    for name in GOLDEN:
        log = read(name)[0]
        assert told(ONLY_ENDS, log) == [one for one in told(STEPS, log) if one.data["status"] != "started"]


@pytest.mark.parametrize("name", ["logs", "started"])
def test_an_option_is_0_or_1(name: str) -> None:
    """Anything else is told what it must be."""
    option = STEPS.info.options[name]
    assert (option.read("0"), option.read("1")) == (False, True)
    for text in ("", "true", "2", "01"):
        with pytest.raises(ValueError, match="must be 0 or 1"):
            option.read(text)


# --- the end ----------------------------------------------------------------------------------------------------


def test_the_end_is_a_named_frame_and_closing_is_another() -> None:
    """An onmessage that shows updates gets neither, and who listens can tell them apart. Only the end has an id."""
    log = read("failed_with_skips_2")[0]
    assert [(one.id, one.event, one.data["data"]) for one in told_at_end(STEPS, log)] == [
        ("17", "stream.end", {"status": "failed"})
    ]
    assert [(one.id, one.event) for one in told_when_closing(STEPS, "shutdown", log[:5])] == [("", "stream.closing")]
    closing = Notice("stream.closing", "run-1", "t", {"reason": "not_found", "retry_ms": 1})
    assert [one.event for one in frames_of(STEPS.end(None, End(closing)))] == ["stream.closing"]
    gap = Notice("stream.gap", "run-1", "t", {"from": 1, "to": 5, "reason": "trimmed"})
    assert [one.event for one in frames_of(STEPS.notice(None, gap))] == ["stream.gap"]
    assert STEPS.heartbeat(None, 1, "t") == b":\n"


# --- what applications emit -------------------------------------------------------------------------------------


def test_in_a_session_updates_of_the_application_pass_as_they_are() -> None:
    """Whatever has a step_name and a status is one; what it leaves out is filled in."""
    whole = {name: f"its {name}" for name in SHAPE} | {"result": {"success": True}, "more": 1}
    log = log_of(
        session(),
        ("step", {"step_name": "analyzer", "status": "started"}),
        ("step", {"step_name": "analyzer", "status": "completed", "progress": 0.5, "result": {"success": True}}),
        ("thought", {"text": "no update"}),
        ("step", {"step_name": "writer", "status": "failed", "message": "no ink", "step_type": "retry"}),
        ("step", {"step_name": "", "status": 1}),
        ("anything", whole),
        ended(),
    )
    frames = told(STEPS, log)
    assert [*frames[0].data] == SHAPE
    assert of(frames[:3], "workflow_id", "step_name", "step_index", "step_type", "status", "progress", "message") == [
        ("run-1", "analyzer", 0, "agent", "started", 0.0, ""),
        ("run-1", "analyzer", 0, "agent", "completed", 0.5, ""),
        ("run-1", "writer", 1, "retry", "failed", 0.5, "no ink"),
    ]
    assert frames[1].data["result"] == {"success": True}
    assert frames[1].data["timestamp"] == log[2].time
    assert frames[3:] == [("7", "message", whole)]


def test_a_body_may_write_updates_too() -> None:
    """They stand between those of its step, and change nothing of the progress of the run."""
    log = log_of(
        started("a"),
        ("task.started", {}, "a"),
        ("part", {"step_name": "part", "status": "completed", "progress": 1.0}, "a"),
        ("part.done", {"name": "part"}, "a"),
        ("task.failed", {**bad(), "progress": 0.5}, "a"),
    )
    assert of(told(STEPS, log), "step_name", "step_index", "progress") == [
        ("a", 0, 0.0),
        ("part", 1, 1.0),
        ("a", 0, 0.5),
    ]


# --- laws -------------------------------------------------------------------------------------------------------


def check_updates(log: Sequence[Event]) -> None:
    """One shape, ids of events, and a progress that never falls and is whole in the end."""
    frames = told(STEPS, log)
    assert all(frame.event == "message" and [*frame.data][: len(SHAPE)] == SHAPE for frame in frames)
    progress = [frame.data["progress"] for frame in frames]
    assert progress == sorted(progress)
    assert progress[-1:] == ([1.0] if log[0].data["tasks"] else [])


@pytest.mark.parametrize("name", GOLDEN)
def test_the_updates_of_a_recorded_run(name: str) -> None:
    """Over each recorded run, also those of 0.1."""
    check_updates(read(name)[0])


@pytest.mark.parametrize("dialect", [WITH_LOGS, ONLY_ENDS], ids=["logs", "ends"])
@pytest.mark.parametrize("law", DIALECT_LAWS, ids=lambda law: law.__name__)
def test_with_options_the_laws_hold_too(law: Any, dialect: Dialect) -> None:
    """Over each recorded run."""
    for name in GOLDEN:
        law(dialect, read(name)[0])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GRAPHS, CANCELS)
def test_any_run_is_told_by_the_laws(spec: Spec, cancel_after: int | None) -> None:
    """Random graphs with failures, retries, conditions and maps, some cancelled: the laws hold, each end is told."""
    log = asyncio.run(recorded(build(spec), cancel_after))
    for law in DIALECT_LAWS:
        law(WITH_LOGS, log)
    check_updates(log)
    ends = {frame.data["step_name"]: frame.data for frame in told(ONLY_ENDS, log)}
    if log[-1].type != "run.cancelled":
        words = {"completed": "completed", "failed": "failed", "skipped": "cancelled"}
        went = {id: end for id, end in expected(spec).outcomes.items() if not end.children}
        assert {id: end["status"] for id, end in ends.items()} == {id: words[end.status] for id, end in went.items()}
        assert {id: end["result"]["output"] for id, end in ends.items() if "result" in end} == {
            id: end.output for id, end in went.items() if end.status == "completed"
        }

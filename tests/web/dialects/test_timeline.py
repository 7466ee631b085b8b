"""The dialect ``timeline``: entries for a person, without event names."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from reactor import Context, Engine, Event, Workflow
from reactor.events.event import Notice
from reactor_web import dialects
from reactor_web.dialects import Answers, End
from reactor_web.dialects.timeline import TIMELINE
from reactor_web.sse.parser import Frame, Parser
from reactor_web.testing import DIALECT_LAWS
from tests.events.golden.record import FOLDER, read
from tests.helpers.dags import Spec, build, dags
from tests.helpers.runs import full_log, run_to_end
from tests.helpers.written_log import END, RUN, Said, bytes_of, frames_of, log_of, session, started

FIELDS = ["event_id", "type", "message", "status", "agent_name", "details", "timestamp"]
STATUS = {
    "WORKFLOW_START": "IN_PROGRESS", "AGENT_START": "IN_PROGRESS", "AGENT_PROGRESS": "IN_PROGRESS",
    "AGENT_COMPLETE": "SUCCESS", "AGENT_ERROR": "ERROR", "WORKFLOW_COMPLETE": "SUCCESS", "WORKFLOW_ERROR": "ERROR",
}  # fmt: skip
ERROR = {"type": "ValueError", "message": "no such thing"}
ENTRIES: list[tuple[str, str, Said]] = [
    ("WORKFLOW_START", "letters started", started()),
    ("AGENT_START", "draft started", ("task.started", {"executor": "loop", "index": 0, "total": 1}, "draft")),
    ("AGENT_PROGRESS", "half", ("task.progress", {"fraction": 0.5, "message": "half", "level": "info"}, "draft")),
    ("AGENT_PROGRESS", "25%", ("task.progress", {"fraction": 0.25, "message": None, "level": "info"}, "draft")),
    ("AGENT_PROGRESS", "attempt 1 failed: no such thing",
     ("task.retrying", {"next_attempt": 2, "delay_ms": 1.0, "error": ERROR, "duration_ms": 1.0}, "draft")),
    ("AGENT_PROGRESS", "name?", ("task.waiting", {"prompt": "name?", "schema": None, "key": "1"}, "draft")),
    ("AGENT_PROGRESS", "draft waits for an answer",
     ("task.waiting", {"prompt": None, "schema": None, "key": "1"}, "draft")),
    ("AGENT_COMPLETE", "draft completed",
     ("task.completed", {"output": 7, "duration_ms": 1.0, "cached": False}, "draft")),
    ("AGENT_ERROR", "no such thing", ("task.failed", {"error": ERROR, "duration_ms": 1.0}, "draft")),
    ("AGENT_ERROR", "skipped: upstream_failed (first)",
     ("task.skipped", {"reason": "upstream_failed", "because": "first"}, "draft")),
    ("AGENT_ERROR", "cancelled: asked",
     ("task.cancelled", {"reason": "asked", "stop_ms": 0.0, "stopped": True}, "draft")),
    ("WORKFLOW_COMPLETE", "run-1 completed", ("run.completed", {"outputs": {"draft": 7}, **END})),
    ("WORKFLOW_ERROR", "no such thing", ("run.failed", {"error": ERROR, **END})),
    ("WORKFLOW_ERROR", "cancelled: asked", ("run.cancelled", {"reason": "asked", "abandoned": 0, **END})),
]  # fmt: skip
SILENT = ["log.created", "task.chunk", "task.spent", "task.mapped", "llm.call.started", "tool.call.completed",
          "budget.warning", "run.paused", "run.cancelling", "task.received"]  # fmt: skip


def body(frame: Frame) -> dict[str, Any]:
    return orjson.loads(frame.data)


def test_a_frame_is_these_bytes() -> None:
    """No event name; the id is the seq."""
    assert bytes_of(
        TIMELINE, ("task.started", {"executor": "loop", "index": 0, "total": 1, "input": {"n": 1}}, "a")
    ) == (
        b"id: 1\n"
        b'data: {"event_id":"run-1/1","type":"AGENT_START","message":"a started","status":"IN_PROGRESS",'
        b'"agent_name":"a","details":{"task_id":"a","attempt":1,"input":{"n":1}},"timestamp":"2026-11-21T12:00:00.000001Z"}\n\n'
    )


@pytest.mark.parametrize(("type", "message", "said"), ENTRIES, ids=[f"{said[0]}" for _, _, said in ENTRIES])
def test_each_event_that_matters_is_an_entry(type: str, message: str, said: Said) -> None:
    """Of a type of the list, with its status, a sentence, and the name of the agent if it is of a task."""
    [frame] = frames_of(TIMELINE, said)
    assert frame.event == "message"
    assert list(body(frame)) == FIELDS
    assert [body(frame)[name] for name in ("type", "message", "status", "agent_name")] == [
        type, message, STATUS[type], said[2] if len(said) == 3 else None,
    ]  # fmt: skip


@pytest.mark.parametrize("type", SILENT)
def test_what_is_no_step_of_the_work_has_no_entry(type: str) -> None:
    """Calls, chunks, costs, log lines, pauses."""
    assert bytes_of(TIMELINE, (type, {"count": 1}, "draft")) == b""


@pytest.mark.parametrize("key", ["agent_name", "agentName"])
def test_an_agent_has_the_name_in_the_meta_of_its_task(key: str) -> None:
    """Also the children of a mapped task; ``details.task_id`` tells them apart."""
    tasks = [{"id": "draft", "kind": "map", "depends_on": [], "meta": {key: "Writer"}}]
    said: Said = ("task.started", {"executor": "loop", "index": 0, "total": 1}, "draft[2]")
    frame = frames_of(TIMELINE, started(tasks=tasks), said)[-1]
    assert (body(frame)["agent_name"], body(frame)["message"]) == ("Writer", "Writer started")
    assert body(frame)["details"]["task_id"] == "draft[2]"


def test_what_the_application_emits_is_shown_as_it_is() -> None:
    """Its type, message, status, agent and details; what it leaves out is filled in, what else it says are details."""
    frames = frames_of(
        TIMELINE,
        session(),
        ("ROUTER_THOUGHT", {"message": "asks the epic agent", "status": "SUCCESS", "agent_name": "router",
                            "details": {"confidence": 0.9}}),
        ("ROUTER_DECISION", {"intent": "write"}, "router"),
        ("AGENT_COMPLETE", {"message": "done"}),
        ("AGENT_ERROR", "no object"),
    )  # fmt: skip
    said = [[body(frame)[name] for name in FIELDS[1:6]] for frame in frames]
    assert said == [
        ["ROUTER_THOUGHT", "asks the epic agent", "SUCCESS", "router", {"confidence": 0.9}],
        ["ROUTER_DECISION", "", "IN_PROGRESS", "router", {"intent": "write"}],
        ["AGENT_COMPLETE", "done", "SUCCESS", None, None],
        ["AGENT_ERROR", "", "ERROR", None, "no object"],
    ]


@pytest.mark.parametrize("end", ["WORKFLOW_COMPLETE", "WORKFLOW_ERROR"])
def test_an_application_that_says_its_end_has_no_second_one(end: str) -> None:
    """In a session, which has no start but the application's either, and in a run of tasks that does end so."""
    last: Said = ("run.failed", {"error": ERROR, **END})
    frames = frames_of(TIMELINE, session(), ("WORKFLOW_START", {"message": "go"}), (end, {}), last)
    assert [body(frame)["type"] for frame in frames] == ["WORKFLOW_START", end]
    frames = frames_of(TIMELINE, started(), (end, {}, "draft"), last)
    wanted = ["WORKFLOW_START", end] if end == "WORKFLOW_ERROR" else ["WORKFLOW_START", end, "WORKFLOW_ERROR"]
    assert [body(frame)["type"] for frame in frames] == wanted


@pytest.mark.parametrize("own_end", ["WORKFLOW_COMPLETE", "ROUTER_THOUGHT"])
def test_the_laws_hold_for_sessions_with_an_end_of_their_own_and_without(own_end: str) -> None:
    """Whoever tells the end, a client can be cut anywhere."""
    last: Said = ("run.failed", {"error": ERROR, **END})
    log = log_of(session(), ("WORKFLOW_START", {}), (own_end, {"a": [1]}, "draft"), last)
    for law in DIALECT_LAWS:
        law(TIMELINE, log)


def test_a_session_without_an_end_of_its_own_gets_one() -> None:
    """And no start."""
    frames = frames_of(TIMELINE, session(), ("ROUTER_THOUGHT", {}), ("run.completed", {"outputs": {}, **END}))
    assert [body(frame)["type"] for frame in frames] == ["ROUTER_THOUGHT", "WORKFLOW_COMPLETE"]


def test_a_run_that_never_started_is_an_error_and_no_other_stop_of_a_stream_looks_like_an_end() -> None:
    """``await_run`` ran out: ``WORKFLOW_ERROR``. A shutdown, a gap and the end itself: nothing."""
    state, _ = TIMELINE.begin(None, "fresh")

    def end(type: str, **data: Any) -> bytes:
        return TIMELINE.end(state, End(Notice(type, RUN, "t", data)))

    [frame] = Parser().feed(end("stream.closing", reason="not_found", retry_ms=2000))
    assert (frame.event, list(body(frame))) == ("message", FIELDS)
    assert [body(frame)[name] for name in ("type", "status", "message")] == [
        "WORKFLOW_ERROR", "ERROR", "there is no run run-1",
    ]  # fmt: skip
    assert end("stream.closing", reason="shutdown", retry_ms=2000) == b""
    assert end("stream.end", status="completed") == b""
    assert TIMELINE.notice(state, Notice("stream.gap", RUN, "t", {"from": 1, "to": 2, "reason": "trimmed"})) == b""
    assert TIMELINE.info.fetch_client


def test_a_heartbeat_is_a_ping_with_a_blank_line_every_three_seconds() -> None:
    """As the clients of this dialect know it; no parser makes an event of it that has data."""
    assert TIMELINE.heartbeat(TIMELINE.begin(None, "fresh")[0], 1, "t") == b": ping\n\n"
    assert TIMELINE.info.heartbeat == 3.0
    assert Parser().feed(b": ping\n\n") == []


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.jsonl")))
def test_every_recorded_run_is_a_timeline(name: str) -> None:
    """Unique ids, one start first, one end last, and an agent that started has an end."""
    log = read(name)[0]
    state, _ = TIMELINE.begin(log[0], "resume")
    bodies = [body(frame) for event in log for frame in Parser().feed(TIMELINE.step(state, event))]
    assert len({one["event_id"] for one in bodies}) == len(bodies)
    assert all(list(one) == FIELDS for one in bodies)
    assert all(one["status"] == STATUS.get(one["type"], "IN_PROGRESS") for one in bodies)
    types = [one["type"] for one in bodies]
    is_session = log[0].data.get("session", False)
    assert (types[0] == "WORKFLOW_START") != is_session
    assert [type for type in types if type in ("WORKFLOW_COMPLETE", "WORKFLOW_ERROR")] == types[-1:]
    begun = {one["agent_name"] for one in bodies if one["type"] == "AGENT_START"}
    assert begun <= {one["agent_name"] for one in bodies if one["type"] in ("AGENT_COMPLETE", "AGENT_ERROR")}


# --- the batch answer -------------------------------------------------------------------------------------------


def test_the_answer_of_a_run_that_completed_has_its_outputs() -> None:
    """200 with the thread, the result and the time."""
    answer = TIMELINE.batch(
        log_of(started(), ("run.completed", {"outputs": {"draft": "Dear"}, **END, "cost": 0.5})), {}
    )
    assert answer == (200, {
        "thread_id": RUN, "status": "completed", "result": {"draft": "Dear"}, "duration_ms": 2.0, "cost": 0.5,
    })  # fmt: skip
    assert isinstance(dialects.find("timeline"), Answers)


@pytest.mark.parametrize(
    ("said", "detail", "error"),
    [
        (("run.failed", {"error": ERROR, **END}), "no such thing", ERROR),
        (("run.cancelled", {"reason": "asked", "abandoned": 0, **END}), "cancelled: asked", None),
    ],
)
def test_the_answer_of_a_failure_is_a_problem(said: Said, detail: str, error: Any) -> None:
    """500, with what went wrong as ``detail``."""
    status, problem = TIMELINE.batch(log_of(started(), said), {})
    assert (status, problem["detail"], problem["error"], problem["thread_id"]) == (500, detail, error, RUN)


@given(dags(8))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_laws_and_the_answer_hold_for_real_runs_of_any_graph(spec: Spec) -> None:
    """Prefix and the others; the answer's result is what ``await run`` gives, also where the outputs are references."""

    async def run() -> None:
        async with Engine() as engine:
            run = await engine.start(build(spec))
            log = await full_log(engine, run)
            for law in DIALECT_LAWS:
                law(TIMELINE, log)
            answer = TIMELINE.batch(log, {})
            if run.status == "completed":
                assert answer.body["result"] == TIMELINE.batch(*referred(log)).body["result"] == await run
            else:
                assert (answer.status, "result" in answer.body) == (500, False)

    asyncio.run(run())


def referred(log: list[Event]) -> tuple[list[Event], dict[str, Any]]:
    """A log as if all its outputs were large: the events only refer to them."""
    outputs: dict[str, Any] = {}
    events: list[Event] = []
    for event in log:
        raw = orjson.loads(event.json)
        if event.type == "task.completed":
            outputs[raw["task_id"]] = raw["data"].pop("output")
            raw["data"]["output_ref"] = "somewhere"
        elif event.type == "run.completed":
            raw["data"] |= {"outputs_ref": "somewhere"}
            del raw["data"]["outputs"]
        events.append(Event.from_json(orjson.dumps(raw)))
    return events, outputs


async def test_the_answer_has_outputs_that_no_event_has() -> None:
    """A mapped task's in order, a large one as given; of a graph that nobody can read, all outputs."""
    flow = Workflow("large")

    @flow.task
    async def items() -> list[int]:
        return [1, 2, 3]

    @flow.task(map={"n": "items"})
    async def text(n: int, ctx: Context) -> str:
        return str(n) * 20_000

    log = await run_to_end(flow)
    assert "outputs_ref" in log[-1].data
    assert TIMELINE.batch(log, {}).body["result"] == {"text": ["1" * 20_000, "2" * 20_000, "3" * 20_000]}
    unknown = [Event.from_json(log[0].json.replace(b'"tasks":', b'"tasks_were":')), *log[1:]]
    assert set(TIMELINE.batch(unknown, {}).body["result"]) == {"items", "text[0]", "text[1]", "text[2]"}

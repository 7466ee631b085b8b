"""The dialect ``domain``: each event as a flat message with a name in PascalCase."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from reactor import Engine
from reactor.events.event import Notice
from reactor_web import dialects
from reactor_web.dialects import End
from reactor_web.dialects.domain import DOMAIN, Domain
from reactor_web.sse.parser import Frame, Parser
from reactor_web.testing import DIALECT_LAWS
from tests.events.golden.record import FOLDER, read
from tests.helpers.dags import Spec, build, dags
from tests.helpers.runs import full_log
from tests.helpers.written_log import END, RUN, Said, bytes_of, frames_of, log_of, session, started

ENVELOPE = ["event_id", "event_type", "task_id", "agent_id", "step_id", "attempt", "timestamp"]
NAMED = {
    "WorkflowStarted", "WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled", "WorkflowPaused", "WorkflowResumed",
    "WorkflowStepStarted", "WorkflowStepCompleted", "WorkflowStepFailed", "WorkflowLLMCallStarted",
    "WorkflowLLMCallCompleted", "WorkflowToolCallStarted", "WorkflowToolCallCompleted", "WorkflowBudgetWarning",
    "WorkflowBudgetExceeded",
}  # fmt: skip
ERROR = {"type": "ValueError", "message": "no such thing"}
NAMES: list[tuple[str, Said]] = [
    ("WorkflowStarted", started()),
    ("WorkflowPaused", ("run.paused", {"reason": "lunch", "by": None})),
    ("WorkflowResumed", ("run.resumed", {"reason": "requested", "by": None})),
    ("WorkflowStepStarted", ("task.started", {"executor": "loop", "index": 0, "total": 1}, "draft")),
    ("WorkflowStepCompleted", ("task.completed", {"output": 1, "duration_ms": 1.0, "cached": False}, "draft")),
    ("WorkflowStepFailed", ("task.failed", {"error": ERROR, "duration_ms": 1.0}, "draft")),
    ("WorkflowLLMCallStarted", ("llm.call.started", {"call": 1, "model": "small"}, "draft")),
    ("WorkflowLLMCallCompleted", ("llm.call.completed", {"call": 1, "model": "small"}, "draft")),
    ("WorkflowToolCallStarted", ("tool.call.started", {"call": 1, "tool": "search", "arguments": {}}, "draft")),
    ("WorkflowToolCallCompleted", ("tool.call.completed", {"call": 1, "tool": "search"}, "draft")),
    ("WorkflowBudgetWarning", ("budget.warning", {"resource": "cost", "used": 8, "limit": 10, "percent": 80.0})),
    ("WorkflowBudgetExceeded", ("budget.exceeded", {"resource": "cost", "used": 11, "limit": 10, "percent": 110.0})),
    ("WorkflowCompleted", ("run.completed", {"outputs": {"draft": "Dear"}, **END})),
    ("WorkflowFailed", ("run.failed", {"error": ERROR, **END})),
    ("WorkflowCancelled", ("run.cancelled", {"reason": "asked", "abandoned": 0, **END})),
]


def body(frame: Frame) -> dict[str, Any]:
    return orjson.loads(frame.data)


def test_a_frame_is_these_bytes() -> None:
    """The id is the seq; the data is one line: the envelope first, then the event's data beside it."""
    assert bytes_of(
        DOMAIN, started(meta={"agent_id": "writer"}), ("llm.call.started", {"model": "m"}, "draft")
    ).endswith(
        b"\n\nid: 2\nevent: WorkflowLLMCallStarted\n"
        b'data: {"event_id":"run-1/2","event_type":"WorkflowLLMCallStarted","task_id":"run-1","agent_id":"writer",'
        b'"step_id":"draft","attempt":1,"timestamp":"2026-11-21T12:00:00.000002Z","estimated_cost":null,"model":"m"}\n\n'
    )


@pytest.mark.parametrize(("name", "said"), NAMES, ids=[name for name, _ in NAMES])
def test_each_listed_type_has_its_name_and_the_data_of_its_event(name: str, said: Said) -> None:
    """``event:`` and ``event_type`` are the name; all that the event says stands in the object itself."""
    [frame] = frames_of(DOMAIN, said)
    assert (frame.event, body(frame)["event_type"]) == (name, name)
    assert list(body(frame))[:7] == ENVELOPE
    assert said[1].items() <= body(frame).items()
    assert body(frame)["step_id"] == (said[2] if len(said) == 3 else None)


@pytest.mark.parametrize(
    ("type", "data", "message"),
    [
        ("task.skipped", {"reason": "condition", "because": "draft"}, "skipped: condition (draft)"),
        ("task.cancelled", {"reason": "asked", "stop_ms": 0.0, "stopped": True}, "cancelled: asked"),
    ],
)
def test_a_step_that_did_not_run_to_its_end_has_failed_and_says_how(
    type: str, data: dict[str, Any], message: str
) -> None:
    """A client that waits for the end of each step it was told of gets one, with an error as of any other failure."""
    [_, frame] = frames_of(DOMAIN, started(), (type, data, "draft"))
    assert frame.event == "WorkflowStepFailed"
    assert body(frame)["error"]["message"] == message
    assert body(frame)["status"] == type.removeprefix("task.")
    assert data.items() <= body(frame).items()


@pytest.mark.parametrize(
    "type",
    ["task.progress", "task.chunk", "log.created", "task.retrying", "task.waiting", "file.read", "child.started"],
)
def test_other_types_are_frames_of_the_same_shape_without_a_name(type: str) -> None:
    """A page gets them as ``message``; ``event_type`` is the event's own type."""
    [_, frame] = frames_of(DOMAIN, started(), (type, {"text": "x"}, "draft"))
    assert frame.event == "message"
    assert list(body(frame)) == [*ENVELOPE, "text"]
    assert body(frame)["event_type"] == type


def test_the_envelope_wins_over_the_data_where_it_says_something() -> None:
    """Data cannot change whose event it is, but may name a step where the event has no task."""
    data = {"event_id": "mine", "task_id": "other", "timestamp": "never", "step_id": "s", "agent_id": "a", "attempt": 7}
    [frame] = frames_of(DOMAIN, session(), ("WorkflowStepStarted", data))[-1:]
    assert [body(frame)[name] for name in ("event_id", "task_id", "timestamp")] == [
        "run-1/2", RUN, "2026-11-21T12:00:00.000002Z",
    ]  # fmt: skip
    assert [body(frame)[name] for name in ("step_id", "agent_id", "attempt")] == ["s", "a", 7]


@pytest.mark.parametrize("data", [None, 3, "text", [1, 2]])
def test_data_that_is_no_object_stands_under_data(data: Any) -> None:
    """So that the frame stays an object."""
    [frame] = frames_of(DOMAIN, session(), ("note.taken", data))
    assert body(frame)["data"] == data


def test_the_agent_is_of_the_meta_of_the_run_else_of_the_option() -> None:
    """``?agent_id=`` stands where the run names none."""
    configured = DOMAIN.configured({"agent_id": "path", "include_history": None})
    assert [body(frame)["agent_id"] for frame in frames_of(configured, started())] == ["path"]
    assert [body(frame)["agent_id"] for frame in frames_of(configured, started(meta={"agent_id": "m"}))] == ["m"]
    assert (
        body(Parser().feed(configured.heartbeat(configured.begin(None, "fresh")[0], 1, "t"))[0])["agent_id"] == "path"
    )


def test_include_history_is_another_name_of_tail() -> None:
    """``false``: nothing of what was; ``true``: all of it. Anything else is a mistake."""
    option = DOMAIN.info.options["include_history"]
    assert option.sets == "tail"
    assert [option.read(text) for text in ("false", "0", "true", "1")] == [0, 0, None, None]
    assert option.default is None
    with pytest.raises(ValueError, match="must be true or false"):
        option.read("no")


def test_a_heartbeat_is_an_event_without_an_id() -> None:
    """``Heartbeat`` with the time and the number of the beat, every 15 seconds."""
    state, _ = DOMAIN.begin(None, "fresh")
    [frame] = Parser(sticky_id=False).feed(DOMAIN.heartbeat(state, 2, "2026-11-21T12:00:15.000000Z"))
    assert (frame.id, frame.event, DOMAIN.info.heartbeat) == ("", "Heartbeat", 15.0)
    assert body(frame) == {
        "event_id": "/Heartbeat/2026-11-21T12:00:15.000000Z", "event_type": "Heartbeat", "task_id": None,
        "agent_id": None, "step_id": None, "attempt": None, "timestamp": "2026-11-21T12:00:15.000000Z", "count": 2,
    }  # fmt: skip


def test_a_stream_that_stops_before_the_end_says_so_and_one_after_it_says_no_more() -> None:
    """``stream.closing`` with its reason, as a gap is ``stream.gap``; the end was the frame of the last event."""
    state, _ = DOMAIN.begin(None, "resume")
    closing = Notice("stream.closing", RUN, "t", {"reason": "not_found", "retry_ms": 2000})
    [frame] = Parser().feed(DOMAIN.end(state, End(closing)))
    assert (frame.event, body(frame)["reason"], body(frame)["task_id"]) == ("stream.closing", "not_found", RUN)
    assert DOMAIN.end(state, End(Notice("stream.end", RUN, "t", {"status": "failed"}), 9)) == b""
    gap = Notice("stream.gap", RUN, "t", {"from": 1, "to": 4, "reason": "trimmed"})
    assert [frame.event for frame in Parser().feed(DOMAIN.notice(state, gap, 4))] == ["stream.gap"]


def test_what_an_application_writes_into_a_session_is_named_and_nothing_is_added() -> None:
    """Its own start, its own end: each once."""
    said: list[Said] = [("WorkflowStarted", {"a": 1}), ("WorkflowLLMCallStarted", {"model": "m"}), ("other", {}),
                        ("WorkflowCompleted", {"result": 1})]  # fmt: skip
    frames = frames_of(DOMAIN, session(), *said, ("run.completed", {"outputs": {}, **END}))
    assert [frame.event for frame in frames] == [
        "WorkflowStarted", "WorkflowLLMCallStarted", "message", "WorkflowCompleted",
    ]  # fmt: skip
    assert [frame.id for frame in frames] == ["2", "3", "4", "5"]


@pytest.mark.parametrize("own_end", ["WorkflowCompleted", "WorkflowFailed", "note.taken"])
def test_the_laws_hold_for_sessions_with_an_end_of_their_own_and_without(own_end: str) -> None:
    """Whoever tells the end, a client can be cut anywhere."""
    said: list[Said] = [session(), ("WorkflowStarted", {}), (own_end, {"a": [1]}, "draft")]
    for law in DIALECT_LAWS:
        law(DOMAIN, log_of(*said, ("run.completed", {"outputs": {}, **END})))


@pytest.mark.parametrize(
    ("type", "data", "name"),
    [
        ("run.completed", {"outputs": {"letter": "Dear"}}, "WorkflowCompleted"),
        ("run.failed", {"error": ERROR}, "WorkflowFailed"),
        ("run.cancelled", {"reason": None, "abandoned": 0}, "WorkflowCancelled"),
    ],
)
def test_a_session_without_an_end_of_its_own_gets_one(type: str, data: dict[str, Any], name: str) -> None:
    """And no start."""
    frames = frames_of(DOMAIN, session(), ("WorkflowStepStarted", {}), (type, {**END, **data}))
    assert [frame.event for frame in frames] == ["WorkflowStepStarted", name]
    assert data.items() <= body(frames[-1]).items()


@pytest.mark.parametrize("type", ["WorkflowStarted", "WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled"])
def test_a_task_cannot_end_its_run_for_the_clients(type: str) -> None:
    """In a run of tasks the start and the end are the engine's to tell: a page would leave at the first end it sees."""
    frames = frames_of(DOMAIN, started(), (type, {}, "draft"), ("run.failed", {"error": ERROR, **END}))
    assert [frame.event for frame in frames] == ["WorkflowStarted", "message", "WorkflowFailed"]
    assert body(frames[1])["event_type"] == type


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.jsonl")))
def test_every_frame_of_every_recorded_run_has_the_shape(name: str) -> None:
    """One frame an event; unique ids; a name of the list or none; each step that began ends once an attempt at most."""
    log = read(name)[0]
    state, _ = DOMAIN.begin(log[0], "resume")
    frames = Parser(sticky_id=False).feed(b"".join([DOMAIN.step(state, event) for event in log]))
    shown = log[1:] if log[0].data.get("session") else log  # it has no start of its own
    assert [frame.id for frame in frames] == [str(event.seq) for event in shown]
    bodies = [body(frame) for frame in frames]
    assert len({one["event_id"] for one in bodies}) == len(shown)
    for event, frame, one in zip(shown, frames, bodies, strict=True):
        assert frame.event in NAMED | {"message"}
        assert list(one)[:7] == ENVELOPE
        assert (one["task_id"], one["step_id"], one["timestamp"]) == (log[0].run_id, event.task_id, event.time)
    assert (frames[0].event == "WorkflowStarted") == (shown is log)
    assert frames[-1].event in ("WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled")
    begun = {one["step_id"] for one in bodies if one["event_type"] == "WorkflowStepStarted"}
    ended = [one["step_id"] for one in bodies if one["event_type"] in ("WorkflowStepCompleted", "WorkflowStepFailed")]
    assert begun <= set(ended)
    assert len(ended) == len(set(ended))


@given(dags(8))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_laws_hold_for_real_runs_of_any_graph(spec: Spec) -> None:
    """Prefix, addresses, one end and the others, over the log of a run of a random graph."""

    async def run() -> None:
        async with Engine() as engine:
            log = await full_log(engine, await engine.start(build(spec)))
        for law in DIALECT_LAWS:
            law(DOMAIN, log)

    asyncio.run(run())


def test_the_table_knows_it_with_its_options() -> None:
    """``find`` gives the dialect for an agent."""
    assert dialects.find("domain") is DOMAIN
    assert isinstance(dialects.find("domain", [("agent_id", "x")]), Domain)

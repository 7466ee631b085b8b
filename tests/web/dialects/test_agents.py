"""The dialect ``agents``: what each event of a run becomes, and what a client is shown that comes late."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reactor import Budget, Context, Engine, Workflow
from reactor.events.event import Draft, Event, Notice, task_head
from reactor_web import dialects
from reactor_web.dialects import Dialect, End
from reactor_web.dialects.agents import AGENTS
from reactor_web.dialects.agents.state import AgentsState
from reactor_web.sse.parser import Frame
from tests.events.golden.record import FOLDER, read
from tests.helpers.dags import Spec
from tests.helpers.dashboard import Dashboard, parsed, shown
from tests.helpers.recorded_runs import STOPS, record, small_dags
from tests.helpers.runs import full_log, run_to_end

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def fold(log: list[Event], dialect: Dialect = AGENTS) -> tuple[AgentsState, list[Frame]]:
    """The state after a log, and all its frames."""
    state, _ = dialect.begin(log[0] if log else None, "resume")
    return state, parsed(b"".join([dialect.step(state, event) for event in log]))


def sent(log: list[Event], dialect: Dialect = AGENTS) -> list[tuple[str, dict[str, Any]]]:
    return [(frame.event, json.loads(frame.data)) for frame in fold(log, dialect)[1]]


def data_of(log: list[Event], event: str) -> list[dict[str, Any]]:
    return [data for name, data in sent(log) if name == event]


def an_event(seq: int, type: str, data: dict[str, Any], task: str | None = None, *, at: float = 0.0) -> Event:
    """An event of one run, ``at`` seconds after its start."""
    head = b"" if task is None else task_head(task, task, None, 1)
    time = f"2026-11-21T12:00:{at:09.6f}Z"
    return Event.from_draft(seq, "run-1", time.encode(), Draft(type, orjson.dumps(data), task, head))


STARTED = an_event(1, "run.started", {
    "workflow": "news", "version": "1", "fingerprint": "0", "total_tasks": 1, "input": {},
    "tasks": [{"id": "write", "kind": "task", "depends_on": []}],
})  # fmt: skip


# --- events -------------------------------------------------------------------------------------------------------


def test_the_frames_of_a_recorded_run() -> None:
    """Each event has the frames of the document, in order: here a run with everything but a map."""
    frames = fold(read("every_type_2")[0])[1]
    assert [(frame.id, frame.event) for frame in frames] == [
        ("1", "workflow:started"),
        ("2.1", "workflow:running"), ("2", "agent:started"),
        ("3.1", "workflow:running"), ("3", "agent:started"),
        ("4.1", "workflow:running"), ("4", "agent:started"),
        ("9", "workflow:running"),
        ("12", "log:created"),
        ("13", "agent:completed"),
        ("14", "agent:progress"),
        ("16.1", "workflow:running"), ("16", "agent:started"),
        ("17", "agent:failed"),
        ("18", "agent:completed"),
        ("19.1", "workflow:running"), ("19", "agent:started"),
        ("20", "agent:progress"),
        ("22", "agent:completed"),
        ("23.1", "workflow:running"), ("23", "agent:started"),
        ("24", "workflow:running"), ("25", "workflow:running"), ("26", "workflow:running"),
        ("27", "budget:warning"), ("28", "budget:exceeded"),
        ("29", "workflow:running"),
        ("30", "agent:failed"), ("31", "agent:failed"),
        ("32", "workflow:failed"),
    ]  # fmt: skip
    by_id = {frame.id: json.loads(frame.data) for frame in frames}
    assert by_id["1"] == {"name": "agent", "totalSteps": 6, "budgetLimit": 1.0}
    assert by_id["2.1"] == {"currentAgent": "research", "currentStep": 1, "iterations": 1}
    assert by_id["2"] == {"agentName": "research", "agentRole": "agent", "stepNumber": 1, "prompt": "{}"}
    assert by_id["9"] == {"totalCost": 0.25}
    assert by_id["12"] == {
        "level": "info", "message": "found", "timestamp": "2026-11-29T20:44:32.676172Z", "metadata": {"count": 2},
    }  # fmt: skip
    assert by_id["13"] == {
        "agentName": "research", "stepNumber": 1, "duration": 1.007, "cost": 0.25, "output": "two findings",
    }  # fmt: skip
    assert by_id["14"]["level"] == "warn"
    assert by_id["14"]["message"] == "attempt 1 failed, attempt 2 follows: try again"
    assert by_id["17"]["error"] == "cancelled: not needed"
    assert by_id["20"] == {"agentName": "ask", "message": "waits for an answer: publish?", "level": "info"}
    assert [by_id[id] for id in ("24", "25", "29")] == [{"status": s} for s in ("paused", "running", "cancelling")]
    assert by_id["27"] == {"currentCost": 1.15, "budgetLimit": 1, "percentageUsed": 115.0}
    assert by_id["30"]["error"] == "skipped: budget (publish)"
    assert by_id["31"] | {"duration": 0} == {
        "agentName": "publish", "stepNumber": 5, "error": "cancelled: budget", "duration": 0, "cost": 0.9,
    }  # fmt: skip
    assert by_id["31"]["duration"] == pytest.approx(0.718), "from its start to its end"
    assert by_id["32"] == {
        "error": "the budget is exceeded: 1.15 of 1 cost",
        "duration": 13.592, "totalCost": 1.15, "iterations": 6, "currentStep": 5,
    }  # fmt: skip


async def test_names_come_from_the_meta_of_a_task() -> None:
    """agentName, agentRole, stepNumber and prompt of its meta; children of a map have the name and their index."""
    flow = Workflow("news")

    @flow.task(meta={"agentName": "agent-1", "agentRole": "editor", "stepNumber": 7, "prompt": "Find topics"})
    async def topics() -> list[str]:
        return ["sea", "sky"]

    @flow.task(map={"topic": "topics"}, meta={"agentName": "writer"})
    async def write(topic: str) -> str:
        return topic.upper()

    @flow.task
    async def review(write: list[str], style: str) -> dict[str, Any]:
        return {"text": " ".join(write), "style": style}

    log = await run_to_end(flow, {"style": "dry"})
    assert data_of(log, "agent:started") == [
        {"agentName": "agent-1", "agentRole": "editor", "stepNumber": 7, "prompt": "Find topics"},
        {"agentName": "writer[0]", "agentRole": "agent", "stepNumber": 2, "prompt": '{"topic":"sea"}'},
        {"agentName": "writer[1]", "agentRole": "agent", "stepNumber": 2, "prompt": '{"topic":"sky"}'},
        {"agentName": "review", "agentRole": "agent", "stepNumber": 3, "prompt": '{"style":"dry"}'},
    ]
    assert [data["output"] for data in data_of(log, "agent:completed")] == [
        '["sea","sky"]', "SEA", "SKY", '{"text":"SEA SKY","style":"dry"}',
    ]  # fmt: skip
    assert data_of(log, "workflow:completed")[0].keys() == {"duration", "totalCost", "iterations", "currentStep"}
    assert data_of(log, "workflow:completed")[0]["iterations"] == 4


async def test_the_limits_of_a_run_are_in_its_start() -> None:
    """budgetLimit is the cost, maxIterations the number of bodies. A warning names what is no cost."""
    flow = Workflow("news")

    @flow.task
    async def write(ctx: Context) -> None:
        await ctx.spend(cost=0.75)
        await ctx.spend(cost=0.1, tokens=90)

    budget = Budget(cost=1, tokens=100, tasks=5, on_exceeded="tell")
    async with Engine() as engine:
        log = await full_log(engine, await engine.start(flow, budget=budget))
    assert data_of(log, "workflow:started") == [
        {"name": "news", "totalSteps": 1, "maxIterations": 5, "budgetLimit": 1.0},
    ]  # fmt: skip
    assert {"totalCost": 0.75} in data_of(log, "workflow:running")
    assert data_of(log, "budget:warning") == [
        {"currentCost": 0.85, "budgetLimit": 1, "percentageUsed": 85.0},
        {"currentCost": 90, "budgetLimit": 100, "percentageUsed": 90.0, "resource": "tokens"},
    ]
    assert data_of(log, "agent:completed")[0]["cost"] == 0.85


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        ({"output": None}, {}),
        ({"output": "plain\ntext"}, {"output": "plain\ntext"}),
        ({"output": {"a": [1]}}, {"output": '{"a":[1]}'}),
        ({"output": 0}, {"output": "0"}),
        (
            {"output_ref": "/api/v1/runs/run-1/tasks/write/output", "size": 99_999, "preview": "once"},
            {"output": "once", "outputRef": "/api/v1/runs/run-1/tasks/write/output"},
        ),
    ],
)
def test_an_output_is_a_text(end: dict[str, Any], shown: dict[str, Any]) -> None:
    """A text as it is, anything else as JSON, nothing for None; of a large one the beginning and where it is."""
    ended = an_event(2, "task.completed", {**end, "duration_ms": 1.5, "cached": False}, "write")
    (data,) = data_of([STARTED, ended], "agent:completed")
    assert data == {"agentName": "write", "stepNumber": 1, "duration": 1.5, "cost": 0.0, **shown}


@pytest.mark.parametrize("output", [["\\" * 16_000], ['"'] * 8_000, "\0" * 5_000, ["é\u2028"] * 4_000])
def test_no_line_reaches_64_kib(output: Any) -> None:
    """An output whose text grows when it is escaped a second time is shown by its beginning."""
    ended = an_event(2, "task.completed", {"output": output, "duration_ms": 1.5, "cached": False}, "write")
    state, _ = AGENTS.begin(STARTED, "resume")
    frames = AGENTS.step(state, STARTED) + AGENTS.step(state, ended)
    assert max(map(len, frames.split(b"\n"))) < 48 * 1024
    assert b"\xe2\x80\xa8" not in frames, "a line end to clients that split as str.splitlines does"


def test_progress_without_a_message_says_how_far_it_is() -> None:
    """``message`` is a text also where the body gave a number only."""
    progress = [
        an_event(2, "task.progress", {"fraction": 0.5, "message": None, "level": "info"}, "write"),
        an_event(3, "task.progress", {"fraction": 0.75, "message": "", "level": "info"}, "write"),
    ]
    assert [data["message"] for data in data_of([STARTED, *progress], "agent:progress")] == ["50%", ""]


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "info"), ("info", "info"), ("warning", "warn"), ("error", "error")]
)
def test_levels_are_those_of_the_document(level: str, shown: str) -> None:
    """``info``, ``warn`` or ``error``; there is no metadata where a line has no fields."""
    (data,) = data_of([STARTED, a_line(2, 0.0, level=level)], "log:created")
    assert data == {"level": shown, "message": "line 2", "timestamp": "2026-11-21T12:00:00.000000Z"}


def test_a_recovered_run_has_the_status_that_it_had() -> None:
    """The restart of a process is no change of the workflow; its bodies begin again."""
    log = read("recovered_2")[0]
    assert [data for data in data_of(log, "workflow:running") if "status" in data] == []
    assert [data["agentName"] for data in data_of(log, "agent:started")].count("slow") == 3


@pytest.mark.parametrize(
    ("name", "error"),
    [("cancelled_with_an_abandoned_thread_2", "cancelled: asked"), ("failed_with_skips_2", "division by zero")],
)
def test_a_run_that_does_not_complete_fails(name: str, error: str) -> None:
    """Also a cancelled one, whose error says so. It is the one end."""
    log = read(name)[0]
    ends = [
        (event, data["error"]) for event, data in sent(log) if event.startswith(("workflow:completed", "workflow:f"))
    ]
    assert ends == [("workflow:failed", error)]


# --- log lines ----------------------------------------------------------------------------------------------------


def a_line(seq: int, at: float, *, level: str = "info", **fields: Any) -> Event:
    return an_event(seq, "log.created", {"level": level, "message": f"line {seq}", "fields": fields}, at=at)


def test_log_lines_are_throttled_by_their_own_times() -> None:
    """With ``log_throttle`` one line a period; the next one says how many were left out. The default is all."""
    lines = [a_line(seq, at) for seq, at in enumerate([0.0, 0.2, 0.999, 1.0, 1.5, 3.0, 4.0], 2)]
    lines.append(a_line(9, 5.0, of="nine"))
    assert [data["message"] for data in data_of([STARTED, *lines], "log:created")] == [
        f"line {seq}" for seq in range(2, 10)
    ]
    throttled = dialects.find("agents", [("log_throttle", 1_000.0)])
    shown = [data for event, data in sent([STARTED, *lines], throttled) if event == "log:created"]
    assert [(data["message"], data.get("metadata")) for data in shown] == [
        ("line 2", None), ("line 5", {"omitted": 2}), ("line 7", {"omitted": 1}), ("line 8", None),
        ("line 9", {"of": "nine"}),
    ]  # fmt: skip


def test_a_clock_that_goes_back_silences_nobody() -> None:
    """A line that is older than the one before it is shown."""
    throttled = dialects.find("agents", [("log_throttle", 1_000.0)])
    log = [STARTED, a_line(2, 30.0), a_line(3, 10.0)]
    assert [event for event, _ in sent(log, throttled)][1:] == ["log:created"] * 2


@pytest.mark.parametrize("text", ["", "9", "60001", "1e3", "-1", "none", "nan"])
def test_a_bad_log_throttle_is_refused(text: str) -> None:
    """The error says what it must be."""
    with pytest.raises(ValueError, match="must be 10 to 60000 milliseconds, or 0 for all lines"):
        AGENTS.info.options["log_throttle"].read(text)
    assert [AGENTS.info.options["log_throttle"].read(good) for good in ("0", "10", "250.5")] == [0.0, 10.0, 250.5]


# --- the opening --------------------------------------------------------------------------------------------------


def test_the_opening_of_a_run_that_has_not_begun() -> None:
    """Its state, all keys there, with the id 0."""
    state, before = AGENTS.begin(None, "fresh")
    assert before == b""
    (frame,) = parsed(AGENTS.opening(state, "wf-1", 0))
    assert (frame.event, frame.id) == ("workflow:state", "0")
    assert json.loads(frame.data) == {
        "workflowId": "wf-1", "name": None, "status": "pending", "currentAgent": None, "currentStep": None,
        "totalSteps": 0, "iterations": 0, "totalCost": 0.0, "budgetLimit": None, "startedAt": None,
    }  # fmt: skip


def test_the_opening_of_a_run_at_work() -> None:
    """State, log lines, agents, also those that have not begun; only the last frame has an id."""
    log = read("every_type_2")[0][:17]
    frames = parsed(AGENTS.opening(fold(log)[0], "wf-1", 17))
    assert [frame.event for frame in frames] == ["workflow:state", "log:created", *["agent:state"] * 6]
    assert [frame.id for frame in frames] == [""] * 7 + ["17"]
    assert json.loads(frames[0].data) == {
        "workflowId": "wf-1", "name": "agent", "status": "running", "currentAgent": "shaky", "currentStep": 2,
        "totalSteps": 6, "iterations": 4, "totalCost": 0.25, "budgetLimit": 1.0,
        "startedAt": "2026-11-29T20:44:32.675252Z",
    }  # fmt: skip
    agents = [json.loads(frame.data) for frame in frames[2:]]
    assert [(agent["agentName"], agent["status"]) for agent in agents] == [
        ("research", "completed"), ("shaky", "running"), ("stubborn", "failed"),
        ("ask", "pending"), ("publish", "pending"), ("never", "pending"),
    ]  # fmt: skip
    assert agents[0] == {
        "agentName": "research", "agentRole": "agent", "stepNumber": 1, "status": "completed",
        "duration": 1.007, "cost": 0.25,
    }  # fmt: skip
    assert agents[1]["duration"] == pytest.approx(0.133), "from its start to the last event"
    assert agents[2]["error"] == "cancelled: not needed"


def test_the_opening_has_the_last_fifty_log_lines() -> None:
    """No more of them, in their order."""
    log = [STARTED, *[a_line(seq, 0.0) for seq in range(2, 80)]]
    frames = parsed(AGENTS.opening(fold(log)[0], "wf-1", 79))
    lines = [json.loads(frame.data)["message"] for frame in frames if frame.event == "log:created"]
    assert lines == [f"line {seq}" for seq in range(30, 80)]


@pytest.mark.parametrize("name", NAMES)
def test_whoever_comes_late_sees_what_the_others_see(name: str) -> None:
    """At each event: the opening and what comes then lead to what all frames from the first lead to."""
    check_latecomers(read(name)[0])


@pytest.mark.slow
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(small_dags(), STOPS)
def test_whoever_comes_late_to_any_run_sees_what_the_others_see(spec: Spec, stop: int | None) -> None:
    """The same of runs with maps, failures, retries, skips and a cancel."""
    check_latecomers(record(spec, stop))


def check_latecomers(log: list[Event]) -> None:
    run_id, last = log[0].run_id, log[-1]
    frames = fold(log)[1]
    state, _ = AGENTS.begin(log[0], "resume")
    before = parsed(AGENTS.opening(fold(log[:1])[0] if log[0].data.get("session") else state, run_id, 0))
    first = Dashboard().show([*before, *frames])  # of a session no frame tells what its start says, such as its budget
    assert first.ends == 1
    for event in log[:-1]:
        AGENTS.step(state, event)
        opened = parsed(AGENTS.opening(state, run_id, event.seq))
        later = [frame for frame in frames if int(frame.id.partition(".")[0]) > event.seq]
        assert Dashboard().show([*opened, *later]).seen == first.seen, f"who comes after {event}"
    closing = Notice("stream.end", run_id, last.time, {"status": "completed"})
    end = AGENTS.step(state, last) + AGENTS.end(state, End(closing, last.seq))
    after_the_end = parsed(AGENTS.opening(state, run_id, None) + end)
    assert Dashboard().show(after_the_end).seen == first.seen
    assert [frame.id for frame in after_the_end if frame.id] == [str(last.seq)]
    at_the_end = parsed(AGENTS.opening(state, run_id, last.seq))
    assert Dashboard().show(at_the_end).seen == first.seen, "who comes between the last event and the end"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ahead", [1, 7])
def test_an_opening_that_was_prepared_is_what_it_is_without(name: str, ahead: int) -> None:
    """Prepared in pieces while the state goes on by some events, it has what they have changed, too."""
    log = read(name)[0]
    state, _ = AGENTS.begin(log[0], "resume")
    for start in range(0, len(log), ahead):
        preparing = AGENTS.prepare(state)
        for event in log[start : start + ahead]:
            next(preparing, None)
            AGENTS.step(state, event)
        seq = log[min(start + ahead, len(log)) - 1].seq
        alone = fold(log[: start + ahead])[0]
        assert AGENTS.opening(state, "wf-1", seq) == AGENTS.opening(alone, "wf-1", seq)


def test_what_polling_clients_read() -> None:
    """The same as the opening, in one body: the workflow, a list of agents, the log lines."""
    log = read("every_type_2")[0]
    state = fold(log)[0]
    opened = parsed(AGENTS.opening(state, "wf-1", None))
    by_event: dict[str, list[Any]] = {}
    for frame in opened:
        by_event.setdefault(frame.event, []).append(json.loads(frame.data))
    body = shown(AGENTS, state, "wf-1")
    assert body == {
        "workflow": by_event["workflow:state"][0], "agents": by_event["agent:state"], "logs": by_event["log:created"],
    }  # fmt: skip
    assert body["workflow"]["status"] == "failed"
    assert body["workflow"]["error"] == "the budget is exceeded: 1.15 of 1 cost"
    assert body["workflow"]["duration"] == 13.592
    empty, _ = AGENTS.begin(None, "fresh")
    assert shown(AGENTS, empty, "wf-1")["agents"] == []


# --- comments, notices, the end -----------------------------------------------------------------------------------


def test_comments_are_those_of_the_document() -> None:
    """One line each, without a blank line: clients report nothing."""
    state, _ = AGENTS.begin(None, "fresh")
    assert AGENTS.connected("wf_abc123") == b": Connected to workflow wf_abc123\n"
    assert [AGENTS.heartbeat(state, n, "") for n in (1, 2)] == [b": heartbeat 1\n", b": heartbeat 2\n"]
    with pytest.raises(ValueError, match="must not hold CR, LF or NUL"):
        AGENTS.connected("wf\ndata: 1\n\n")


def test_a_stream_that_closes_for_another_reason_is_no_end() -> None:
    """``stream.closing`` has its own name. After the last event there is nothing more to say."""
    log = read("completed_with_map_2")[0]
    state = fold(log)[0]
    time = log[-1].time
    closing = Notice("stream.closing", "run-1", time, {"reason": "shutdown", "retry_ms": 2_000})
    (frame,) = parsed(AGENTS.end(state, End(closing)))
    assert (frame.event, frame.id) == ("stream.closing", "")
    assert AGENTS.end(state, End(Notice("stream.end", "run-1", time, {"status": "completed"}), 22)) == b""
    gap = Notice("stream.gap", "run-1", time, {"from": 1, "to": 3, "reason": "ahead"})
    assert parsed(AGENTS.notice(state, gap))[0].event == "stream.gap"

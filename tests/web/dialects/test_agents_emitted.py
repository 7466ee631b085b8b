"""The dialect ``agents``, written by the application: in a session, or in a run beside its tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.events.event import Event, Notice
from reactor_web import dialects
from reactor_web.dialects import End
from reactor_web.dialects.agents import AGENTS
from reactor_web.dialects.agents.emitted import ENDS, VOCABULARY
from reactor_web.testing import DIALECT_LAWS
from reactor_web.testing.dialect_laws import Law
from tests.helpers.dashboard import Dashboard, parsed, shown
from tests.helpers.odd_json import JSON_VALUES
from tests.web.dialects.test_agents import STARTED, an_event, check_latecomers, fold, sent

TOTALS = {
    "total_tasks": 0, "completed": 0, "failed": 0, "skipped": 0, "cancelled": 0, "duration_ms": 2_000.0,
    "task_time_ms": 0.0, "speedup": 0.0,
}  # fmt: skip
SESSION = an_event(1, "run.started", {
    "workflow": "session", "version": "1", "fingerprint": "0", "total_tasks": 0, "tasks": [], "session": True,
})  # fmt: skip
ENDED = an_event(20, "run.completed", {**TOTALS, "outputs": {}})

SAID: list[tuple[str, dict[str, Any]]] = [
    ("workflow:started", {"name": "fix", "totalSteps": 2, "maxIterations": 5, "budgetLimit": 200}),
    ("workflow:running", {"currentAgent": "agent-1", "currentStep": 1}),
    ("agent:started", {"agentName": "agent-1", "agentRole": "developer", "stepNumber": 1, "prompt": "Fix the bug"}),
    ("agent:progress", {"agentName": "agent-1", "message": "reading", "level": "info"}),
    ("log:created", {"level": "warn", "message": "slow", "timestamp": "2026-11-21T11:59:00Z", "metadata": {"a": 1}}),
    ("agent:completed", {"agentName": "agent-1", "stepNumber": 1, "duration": 900, "cost": 150, "output": "done"}),
    ("budget:warning", {"currentCost": 160, "budgetLimit": 200, "percentageUsed": 80}),
    ("agent:started", {"agentName": "agent-2", "agentRole": "tester", "stepNumber": 2, "prompt": "Test it"}),
    ("agent:failed", {"agentName": "agent-2", "stepNumber": 2, "error": "red"}),
    ("workflow:running", {"iterations": 2, "totalCost": 170}),
]
DONE = ("workflow:completed", {"duration": 45_000, "totalCost": 170, "iterations": 2, "currentStep": 2})


def session(*said: tuple[str, dict[str, Any]]) -> list[Event]:
    """The log of a session in which these were emitted, and which was closed as completed."""
    return [SESSION, *[an_event(seq, type, data) for seq, (type, data) in enumerate(said, 2)], ENDED]


def test_what_is_emitted_passes_as_it_is() -> None:
    """Type and data are the application's own; the session adds no start and no second end."""
    log = session(*SAID, DONE)
    assert sent(log) == [*SAID, DONE]
    assert [frame.id for frame in fold(log)[1]] == [str(seq) for seq in range(2, 13)]


def test_a_session_that_does_not_tell_its_end_has_one() -> None:
    """``workflow:completed`` or ``workflow:failed`` as it was closed, with what is known of it."""
    totals = {"duration": 2_000.0, "totalCost": 170, "iterations": 2, "currentStep": 1}
    assert sent(session(*SAID))[-1] == ("workflow:completed", totals)
    error = {"type": "Error", "message": "nobody is there"}
    failed = an_event(20, "run.failed", {**TOTALS, "error": error})
    assert sent([*session(*SAID)[:-1], failed])[-1] == ("workflow:failed", {"error": "nobody is there"} | totals)
    cancelled = an_event(20, "run.cancelled", {**TOTALS, "reason": "asked", "abandoned": 0})
    assert sent([*session(*SAID)[:-1], cancelled])[-1][1]["error"] == "cancelled: asked"


@pytest.mark.parametrize("said", [[*SAID, DONE], SAID, SAID[2:5], []])
def test_whoever_comes_late_to_a_session_sees_what_the_others_see(said: list[tuple[str, dict[str, Any]]]) -> None:
    """What the application has said is in the opening: agents, log lines, status, costs, also after the end."""
    log = session(*said)
    if said[:1] == SAID[:1]:
        check_latecomers(log)
    state = fold(log)[0]
    page = Dashboard().show(parsed(AGENTS.opening(state, "wf-1", None)))
    if said == SAID:
        assert page.agents["agent-1"] == {
            "agentName": "agent-1", "agentRole": "developer", "stepNumber": 1, "status": "completed",
            "duration": 900, "cost": 150.0,
        }  # fmt: skip
        assert page.agents["agent-2"]["error"] == "red"
        assert page.logs == [SAID[4][1]]
        assert page.workflow.items() >= {
            "name": "fix", "totalSteps": 2, "budgetLimit": 200, "totalCost": 170, "iterations": 2,
        }.items()  # fmt: skip
    assert page.ends == (DONE in said)


def test_the_end_that_was_told_is_told_once() -> None:
    """Live by its own event; to who comes later by the opening. ``stream.end`` has the id after which nothing comes."""
    state, frames = fold(session(*SAID, DONE))
    assert [frame.event for frame in frames].count("workflow:completed") == 1
    opened = parsed(AGENTS.opening(state, "wf-1", None))
    assert (opened[-1].event, json.loads(opened[-1].data)) == DONE
    assert not any(frame.id for frame in opened)
    end = Notice("stream.end", "run-1", ENDED.time, {"status": "completed"})
    (frame,) = parsed(AGENTS.end(state, End(end, 20)))
    assert (frame.event, frame.id) == ("stream.end", "20")


@pytest.mark.parametrize("law", DIALECT_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("said", [[*SAID, DONE], SAID])
def test_sessions_keep_the_laws(law: Law, said: list[tuple[str, dict[str, Any]]]) -> None:
    """Whether the application has told the end or not."""
    law(AGENTS, session(*said))


def test_what_is_missing_is_filled_in() -> None:
    """agentName is that of the task it was emitted in; a log line has a level and the event's time."""
    emitted = [
        an_event(2, "agent:progress", {"message": "reading"}, "write"),
        an_event(3, "log:created", {"message": "slow"}, at=1.0),
    ]
    assert sent([STARTED, *emitted])[1:] == [
        ("agent:progress", {"agentName": "write", "message": "reading"}),
        ("log:created", {"level": "info", "message": "slow", "timestamp": "2026-11-21T12:00:01.000000Z"}),
    ]


def test_other_types_have_their_own_names() -> None:
    """A client without a listener for them does not notice; what would look like a failed connection is left out."""
    emitted = [an_event(2, "file.read", {"path": "a"}), an_event(3, "error", {"message": "b"}), an_event(4, "open", {})]
    assert sent([STARTED, *emitted])[1:] == [("file.read", {"path": "a"})]
    assert next(fold([STARTED, *emitted])[0].shown_agents())["agentName"] == "write"


def test_a_run_with_tasks_ends_when_it_ends() -> None:
    """What a body says of the end of its workflow is not sent: clients would leave while the run goes on."""
    said = [an_event(2, "workflow:completed", {"duration": 1}), an_event(3, "workflow:failed", {"error": "no"})]
    state, frames = fold([STARTED, *said])
    assert [frame.event for frame in frames] == ["workflow:started"]
    assert state.status == "running"
    assert sent([STARTED, *said, ENDED])[-1][0] == "workflow:completed"


def test_log_lines_of_the_application_are_throttled_too() -> None:
    """``omitted`` stands beside its metadata, also beside what is no object."""
    throttled = dialects.find("agents", [("log_throttle", 1_000.0)])
    lines = [
        an_event(seq, "log:created", {"message": str(seq), "metadata": metadata}, at=at)
        for seq, at, metadata in [(2, 0.0, {}), (3, 0.5, {}), (4, 1.5, {"a": 1}), (5, 1.6, {}), (6, 3.0, "text")]
    ]
    shown = [data for event, data in sent([SESSION, *lines], throttled) if event == "log:created"]
    assert [(data["message"], data["metadata"]) for data in shown] == [
        ("2", {}), ("4", {"a": 1, "omitted": 1}), ("6", {"value": "text", "omitted": 1}),
    ]  # fmt: skip


KEYS = st.sampled_from([
    "agentName", "agentRole", "stepNumber", "status", "duration", "cost", "error", "level", "message", "metadata",
    "name", "totalSteps", "maxIterations", "budgetLimit", "currentAgent", "currentStep", "iterations", "totalCost",
    "currentCost", "startedAt", "timestamp", "workflowId",
])  # fmt: skip
ANY_EVENT = st.tuples(
    st.sampled_from(sorted(VOCABULARY)),
    st.dictionaries(KEYS, JSON_VALUES | st.sampled_from(["a", "b"]), max_size=6),
    st.sampled_from([None, "a", "write"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ANY_EVENT, max_size=8), st.booleans())
def test_whatever_is_emitted_keeps_the_laws(said: list[tuple[str, dict[str, Any], str | None]], in_run: bool) -> None:
    """Any JSON under any key of the vocabulary, with or without a task: no fold breaks off, no law is broken."""
    events = [an_event(seq, type, data, task) for seq, (type, data, task) in enumerate(said, 2)]
    log = [STARTED if in_run else SESSION, *events, ENDED]
    for law in DIALECT_LAWS:
        law(AGENTS, log)
    assert len(fold(log)[1]) >= len([type for type, _, _ in said if type not in ENDS])


@pytest.mark.parametrize(
    "data",
    [{}, {"agentName": None}, {"agentName": 5, "cost": "much", "duration": [], "stepNumber": {}}, {"totalCost": "x"}],
)
@pytest.mark.parametrize(
    "type",
    ["workflow:started", "workflow:running", "workflow:state", "workflow:failed", "agent:started", "agent:state",
     "agent:completed", "agent:failed", "agent:progress", "budget:exceeded", "log:created"],
)  # fmt: skip
def test_nonsense_breaks_no_stream(type: str, data: dict[str, Any]) -> None:
    """Whatever an application emits, it passes, the opening can be made, and its own numbers stay numbers."""
    state, frames = fold([SESSION, an_event(2, type, data)])
    assert len(frames) == 1
    opened = parsed(AGENTS.opening(state, "wf-1", 2))
    assert isinstance(json.loads(opened[0].data)["totalCost"], int | float)
    assert isinstance(shown(AGENTS, state, "wf-1")["agents"], list)

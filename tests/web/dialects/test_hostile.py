"""Events of an application that look like those of a dialect and have wrong members: no dialect breaks off at them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from reactor.events.event import Event, Notice
from reactor_web import dialects
from reactor_web.dialects import Answers, Dialect, End, Opens, Shows
from reactor_web.sse.parser import Parser
from tests.helpers.ag_ui_words import SAID, WRONG
from tests.helpers.ai_sdk import ended
from tests.helpers.dashboard import shown

MAX_LINE = 65_536
"""Of clients in use: a longer line ends their stream."""

LARGE = "x" * 46_000
ODD = (*WRONG, "\0\u2028\u2029\x85\r\ndata: x\n\n", "\ud7ff\U0010ffff", LARGE, {"__proto__": {"constructor": 1}, "": 1},
       2**63 - 1, 1.7e308, 5e-324)  # fmt: skip
MEMBERS: dict[str, tuple[str, ...]] = {
    **{type: tuple(data) for type, data in SAID.items()},
    **dict.fromkeys(("workflow:state", "workflow:started", "workflow:running", "workflow:completed", "workflow:failed"),
                    ("name", "status", "currentAgent", "currentStep", "totalSteps", "maxIterations", "budgetLimit",
                     "iterations", "totalCost", "startedAt", "duration", "error", "workflowId")),
    **dict.fromkeys(("agent:state", "agent:started", "agent:progress", "agent:completed", "agent:failed"),
                    ("agentName", "agentRole", "stepNumber", "status", "duration", "cost", "error", "output",
                     "message")),
    **dict.fromkeys(("budget:warning", "budget:exceeded"), ("currentCost", "budgetLimit", "percentageUsed")),
    "log:created": ("level", "message", "timestamp", "metadata"),
    **dict.fromkeys(("task_start", "task_complete", "execution_complete", "error"),
                    ("taskId", "tool", "status", "output", "error", "executionTimeMs", "timestamp", "totalTasks")),
    **dict.fromkeys(("WorkflowStarted", "WorkflowCompleted", "WorkflowStepFailed", "WorkflowPaused", "Heartbeat"),
                    ("event_id", "event_type", "task_id", "agent_id", "step_id", "attempt", "timestamp", "data")),
    **dict.fromkeys(("WORKFLOW_START", "WORKFLOW_COMPLETE", "WORKFLOW_ERROR", "AGENT_COMPLETE", "ROUTER_THOUGHT"),
                    ("event_id", "type", "message", "status", "agent_name", "details", "timestamp")),
    "step": ("step_name", "status", "progress", "step_index", "step_type", "parallel_index", "workflow_id"),
    **dict.fromkeys(("text-start", "text-delta", "text-end", "reasoning-delta"), ("id", "delta", "providerMetadata")),
    **dict.fromkeys(("tool-input-start", "tool-input-delta", "tool-input-available", "tool-output-available",
                     "tool-output-error", "tool-approval-request"),
                    ("toolCallId", "toolName", "input", "output", "errorText", "inputTextDelta", "inputEncoding",
                     "dynamic", "approvalId", "preliminary")),
    **dict.fromkeys(("start", "finish", "abort", "start-step", "finish-step", "data-x"),
                    ("messageId", "messageMetadata", "finishReason", "reason", "data", "id", "transient")),
}  # fmt: skip
RIGHT: dict[str, Any] = {"step_name": "a", "status": "completed", "taskId": "a", "toolCallId": "c", "toolName": "n",
                         "delta": "d", "input": {}, "output": 1, "errorText": "e"}  # fmt: skip


def all_dialects() -> list[Dialect]:
    """All of them, and those with options that show more."""
    more = [("steps", [("logs", True)]), ("agents", [("log_throttle", 1_000.0)]), ("domain", [("agent_id", "a")])]
    return [dialects.find(name) for name in dialects.known()] + [dialects.find(name, options) for name, options in more]


def logs_with(type: str) -> list[list[Event]]:
    """The logs of a session and of a run in which events of a type were emitted, each with one odd member."""
    right = {**{name: value for name, value in RIGHT.items() if name in MEMBERS[type]}, **SAID.get(type, {})}
    said: list[tuple[Any, ...]] = [(type, right)]
    for member in MEMBERS[type]:
        rest = {name: value for name, value in right.items() if name != member}
        said += [(type, rest if odd is ... else rest | {member: odd}, "b[2]" if odd == [] else None) for odd in ODD]
    return [ended(*said, (type, right, "a"), session=session) for session in (True, False)]


def check(dialect: Dialect, log: list[Event]) -> None:
    """Every part of a dialect takes the log; frames are whole, and no line is too long for clients."""
    state, opening = dialect.begin(log[0], "fresh")
    half, _ = dialect.begin(None, "resume")
    written = [opening]
    for event in log:
        written.append(dialect.step(state, event))
        if event.seq > 2:
            written.append(dialect.step(half, event))  # the beginning of the log was trimmed
    if isinstance(dialect, Opens):
        written.append(dialect.opening(state, log[0].run_id, log[-1].seq))
    if isinstance(dialect, Shows):
        shown(dialect, state, log[0].run_id)
    written.append(dialect.end(state, End(Notice("stream.closing", "run-1", log[-1].time, {"reason": "shutdown"}))))
    for frames in written:
        assert not frames or frames.endswith(b"\n\n")
        assert max(map(len, frames.split(b"\n"))) < MAX_LINE
        for frame in Parser(sticky_id=False).feed(frames):
            json.loads(frame.data)
    if isinstance(dialect, Answers):
        orjson.dumps(dialect.batch(log, {}).body)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.info.name)
@pytest.mark.parametrize("type", MEMBERS)
def test_no_member_of_any_vocabulary_breaks_a_dialect_off(type: str, dialect: Dialect) -> None:
    """Each member, missing or of any kind, in a session and in a run: no fold raises, no frame is malformed."""
    for log in logs_with(type):
        check(dialect, log)


def test_what_fills_an_event_does_not_stand_in_one_line_with_more() -> None:
    """Texts that several events bring, each nearly as large as an event may be: the opening shows their beginnings."""
    said = [
        (type, {name: LARGE}) for name in MEMBERS["workflow:state"] for type in ("workflow:state", "workflow:failed")
    ]
    said += [
        ("agent:state", {"agentName": "a", name: LARGE}) for name in ("agentRole", "stepNumber", "status", "error")
    ]
    said += [
        ("agent:state", {"agentName": "a", "stepNumber": {"a": LARGE}}),
        ("workflow:state", {"currentStep": [LARGE]}),
    ]
    check(dialects.find("agents"), ended(*said, session=True))

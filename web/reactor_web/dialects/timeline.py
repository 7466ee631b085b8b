"""``TIMELINE``: what is shown to a person beside a chat: who began what, how it went, what came of it. No event names.

    id: 5
    data: {"event_id":"run-1/5","type":"AGENT_START","message":"writer started","status":"IN_PROGRESS",
           "agent_name":"writer","details":{"task_id":"draft","attempt":1},"timestamp":"2026-11-21T12:00:00.000001Z"}

The clients (fetch-event-source) take the clean end of a response for the end of the run, and so the only thing that
tells any other end is a connection that breaks off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from reactor.events.event import Event, Notice
from reactor.events.one_line import one_line
from reactor.events.vocabulary import TERMINAL
from reactor_web.dialects.base import Batch, DialectInfo, End, Opening
from reactor_web.dialects.framing import encode
from reactor_web.dialects.outputs import final_outputs
from reactor_web.dialects.reading import RunFacts, error_text, facts_after, is_own, object_of, read_facts

STATUSES: Final[Mapping[str, str]] = {
    "WORKFLOW_START": "IN_PROGRESS",
    "AGENT_START": "IN_PROGRESS",
    "AGENT_PROGRESS": "IN_PROGRESS",
    "AGENT_COMPLETE": "SUCCESS",
    "AGENT_ERROR": "ERROR",
    "WORKFLOW_COMPLETE": "SUCCESS",
    "WORKFLOW_ERROR": "ERROR",
}
"""The types of the engine's entries, and the status of each. An application's own types are ``IN_PROGRESS`` where it
says no other."""
ENDS: Final = frozenset({"WORKFLOW_COMPLETE", "WORKFLOW_ERROR"})
PING: Final = b": ping\n\n"
_FIELDS: Final = ("message", "status", "agent_name", "details")


@dataclass(slots=True)
class Seen:
    """What the entries of a run need of earlier events."""

    workflow: str = ""
    is_session: bool = False
    agents: dict[str, str] = field(default_factory=dict[str, str])
    """The names of agents that stand in the meta of tasks, by task."""
    own_end: str | None = None
    """The type of the end that the application has sent."""


class Timeline:
    """Entries of events that matter to a person. The others, such as calls, chunks and log lines, have no frame."""

    __slots__ = ()

    info = DialectInfo("timeline", heartbeat=3.0, folds=True, refuses=frozenset({"snapshot"}), fetch_client=True)

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[Seen, bytes]:
        """Nothing is shown before the first event."""
        facts = read_facts(started)
        return Seen(facts.workflow, facts.is_session, _names(facts)), b""

    @staticmethod
    def step(state: Seen, event: Event) -> bytes:
        """The entry of an event; none where it has none, or the application writes its own start or end."""
        if is_own(event):
            if event.type in ENDS:
                state.own_end = event.type
            return _frame(event, _own_entry(event, state))
        if event.type == "run.upgraded":
            state.agents = state.agents | _names(facts_after(RunFacts(), event))
        entry = _entry(event, state)
        return b"" if entry is None or _is_said(event, entry, state) else _frame(event, entry)

    @staticmethod
    def notice(state: Seen, notice: Notice, id: int | None = None) -> bytes:
        """Nothing: a message without a name would be taken for an entry."""
        return b""

    @staticmethod
    def heartbeat(state: Seen, n: int, time: str) -> bytes:
        """A comment with a blank line after it, as these clients know it."""
        return PING

    @staticmethod
    def end(state: Seen, why: End) -> bytes:
        """Nothing after the last event, which was the end. ``WORKFLOW_ERROR`` for a run that never started, and
        nothing for what is no end of the run."""
        notice = why.notice
        if notice.type != "stream.closing" or notice.data.get("reason") != "not_found":
            return b""
        message = f"there is no run {notice.run_id}" if notice.run_id else "the run has not started"
        entry = _of_type("WORKFLOW_ERROR", message, None, {"reason": "not_found"})
        id = f"{notice.run_id}/{notice.type}/{notice.time}"
        return encode(_json({"event_id": id, **entry, "timestamp": notice.time}))

    @staticmethod
    def batch(events: Iterable[Event], outputs: Mapping[str, Any]) -> Batch:
        """``{thread_id, status, result, duration_ms}`` with 200; 500 for a run that has not completed."""
        log = list(events)
        end, thread = log[-1], {"thread_id": log[0].run_id, "status": log[-1].type.removeprefix("run.")}
        if end.type != "run.completed":
            return Batch(500, {**thread, "detail": error_text(end), "error": end.data.get("error")})
        spent = {name: end.data[name] for name in ("duration_ms", "cost", "tokens") if name in end.data}
        return Batch(200, {**thread, "result": final_outputs(log, outputs), **spent})


def _is_said(event: Event, entry: dict[str, Any], state: Seen) -> bool:
    """Whether the application says it. In a session that is so of the start and, if it has sent one, of the end."""
    if event.type == "run.started":
        return state.is_session
    # a run of tasks may end in another way than the application has said before
    return event.type in TERMINAL and state.own_end is not None and (state.is_session or state.own_end == entry["type"])


def _own_entry(event: Event, state: Seen) -> dict[str, Any]:
    """What the application has emitted, as it is; what it does not say is filled in."""
    said = object_of(event, "details")
    more = {name: value for name, value in said.items() if name not in _FIELDS}
    return {
        "type": event.type,
        "message": said.get("message", ""),
        "status": said.get("status", STATUSES.get(event.type, "IN_PROGRESS")),
        "agent_name": said.get("agent_name", _agent(event, state)),
        "details": said.get("details", more or None),
    }


def _entry(event: Event, state: Seen) -> dict[str, Any] | None:
    data, agent = event.data, _agent(event, state)
    match event.type:
        case "run.started":
            return _of_type("WORKFLOW_START", f"{data['workflow']} started", None, _some(
                data, "workflow", "input", "total_tasks"))  # fmt: skip
        case "task.started":
            again = f", attempt {event.attempt}" if (event.attempt or 1) > 1 else ""
            return _of_type("AGENT_START", f"{agent} started{again}", agent, _of_task(event, "input"))
        case "task.progress":
            message = data["message"] or f"{data['fraction']:.0%}"
            return _of_type("AGENT_PROGRESS", message, agent, _of_task(event, "fraction"))
        case "task.retrying":
            message = f"attempt {event.attempt} failed: {error_text(event)}"
            return _of_type("AGENT_PROGRESS", message, agent, _of_task(event, "next_attempt", "delay_ms", "error"))
        case "task.waiting":
            message = data["prompt"] or f"{agent} waits for an answer"
            return _of_type("AGENT_PROGRESS", message, agent, _of_task(event, "key", "schema", "expires"))
        case "task.completed":
            names = "output", "output_ref", "preview", "duration_ms", "cost", "tokens", "progress"
            return _of_type("AGENT_COMPLETE", f"{agent} completed", agent, _of_task(event, *names))
        case "task.failed" | "task.skipped" | "task.cancelled":
            names = "error", "reason", "because", "duration_ms", "cost", "tokens", "progress"
            return _of_type("AGENT_ERROR", error_text(event) or "", agent, _of_task(event, *names))
        case "run.completed":
            name = state.workflow or event.run_id
            return _of_type("WORKFLOW_COMPLETE", f"{name} completed", None, dict(data))
        case "run.failed" | "run.cancelled":
            return _of_type("WORKFLOW_ERROR", error_text(event) or "", None, dict(data))
        case _:
            return None


def _agent(event: Event, state: Seen) -> str | None:
    """The name in the task's meta, else the id of the task; None for an event of the run."""
    return state.agents.get(event.task, event.task_id) if event.task else event.task_id


def _names(facts: RunFacts) -> dict[str, str]:
    named = {task.id: _name(task.meta) for task in facts.tasks.values()}
    return {id: name for id, name in named.items() if name}


def _name(meta: Mapping[str, Any]) -> str | None:
    name = meta.get("agent_name", meta.get("agentName"))
    return name if isinstance(name, str) else None


def _of_type(type: str, message: str, agent: str | None, details: Any) -> dict[str, Any]:
    return {
        "type": type, "message": message, "status": STATUSES[type], "agent_name": agent, "details": details,
    }  # fmt: skip


def _of_task(event: Event, *names: str) -> dict[str, Any]:
    task = {"task_id": event.task_id, "attempt": event.attempt}
    return {name: value for name, value in task.items() if value is not None} | _some(event.data, *names)


def _some(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}


def _frame(event: Event, entry: dict[str, Any]) -> bytes:
    body = {"event_id": f"{event.run_id}/{event.seq}", **entry, "timestamp": event.time}
    return encode(_json(body), id=event.seq)


def _json(body: dict[str, Any]) -> bytes:
    return one_line(orjson.dumps(body))


TIMELINE: Final = Timeline()

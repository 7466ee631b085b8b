"""``execution``: for clients that send a plan and watch its tasks begin and end, or wait for all of their results.

    event: task_start           {taskId, tool, timestamp}
    event: task_complete        {taskId, tool, status: success | error, output | error, executionTimeMs, timestamp}
    event: execution_complete   {totalTasks, successCount, errorCount, totalExecutionTimeMs, speedup, timestamp}
    event: error                {error, timestamp}

A task that begins has one ``task_start``, however often it is tried; each task has one ``task_complete``, also one that
is skipped or cancelled. The children of a mapped task are tasks (``measure[0]``). The mapped task itself is one only
if it ends without children. ``execution_complete`` counts exactly these tasks, also when some failed.

``error`` ends a stream without an execution: the run was cancelled, the plan was refused, there is no such run, or the
stream closes for another reason. These clients know no other word for "nothing more comes here".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from reactor.events.event import Event, Notice
from reactor.events.one_line import one_line
from reactor_web.bounds import MAX_SAID
from reactor_web.dialects.base import Batch, DialectInfo, End, Opening
from reactor_web.dialects.reading import (
    RunFacts,
    error_text,
    facts_after,
    layers,
    milliseconds_between,
    object_of,
    read_facts,
)
from reactor_web.sse.frames import HEARTBEAT, encode

_CLOSING: Final = {
    "not_found": "there is no run {run!r}",
    "log": "the log of the server has failed; the run goes on when it can be written again",
    "not_recovered": "the server cannot go on with the run: its workflow is unknown or has changed",
    "shutdown": "the server is shutting down before the end of the run",
}
"""What a client is told for the reasons of ``stream.closing``."""


_TOOL_CHARS: Final = 256
"""Of the name of a tool that is made of what an application has said."""


@dataclass(slots=True)
class Watched:
    """What is known of an execution after some of its events."""

    facts: RunFacts
    tasks: dict[str, bool | None] = field(default_factory=dict[str, bool | None])
    """Whether a task went well, by task id; None: it has begun."""
    since: dict[str, str] = field(default_factory=dict[str, str])
    """When the attempt that runs began, by task id."""
    forgotten: int = 0
    """How many tasks of a session were counted, of which no more is known."""
    forgotten_success: int = 0
    has_own_end: bool = False
    """The application of a session has said how its execution ended."""


class Said(NamedTuple):
    """What an event says in the words of this dialect."""

    name: str
    data: dict[str, Any]
    is_repeated: bool = False
    """The task had ended like this already; after a restart it had to run again."""


class Execution:
    """The four events, and ``Answers``: all results at once."""

    __slots__ = ()

    info = DialectInfo("execution", folds=True)

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[Watched, bytes]:
        """Nothing stands before the first frame: a client that comes late is sent the history."""
        return Watched(read_facts(started)), b""

    @staticmethod
    def step(state: Watched, event: Event) -> bytes:
        """At most one frame."""
        said = _said(state, event)
        return b"" if said is None or said.is_repeated else _frame(said.name, said.data, event.seq)

    @staticmethod
    def notice(state: Watched | None, notice: Notice, id: int | None = None) -> bytes:
        """Under its own name, which these clients do not listen to."""
        return encode(notice.json, event=notice.type, id=id)

    @staticmethod
    def heartbeat(state: Watched | None, n: int, time: str) -> bytes:
        """A comment."""
        return HEARTBEAT

    @staticmethod
    def end(state: Watched | None, why: End) -> bytes:
        """Nothing after the frame of the last event; an ``error`` where the run has not ended."""
        if why.notice.type == "stream.closing":
            return _frame("error", _error(_why_closing(why.notice), why.notice.time), None)
        if state is not None and state.has_own_end:  # the last event has no frame, and a client needs its id
            return encode(why.notice.json, event=why.notice.type, id=why.id)
        return b""

    @staticmethod
    def refused(error: str, time: str) -> bytes:
        """The stream of an execution that did not start, for clients that cannot see a status. ``time``: ISO 8601."""
        return _frame("error", _error(error, time), None)

    @staticmethod
    def batch(events: Iterable[Event], outputs: Mapping[str, Any]) -> Batch:
        """``{results, executionTimeMs, parallelizationLayers, errors}`` of all tasks, also when some failed.

        Results stand in the order of the graph. 500 if the execution broke off and there is no result that tells it.
        """
        state = Watched(RunFacts())
        results: dict[str, dict[str, Any]] = {}
        duration, broke_off = 0.0, None
        for event in events:
            said = _said(state, event)
            duration = event.data.get("duration_ms", duration) if event.type.startswith("run.") else duration
            if said is not None and said.name == "task_complete":
                results[said.data["taskId"]] = _result(said.data, outputs)
            elif said is not None and said.name == "error":
                broke_off = str(said.data.get("error", "it has not said why"))
        rows = [results[id] for id in sorted(results, key=state.facts.order)]
        errors = [{name: row[name] for name in ("taskId", "error", "status")} for row in rows if "error" in row]
        if broke_off is not None and not rows:
            return Batch(500, {"detail": f"the execution has ended without results: {broke_off}"})
        return Batch(200, {
            "results": rows,
            "executionTimeMs": duration,
            "parallelizationLayers": layers(state.facts),
            "errors": errors,
        })  # fmt: skip


# --- from events to words ---------------------------------------------------------------------------------------


def _said(state: Watched, event: Event) -> Said | None:
    """What an event says; changes the state."""
    match event.type:
        case "run.started":
            if not state.facts.run_id:
                state.facts = read_facts(event)
            return None
        case "run.upgraded":
            state.facts = facts_after(state.facts, event)
            return None
        case "task.started":
            return _begun(state, event)
        case "task.completed" | "task.failed" | "task.skipped" | "task.cancelled":
            return _ended(state, event)
        case "task.mapped" if event.data["count"] == 0:
            return _ended(state, event)
        case "run.completed" | "run.failed" | "run.cancelled":
            return _over(state, event)
        case "task_start" | "task_complete":
            return _own_task(state, event)
        case "execution_complete" | "error":
            return _own_end(state, event)
        case _:
            return None


def _begun(state: Watched, event: Event) -> Said | None:
    id = event.task_id or ""
    state.since[id] = event.time
    if id in state.tasks:
        return None
    state.tasks[id] = None
    return Said("task_start", {"taskId": id, "tool": _tool(state, event), "timestamp": event.time})


def _ended(state: Watched, event: Event) -> Said:
    id, error = event.task_id or "", error_text(event)
    before, state.tasks[id] = state.tasks.get(id), error is None
    data = {
        "taskId": id,
        "tool": _tool(state, event),
        "status": "error" if error is not None else "success",
        **(_output(event) if error is None else {"error": error}),
        "executionTimeMs": _milliseconds(state, event, id),
        "timestamp": event.time,
    }
    return Said("task_complete", data, before is (error is None))


def _over(state: Watched, event: Event) -> Said | None:
    if state.has_own_end:
        return None
    if event.type == "run.cancelled" or (event.type == "run.failed" and state.facts.is_session):
        return Said("error", _error(error_text(event) or "", event.time))
    total = state.forgotten + len(state.tasks)
    success = state.forgotten_success + sum(ended is True for ended in state.tasks.values())
    if event.data["total_tasks"] > total:  # the beginning of the log was trimmed
        total, success = event.data["total_tasks"], event.data["completed"]
    return Said("execution_complete", {
        "totalTasks": total,
        "successCount": success,
        "errorCount": total - success,
        "totalExecutionTimeMs": event.data["duration_ms"],
        "speedup": event.data["speedup"],
        "timestamp": event.time,
    })  # fmt: skip


def _own_task(state: Watched, event: Event) -> Said:
    """What an application says of a task in these words. In a session such tasks are those that are counted."""
    given = object_of(event)
    id = str(given.get("taskId") or event.task_id or "")
    # an id that fills the event must not stand in its line twice
    data: dict[str, Any] = {"taskId": id, "tool": state.facts.named(id).tool or id[:_TOOL_CHARS]}
    if event.type == "task_start":
        if len(state.since) < len(state.facts.tasks) + MAX_SAID:
            state.since[id] = event.time
        went_well = None
    else:
        went_well = given.get("status", "error" if "error" in given else "success") == "success"
        data["status"] = "success" if went_well else "error"
        data["executionTimeMs"] = _milliseconds(state, event, id)
    if state.facts.is_session:
        _count(state, id, went_well)
    return Said(event.type, {**data, **given, "taskId": id, "timestamp": given.get("timestamp", event.time)})


def _count(state: Watched, id: str, went_well: bool | None) -> None:
    """Counts a task of a session. Where they are many, the oldest is only a number from then on."""
    if id not in state.tasks and len(state.tasks) >= MAX_SAID:
        oldest = next(iter(state.tasks))
        state.since.pop(oldest, None)
        state.forgotten += 1
        state.forgotten_success += state.tasks.pop(oldest) is True
    state.tasks[id] = went_well


def _own_end(state: Watched, event: Event) -> Said | None:
    """How a session ended, in its own words. In any other run the engine says it, and clients would leave too early."""
    if not state.facts.is_session:
        return None
    state.has_own_end = True
    given = object_of(event)
    return Said(event.type, {**given, "timestamp": given.get("timestamp", event.time)})


# --- parts of the data ------------------------------------------------------------------------------------------


def _tool(state: Watched, event: Event) -> str:
    """The tool of a plan's task; of any other task its name."""
    facts = state.facts.of(event)
    return facts.tool or facts.id


def _output(event: Event) -> dict[str, Any]:
    data = event.data
    if "output_ref" in data:
        return {"preview": data["preview"], "outputRef": data["output_ref"], "size": data["size"]}
    return {"output": data.get("output", [])}  # ``task.mapped`` with no children has none


def _milliseconds(state: Watched, event: Event, id: str) -> float:
    """How long the last attempt ran; 0 if no body did."""
    since = state.since.pop(id, "")
    duration = event.data.get("duration_ms") if event.type in ("task.completed", "task.failed") else None
    return duration if duration is not None else round(milliseconds_between(since, event.time), 3)


def _error(text: str, time: str) -> dict[str, Any]:
    return {"error": text, "timestamp": time}


def _why_closing(notice: Notice) -> str:
    reason = str(notice.data.get("reason"))
    sentence = _CLOSING.get(reason, "the stream closes before the end of the run: {reason}")
    return sentence.format(run=notice.run_id, reason=reason)


def _result(data: dict[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """One of ``results``, with the whole output."""
    id = data["taskId"]
    row = {name: value for name, value in data.items() if name not in ("tool", "timestamp")}
    if "outputRef" in row and id in outputs:
        row = {name: value for name, value in row.items() if name not in ("preview", "outputRef", "size")}
        row["output"] = outputs[id]
    return row


def _frame(name: str, data: dict[str, Any], seq: int | None) -> bytes:
    return encode(one_line(orjson.dumps(data)), event=name, id=seq)


EXECUTION: Final = Execution()

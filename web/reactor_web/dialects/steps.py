"""``steps``: for clients that show the progress of a workflow. Unnamed frames, all of one shape:

    {workflow_id, session_id, step_name, step_index, step_type, status, progress, message, timestamp,
     result?, parallel_index?, parallel_total?}

``workflow_id`` is the run; ``session_id`` is that of its meta, else the run too. ``step_index`` is the place of the
task in the graph, from 0. ``status`` is started, completed, failed or cancelled (skipped tasks too); with ``?logs=1``
log lines are updates too, with the status log. Each attempt of a task has its own started. ``progress`` is that of the
run, 0 to 1, and never falls. Children of a mapped task are steps; the mapped task itself is one only without children.

The stream ends after the last update with ``stream.end``. It is a named frame, like ``stream.closing`` where the server
closes for another reason: ``onmessage`` gets updates and nothing else, and who must know the end listens to the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from reactor.events.event import Event, Notice
from reactor.events.one_line import one_line
from reactor.events.progress import WHOLE_TASK, child_units, fraction
from reactor_web.dialects.base import DialectInfo, DialectOption, End, Opening
from reactor_web.dialects.reading import (
    RunFacts,
    TaskFacts,
    error_text,
    facts_after,
    is_own,
    object_of,
    read_facts,
    tasks_after,
)
from reactor_web.sse.frames import HEARTBEAT, encode


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


_OPTIONS: Final = {
    "logs": DialectOption(_flag, False, "Whether log lines are updates too, with the status `log`."),
    "started": DialectOption(_flag, True, "Whether the start of a task is an update; without, only ends are."),
}


@dataclass(slots=True)
class Shown:
    """How far a run is after some of its events."""

    facts: RunFacts
    steps: int = 0
    """Tasks of the graph; 0 if nobody knows."""
    progress: float = 0.0
    children: dict[str, int] = field(default_factory=dict[str, int])
    """How many a mapped task has, by its name."""
    units: int = 0
    """What has ended (``reactor.events.progress``), in logs of 0.1, whose events do not have the progress."""
    ended: set[str] = field(default_factory=set[str])
    """What ``units`` counts."""


class Steps:
    """Updates of one shape. ``logs``, ``started``: which of them there are."""

    __slots__ = ("_with_logs", "_with_started")

    info = DialectInfo("steps", folds=True, options=_OPTIONS)

    def __init__(self, *, logs: bool = False, started: bool = True) -> None:
        self._with_logs = logs
        self._with_started = started

    def configured(self, options: Mapping[str, Any]) -> Steps:
        """The same with other updates."""
        return Steps(**options)

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[Shown, bytes]:
        """Nothing stands before the first update: a client that comes late is sent the history."""
        facts = read_facts(started)
        return Shown(facts, len(facts.tasks)), b""

    def step(self, state: Shown, event: Event) -> bytes:
        """At most one update."""
        update = _update(state, event)
        if update is None or self._leaves_out(update["status"]):
            return b""
        return encode(one_line(orjson.dumps(update)), id=event.seq)

    def _leaves_out(self, status: str) -> bool:
        return (status == "log" and not self._with_logs) or (status == "started" and not self._with_started)

    @staticmethod
    def notice(state: Shown | None, notice: Notice, id: int | None = None) -> bytes:
        """Under its own name, which ``onmessage`` does not get."""
        return encode(notice.json, event=notice.type, id=id)

    @staticmethod
    def heartbeat(state: Shown | None, n: int, time: str) -> bytes:
        """A comment."""
        return HEARTBEAT

    @staticmethod
    def end(state: Shown | None, why: End) -> bytes:
        """``stream.end`` or ``stream.closing``, under its own name."""
        return encode(why.notice.json, event=why.notice.type, id=why.id)


# --- from events to updates -------------------------------------------------------------------------------------


def _update(state: Shown, event: Event) -> dict[str, Any] | None:
    """The update that an event is; changes the state."""
    match event.type:
        case "run.started":
            if not state.facts.run_id:
                state.facts = read_facts(event)
                state.steps = len(state.facts.tasks)
            return None
        case "run.upgraded":
            state.facts, state.steps = facts_after(state.facts, event), tasks_after(event)
            return None
        case "task.started":
            attempt = f" (attempt {event.attempt})" if (event.attempt or 1) > 1 else ""
            return _of_step(state, event, "started", _says("Started", state, event) + attempt)
        case "task.mapped":
            return _mapped(state, event)
        case "task.completed":
            _advance(state, event)
            message = _says("Completed", state, event)
            return _of_step(state, event, "completed", message, result=_result(event.data))
        case "task.failed":
            _advance(state, event)
            return _of_step(state, event, "failed", error_text(event) or "")
        case "task.skipped" | "task.cancelled":
            _advance(state, event)
            return _of_step(state, event, "cancelled", error_text(event) or "")
        case "log.created":
            return _of_step(state, event, "log", event.data["message"])
        case _:
            return _own(state, event) if is_own(event) else None


def _mapped(state: Shown, event: Event) -> dict[str, Any] | None:
    """A mapped task is what its children are; without children it ends here."""
    count = state.children[event.task_id or ""] = event.data["count"]
    if count:
        return None
    _advance(state, event)
    return _of_step(state, event, "completed", _says("Completed", state, event), result={"success": True, "output": []})


def _of_step(state: Shown, event: Event, status: str, message: str, **result: Any) -> dict[str, Any]:
    task = state.facts.of(event) if event.task_id else TaskFacts(state.facts.workflow, 0)
    return {
        **_whose(state, event),
        "step_name": event.task_id or task.id,
        "step_index": task.place,
        "step_type": _type(task, event),
        "status": status,
        "progress": state.progress,
        "message": message,
        "timestamp": event.time,
        **result,
        **_parallel(state, task, event),
    }


def _own(state: Shown, event: Event) -> dict[str, Any] | None:
    """An update that the application writes itself: whatever it emits with a step_name and a status.

    It says what it likes; what it leaves out is filled in.
    """
    given = object_of(event)
    if not (isinstance(given.get("step_name"), str) and isinstance(given.get("status"), str)):
        return None
    progress = given.get("progress")
    if state.facts.is_session and isinstance(progress, int | float):
        state.progress = max(state.progress, min(float(progress), 1.0))
    task = state.facts.named(given["step_name"])
    filled = {
        **_whose(state, event),
        "step_name": task.id,
        "step_index": task.place,
        "step_type": _type(task, event),
        "status": given["status"],
        "progress": state.progress,
        "message": "",
        "timestamp": event.time,
    }
    return filled | given


# --- parts of an update -----------------------------------------------------------------------------------------


def _whose(state: Shown, event: Event) -> dict[str, str]:
    session = state.facts.meta.get("session_id")
    return {"workflow_id": event.run_id, "session_id": session if isinstance(session, str) else event.run_id}


def _type(task: TaskFacts, event: Event) -> str:
    """The first kind of step that fits."""
    group = None if task.group is None else task.group["kind"]
    if task.is_map or group == "parallel":
        return "parallel"
    if task.has_condition:
        return "conditional"
    if (event.attempt or 1) > 1:
        return "retry"
    return "sequential" if group == "sequence" else "agent"


def _parallel(state: Shown, task: TaskFacts, event: Event) -> dict[str, int]:
    """Which of how many parallel steps it is."""
    if event.map_index is not None:
        total = state.children.get(task.id)
        return {"parallel_index": event.map_index} | ({} if total is None else {"parallel_total": total})
    if task.group is not None and task.group["kind"] == "parallel":
        return {"parallel_index": task.group["index"], "parallel_total": task.group["total"]}
    return {}


def _says(verb: str, state: Shown, event: Event) -> str:
    """``Completed step 2 of 3``; of a child of a mapped task: ``Completed step 2 of 3 (4 of 10)``."""
    task = state.facts.of(event)
    known = f" of {state.steps}" if task.place < state.steps else ""
    child = f" ({event.map_index + 1} of {state.children.get(task.id, '?')})" if event.map_index is not None else ""
    return f"{verb} step {task.place + 1}{known}{child}"


def _result(data: Mapping[str, Any]) -> dict[str, Any]:
    """The output as a result: one that has its form already stays as it is."""
    if "output_ref" in data:
        return {"success": True, **{name: data[name] for name in ("preview", "output_ref", "size")}}
    output: Any = data.get("output")
    if isinstance(output, dict) and "success" in output and "output" in output:
        return cast("dict[str, Any]", output)
    return {"success": True, "output": output}


def _advance(state: Shown, event: Event) -> None:
    """Takes over the progress after a task has ended."""
    progress = event.data.get("progress")
    if progress is None:  # an event of 0.1
        id = event.task_id or ""
        if id not in state.ended:
            state.ended.add(id)
            count = state.children.get(event.task or id, 0)
            state.units += WHOLE_TASK if event.map_index is None or not count else child_units(event.map_index, count)
        progress = fraction(state.units, state.steps)
    state.progress = max(state.progress, progress)


STEPS: Final = Steps()

"""What the engine says of tasks, tools and child runs, as chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reactor.events.event import Event
from reactor.events.state import ENDED, TaskState
from reactor_web.dialects.ai_sdk.chunks import (
    Call,
    Chunk,
    Chunks,
    begin_text,
    break_off_calls,
    end_texts,
    owner_of,
)
from reactor_web.dialects.ai_sdk.names import BUDGET, CHILD, LLM, LOG, PROGRESS, RUN, TASK, USAGE
from reactor_web.dialects.ai_sdk.questions import Before, question_chunks, withdraw_questions
from reactor_web.dialects.reading import error_text

_OF_TASK: Final = (
    "count", "next_attempt", "delay_ms", "output", "output_ref", "size", "preview", "duration_ms", "cached", "progress",
    "because",
)  # fmt: skip
"""What ``data-task`` takes over from an event."""


def task_chunks(state: Chunks, event: Event, was: Before, out: list[Chunk]) -> None:
    """What the event changes of its task: the chunk of each type, and ``data-task`` for a new status."""
    say = _CHUNKS.get(event.type)
    if say is not None:
        say(state, event, out)
    if event.task_id is None:
        return
    question_chunks(state, event, was, out)
    task = state.run.tasks.get(event.task_id)
    if task is None:
        return
    ends_attempt = event.type == "task.retrying" or (event.type.startswith("task.") and task.status in ENDED)
    if ends_attempt:
        _end_attempt(state, event, was, out)
        if task.status in ENDED:
            state.early.pop(task.id, None)
    if event.type == "task.started" or task.status != was.status:
        out.append(_of_task(task, event))
    mapped = state.run.tasks.get(event.body["task"]) if was.mapped is not None else None
    if mapped is not None and mapped.status != was.mapped:
        out.append(_of_mapped(mapped))


def _of_task(task: TaskState, event: Event) -> Chunk:
    data: dict[str, Any] = {"state": task.status, "task": task.task}
    if task.map_index is not None:
        data["map_index"] = task.map_index
    if task.attempt:
        data["attempt"] = task.attempt
    if event.type in _TAKES_OVER:
        data |= {name: event.data[name] for name in _OF_TASK if name in event.data}
    error = error_text(event)
    if error is not None:
        data["error"] = error
    return {"type": TASK, "id": task.id, "data": data}


_TAKES_OVER: Final = frozenset(
    {"task.mapped", "task.retrying", "task.completed", "task.failed", "task.skipped", "task.cancelled"}
)


def _of_mapped(mapped: TaskState) -> Chunk:
    """No event tells that a mapped task has ended: it has when its children have."""
    return {"type": TASK, "id": mapped.id, "data": {"state": mapped.status, "task": mapped.task, "count": mapped.count}}


def _end_attempt(state: Chunks, event: Event, was: Before, out: list[Chunk]) -> None:
    """Closes what the attempt has left open: its texts, its calls and its questions."""
    owner = owner_of(event)
    end_texts(state, out, owner)
    break_off_calls(state, out, error_text(event) or "the task has ended", owner)
    withdraw_questions(state, event, was, out)


def end_bodies(state: Chunks, out: list[Chunk], why: str) -> None:
    """Closes whatever is open: no body of the run goes on."""
    end_texts(state, out)
    break_off_calls(state, out, why)


# --- one type each ------------------------------------------------------------------------------------------------


def _chunk(state: Chunks, event: Event, out: list[Chunk]) -> None:
    owner = owner_of(event)
    text = begin_text(state, out, "text", owner, owner)
    out.append({"type": "text-delta", "id": text.id, "delta": event.data["text"]})


def _started(state: Chunks, event: Event, out: list[Chunk]) -> None:
    """After a crash an attempt begins though the one before it has not ended."""
    for owner in {one.owner for one in (*state.texts.values(), *state.calls.values())}:
        if owner.rpartition("#")[0] == event.task_id and owner != owner_of(event):
            end_texts(state, out, owner)
            break_off_calls(state, out, "interrupted", owner)


def _progress(state: Chunks, event: Event, out: list[Chunk]) -> None:
    out.append({"type": PROGRESS, "id": event.task_id, "data": event.data, "transient": True})


def _spent(state: Chunks, event: Event, out: list[Chunk]) -> None:
    data = {"cost": event.data["total_cost"], "tokens": event.data["total_tokens"]}
    out.append({"type": USAGE, "id": event.run_id, "data": data})


def _log(state: Chunks, event: Event, out: list[Chunk]) -> None:
    out.append({"type": LOG, "data": {"task": event.task_id, **event.data}, "transient": True})


def _budget(state: Chunks, event: Event, out: list[Chunk]) -> None:
    data = {"exceeded": event.type == "budget.exceeded", **event.data}
    out.append({"type": BUDGET, "id": event.data["resource"], "data": data})


def _run_changed(state: Chunks, event: Event, out: list[Chunk]) -> None:
    if event.data.get("reason") == "recovered":
        end_bodies(state, out, "interrupted")  # their process has died
    data = {"status": state.run.status, "reason": event.data.get("reason")}
    out.append({"type": RUN, "id": event.run_id, "data": data})


# tools, models, child runs


def _call_id(event: Event) -> str:
    """Unique among all runs: an application keeps the messages of many runs in one conversation."""
    return f"{event.run_id}/{owner_of(event)}.{event.data['call']}"


def _tool_started(state: Chunks, event: Event, out: list[Chunk]) -> None:
    """``providerExecuted``: the server carries it out. Else a client would run it too, or send the message again."""
    id = _call_id(event)
    state.calls[id] = Call(owner_of(event), is_streaming=False)
    out.append(
        {"type": "tool-input-available", "toolCallId": id, "toolName": event.data["tool"],
         "input": event.data.get("arguments"), "dynamic": True, "providerExecuted": True}
    )  # fmt: skip


def _tool_completed(state: Chunks, event: Event, out: list[Chunk]) -> None:
    id, data = _call_id(event), event.data
    if id not in state.calls:
        _tool_started(state, event, out)
    del state.calls[id]
    if data["status"] == "success":
        out.append({"type": "tool-output-available", "toolCallId": id, "output": data.get("result")})
    else:
        error = data.get("error")
        out.append(
            {"type": "tool-output-error", "toolCallId": id, "errorText": error["message"] if error else data["status"]}
        )


def _model(state: Chunks, event: Event, out: list[Chunk]) -> None:
    data = {"task": event.task_id, "status": "running", **event.data}
    out.append({"type": LLM, "id": _call_id(event), "data": data, "transient": True})


def _child(state: Chunks, event: Event, out: list[Chunk]) -> None:
    data = {name: value for name, value in event.data.items() if name != "engine"}
    out.append({"type": CHILD, "id": data["child_run"], "data": {"task": event.task_id, "status": "running", **data}})


_CHUNKS: Final[dict[str, Callable[[Chunks, Event, list[Chunk]], None]]] = {
    "run.paused": _run_changed,
    "run.resumed": _run_changed,
    "run.cancelling": _run_changed,
    "task.started": _started,
    "task.chunk": _chunk,
    "task.progress": _progress,
    "task.spent": _spent,
    "child.started": _child,
    "child.ended": _child,
    "log.created": _log,
    "llm.call.started": _model,
    "llm.call.completed": _model,
    "tool.call.started": _tool_started,
    "tool.call.completed": _tool_completed,
    "budget.warning": _budget,
    "budget.exceeded": _budget,
}
"""What is not here, such as a type of a later version, makes no chunk of its own."""

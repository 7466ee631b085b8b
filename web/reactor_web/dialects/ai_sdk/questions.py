"""Questions of bodies, as ``data-input`` chunks: each has one part of the message, which shows what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from reactor.events.event import Event
from reactor.events.state import TaskState
from reactor_web.dialects.ai_sdk.chunks import Chunk, Chunks, owner_of
from reactor_web.dialects.ai_sdk.names import INPUT

_SHOWN: Final = ("prompt", "schema", "expires", "problem", "toolCallId")
_CLOSING: Final = ("task.received", "task.expired", "task.withdrawn")


class Before(NamedTuple):
    """What an event may change, as it was before."""

    status: str = "pending"
    """Of the task."""
    mapped: str | None = None
    """The status of the mapped task that it is a child of."""
    waiting: Sequence[Mapping[str, Any]] = ()
    """The open questions of the task that the event may close: a copy, for the state is changed in place."""


def before(state: Chunks, event: Event) -> Before:
    """Call it before the state is folded."""
    if event.task_id is None:
        return Before()
    tasks = state.run.tasks
    task = tasks.get(event.task_id)
    mapped = None
    if event.task_id.endswith("]"):  # a child of a mapped task; its mapped task may be missing in half a log
        name = event.body["task"]
        if name not in tasks:
            tasks[name] = TaskState(name, name)
        mapped = tasks[name].status
    if task is None:
        return Before(mapped=mapped)
    waiting: Sequence[Mapping[str, Any]] = task.waiting or ()
    if event.type in _CLOSING:  # a task may have thousands
        key = event.data.get("key")
        return Before(task.status, mapped, [question for question in waiting if question["key"] == key])
    return Before(task.status, mapped, tuple(waiting))


def question_chunks(state: Chunks, event: Event, was: Before, out: list[Chunk]) -> None:
    """What the event says of a question."""
    match event.type:
        case "task.waiting":
            _asked(state, event, out)
        case "task.received":
            _received(state, event, was, out)
        case "task.expired" | "task.withdrawn":
            out.append(_closed(state, event, event.data["key"], was, event.type.removeprefix("task.")))
        case _:
            pass


def withdraw_questions(state: Chunks, event: Event, was: Before, out: list[Chunk]) -> None:
    """The attempt has ended, so nobody waits for an answer to its open questions."""
    out += [_closed(state, event, question["key"], was, "withdrawn") for question in was.waiting]


def _id_of(event: Event, key: str | None) -> str:
    """It has the task, because the tasks of a run may ask under the same key."""
    return event.task_id or "" if key is None else f"{event.task_id}/{key}"


def _input(event: Event, key: str | None, state: str, shown: Mapping[str, Any], **more: Any) -> Chunk:
    shown = {name: shown[name] for name in _SHOWN if shown.get(name) is not None}
    data = {"task": event.task_id, "key": key, "state": state, **shown, **more}
    return {"type": INPUT, "id": _id_of(event, key), "data": data}


def _asked(state: Chunks, event: Event, out: list[Chunk]) -> None:
    shown, key, answered = event.data, event.data.get("key"), event.data.get("answered")
    early = state.early.get(event.task_id or "", {})
    if answered is None:
        calls = [id for id, call in state.calls.items() if call.owner == owner_of(event)]
        if len(calls) == 1:  # the body asks in the middle of this call
            shown = {**shown, "toolCallId": calls[0]}
            state.during[_id_of(event, key)] = calls[0]
        out.append(_input(event, key, "waiting", shown))
    elif answered in early:  # else it is asked again by a body that runs again, and the answer was shown
        out.append(_input(event, key, "answered", shown, value=early.pop(answered)))


def _received(state: Chunks, event: Event, was: Before, out: list[Chunk]) -> None:
    key, value = event.data.get("key"), event.data["value"]
    if any(question["key"] == key for question in was.waiting):
        out.append(_closed(state, event, key, was, "answered", value=value))
    else:
        state.early.setdefault(event.task_id or "", {})[event.seq] = value


def _closed(state: Chunks, event: Event, key: str | None, was: Before, became: str, **more: Any) -> Chunk:
    """A question that was open; its part still shows what was asked."""
    nothing: Mapping[str, Any] = {}
    question = next((one for one in was.waiting if one["key"] == key), nothing)
    call = state.during.pop(_id_of(event, key), None)
    return _input(event, key, became, {**question, "toolCallId": call}, **more)

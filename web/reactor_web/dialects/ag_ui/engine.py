"""What each event of the engine makes in an AG-UI run that is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from reactor.events.event import Event
from reactor_web.dialects.ag_ui.thread import Call, Message, Thread, result_of
from reactor_web.dialects.reading import error_text

Make = Callable[[Thread, Event], Iterator[Message]]


def messages_of(thread: Thread, event: Event) -> Iterator[Message]:
    """The messages of an event, and after them what it has changed of the shared state."""
    make = _MAKERS.get(event.type)
    if make is not None:
        yield from make(thread, event)
    elif event.type in _SHOWN:
        yield custom(f"reactor.{event.type.removesuffix('.created').removeprefix('task.')}", event)


def custom(name: str, event: Event, value: Any = None) -> Message:
    """A message of one's own: the data of the event, and beside it which task it is about."""
    message: Message = {"type": "CUSTOM", "name": name, "value": event.data if value is None else value}
    if event.task_id is not None:
        message["metadata"] = {"reactor": {"task": event.task_id, "attempt": event.attempt}}
    return message


def count_usage(thread: Thread, event: Event) -> None:
    """Adds the tokens of a call of a language model, also while no AG-UI run is open."""
    if tokens := event.data["tokens"]:
        model = event.data["model"]
        thread.usage[model] = thread.usage.get(model, 0) + tokens


def _task_started(thread: Thread, event: Event) -> Iterator[Message]:
    yield from thread.close_attempt(event)  # of a body that died with its process
    yield from thread.start("step", event.task_id or "", "STEP_STARTED")


def _task_retrying(thread: Thread, event: Event) -> Iterator[Message]:
    yield from thread.close_attempt(event)
    yield custom("reactor.retrying", event)


def _task_ended(thread: Thread, event: Event) -> Iterator[Message]:
    yield from thread.close_attempt(event)


def _chunk(thread: Thread, event: Event) -> Iterator[Message]:
    if text := event.data["text"]:  # clients before 1.0 refuse an empty one
        id = thread.text_id(event)
        yield from thread.start("text", id, "TEXT_MESSAGE_START", role="assistant", name=event.task)
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": text}


def _asked(thread: Thread, event: Event) -> Iterator[Message]:
    if "problem" in event.data:  # the question is asked again
        yield custom("reactor.rejected", event, {"key": event.data["key"], "problem": event.data["problem"]})


def _tool_called(thread: Thread, event: Event) -> Iterator[Message]:
    id = _call_id(event)
    thread.calls.setdefault(event.task_id or "", {})[id] = Call(event.data["tool"], thread.number)
    yield {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": event.data["tool"]}
    yield {"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": orjson.dumps(event.data["arguments"]).decode()}
    yield {"type": "TOOL_CALL_END", "toolCallId": id}


def _tool_answered(thread: Thread, event: Event) -> Iterator[Message]:
    id, data = _call_id(event), event.data
    call = thread.calls.get(event.task_id or "", {}).pop(id, None)
    if call is None or call.number != thread.number:
        # a result must follow its call in the same AG-UI run; a client that knows the call takes nothing from this
        yield {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": data["tool"]}
        yield {"type": "TOOL_CALL_END", "toolCallId": id}
    result = data.get("result") if data["status"] == "success" else {"error": _problem_of(data)}
    yield result_of(id, result)


def _call_id(event: Event) -> str:
    return f"{event.run_id}/{event.task_id}#{event.attempt}/{event.data['call']}"


def _problem_of(data: dict[str, Any]) -> str:
    return data["error"]["message"] if "error" in data else data["status"]


def _run_resumed(thread: Thread, event: Event) -> Iterator[Message]:
    if event.data["reason"] == "recovered" and thread.began != event.seq:
        yield from thread.close_all()  # the bodies died with their process, and begin anew
        thread.texts.clear()
        thread.board.update_all(thread.run)
        yield {"type": "STATE_SNAPSHOT", "snapshot": thread.board.snapshot(thread.run)}


def _run_completed(thread: Thread, event: Event) -> Iterator[Message]:
    data = event.data
    result = data["outputs"] if "outputs" in data else {name: data[name] for name in ("outputs_ref", "size")}
    yield from thread.delta(event)
    yield from thread.finish({"type": "success"}, result=result)


def _run_cancelled(thread: Thread, event: Event) -> Iterator[Message]:
    yield from thread.delta(event)
    yield from thread.finish({"type": "cancelled"})


def _run_failed(thread: Thread, event: Event) -> Iterator[Message]:
    yield from thread.delta(event)
    yield from thread.fail(error_text(event) or "failed", event.data.get("reason") or event.data["error"]["type"])


_MAKERS: Final[dict[str, Make]] = {
    "run.resumed": _run_resumed,
    "run.completed": _run_completed,
    "run.cancelled": _run_cancelled,
    "run.failed": _run_failed,
    "task.started": _task_started,
    "task.retrying": _task_retrying,
    "task.chunk": _chunk,
    "task.waiting": _asked,
    "task.completed": _task_ended,
    "task.failed": _task_ended,
    "task.skipped": _task_ended,
    "task.cancelled": _task_ended,
    "tool.call.started": _tool_called,
    "tool.call.completed": _tool_answered,
}

_SHOWN: Final = frozenset({
    "task.progress", "log.created", "llm.call.started", "llm.call.completed", "budget.warning", "budget.exceeded",
    "child.started", "child.ended",
})  # fmt: skip
"""Shown as messages of one's own: ``reactor.progress``, ``reactor.log``, ``reactor.llm.call.started``, …"""

"""The events of a run as a Chrome trace: what Perfetto and ``chrome://tracing`` open. Pure: events in, JSON out.

Source: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from reactor.events.event import Message
from reactor.events.state import RUN_ENDED, RUN_STATUS

_ENDS: Final = frozenset({"task.completed", "task.failed", "task.cancelled", "task.skipped", "task.retrying"})
"""What an attempt ends with."""
_CALLS: Final = {"llm.call": "model", "tool.call": "tool"}
_QUIET: Final = frozenset({"task.progress", "task.chunk"})
"""Too many to be marks."""
_RUN_LANE: Final = 0
_MICROSECOND: Final = timedelta(microseconds=1)


class Trace:
    """Takes events in their order; ``document`` is the trace of what was taken.

    Times are in microseconds since the first event. The run is the process; each attempt is a span on a lane that is
    free, its waits for answers and its calls are spans on the same one, all other events are marks.
    """

    def __init__(self) -> None:
        self._spans: list[dict[str, Any]] = []
        self._begin: datetime | None = None
        self._run: dict[str, Any] = {}
        self._open: dict[str, dict[str, Any]] = {}
        """By task: its open attempt."""
        self._inner: dict[tuple[str, str], dict[str, Any]] = {}
        """By task, and question or call: what is open in it."""
        self._lanes: list[str | None] = []
        """By lane: the task that has it."""
        self._last = 0

    def take(self, message: Message) -> None:
        time = datetime.fromisoformat(message.time)
        self._begin = self._begin or time
        at = self._last = (time - self._begin) // _MICROSECOND
        type, task, data = message.type, message.task_id, message.data
        if type == "run.started":
            name = f"{data.get('workflow')} {message.run_id}"
            self._run = self._span(name, "run", at, _RUN_LANE, {"input": data.get("input")})
        elif RUN_STATUS.get(type) in RUN_ENDED:
            self._end(self._run, at, {"status": RUN_STATUS[type], "error": data.get("error")})
        elif task is not None and type == "task.started":
            self._open[task] = self._span(task, "task", at, self._lane(task), {"attempt": message.attempt})
        elif task is not None and type in _ENDS:
            self._end_attempt(task, at, type.removeprefix("task."), data)
        elif task is not None and not self._take_inner(task, at, type, data) and type not in _QUIET:
            self._mark(type, at, self._lane_of(task), data)
        elif task is None:
            self._mark(type, at, _RUN_LANE, data)

    def _take_inner(self, task: str, at: int, type: str, data: dict[str, Any]) -> bool:
        """Waits and calls: whether it was one of these."""
        kind, _, what = type.rpartition(".")
        if type == "task.waiting" and "answered" not in data:
            name = f"waits: {data.get('prompt') or data.get('key') or ''}"
            self._inner[task, f"?{data.get('key')}"] = self._span(name, "wait", at, self._lane_of(task), {})
        elif type in ("task.received", "task.expired", "task.withdrawn"):
            self._end(self._inner.pop((task, f"?{data.get('key')}"), {}), at, {"as": what})
        elif kind in _CALLS and what == "started":
            name = str(data.get(_CALLS[kind]) or kind)
            self._inner[task, str(data.get("call_id"))] = self._span(name, kind, at, self._lane_of(task), {})
        elif kind in _CALLS:
            self._end(self._inner.pop((task, str(data.get("call_id"))), {}), at, {"status": data.get("status")})
        else:
            return False
        return True

    def _end_attempt(self, task: str, at: int, how: str, data: dict[str, Any]) -> None:
        for key in [key for key in self._inner if key[0] == task]:
            self._end(self._inner.pop(key), at, {})
        if (span := self._open.pop(task, None)) is None:
            self._mark(f"{task} {how}", at, _RUN_LANE, data)  # it never began
            return
        self._end(span, at, {"end": how, "error": data.get("error"), "cost": data.get("cost")})
        self._lanes[self._lanes.index(task)] = None

    # --- parts of the document ---

    def _span(self, name: str, kind: str, at: int, lane: int, args: dict[str, Any]) -> dict[str, Any]:
        span = {"name": name, "cat": kind, "ph": "X", "ts": at, "dur": None, "pid": 1, "tid": lane, "args": args}
        self._spans.append(span)
        return span

    def _end(self, span: dict[str, Any], at: int, args: dict[str, Any]) -> None:
        if span:
            span["dur"] = at - span["ts"]
            span["args"] |= {name: value for name, value in args.items() if value is not None}

    def _mark(self, name: str, at: int, lane: int, data: dict[str, Any]) -> None:
        mark = {"name": name, "cat": "event", "ph": "i", "s": "t", "ts": at, "pid": 1, "tid": lane, "args": data}
        self._spans.append(mark)

    def _lane(self, task: str) -> int:
        """The lowest one that is free."""
        if None not in self._lanes:
            self._lanes.append(None)
        lane = self._lanes.index(None)
        self._lanes[lane] = task
        return lane + 1

    def _lane_of(self, task: str) -> int:
        span = self._open.get(task)
        return _RUN_LANE if span is None else span["tid"]

    def document(self) -> dict[str, Any]:
        """The whole trace. What has not ended lasts to the last event."""
        for span in self._spans:
            if span.get("ph") == "X" and span["dur"] is None:
                span["dur"] = self._last - span["ts"]
                span["args"] |= {"end": "open"}
        name = self._run.get("name", "run")
        names = [{"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": name}}]
        names += [_lane_name(lane) for lane in range(len(self._lanes) + 1)]
        return {"traceEvents": [*names, *self._spans], "displayTimeUnit": "ms"}


def _lane_name(lane: int) -> dict[str, Any]:
    shown = "run" if lane == _RUN_LANE else f"lane {lane}"
    return {"name": "thread_name", "ph": "M", "pid": 1, "tid": lane, "args": {"name": shown}}


def trace_of(messages: Iterable[Message]) -> dict[str, Any]:
    """The Chrome trace of the events of one run, in their order."""
    trace = Trace()
    for message in messages:
        trace.take(message)
    return trace.document()

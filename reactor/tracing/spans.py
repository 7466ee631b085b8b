"""Events -> spans, a pure fold: which spans a run has, when each began and ended, and how.

    run.started ............................................................ run.completed   run census
      task.started ........ task.retrying                                                    task fetch (error)
                                task.started ......................... task.completed        task fetch
                                  llm.call.started ... llm.call.completed                    chat gpt-x

A span is returned with the event that ends it, once. What is open when a run goes on after a restart has ended then:
its process was killed, or stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from reactor.events.event import Event
from reactor.events.vocabulary import TERMINAL
from reactor.tracing.keys import RUN, SpanKey

Value: TypeAlias = str | int | float | bool
Attributes: TypeAlias = dict[str, Value]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

LOST: Final = "worker_lost", "its process was killed before it had ended"
STOPPED: Final = "stopped", "it was stopped before it had ended, and its run goes on"
UNENDED: Final = "unended", "nothing was said of its end"
"""Why a span has ended that no event of its own ends."""


class SpanError(NamedTuple):
    """Why a span is one of something that failed."""

    type: str
    message: str
    traceback: str | None = None


class SpanValue(NamedTuple):
    """A span that has ended. Times are nanoseconds since 1970, and ``start <= end``."""

    key: SpanKey
    name: str
    start: int
    end: int
    attributes: Attributes
    error: SpanError | None = None


@dataclass(slots=True)
class _Open:
    name: str
    start: int
    attributes: Attributes

    def ended(self, key: SpanKey, end: int, more: Attributes, error: SpanError | None) -> SpanValue:
        if error is not None:
            more = {**more, "error.type": error.type}
        # a clock that was set back must not make a span that ends before it began
        return SpanValue(key, self.name, self.start, max(self.start, end), {**self.attributes, **more}, error)


class SpanFold:
    """The spans of one run that are open after its events so far."""

    def __init__(self, run_id: str, workflow: str = "", tenant: str = "") -> None:
        self.seq = 0
        """Of the last event it was given."""
        self._facts: Attributes = {"reactor.run_id": run_id, "reactor.workflow": workflow}
        self._tenant: Attributes = {"reactor.tenant": tenant} if tenant else {}
        self._run: _Open | None = None
        self._attempts: dict[str, tuple[SpanKey, _Open]] = {}
        """By task id."""
        self._calls: dict[SpanKey, dict[SpanKey, _Open]] = {}
        """By attempt."""

    def add(self, event: Event) -> Iterable[SpanValue]:
        """The spans that end with the next event of the run, what is inside of others before them."""
        self.seq = event.seq
        handle = _HANDLERS.get(event.type)
        return () if handle is None else handle(self, event)

    # --- what is open ---

    def run_facts(self) -> tuple[str, Attributes]:
        """The name of the run's span, and what is known of it from the start."""
        return f"run {self._facts['reactor.workflow']}", {**self._facts, **self._tenant}

    def run_start(self) -> int | None:
        """When the run began; None before that is in the log."""
        return None if self._run is None else self._run.start

    def attempt_facts(self, task_id: str, task: str, map_index: int | None, attempt: int) -> tuple[str, Attributes]:
        """The name of an attempt's span, and what is known of it from the start."""
        index: Attributes = {} if map_index is None else {"reactor.map_index": map_index}
        about: Attributes = {"reactor.task": task, "reactor.task_id": task_id, "reactor.attempt": attempt}
        return f"task {task}", {**self._facts, **about, **index}

    # --- the run ---

    def _run_started(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        data = body["data"]
        self._facts["reactor.workflow"] = data.get("workflow", "")
        name, attributes = self.run_facts()
        for key in ("version", "retry_of"):
            if key in data:
                attributes[f"reactor.{key}"] = data[key]
        if "parent" in data:
            attributes["reactor.parent_run_id"] = data["parent"]["run_id"]
            attributes["reactor.parent_task_id"] = data["parent"]["task_id"]
        self._run = _Open(name, nanoseconds(body["time"]), attributes)
        return ()

    def _run_resumed(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        data = body["data"]
        if data.get("reason") != "recovered":
            return ()
        # a log of a version before 0.2 does not say whether it was killed
        error = SpanError(*(STOPPED if data.get("crashed") is None and "recovery" in data else LOST))
        return self._end_all(nanoseconds(body["time"]), {"reactor.status": "lost"}, error)

    def _run_ended(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        data, end = body["data"], nanoseconds(body["time"])
        yield from self._end_all(end, {"reactor.status": "unended"}, SpanError(*UNENDED))
        run, self._run = self._run, None
        if run is not None:
            more: Attributes = {"reactor.status": event.type.removeprefix("run.")}
            for name in ("reason", "cost", "tokens"):
                if isinstance(data.get(name), str | int | float):
                    more[f"reactor.{name}"] = data[name]
            error = _error_of(data.get("error")) if event.type == "run.failed" else None
            yield run.ended(RUN, end, more, error)

    # --- attempts ---

    def _task_started(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        task_id, time = body["task_id"], nanoseconds(body["time"])
        before = self._end_attempt(task_id, time, {"reactor.status": "unended"}, SpanError(*UNENDED))
        key = SpanKey(task_id, body.get("attempt", 1))
        name, attributes = self.attempt_facts(task_id, body["task"], body.get("map_index"), key.attempt)
        if "executor" in body["data"]:
            attributes["reactor.executor"] = body["data"]["executor"]
        self._attempts[task_id] = key, _Open(name, time, attributes)
        return before

    def _task_retrying(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        error = _error_of(body["data"].get("error"))
        return self._end_attempt(body["task_id"], nanoseconds(body["time"]), {"reactor.status": "retrying"}, error)

    def _task_completed(self, event: Event) -> Iterable[SpanValue]:
        if event.task_id not in self._attempts:  # of the cache, or of a run that this one retries
            return ()
        end = nanoseconds(_time_of(event))
        return self._end_attempt(event.task_id, end, {"reactor.status": "completed"}, None)

    def _task_failed(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        error = _error_of(body["data"].get("error"))
        return self._end_attempt(body["task_id"], nanoseconds(body["time"]), {"reactor.status": "failed"}, error)

    def _task_cancelled(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        more: Attributes = {"reactor.status": "cancelled"}
        if isinstance(reason := body["data"].get("reason"), str):
            more["reactor.reason"] = reason
        return self._end_attempt(body["task_id"], nanoseconds(body["time"]), more, None)

    def _end_all(self, end: int, more: Attributes, error: SpanError) -> Iterable[SpanValue]:
        return [value for task_id in tuple(self._attempts) for value in self._end_attempt(task_id, end, more, error)]

    def _end_attempt(self, task_id: str, end: int, more: Attributes, error: SpanError | None) -> list[SpanValue]:
        """The span of the task's open attempt, if there is one, after those of its calls that are open."""
        key, attempt = self._attempts.pop(task_id, (RUN, None))
        if attempt is None:
            return []
        cut_off = SpanError(*UNENDED) if error is None else error
        calls = self._calls.pop(key, {})
        status: Attributes = {"reactor.status": "lost" if more["reactor.status"] == "lost" else "unended"}
        ended = [call.ended(of, end, status, cut_off) for of, call in calls.items()]
        return [*ended, attempt.ended(key, end, more, error)]

    # --- calls ---

    def _call_started(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        key, attempt = self._attempts.get(body.get("task_id", ""), (RUN, None))
        if attempt is not None:
            data, kind = body["data"], _kind_of(event)
            name, attributes = _call_facts(kind, data)
            about = {name: value for name, value in attempt.attributes.items() if name in _OF_CALLS}
            open_call = _Open(name, nanoseconds(body["time"]), {**about, **attributes})
            self._calls.setdefault(key, {})[key._replace(call=f"{kind} {data.get('call', 0)}")] = open_call
        return ()

    def _call_completed(self, event: Event) -> Iterable[SpanValue]:
        body = event.decode()
        key, _ = self._attempts.get(body.get("task_id", ""), (RUN, None))
        data = body["data"]
        of = key._replace(call=f"{_kind_of(event)} {data.get('call', 0)}")
        call = self._calls.get(key, {}).pop(of, None)
        if call is None:
            return ()
        status = data.get("status", "success")
        more: Attributes = {"reactor.status": status}
        for name, attribute in _USAGE.items():
            if isinstance(value := data.get(name), int | float):
                more[attribute] = value
        error = _error_of(data.get("error")) if status == "error" else None
        return (call.ended(of, nanoseconds(body["time"]), more, error),)


_Handler: TypeAlias = Callable[[SpanFold, Event], Iterable[SpanValue]]

# the methods of the class above, in one table with the types that they are for
# pyright: reportPrivateUsage=false
_HANDLERS: Final[Mapping[str, _Handler]] = {
    "run.started": SpanFold._run_started,
    "run.resumed": SpanFold._run_resumed,
    **dict.fromkeys(TERMINAL, SpanFold._run_ended),
    "task.started": SpanFold._task_started,
    "task.retrying": SpanFold._task_retrying,
    "task.completed": SpanFold._task_completed,
    "task.failed": SpanFold._task_failed,
    "task.cancelled": SpanFold._task_cancelled,
    "llm.call.started": SpanFold._call_started,
    "llm.call.completed": SpanFold._call_completed,
    "tool.call.started": SpanFold._call_started,
    "tool.call.completed": SpanFold._call_completed,
}

_OF_CALLS: Final = frozenset(
    ("reactor.run_id", "reactor.workflow", "reactor.task", "reactor.task_id", "reactor.map_index", "reactor.attempt")
)
_USAGE: Final = {"tokens": "gen_ai.usage.total_tokens", "cost": "gen_ai.usage.cost"}
"""Key of the event -> attribute. The names of a call are those of OpenTelemetry's conventions for generative AI; for
the sum of the tokens, and for the cost, they have none yet, and these are what backends read."""


def spans_of(events: Iterable[Event], tenant: str = "") -> Iterator[SpanValue]:
    """All spans that have ended in the events of one run."""
    fold: SpanFold | None = None
    for event in events:
        fold = fold or SpanFold(event.run_id, tenant=tenant)
        yield from fold.add(event)


def nanoseconds(time: str) -> int:
    """The time of an event as spans have it: nanoseconds since 1970."""
    return (datetime.fromisoformat(time) - _EPOCH) // _MICROSECOND * 1000


def _time_of(event: Event) -> str:
    """Without its data, which may be large: no user writes anything before it."""
    json = event.json
    return orjson.loads(json[: json.index(b',"data":')] + b"}")["time"]


def _kind_of(event: Event) -> str:
    """``llm.call`` or ``tool.call``."""
    return event.type.rpartition(".")[0]


def _call_facts(kind: str, data: Mapping[str, Any]) -> tuple[str, Attributes]:
    if kind == "llm.call":
        model = str(data.get("model", ""))
        return f"chat {model}", {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    tool = str(data.get("tool", ""))
    return f"execute_tool {tool}", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}


def _error_of(data: Any) -> SpanError:
    """What an event says of an error."""
    if not isinstance(data, dict):
        return SpanError("unknown", "")
    error: dict[str, Any] = data  # pyright: ignore[reportUnknownVariableType]  # JSON
    return SpanError(str(error.get("type")), str(error.get("message")), error.get("traceback"))

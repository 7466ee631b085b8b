"""The parameters of all operations: in the path, in the query, in headers."""

from __future__ import annotations

from typing import Any, Final

from reactor.bounds import RUN_ID, RUNS_AT_ONCE, SCHEDULE_NAME
from reactor.runs.durations import MOST_RUNS
from reactor_web.bounds import (
    DEFAULT_EVENTS,
    DEFAULT_HEARTBEAT_SECONDS,
    DEFAULT_PAGE,
    HEARTBEAT_RANGE,
    MAX_EVENTS,
    MAX_EVENTS_BACK,
    MAX_PAGE,
    MAX_QUESTIONS,
    MAX_WAIT_SECONDS,
    THROTTLE_RANGE,
)

Schema = dict[str, Any]


def _integer(low: int, high: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, **more}


def _number(limits: tuple[float, float], **more: Any) -> Schema:
    return {"type": "number", "minimum": limits[0], "maximum": limits[1], **more}


_FLAG: Final[Schema] = {"type": "string", "enum": ["0", "1", "true", "false"], "default": "0"}
_CURSOR: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]+)?(~[0-9a-z]{1,64})?$"}
_ID: Final = "[A-Za-z0-9._~-]{1,64}"
_TEXT: Final[Schema] = {"type": "string"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}


def _in(place: str, schema: Schema, about: str, name: str) -> Schema:
    required: Schema = {"required": True} if place == "path" else {}
    return {"name": name.partition(".")[0], "in": place, "description": about, "schema": schema, **required}


_Parameters = dict[str, tuple[Schema, str]]
"""Name -> its schema, and what it is. What stands behind a dot tells parameters of one name apart."""

_IN_PATH: Final[_Parameters] = {
    "id": ({"type": "string", "pattern": RUN_ID.pattern}, "The id of a run."),
    "name": (_TEXT, "The name of a workflow."),
    "task": (_TEXT, "The id of a task."),
    "schedule": ({"type": "string", "pattern": f"^{SCHEDULE_NAME.pattern}$"}, "The name of a schedule."),
    "code": ({"type": "string", "examples": ["too-many-streams"]}, "The `code` of a problem document."),
    "file": ({"type": "string", "examples": ["reactor.js"]}, "The name of a file."),
}
_IN_QUERY: Final[_Parameters] = {
    "after": (_CURSOR, "Goes on after this event; `Last-Event-ID` wins over it."),
    "tail": (_integer(0, MAX_EVENTS_BACK), "Without a cursor: only so many of the last events."),
    "types": (_TEXT, "Globs of event types, separated by commas: `task.*,run.*`."),
    "tasks": (_TEXT, "Globs of task ids, separated by commas."),
    "throttle": (
        {"anyOf": [_number(THROTTLE_RANGE), {"const": 0}]},
        "Milliseconds between two progress events of a task; 0: none is held back.",
    ),
    "heartbeat": (
        _number(HEARTBEAT_RANGE, default=DEFAULT_HEARTBEAT_SECONDS),
        "Seconds of silence before a heartbeat.",
    ),
    "snapshot": (_FLAG, "Begins with the state of the run."),
    "logs": (_integer(0, MAX_EVENTS_BACK), "So many log lines before the beginning of the stream."),
    "await_run": (_number((0, MAX_WAIT_SECONDS)), "Seconds to wait for the run to start."),
    "on_disconnect": (
        {"type": "string", "enum": ["continue", "cancel"]},
        "`cancel`: the run is cancelled when this client goes.",
    ),
    "children": (_FLAG, "The events of all runs below the run, too. The cursor is then a position."),
    "dialect": (_TEXT, "The form of the frames. A dialect may have options of its own."),
    "names": ({**_FLAG, "default": "1"}, "`0`: frames have no event name."),
    "compress": (_FLAG, "Compressed as `Accept-Encoding` names it, and flushed with every write."),
    "view": (_TEXT, "A view that the server has mounted under this name."),
    "wait": (_number((0, MAX_WAIT_SECONDS)), "Of a page: seconds to wait for something to come."),
    "limit": (_integer(1, MAX_PAGE, default=DEFAULT_PAGE), "How many there are in a page at most."),
    "at": (_integer(1, 999_999_999), "The seq of an event: the state after it, and no `tree`, `input`, `graph`."),
    "runs.durations": (_integer(1, MOST_RUNS, default=50), "How many of the last completed runs."),
    "limit.questions": (
        _integer(1, MAX_QUESTIONS, default=DEFAULT_PAGE),
        "Of a page: how many questions there are at most.",
    ),
    "limit.events": (_integer(1, MAX_EVENTS, default=DEFAULT_EVENTS), "Of a page: how many events there are at most."),
    "status": (_TEXT, "Only runs with this status."),
    "workflow": (_TEXT, "Only runs of this workflow."),
    "parent": (_TEXT, "Only child runs of this run."),
    "runs": (
        {"type": "string", "pattern": rf"^{_ID}(,{_ID}){{0,{RUNS_AT_ONCE - 1}}}$"},
        "Only these runs, which need not have started: their ids, separated by commas.",
    ),
    "since": (_TIME, "Only runs that have started then or later."),
    "until": (_TIME, "Only runs that have started before."),
    "question": (_FLAG, "`1`: only runs with an open question."),
    "open": (_FLAG, "`1`: only runs that have not ended."),
    "root": (_TEXT, "Only this run and the runs below it."),
    "recoverable": (
        {"type": "string", "enum": ["false"]},
        "Only open runs that nobody here goes on with; `not_recovered` of each says why.",
    ),
    "cursor": (_TEXT, "The `cursor` of the page before."),
}
_IN_HEADERS: Final[_Parameters] = {
    "Last-Event-ID": (_CURSOR, "The id of the last frame that the client has."),
    "Prefer": (_TEXT, "`wait=N`: waits up to N seconds for the result."),
    "Idempotency-Key": (
        {"type": "string", "minLength": 1, "maxLength": 200},
        "The same request with the same key is carried out once.",
    ),
    "traceparent": (_TEXT, "The trace that the run belongs to (W3C Trace Context). One that is not valid is as none."),
    "tracestate": (_TEXT, "What vendors add to it."),
}


def _all() -> dict[str, Schema]:
    places = {"path": _IN_PATH, "query": _IN_QUERY, "header": _IN_HEADERS}
    return {name: _in(place, *found, name) for place, all in places.items() for name, found in all.items()}


PARAMETERS: Final = _all()
"""By name; of a name that means two things one with a dot."""

STREAM: Final = (
    "after", "tail", "types", "tasks", "throttle", "heartbeat", "snapshot", "logs", "await_run", "on_disconnect",
    "children", "dialect", "names", "compress", "view", "Last-Event-ID",
)  # fmt: skip
POSITIONS: Final = ("after", "types", "tasks", "heartbeat", "dialect", "names", "compress", "Last-Event-ID")
"""What a stream of the routes, and one of all runs, takes; a test holds both against ``http.query``."""

"""An event, its JSON, and the closed vocabulary of types the engine itself writes.

The JSON of an event is made once, when it gets its number; the log, every subscriber and every SSE frame use those
bytes. What in-process code reads (``event.data``) is decoded from them, so nobody can see anything that is not logged.

    {"seq": 12, "run_id": "018f…", "type": "task.completed", "time": "2026-11-21T02:51:00.123456Z",
     "task_id": "measure[3]", "task": "measure", "map_index": 3, "attempt": 1, "data": {…}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

_TO_TASK: Final = len('","time":"2026-11-21T02:51:00.123456Z",')
"""From the end of an event's type to what follows its time."""


class Draft(NamedTuple):
    """What somebody says before it has a number."""

    type: str
    data: bytes
    """JSON object."""
    task_id: str | None = None
    head: bytes = b""
    """The task's part of the envelope, made once per attempt: ``,"task_id":…,"task":…,"attempt":…``."""
    blob: bytes | None = None
    """A payload too large for the event, stored beside it under the event's seq."""


def task_head(task_id: str, task: str, map_index: int | None, attempt: int) -> bytes:
    """The part of the envelope that all events of one attempt share. Names need no escaping (``bounds.TASK_NAME``)."""
    index = "" if map_index is None else f',"map_index":{map_index}'
    started = f',"attempt":{attempt}' if attempt else ""
    return f',"task_id":"{task_id}","task":"{task}"{index}{started}'.encode()


class Event:
    """One event of a run, immutable by convention: ``seq run_id type time task_id task map_index attempt data``.

    ``json`` is the one encoding everybody shares. A frozen dataclass costs four times as much to make.
    """

    __slots__ = ("_body", "blob", "json", "run_id", "seq", "task_id", "type")

    def __init__(
        self, seq: int, run_id: str, type: str, task_id: str | None, json: bytes, blob: bytes | None = None
    ) -> None:
        self.seq = seq
        self.run_id = run_id
        self.type = type
        self.task_id = task_id
        self.json = json
        self.blob = blob
        self._body: dict[str, Any] | None = None

    @classmethod
    def numbered(cls, seq: int, run_id: str, time: bytes, draft: Draft) -> Event:
        """The event of a draft: the only place where an event's JSON is written."""
        json = b'{"seq":%d,"run_id":"%b","type":"%b","time":"%b"%b,"data":%b}' % (
            seq,
            run_id.encode(),
            draft.type.encode(),
            time,
            draft.head,
            draft.data,
        )
        return cls(seq, run_id, draft.type, draft.task_id, json, draft.blob)

    @classmethod
    def from_json(cls, json: bytes) -> Event:
        """An event read back from its JSON."""
        body: dict[str, Any] = orjson.loads(json)
        event = cls(body["seq"], body["run_id"], body["type"], body.get("task_id"), json)
        event._body = body
        return event

    @classmethod
    def from_log(cls, seq: int, run_id: str, json: bytes) -> Event:
        """An event read back from a log that keeps only JSON: type and task are found in it, without decoding.

        They stand where ``numbered`` puts them, before anything a user wrote, and need no unescaping.
        """
        start = json.index(b'"type":"') + 8
        type_end = json.index(b'"', start)
        task_start = type_end + _TO_TASK
        task_id = None
        if json.startswith(b'"task_id":"', task_start):
            task_start += 11
            task_id = json[task_start : json.index(b'"', task_start)].decode()
        return cls(seq, run_id, json[start:type_end].decode(), task_id, json)

    def decode(self) -> dict[str, Any]:
        """The envelope as a dict; not kept, so a fold over a long log holds nothing."""
        return self._body if self._body is not None else orjson.loads(self.json)

    @property
    def body(self) -> dict[str, Any]:
        """The envelope as a dict, decoded at most once for all subscribers. Do not change it."""
        if self._body is None:
            self._body = orjson.loads(self.json)
        return self._body  # pyright: ignore[reportReturnType]  # orjson.loads is typed Any; narrowed two lines up

    @property
    def time(self) -> str:
        """ISO 8601, UTC, microseconds."""
        return self.body["time"]

    @property
    def task(self) -> str | None:
        """The name of the task in the workflow (``measure`` for ``measure[3]``)."""
        return self.body.get("task")

    @property
    def map_index(self) -> int | None:
        return self.body.get("map_index")

    @property
    def attempt(self) -> int | None:
        """From 1; None on events of the run itself and of tasks that never began."""
        return self.body.get("attempt")

    @property
    def data(self) -> dict[str, Any]:
        return self.body["data"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and other.json == self.json

    def __hash__(self) -> int:
        return hash((self.run_id, self.seq))

    def __repr__(self) -> str:
        subject = f" {self.task_id}" if self.task_id else ""
        return f"<Event {self.seq} {self.type}{subject} of {self.run_id}>"


class Control:
    """A message of a stream that is not in the log (``stream.gap``): the envelope without a seq."""

    __slots__ = ("data", "run_id", "time", "type")

    seq: Final[None] = None
    task_id: Final[None] = None
    task: Final[None] = None
    map_index: Final[None] = None
    attempt: Final[None] = None

    def __init__(self, type: str, run_id: str, time: str, data: dict[str, Any]) -> None:
        self.type = type
        self.run_id = run_id
        self.time = time
        self.data = data

    @property
    def json(self) -> bytes:
        return orjson.dumps({"type": self.type, "run_id": self.run_id, "time": self.time, "data": self.data})

    def __repr__(self) -> str:
        return f"<Control {self.type} of {self.run_id} {self.data}>"


Window: TypeAlias = Sequence[Event]
"""Consecutive events of one run that are committed, and published, together."""
Message: TypeAlias = Event | Control
"""What a subscriber of a run sees: its events, and ``stream.gap`` where the log was trimmed."""

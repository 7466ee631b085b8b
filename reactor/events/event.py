"""What flows through a stream: a ``Draft`` becomes an ``Event`` once it has its number; a ``Notice`` has no number.

The JSON of an event is made once, when the event gets its number (``seq``). The log, every subscriber and every SSE
frame use those bytes, and ``event.data`` is decoded from them, so that nobody sees anything that is not in the log.

    {"seq": 12, "run_id": "018f…", "type": "task.completed", "time": "2026-11-21T02:51:00.123456Z",
     "task_id": "measure[3]", "task": "measure", "map_index": 3, "attempt": 1, "data": {…}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from reactor.errors import LogUnavailable
from reactor.events.one_line import one_line
from reactor.events.vocabulary.tables import EventType

_TO_TASK: Final = len('","time":"2026-11-21T02:51:00.123456Z",')
"""The length of the JSON from the end of an event's type to what follows its time."""


DAMAGED: Final = "damaged"
"""The ``reason`` of a LogUnavailable for one event."""


class Draft(NamedTuple):
    """An event before it has a number and a time."""

    type: EventType | str
    data: bytes
    """A JSON object."""
    task_id: str | None = None
    head: bytes = b""
    """The task's part of the envelope (``task_head``), which is made once for each attempt."""
    blob: bytes | None = None
    """A payload that is too large for the event and is stored beside it, under the event's seq."""
    tail: bytes = b""
    """The end of the envelope, after the data: an idempotency key (``keyed.tail_of``)."""


def task_head(task_id: str, task: str, map_index: int | None, attempt: int) -> bytes:
    """The part of the JSON that all events of one attempt share: ``,"task_id":…,"task":…,"attempt":…``.

    Names need no escaping (``bounds.TASK_NAME``).
    """
    index = "" if map_index is None else f',"map_index":{map_index}'
    started = f',"attempt":{attempt}' if attempt else ""
    return f',"task_id":"{task_id}","task":"{task}"{index}{started}'.encode()


class Event:
    """One event of a run: ``seq run_id type time task_id task map_index attempt data``. Do not change it.

    ``json`` are the bytes that log, subscribers and frames share. Not a frozen dataclass, which costs four times as
    much to make.
    """

    __slots__ = ("_body", "blob", "json", "run_id", "seq", "task_id", "type")

    def __init__(
        self, seq: int, run_id: str, type: EventType | str, task_id: str | None, json: bytes, blob: bytes | None = None
    ) -> None:
        self.seq = seq
        self.run_id = run_id
        self.type = type
        """One of ``EventType``, or what a body has emitted."""
        self.task_id = task_id
        self.json = json
        self.blob = blob
        self._body: dict[str, Any] | None = None

    @classmethod
    def from_draft(cls, seq: int, run_id: str, time: bytes, draft: Draft) -> Event:
        """The event of a draft. This is the only place that writes the JSON of an event."""
        data = draft.data
        json = b'{"seq":%d,"run_id":"%b","type":"%b","time":"%b"%b,"data":%b%b}' % (
            seq,
            run_id.encode(),
            draft.type.encode(),
            time,
            draft.head,
            data if data.isascii() else one_line(data),
            draft.tail,
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
        """An event read back from a log that keeps only JSON; its type and task are found without decoding.

        ``numbered`` puts them before anything a user wrote, and they need no unescaping.
        """
        try:
            start = json.index(b'"type":"') + 8
            type_end = json.index(b'"', start)
            task_start = type_end + _TO_TASK
            task_id = None
            if json.startswith(b'"task_id":"', task_start):
                task_start += 11
                task_id = json[task_start : json.index(b'"', task_start)].decode()
            return cls(seq, run_id, json[start:type_end].decode(), task_id, json)
        except ValueError:
            raise damaged(run_id, seq) from None

    def view(self) -> Event:
        """The same event for one subscriber. It shares the bytes and decodes ``data`` for itself."""
        return Event(self.seq, self.run_id, self.type, self.task_id, self.json)

    def decode(self) -> dict[str, Any]:
        """The whole event as a dict. The dict is not kept, so that a fold over a long log needs no memory."""
        return self._body if self._body is not None else orjson.loads(self.json)

    @property
    def body(self) -> dict[str, Any]:
        """The whole event as a dict, decoded at most once for all subscribers. Do not change it."""
        if self._body is None:
            self._body = orjson.loads(self.json)
        return self._body  # pyright: ignore[reportReturnType]  # orjson.loads is typed Any; narrowed two lines up

    @property
    def time(self) -> str:
        """When it happened: ISO 8601, UTC, with microseconds."""
        return self.body["time"]

    @property
    def task(self) -> str | None:
        """The name of the task in the workflow (``measure`` for ``measure[3]``)."""
        return self.body.get("task")

    @property
    def map_index(self) -> int | None:
        """The index of the child, from 0; None for a task that is not a child of a mapped task."""
        return self.body.get("map_index")

    @property
    def attempt(self) -> int | None:
        """The number of the attempt, from 1; None on events of the run itself and of tasks that never started."""
        return self.body.get("attempt")

    @property
    def idempotency_key(self) -> str | None:
        """The key that it was emitted with, if any (``run.emit(key=)``, or the header ``Idempotency-Key``)."""
        return self.body.get("idempotency_key")

    @property
    def data(self) -> dict[str, Any]:
        """What the event says; ``vocabulary`` lists the keys of each type the engine writes. Do not change it."""
        return self.body["data"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and other.json == self.json

    def __hash__(self) -> int:
        return hash((self.run_id, self.seq))

    def __repr__(self) -> str:
        subject = f" {self.task_id}" if self.task_id else ""
        return f"<Event {self.seq} {self.type}{subject} of {self.run_id}>"


def damaged(run_id: str, seq: int) -> LogUnavailable:
    """Of an event whose bytes are not what was written: only what its run is asked for fails, and other runs go on."""
    why = f"event {seq} of run {run_id} is damaged in the log"
    what_to_do = "`reactor recover` copies what can be read of the log into a new file"
    return LogUnavailable(f"{why}; {what_to_do}", path="", reason=DAMAGED)


class Notice:
    """A message of a stream that is not in the log, such as ``stream.gap``: like an event, but without a seq."""

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

    def view(self) -> Notice:
        """Itself: a notice is made for one subscriber."""
        return self

    @property
    def json(self) -> bytes:
        return one_line(orjson.dumps({"type": self.type, "run_id": self.run_id, "time": self.time, "data": self.data}))

    def __repr__(self) -> str:
        return f"<Notice {self.type} of {self.run_id} {self.data}>"


Window: TypeAlias = Sequence[Event]
"""Consecutive events of one run that are committed together, and then published together."""
Message: TypeAlias = Event | Notice
"""What a subscriber of a run gets: its events, and ``stream.gap`` where the log was trimmed."""

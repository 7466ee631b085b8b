"""A window on its way to Redis and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from reactor import bounds
from reactor.events.event import Event, Window
from reactor.events.state import RUN_ENDED, run_status
from reactor.logs.listing import ASKED, CHANGES_QUESTIONS, began_at, change_of, member_digest, members_of
from reactor.logs.records import INDEXED, later_version, parent_of, settled_child
from reactor.logs.redis.wire import Part


class Packed(NamedTuple):
    """What ``commit`` is called with. It keeps the payloads, which their events let go of."""

    first: int
    last: int
    lines: bytes
    changes: bytes
    """What the window changes in the list of runs, as JSON; empty: nothing."""
    blobs: tuple[Part, ...]
    """Seq, payload, seq, payload, ..."""
    has_ended: bool
    has_asked: bool
    """A task has asked something, now or before."""

    def answering(self, commands: list[tuple[str, bytes]]) -> Packed:
        """With the commands, as id and answer, that are answered as this window is committed."""
        changes: dict[str, Any] = orjson.loads(self.changes or b"{}")
        changes["commands"] = [[id, answer.decode()] for id, answer in commands]
        return self._replace(changes=orjson.dumps(changes))

    @property
    def size(self) -> int:
        return len(self.lines) + sum(len(blob) for blob in self.blobs if isinstance(blob, bytes))

    def behind(self, seq: int) -> Packed:
        """What of it comes after a seq. The changes are those of its last events, so they stay."""
        lines = self.lines.split(b"\n")[seq + 1 - self.first :]
        blobs = [
            part for i in range(0, len(self.blobs), 2) if int(self.blobs[i]) > seq for part in self.blobs[i : i + 2]
        ]
        return self._replace(first=seq + 1, lines=b"\n".join(lines), blobs=tuple(blobs))


def pack(run_id: str, window: Window, *, has_asked: bool = True) -> Packed:
    """Raises ValueError for an event of more than one line, and for events that do not follow each other.

    ``has_asked``: whether a task of the run may have asked something before. If not, none has an open question, and it
    need not be said of every task that it has none any more.
    """
    first, last = window[0].seq, window[-1].seq
    lines = b"\n".join([event.json for event in window])
    if lines.count(b"\n") != len(window) - 1:
        raise ValueError(f"window {first} of run {run_id} holds an event of more than one line")
    if last - first != len(window) - 1:
        raise ValueError(f"window {first} of run {run_id} leaves a gap after {first}")
    blobs: list[Part] = []
    changes: dict[str, Any] = {}
    for event in window:
        if event.blob is not None:
            blobs += (event.seq, event.blob)
        if event.type in INDEXED:
            _add_change(changes, event)
        elif event.type == ASKED or (has_asked and event.type in CHANGES_QUESTIONS):
            has_asked = True
            changes.setdefault("questions", []).append([*change_of(event)])
    is_over = changes.get("status") in RUN_ENDED
    return Packed(first, last, lines, orjson.dumps(changes) if changes else b"", tuple(blobs), is_over, has_asked)


def _add_change(changes: dict[str, Any], event: Event) -> None:
    if (child := settled_child(event)) is not None:
        changes.setdefault("settled", []).append(child)
    if (version := later_version(event)) is not None:
        changes["version"] = version
    status = run_status(event)
    if status is None:
        return
    changes["status"] = status
    if event.type == "run.started":
        body = event.decode()
        changes.update(workflow=body["data"]["workflow"], version=body["data"]["version"], created=body["time"])
        changes["began"] = str(began_at(body["time"]))
        if (parent := parent_of(body["data"])) is not None:
            changes["parent"] = parent
        if members := members_of(body["data"]):
            changes["meta"] = [member_digest(*member) for member in members]
    elif status in RUN_ENDED:
        time = event.decode()["time"]
        changes.update(ended=time, ended_at=repr(datetime.fromisoformat(time).timestamp()))


def events_of(run_id: str, first: int, lines: bytes) -> list[Event]:
    """The events of a window as it stands in Redis."""
    return [Event.from_log(seq, run_id, line) for seq, line in enumerate(lines.split(b"\n"), first)]


def events_behind(run_id: str, after: int, limit: int, windows: Sequence[bytes]) -> list[Event]:
    """The events with ``seq > after`` of ``first, events, first, events, ...``, within the bounds of one read."""
    events: list[Event] = []
    size = 0
    for i in range(0, len(windows), 2):
        first, lines = int(windows[i]), windows[i + 1].split(b"\n")
        skip = max(after + 1 - first, 0)
        for seq, line in enumerate(lines[skip:], first + skip):
            size += len(line)
            if len(events) == limit or (size > bounds.READ_BYTES and events):
                return events
            events.append(Event.from_log(seq, run_id, line))
    return events

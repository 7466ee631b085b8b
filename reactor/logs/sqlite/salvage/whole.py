"""How much of one run can be relied on: its events from the first on, without a hole, each as the run has said it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from reactor.events.event import Event
from reactor.events.fold import evolve
from reactor.events.state import RUN_ENDED, RUN_STATUS, RunState
from reactor.events.vocabulary import VOCABULARY
from reactor.logs.sqlite.salvage.cells import Damaged, payload, record
from reactor.logs.sqlite.salvage.found import Found, RunRow, WindowRow
from reactor.logs.sqlite.salvage.pages import Pages

Verdict = Literal["whole", "cut", "lost"]


@dataclass(frozen=True, slots=True)
class RecoveredRun:
    """What has become of a run."""

    run_id: str
    """Empty where all that is left of it are entries of an index."""
    tenant: str
    verdict: Verdict
    last_seq: int
    """The last event that was kept."""
    had: int | None
    """The last event that there was, as far as anything in the file says so; None for a run that is whole."""
    has_ended: bool


class Kept(NamedTuple):
    """A window, or the beginning of one, that is copied."""

    position: int
    events: list[Event]


class Prefix:
    """Reads the windows of one run; ``kept`` gives them one after the other, and the rest is known at their end."""

    def __init__(self, pages: Pages, found: Found, id: int, windows: Iterable[WindowRow]) -> None:
        self._pages = pages
        self._found = found
        self._id = id
        self._windows = sorted(windows, key=lambda window: (window.last, window.first))
        self.row: RunRow | None = found.runs.get(id)
        self.state = RunState(self.row.run_id if self.row else "")
        self.base: bytes | None = None
        """The fold of what was trimmed."""
        self.ended: str | None = None
        self.tenant = self.row.tenant if self.row else ""
        self.can_begin = self._read_base()
        self.last_seq = self.state.seq
        """The last event that is good. The state may have begun to fold one that is not."""
        self.had = max([found.listed.get(id, 0), *(window.last for window in self._windows)])

    def _read_base(self) -> bool:
        """Whether it is known where the kept events begin."""
        if self.row is None or self.row.base is None:
            return bool(self._windows) and self._windows[0].first == 1
        try:
            self.state = RunState.from_dict(orjson.loads(self.row.base))
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        self.base = self.row.base
        if self.state.status in RUN_ENDED:
            self.ended = self.row.ended
        return self.state.run_id == self.row.run_id

    def kept(self) -> Iterator[Kept]:
        """The windows up to where the first event is missing, or is not what it was."""
        if not self.can_begin:
            return
        for window in self._windows:
            if window.last <= self.last_seq:
                continue  # was trimmed, or is there twice
            if window.first != self.last_seq + 1:
                return
            events = list(self._events_of(window))
            if events:
                yield Kept(window.position, events)
            if self.last_seq != window.last:
                return

    def _events_of(self, window: WindowRow) -> Iterator[Event]:
        try:
            values = record(payload(self._pages, window.cell))
        except Damaged:
            return
        joined = values[4]
        if not isinstance(joined, bytes) or (len(values) > 5 and values[5] not in (None, zlib.crc32(joined))):
            return
        lines = joined.split(b"\n")
        if len(lines) != window.last - window.first + 1:
            return
        for seq, line in enumerate(lines, window.first):
            event = self._event(seq, line)
            if event is None:
                return
            yield event

    def _event(self, seq: int, line: bytes) -> Event | None:
        """The event, folded; None where it is not one of this run, or does not follow."""
        try:
            body: dict[str, Any] = orjson.loads(line)
            run_id = body["run_id"]
            if body["seq"] != seq or self.ended is not None or (seq == 1) != (body["type"] == "run.started"):
                return None
            if seq == 1 and self.row is None:
                self.state.run_id, self.tenant = run_id, body["data"].get("tenant", "")
            event = Event.from_log(seq, run_id, line)
            if run_id != self.state.run_id or event.type != body["type"]:
                return None
            event.blob = self._blob(seq, body)
            evolve(self.state, event)
        except Exception:  # any: a fold of what is not an event may raise what it likes
            return None
        if event.type in RUN_STATUS and RUN_STATUS[event.type] in RUN_ENDED:
            self.ended = body["time"]
        self.last_seq = seq
        return event

    def _blob(self, seq: int, body: dict[str, Any]) -> bytes | None:
        """What stands beside the event; raises where the event has a reference to what cannot be read."""
        cell = self._found.blobs.get((self._id, seq))
        is_needed = body["type"] in VOCABULARY and any(name.endswith("_ref") for name in body["data"])
        if cell is None and not is_needed:
            return None
        try:
            data = None if cell is None else record(payload(self._pages, cell))[2]
            if isinstance(data, bytes):
                orjson.loads(data)
                return data
        except (Damaged, ValueError):
            if not is_needed:
                return None
        raise Damaged(f"what stands beside event {seq} is lost")

    def result(self) -> RecoveredRun:
        """What became of it, once ``kept`` has been read to its end."""
        last = self.last_seq
        had_ended = self.row is not None and self.row.ended is not None
        is_cut = last < self.had or (had_ended and self.ended is None)
        # a run that has ended has nothing after that; of another nobody knows, where the file is damaged
        unknown = self.ended is None and self._found.may_miss_windows
        verdict: Verdict = "lost" if not last else "cut" if is_cut or unknown else "whole"
        had = None if verdict == "whole" else self.had if self.had > last else None
        return RecoveredRun(self.state.run_id, self.tenant, verdict, last, had, self.ended is not None)

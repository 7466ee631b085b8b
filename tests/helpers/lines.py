"""A small dialect of one's own: it folds, it counts, and some of its events have two frames."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from reactor.events.event import Event, Notice
from reactor_web.dialects import DialectInfo, End, Opening


@dataclass
class Count:
    tasks: int = 0


class Lines:
    """Unnamed frames ``{"line": …}``; the end of a task has a second one with the number of tasks that have ended."""

    info = DialectInfo("lines", headers={"X-Lines": "1"}, heartbeat=0.1, folds=True, refuses=frozenset({"throttle"}))

    def begin(self, started: Event | None, mode: Opening) -> tuple[Count, bytes]:
        hello = b'data: {"line":"hello"}\n\n' if mode == "fresh" else b""
        return Count(), hello

    def step(self, state: Count, event: Event) -> bytes:
        line = {"line": event.type, "of": event.task_id}
        if event.type != "task.completed":
            return self._frame(str(event.seq), line)
        state.tasks += 1
        return self._frame(f"{event.seq}.1", line) + self._frame(str(event.seq), {"ended": state.tasks})

    def notice(self, state: Count, notice: Notice, id: int | None = None) -> bytes:
        return self._frame("" if id is None else str(id), {"notice": notice.type})

    def heartbeat(self, state: Count, n: int, time: str) -> bytes:
        return b": beat %d\n" % n

    def end(self, state: Count, why: End) -> bytes:
        if why.notice.type == "stream.end":
            return self._frame("" if why.id is None else str(why.id), {"line": "end", "ended": state.tasks})
        return b"event: closing\n" + self._frame("", {"line": "closing"})

    @staticmethod
    def _frame(id: str, data: object) -> bytes:
        head = f"id: {id}\n".encode() if id else b""
        return b"%bdata: %b\n\n" % (head, orjson.dumps(data))

"""``NDJSON``: the native messages as lines of JSON instead of server-sent events, for clients that read lines.

It is chosen by ``Accept: application/x-ndjson``, not by name: the messages are the native ones.
"""

from __future__ import annotations

from typing import Final

from reactor.events.event import Event, Notice
from reactor.events.one_line import one_line
from reactor_web.dialects.base import Dialect, DialectInfo, End, Opening

LINES: Final = "application/x-ndjson"
EMPTY_LINE: Final = b"\n"
"""The heartbeat. It also opens a stream: it sends the headers, and clients skip it."""


class NdJson:
    """One message a line, events and notices alike, as their bytes are. The cursor is the ``seq`` in an event."""

    __slots__ = ()

    info = DialectInfo("native.lines", media_type=LINES, comment=EMPTY_LINE)

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[None, bytes]:
        """No state, and nothing before the first event."""
        return None, b""

    @staticmethod
    def step(state: None, event: Event) -> bytes:
        """The line of an event."""
        data = one_line(event.json)  # an older log has raw line ends in it
        if b"\n" in data or b"\r" in data:
            raise ValueError(f"event {event.seq} of run {event.run_id} is not one line of JSON")
        return data + b"\n"

    @staticmethod
    def notice(state: None, notice: Notice, id: int | None = None) -> bytes:
        """The line of ``run.state``, ``stream.gap``, ``stream.end`` or ``stream.closing``."""
        return notice.json + b"\n"

    @staticmethod
    def heartbeat(state: None, n: int, time: str) -> bytes:
        """An empty line."""
        return EMPTY_LINE

    @staticmethod
    def end(state: None, why: End) -> bytes:
        """The line of ``stream.end`` or ``stream.closing``."""
        return why.notice.json + b"\n"


NDJSON: Final[Dialect] = NdJson()

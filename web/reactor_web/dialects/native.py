"""``NATIVE``: each message as it is in the log, one frame a message."""

from __future__ import annotations

from typing import Final

from reactor.events.event import Event, Notice
from reactor.events.one_line import one_line
from reactor_web.dialects.base import Dialect, DialectInfo, End, Opening
from reactor_web.sse.frames import HEARTBEAT, encode, field_line


class Native:
    """An event's seq is its id, its type the event name, and the bytes that are in the log are the data."""

    __slots__ = ()

    info = DialectInfo("native")

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[None, bytes]:
        """No state, and nothing before the first event."""
        return None, b""

    @staticmethod
    def step(state: None, event: Event) -> bytes:
        """The frame of an event, with its seq as id."""
        data = one_line(event.json)  # an older log has raw line ends in it
        if b"\n" in data or b"\r" in data:
            return encode(data, event=event.type, id=event.seq)  # raises the error that says why
        return b"id: %d\n%bdata: %b\n\n" % (event.seq, field_line("event", event.type), data)

    @staticmethod
    def notice(state: None, notice: Notice, id: int | None = None) -> bytes:
        """The frame of ``run.state``, ``stream.gap``, ``stream.end`` or ``stream.closing``."""
        return encode(notice.json, event=notice.type, id=id)

    @staticmethod
    def heartbeat(state: None, n: int, time: str) -> bytes:
        """A comment, which no client reports as an event."""
        return HEARTBEAT

    @staticmethod
    def end(state: None, why: End) -> bytes:
        """The frame of ``stream.end`` or ``stream.closing``."""
        return encode(why.notice.json, event=why.notice.type, id=why.id)


NATIVE: Final[Dialect] = Native()

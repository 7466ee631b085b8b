"""``NATIVE``: each message as it is in the log, one frame a message."""

from __future__ import annotations

from typing import Final

from reactor.events.event import Event, Notice
from reactor_web.dialects.base import Dialect
from reactor_web.sse.frames import HEARTBEAT, encode, field_line, with_retry


class Native:
    """An event's seq is its id, its type the event name, and the bytes that are in the log are the data."""

    __slots__ = ()

    @property
    def heartbeat(self) -> bytes:
        """A comment."""
        return HEARTBEAT

    @staticmethod
    def frame(event: Event) -> bytes:
        """The frame of an event, with its seq as id."""
        data = event.json
        if b"\n" in data or b"\r" in data:
            return encode(data, event=event.type, id=event.seq)  # raises the error that says why
        return b"id: %d\n%bdata: %b\n\n" % (event.seq, field_line("event", event.type), data)

    @staticmethod
    def frame_without_id(event: Event) -> bytes:
        """The frame of a throttled event that leaves after a later one."""
        return encode(event.json, event=event.type)

    @staticmethod
    def notice(notice: Notice, id: int | None = None) -> bytes:
        """The frame of ``run.state``, ``stream.gap``, ``stream.end`` or ``stream.closing``."""
        return encode(notice.json, event=notice.type, id=id)

    @staticmethod
    def with_retry(frames: bytes, retry_ms: int) -> bytes:
        """``frames``, the first of which also says how many milliseconds to wait before a reconnect."""
        return with_retry(frames, retry_ms)


NATIVE: Final[Dialect] = Native()

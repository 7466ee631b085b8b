"""``Dialect``: what the streams need of any way to write messages of a run as bytes."""

from __future__ import annotations

from typing import Protocol

from reactor.events.event import Event, Notice


class Dialect(Protocol):
    """Writes messages of a run as frames of a stream. Values in, bytes out: no loop, no clock, no state."""

    @property
    def heartbeat(self) -> bytes:
        """What is written after a silence, between frames only; clients must not report it as an event."""
        ...

    def frame(self, event: Event) -> bytes:
        """The frame of an event, with its seq as id."""
        ...

    def frame_without_id(self, event: Event) -> bytes:
        """The frame of a throttled event that leaves late: ids only grow, and a later id has left already."""
        ...

    def notice(self, notice: Notice, id: int | None = None) -> bytes:
        """The frame of a message that is in no log; ``id`` is the seq it is current to, if it has one."""
        ...

    def with_retry(self, frames: bytes, retry_ms: int) -> bytes:
        """``frames``, the first of which also says how many milliseconds to wait before a reconnect."""
        ...

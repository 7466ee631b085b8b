"""``Dialect``: what the streams need of any way to write messages of a run as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from reactor.events.event import Event, Notice
from reactor_web.bounds import DEFAULT_HEARTBEAT_SECONDS

Opening: TypeAlias = Literal["fresh", "resume"]
"""``fresh``: the client has no cursor, and is shown an opening. ``resume``: it has one, and is shown none."""

State: TypeAlias = Any
"""What a dialect remembers of one run between two events: a value of its own."""


@dataclass(frozen=True, slots=True)
class DialectInfo:
    """What is true of a dialect for all runs."""

    name: str
    """What ``?dialect=`` asks for: letters, digits and hyphens."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers of a response beside those of every stream."""
    heartbeat: float = DEFAULT_HEARTBEAT_SECONDS
    """Seconds of silence before a heartbeat, where nobody asks for others."""
    throttle: float | None = None
    """Milliseconds between two progress events of a task, where nobody asks for others; None: all of them."""
    folds: bool = False
    """Whether a frame depends on earlier events, or one event may make several frames. Such a dialect is given the run
    from its first event on. One that does not fold is given any part of it, and its state is not kept."""
    refuses: frozenset[str] = frozenset()
    """Stream options that have no meaning here: a request with one of them is answered 400."""


class End(NamedTuple):
    """Why a stream ends: ``stream.end`` after the run's last event, ``stream.closing`` for any other reason."""

    notice: Notice
    id: int | None = None
    """The run's last seq; None where more events may come."""


class Dialect(Protocol):
    """Writes messages of a run as frames of a stream. A fold over values: no loop, no clock, no chance.

    Frames are bytes, one frame after the other, each with the blank line that ends it.
    """

    @property
    def info(self) -> DialectInfo:
        """What is true of it for all runs."""
        ...

    def begin(self, started: Event | None, mode: Opening) -> tuple[State, bytes]:
        """The state before the first event, and what a client is shown before it.

        ``started`` is ``run.started``; None where there is none yet, or for a dialect that does not fold.
        """
        ...

    def step(self, state: State, event: Event) -> bytes:
        """The frames of an event. The last has ``id: <seq>``, those before it ``id: <seq>.<k>`` with k from 1."""
        ...

    def notice(self, state: State, notice: Notice, id: int | None = None) -> bytes:
        """The frames of a message that is in no log; ``id`` is the seq it is current to, if it has one."""
        ...

    def heartbeat(self, state: State, n: int, time: str) -> bytes:
        """What is written after a silence, between frames only.

        ``n`` counts the heartbeats of a pipeline from 1 and ``time`` is the present; a dialect that does not fold is
        asked once, with 0 and an empty time.
        """
        ...

    def end(self, state: State, why: End) -> bytes:
        """The last frames of a stream. What is not the end of the run must not look like one."""
        ...

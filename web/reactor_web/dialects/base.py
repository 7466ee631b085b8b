"""``Dialect``: what the streams need of any way to write messages of a run as bytes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from reactor.events.event import Event, Notice
from reactor_web.bounds import DEFAULT_HEARTBEAT_SECONDS

EVENT_STREAM: Final = "text/event-stream"

Opening: TypeAlias = Literal["fresh", "resume"]
"""``fresh``: the client has no cursor, and is shown an opening. ``resume``: it has one, and is shown none."""

State: TypeAlias = Any
"""What a dialect remembers of one run between two events: a value of its own that can be pickled. Copies of it are
kept, so that a client that comes back need not wait until the run was folded from its first event on."""


@dataclass(frozen=True, slots=True)
class DialectOption:
    """A stream option that only one dialect has, such as ``?include_history=false``."""

    read: Callable[[str], Any]
    """The value of a text; raises ValueError that says what the text must be: ``must be 0 or 1``."""
    default: Any
    """The value where nobody asks for another."""
    about: str
    """One sentence for the docs."""
    sets: str | None = None
    """The stream option that it is another name of (``tail``); None: its value goes to ``Configurable.configured``."""


@dataclass(frozen=True, slots=True)
class DialectInfo:
    """What is true of a dialect for all runs."""

    name: str
    """What ``?dialect=`` asks for: letters, digits and hyphens."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers of a response beside those of every stream."""
    media_type: str = EVENT_STREAM
    """What a response is. Only server-sent events have comments, names, ids and ``retry:``."""
    comment: bytes = b":\n"
    """What opens a stream and is no message: it sends the headers."""
    heartbeat: float = DEFAULT_HEARTBEAT_SECONDS
    """Seconds of silence before a heartbeat, where nobody asks for others."""
    throttle: float | None = None
    """Milliseconds between two progress events of a task, where nobody asks for others; None: all of them."""
    folds: bool = False
    """Whether a frame depends on earlier events, or one event may make several frames. Such a dialect is given the run
    from its first event on. One that does not fold is given any part of it, and its state is not kept."""
    refuses: frozenset[str] = frozenset()
    """Stream options that have no meaning here: a request with one of them is answered 400."""
    options: Mapping[str, DialectOption] = field(default_factory=dict[str, DialectOption])
    """Stream options of its own, by the name in the query."""
    counted: bool = False
    """Whether ids are the numbers of the frames, from 1, so that a cursor is how many frames a client has. Such a
    dialect folds, and refuses ``types``, ``tasks`` and ``throttle``: they would change the numbers."""
    fetch_client: bool = False
    """Whether clients take the clean end of a response for the end of the run. A stream that ends for another reason
    is then cut off."""
    run_header: str | None = None
    """A header of the response that has the id of the run."""


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

        ``started`` is ``run.started`` with what is stored beside it (``input``, ``tasks``, ``plan``), however large;
        None where there is none yet, or for a dialect that does not fold. ``step`` is given ``run.started`` too.
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


@runtime_checkable
class Configurable(Protocol):
    """A dialect that has ``info.options`` of its own."""

    def configured(self, options: Mapping[str, Any]) -> Dialect:
        """The same dialect with these options, by name; those that nobody gave have their default."""
        ...


@runtime_checkable
class Opens(Protocol):
    """A dialect that shows a client without a cursor where the run is, before the first frame of an event."""

    def connected(self, run_id: str) -> bytes:
        """What is written at once, also while the stream waits for its run: comments only, or nothing."""
        ...

    def opening(self, state: State, run_id: str, seq: int | None) -> bytes:
        """The frames that show ``state``. The last one has the id ``seq``, those before it have none.

        ``seq``: the event that the state is current to, 0 for a run that has not begun. None for a run that has ended:
        no frame has an id then, and the frames of the run's last event follow.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A dialect whose opening may be so large that it is made in pieces."""

    def prepare(self, state: State) -> Generator[None]:
        """Makes what the next ``opening`` of this state needs, a few milliseconds at a time. Others run in between, and
        the state may go on: only what has changed since is then made by ``opening`` itself."""
        ...


@runtime_checkable
class Waits(Protocol):
    """A dialect whose heartbeats say which run they are of."""

    def waiting(self, run_id: str) -> State:
        """The state of a stream that waits for its run to start."""
        ...


class Batch(NamedTuple):
    """The answer to a client that waits for the end of a run instead of following it."""

    status: int
    """Of HTTP. From 400 on, ``body`` are the members of a problem document, with ``detail``."""
    body: Any
    """A value that is plain JSON."""


@runtime_checkable
class Answers(Protocol):
    """A dialect that has an answer for a client that does not follow (``add_start``)."""

    def batch(self, events: Iterable[Event], outputs: Mapping[str, Any]) -> Batch:
        """The answer, made of an ended run's events; there may be no progress, no chunks and no log lines among them.

        The first is ``run.started`` with what is stored beside it, as in ``Dialect.begin``.
        ``outputs``: of the tasks whose ``task.completed`` only has a reference, by task id.
        """
        ...


@runtime_checkable
class Shows(Protocol):
    """A dialect that has a body for clients that ask again and again instead of following (``add_state``)."""

    def shown(self, state: State, run_id: str) -> Mapping[str, Any]:
        """The state as an object of plain JSON. A member that may be long can be an iterator of the items of an array:
        they are made as they are written, while others run and the state stays as it is."""
        ...


@runtime_checkable
class Refuses(Protocol):
    """A dialect whose clients are told in the stream that a run could not be started, since they see no HTTP status."""

    def refused(self, error: str, time: str) -> bytes:
        """The only frame of the stream: a sentence that says why, and the present."""
        ...

"""What the engine needs from the outside: small Protocols, one adapter a file in ``logs/`` and ``executors/``.

``reactor.testing`` holds the law suite each adapter must pass.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from reactor.context.attempt import Attempt
from reactor.definition.task import Task
from reactor.events import Event, Window
from reactor.state import RunState


class RunRecord(NamedTuple):
    """A run as the log lists it."""

    run_id: str
    workflow: str
    version: str
    status: str
    created: str
    """ISO 8601."""
    first_seq: int
    """The first event still kept; above 1 after a trim."""
    last_seq: int


class EventLog(Protocol):
    """Append-only, one sequence a run. A window is keyed (run, seq): appending it again changes nothing."""

    def append(self, run_id: str, window: Window) -> Future[None]:
        """Commits a window; the future is done once it is. Never blocks the loop."""
        ...

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        """The kept events with ``seq > after`` in order; raises UnknownRun.

        At most ``limit``, and at most ``bounds.READ_BYTES`` beyond the first; empty only where there are none.
        """
        ...

    async def base(self, run_id: str) -> RunState:
        """The fold of what was trimmed: ``state.seq`` is the last seq that is gone (0: nothing). The caller owns it."""
        ...

    async def blob(self, run_id: str, seq: int) -> bytes | None:
        """The payload stored beside event ``seq``."""
        ...

    async def record(self, run_id: str) -> RunRecord:
        """What the log knows of a run; raises UnknownRun."""
        ...

    async def records(
        self, *, status: str | None, workflow: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        """Newest first; ``before`` is the run id the previous page ended with."""
        ...

    async def recall(self, key: str, now: float) -> bytes | None:
        """The output that was last remembered under a key, unless its time is over; ``now`` in Unix seconds."""
        ...

    def remember(self, key: str, value: bytes, until: float) -> Future[None]:
        """Keeps an output for other runs; the oldest are forgotten beyond ``bounds.CACHED_OUTPUTS``."""
        ...

    @property
    def durable(self) -> bool:
        """Whether what was appended is there after a restart: unfinished runs are then left for it."""
        ...

    async def unfinished(self) -> list[RunRecord]:
        """Runs without a terminal event, oldest first: what an engine goes on with when it starts."""
        ...

    async def open(self) -> None:
        """Called once before anything else."""
        ...

    async def close(self) -> None:
        """Called once, after the last append is done."""
        ...


class Work(NamedTuple):
    """One attempt of a body, ready to be called: what, with what, and whom its Context speaks to."""

    task: Task[..., Any]
    arguments: Mapping[str, Any]
    """By parameter, without the context's."""
    run_id: str
    task_id: str
    context: str | None = None
    """The parameter that takes the Context, if any; then there are an attempt and a voice."""
    attempt: Attempt | None = None
    voice: Voice | None = None


Done = Callable[[Any, BaseException | None], None]
"""Called on the loop once a body has answered: its output, or what it raised."""


class Executor(Protocol):
    """Where bodies run: on the loop, in threads, in processes."""

    def submit(self, work: Work, done: Done) -> Job:
        """Runs the body; ``done(output, error)`` is called on the loop, never inside of ``submit``."""
        ...

    async def close(self) -> None:
        """Lets idle workers go; does not wait for abandoned ones."""
        ...


class Job(Protocol):
    """A body that was submitted. Loop thread only."""

    def cancel(self) -> None:
        """Asks the body to stop: it is interrupted where its place allows that, and told through ``ctx.cancelled``."""
        ...

    def abandon(self) -> bool:
        """Stops waiting for it: ``done`` is never called. True where the body is really gone, being killed."""
        ...

    @property
    def saw_cancel(self) -> bool:
        """The body looked at ``ctx.cancelled`` and found it true: what it returns then is no output."""
        ...


class Voice(Protocol):
    """A run, as the Context of one attempt speaks into it. Loop thread only.

    Each method acts at once and returns an awaitable. What has been closed raises ContextClosed.
    """

    @property
    def loop(self) -> AbstractEventLoop: ...
    @property
    def is_crowded(self) -> bool:
        """Somebody emits without awaiting: twice the window is waiting."""
        ...

    @property
    def is_closed(self) -> bool:
        """The attempt has ended: nothing it says is recorded any more."""
        ...

    def emit(self, type: str, data: bytes) -> Awaitable[None]: ...
    def progress(self, data: bytes) -> Awaitable[None]: ...
    def chunk(self, text: str) -> Awaitable[None]: ...
    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """``cost`` is a decimal number as text."""
        ...

    def receive(self, prompt: str | None, schema: dict[str, Any] | None, key: str | None) -> Awaitable[Any]:
        """The value somebody sent, as plain JSON."""
        ...

    def run(self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Any) -> Awaitable[dict[str, Any]]:
        """The outputs of a child run."""
        ...

    def checkpoint(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]: ...


class Line(Protocol):
    """The other end of a Voice, where the body runs: on the loop it returns awaitables, elsewhere it blocks."""

    @property
    def blocks(self) -> bool:
        """Whether whoever asks now is held until there is an answer."""
        ...

    @property
    def cancelled(self) -> bool: ...
    def ask(self, name: str, *arguments: Any) -> Any:
        """Calls a method of the Voice: its awaitable on the loop, the answer itself elsewhere."""
        ...

    def say(self, name: str, *arguments: Any) -> Awaitable[None]:
        """The same for what has no answer but room in the window, which a cancel may cut short."""
        ...

    def progress(self, data: bytes) -> Awaitable[None]:
        """The latest progress; never blocks."""
        ...


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> bytes:
        """Wall time as event time: ISO 8601, UTC, microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds, for durations."""
        ...

"""What a task body may do: say things, look around, and find out that it should stop."""

from __future__ import annotations

import concurrent.futures
import threading
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import orjson

from reactor import bounds
from reactor.errors import Backpressure, ContextClosed, EventTooLarge, InvalidEvent
from reactor.operators.buffer_window import READY
from reactor.values import dumps, is_plain, plain_copy

_ENVELOPE_BYTES: Final = 512
"""What the envelope around an event's data may take of its 48 KiB."""


class Upstream(NamedTuple):
    """How an upstream ended: ``output`` where it completed, ``error {type, message}`` where it failed."""

    status: str
    output: Any
    error: dict[str, Any] | None
    reason: str | None
    because: str | None


class Voice(Protocol):
    """The run, as a Context speaks into it. Loop thread only."""

    @property
    def loop(self) -> AbstractEventLoop: ...
    @property
    def is_crowded(self) -> bool: ...
    def wait_for_room(self) -> Awaitable[None]: ...
    def when_room(self, callback: Callable[[], None]) -> None: ...
    def committed(self) -> Awaitable[None]: ...
    def when_committed(self, callback: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which body, of which run, for the how-manieth time, and with what around it."""

    run_id: str
    task_id: str
    attempt: int
    """From 1."""
    map_index: int | None
    """The index of the item, in a mapped task."""
    input: Mapping[str, Any]
    """The inputs of the run."""
    meta: Mapping[str, Any]
    """Meta of the run, overlaid with the task's."""
    upstreams: Mapping[str, Upstream]
    resources: Mapping[str, Any]
    """Shared pools and clients, as given to the engine."""


class Context:
    """Given to a body that has a parameter named ``ctx`` or annotated ``Context``.

    Has the fields of ``Attempt``: ``run_id task_id attempt map_index input meta upstreams resources``.

    On the loop ``emit`` and its kin act at once and return an awaitable that is done when the window has room; in a
    thread they block instead, until a cancel wakes them. After the body ended every call raises ContextClosed.
    """

    def __init__(self, attempt: Attempt, voice: Voice, say: Callable[[str, bytes], None]) -> None:
        self._voice = voice
        self._say = say
        self._loop_thread = threading.get_ident()
        self._closed = False
        self._cancelled = False
        self._blocked: set[concurrent.futures.Future[None]] = set()
        self._waits_for_log: set[concurrent.futures.Future[None]] = set()
        """Of those that are blocked: no cancel may pass for the answer of the log."""
        self._unawaited: _Awaited | None = None
        """What the last ``emit`` into a full window returned, until somebody has awaited it."""
        self.saw_cancel = False
        """The body looked at ``cancelled`` and found it true: what it returns then is no output."""
        self._progress = _Progress(voice.loop, self._say_progress)
        self.run_id = attempt.run_id
        self.task_id = attempt.task_id
        self.attempt = attempt.attempt
        self.map_index = attempt.map_index
        self.input = attempt.input
        self.meta = attempt.meta
        self.upstreams = attempt.upstreams
        self.resources = attempt.resources
        self.log = TaskLog(self._log)

    @property
    def cancelled(self) -> bool:
        """True once the run is being cancelled: a thread looks here and returns."""
        self.saw_cancel = self.saw_cancel or self._cancelled
        return self._cancelled

    def emit(self, type: str, data: Mapping[str, Any] | Any | None = None) -> Awaitable[None]:
        """Puts an event of your own on the run's stream; ``data`` is anything that is a JSON object.

        Raises InvalidEvent, EventTooLarge (48 KiB), Backpressure (far too many without ``await``), ContextClosed.
        """
        # users without a type checker pass anything
        if not isinstance(type, str) or not bounds.EVENT_TYPE.fullmatch(type) or len(type) > bounds.EVENT_TYPE_CHARS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(InvalidEvent, f"{type!r} is no event type: lower case words joined by dots, at most 64")
        if type.startswith(bounds.RESERVED_EVENT_PREFIXES):
            raise self._error(InvalidEvent, f"the event type {type!r} is reserved for the engine")
        return self._write(type, self._encode(type, {} if data is None else data))

    def progress(self, fraction: float, message: str | None = None) -> Awaitable[None]:
        """How far the body is, 0 to 1. Sampled: at most 20 a second reach the stream, and the last one always does."""
        self._check_open()
        # users without a type checker pass anything; the comparison is also false for NaN
        if not isinstance(fraction, (int, float)) or not 0.0 <= fraction <= 1.0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(InvalidEvent, f"progress is a fraction from 0 to 1, not {fraction!r}")
        data = {"fraction": fraction, "message": message, "level": "info"}
        self._progress.latest = self._encode("task.progress", data)
        if threading.get_ident() == self._loop_thread:
            self._progress.sample()
            return self._voice.wait_for_room()
        self._progress.sample_from_thread()
        return READY

    def committed(self) -> Awaitable[None]:
        """Done when everything the run emitted so far is in the log: await it before an effect that must not repeat."""
        self._check_open()
        if threading.get_ident() == self._loop_thread:
            return self._voice.committed()
        return self._block(self._voice.when_committed, for_log=True)

    # --- the engine's side ---

    def cancel(self) -> None:
        """Tells the body to stop, and wakes it where it blocks."""
        self._cancelled = True
        self._wake()

    def close(self) -> None:
        """The attempt ended: says the last progress, and nothing after it."""
        if not self._closed:
            self._progress.finish()
            self._closed = True
            self._wake()

    def heard(self, awaited: _Awaited) -> None:
        """The body has waited for the room it was told to wait for."""
        if self._unawaited is awaited:
            self._unawaited = None

    # --- saying it ---

    def _log(self, level: str, message: str, fields: Mapping[str, Any]) -> Awaitable[None]:
        data = {"level": level, "message": message, "fields": fields}
        return self._write("log.created", self._encode("log.created", data))

    def _write(self, type: str, data: bytes) -> Awaitable[None]:
        self._check_open()
        if threading.get_ident() != self._loop_thread:
            return self._block(lambda wake: self._say_then(type, data, wake))
        if self._voice.is_crowded and self._unawaited is not None:
            raise self._error(Backpressure, "it emits faster than the log takes events: await ctx.emit(...)")
        self._say(type, data)
        room = self._voice.wait_for_room()
        if room is READY:
            self._unawaited = None
            return room
        self._unawaited = _Awaited(self, room)
        return self._unawaited

    def _say_then(self, type: str, data: bytes, wake: Callable[[], None]) -> None:
        self._check_open()
        self._say(type, data)
        self._voice.when_room(wake)

    def _say_progress(self, data: bytes) -> None:
        if not self._closed:
            self._say("task.progress", data)

    def _block(self, act: Callable[[Callable[[], None]], None], *, for_log: bool = False) -> Awaitable[None]:
        """Acts on the loop and holds this thread until it calls back; what ``act`` raises is raised here.

        ``for_log``: a cancel is raised here, too, because what this thread does next relies on the log's answer.
        """
        future: concurrent.futures.Future[None] = concurrent.futures.Future()

        def on_loop() -> None:
            try:
                act(lambda: _wake(future))
            except Exception as error:
                if not future.done():
                    future.set_exception(error)

        self._blocked.add(future)
        if for_log:
            self._waits_for_log.add(future)
        try:
            self._voice.loop.call_soon_threadsafe(on_loop)
            future.result()
        finally:
            self._blocked.discard(future)
            self._waits_for_log.discard(future)
        return READY

    def _wake(self) -> None:
        for future in tuple(self._blocked):
            if future in self._waits_for_log and not future.done():
                future.set_exception(self._error(ContextClosed, "it was stopped before the log had what it emitted"))
            else:
                _wake(future)

    def _encode(self, type: str, data: Any) -> bytes:
        try:
            json = dumps(data) if is_plain(data) else orjson.dumps(plain_copy(data))
        except (TypeError, ValueError, RecursionError) as error:
            raise self._error(InvalidEvent, f"the data of its {type!r} event is not JSON: {error}") from error
        if json[:1] != b"{":
            raise self._error(InvalidEvent, f"the data of its {type!r} event must be a JSON object")
        if len(json) > bounds.MAX_EVENT_BYTES - _ENVELOPE_BYTES:
            raise self._error(
                EventTooLarge,
                f"its {type!r} event has {len(json):,} bytes, the limit is {bounds.MAX_EVENT_BYTES:,}; "
                "emit a reference, or several events",
            )
        return json

    def _check_open(self) -> None:
        if self._closed:
            raise self._error(ContextClosed, "its attempt has ended, what it says now is not recorded")

    def _error(self, kind: Any, what: str) -> Exception:
        message = f"task {self.task_id} of run {self.run_id}: {what}"
        return kind(message, run_id=self.run_id, task_id=self.task_id)


def _wake(future: concurrent.futures.Future[None]) -> None:
    if not future.done():  # only the loop thread completes these
        future.set_result(None)


class _Awaited:
    """Room in the window, for a body that may or may not wait for it."""

    __slots__ = ("_context", "_room")

    def __init__(self, context: Context, room: Awaitable[None]) -> None:
        self._context = context
        self._room = room

    def __await__(self) -> Generator[Any, None, None]:
        yield from self._room.__await__()
        self._context.heard(self)


class TaskLog:
    """``ctx.log``: lines of a task as ``log.created`` events, ``ctx.log.info("loaded", rows=12)``.

    Each call returns an awaitable like ``ctx.emit``; raises EventTooLarge above 48 KiB.
    """

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[str, str, Mapping[str, Any]], Awaitable[None]]) -> None:
        self._write = write

    def debug(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("error", message, fields)


class _Progress:
    """Samples progress at its source: a slot for the latest, one timer while something waits in it."""

    __slots__ = ("_last", "_loop", "_posted", "_say", "_timer", "latest")

    def __init__(self, loop: AbstractEventLoop, say: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._say = say
        self._last = float("-inf")
        self._timer: TimerHandle | None = None
        self._posted = False
        self.latest: bytes | None = None

    def sample(self) -> None:
        if self._timer is not None:
            return
        wait = self._last + 1 / bounds.PROGRESS_PER_SECOND - self._loop.time()
        if wait > 0:
            self._timer = self._loop.call_later(wait, self._due)
        else:
            self._flush()

    def sample_from_thread(self) -> None:
        if not self._posted:  # a busy thread posts once, however often it calls
            self._posted = True
            self._loop.call_soon_threadsafe(self._arrived)

    def finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush()

    def _arrived(self) -> None:
        self._posted = False
        self.sample()

    def _due(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        latest, self.latest = self.latest, None
        if latest is not None:
            self._last = self._loop.time()
            self._say(latest)

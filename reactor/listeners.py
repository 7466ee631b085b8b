"""Listeners: told what happens in an engine, for metrics, logs and alarms. What they do changes nothing.

A listener has any of the methods below: ``Engine(listeners=[counts])``. They are called on the event loop, in the
middle of its work, so they only note what they are told. One that raises is logged, and is told nothing more.

They need not hear of single events: those are in the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final, Generic, Literal, ParamSpec, Protocol

from reactor.events.event import Window
from reactor.interrupts import is_from_signal
from reactor.logger import get_logger

logger = get_logger()

P = ParamSpec("P")


class WindowListener(Protocol):
    """Hears of each window of events that is in the log."""

    def window_appended(self, window: Window, seconds: float) -> None:
        """Before anybody else sees the window. ``seconds``: what the log took. Do not change the events."""
        ...


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run that is open in this process, or was ended by it."""

    run_id: str
    tenant: str
    workflow: str
    kind: Literal["workflow", "plan", "session"] = "workflow"
    """``plan``: its DAG was given as data."""


class RunListener(Protocol):
    """Hears the same as ``WindowListener``, and whose window it is."""

    def run_window_appended(self, run: RunInfo, window: Window, seconds: float) -> None: ...


class LifeListener(Protocol):
    """Hears of the engine itself. Both methods come as a pair."""

    def engine_opened(self) -> None:
        """It has taken up the runs that it found in its log, and takes new ones from now on."""
        ...

    def engine_closed(self) -> None:
        """It begins to drain."""
        ...


class WaitListener(Protocol):
    """Hears of each body that had to wait for a limit."""

    def body_waited(self, run_id: str, task_id: str, seconds: float) -> None:
        """It waited for a slot or a rate before it started, and now starts."""
        ...


@dataclass(frozen=True, slots=True)
class Stall:
    """Something did not go on for a while.

    - ``loop``: a body held the event loop; everything else stood still.
    - ``log``: the log refused a window, or did not answer in time. The run is lost in this process.
    - ``client``: the client of a stream did not read, and was cut off.
    """

    kind: Literal["loop", "log", "client"]
    seconds: float
    run_id: str
    task_id: str | None = None


class StallListener(Protocol):
    """Hears of what stands still."""

    def stalled(self, stall: Stall) -> None: ...


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream over HTTP. ``run_id`` is empty where it shows an Observable, or waits for a run that has no id yet."""

    run_id: str
    path: str
    """Of the request, without its query."""
    peer: str | None
    """The address of the other end of the connection."""
    dialect: str


class StreamListener(Protocol):
    """Hears of the streams over HTTP of an application that the engine is mounted in. Both methods come as a pair."""

    def stream_opened(self, stream: StreamInfo) -> None: ...

    def stream_closed(self, stream: StreamInfo, reason: str, seconds: float) -> None:
        """``seconds``: how long it was open. ``reason``: ``end``, ``gone`` (the client left), or that of the closing.

        Where the connection was cut: ``stalled`` or ``too slow`` (the client does not read), ``shutdown``, ``error``.
        """
        ...


class ResumeListener(Protocol):
    """Hears of each stream over HTTP whose client has come back with a cursor."""

    def stream_resumed(self, stream: StreamInfo, result: Literal["exact", "gap"]) -> None:
        """``exact``: it was sent all behind its cursor, and has caught up. ``gap``: it was told ``stream.gap``."""
        ...


class DeliveryListener(Protocol):
    """Hears of each pass over the clients that share a pipeline."""

    def events_delivered(self, seconds: float) -> None:
        """``seconds``: from the commit of the oldest of these events until they were written to all clients that keep
        up."""
        ...


class RefusalListener(Protocol):
    """Hears of each request and command that is refused with a code of ``docs/problems.md``."""

    def request_refused(self, code: str) -> None: ...


class RewindListener(Protocol):
    """Hears of runs whose acknowledged events a shared log has lost."""

    def run_rewound(self, run_id: str, kept: int, lost: int) -> None:
        """The events from ``kept + 1`` to ``lost`` are gone, and others get their numbers. Told once a loss, by the
        process that executed the run."""
        ...


Listener = (
    WindowListener | RunListener | LifeListener | WaitListener | StallListener | StreamListener | ResumeListener
    | DeliveryListener | RefusalListener | RewindListener
)  # fmt: skip
"""What ``Engine(listeners=...)`` takes: an object with the methods of at least one of these."""

TOGETHER: Final = (
    ("window_appended",), ("body_waited",), ("stalled",), ("stream_opened", "stream_closed"), ("run_rewound",),
    ("run_window_appended",), ("engine_opened", "engine_closed"), ("stream_resumed",), ("events_delivered",),
    ("request_refused",),
)  # fmt: skip
"""The methods of each Protocol."""


class Signal(Generic[P]):
    """One method of all listeners that have it. False where there is none, so that a caller can save the work."""

    __slots__ = ("_drop", "_name", "callbacks")

    def __init__(self, name: str, drop: Callable[[object], None]) -> None:
        self._name = name
        self._drop = drop
        self.callbacks: list[tuple[object, Callable[P, None]]] = []
        """Each listener, and this method of its."""

    def __bool__(self) -> bool:
        return bool(self.callbacks)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for listener, callback in tuple(self.callbacks):
            try:
                callback(*args, **kwargs)
            except BaseException as error:  # also a CancelledError, which would cancel the code that tells of it
                self.failed(listener, error)

    def failed(self, listener: object, error: BaseException) -> None:
        """A listener raised this. Raises it again if it comes from a signal, and so means the process."""
        if is_from_signal(error):
            raise error
        self._drop(listener)
        logger.error(
            "a listener raised, and is told nothing more",
            listener=type(listener).__name__,
            method=self._name,
            exc_info=error,
        )


class Listeners:
    """The listeners of one engine, by what they hear."""

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        """Raises TypeError for what is not a listener."""
        self.window_appended: Signal[Window, float] = Signal("window_appended", self._drop)
        self.run_window_appended: Signal[RunInfo, Window, float] = Signal("run_window_appended", self._drop)
        self.engine_opened: Signal[[]] = Signal("engine_opened", self._drop)
        self.engine_closed: Signal[[]] = Signal("engine_closed", self._drop)
        self.body_waited: Signal[str, str, float] = Signal("body_waited", self._drop)
        self.stalled: Signal[Stall] = Signal("stalled", self._drop)
        self.stream_opened: Signal[StreamInfo] = Signal("stream_opened", self._drop)
        self.stream_resumed: Signal[StreamInfo, Literal["exact", "gap"]] = Signal("stream_resumed", self._drop)
        self.events_delivered: Signal[float] = Signal("events_delivered", self._drop)
        self.request_refused: Signal[str] = Signal("request_refused", self._drop)
        self.run_rewound: Signal[str, int, int] = Signal("run_rewound", self._drop)
        self.stream_closed: Signal[StreamInfo, str, float] = Signal("stream_closed", self._drop)
        self.hear_windows = False
        """Whether anybody is told of windows. Not computed: it is asked for each window."""
        if not isinstance(listeners, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise TypeError(f"listeners is a list of listeners, not {type(listeners).__name__}")
        for listener in listeners:
            self.add(listener)

    def appended(self, run: RunInfo, window: Window, seconds: float) -> None:
        """Tells of a window that is in the log; ``seconds``: what the log took."""
        if self.window_appended.callbacks:
            self.window_appended(window, seconds)
        of_runs = self.run_window_appended
        for listener, callback in of_runs.callbacks:  # as the call of a Signal, which costs a third of a microsecond
            try:
                callback(run, window, seconds)
            except BaseException as error:
                of_runs.failed(listener, error)

    def add(self, listener: Any) -> None:
        """From now on it is told. Raises TypeError for what is not a listener."""
        name = listener.__name__ if isinstance(listener, type) else type(listener).__name__
        if isinstance(listener, type):
            raise TypeError(f"{name} is a class; a listener is an object: {name}()")
        hears = [methods for methods in TOGETHER if any(hasattr(listener, method) for method in methods)]
        if not hears:
            known = ", ".join(method for methods in TOGETHER for method in methods)
            raise TypeError(f"{name} hears nothing; a listener has at least one of the methods {known}")
        for method in (method for methods in hears for method in methods):
            callback = getattr(listener, method, None)
            if not callable(callback):
                raise TypeError(f"the listener {name} needs a method {method} as well")
            if iscoroutinefunction(callback):
                raise TypeError(
                    f"{method} of the listener {name} is called on the event loop: write def, not async def"
                )
            getattr(self, method).callbacks.append((listener, callback))
        self._note_windows()

    def remove(self, listener: object) -> None:
        """It is told nothing more."""
        self._drop(listener)

    def _drop(self, listener: object) -> None:
        for method in (method for methods in TOGETHER for method in methods):
            signal = getattr(self, method)
            signal.callbacks = [(other, callback) for other, callback in signal.callbacks if other is not listener]
        self._note_windows()

    def _note_windows(self) -> None:
        self.hear_windows = bool(self.window_appended or self.run_window_appended)

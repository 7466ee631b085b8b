"""``buffer_window``: the backpressure of a run, and ``Room``, where its producers wait."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from reactivex import Observable, abc

from reactor.bounds import CROWDED, WINDOW_BYTES, WINDOW_EVENTS
from reactor.definition.names import names_options
from reactor.operators.attached import Attachable, Callbacks, Disposing, Sink, attach
from reactor.waiting import READY, Shared

T = TypeVar("T")


class Room:
    """How many events and bytes are waiting to be committed; the one place where the producers of a run wait.

    At the high-water mark it is ``full``: no new task starts, and ``wait()`` blocks. At twice that it is ``crowded``,
    which happens only if a body emits without awaiting.
    """

    __slots__ = ("_callbacks", "_future", "bytes", "events", "max_bytes", "max_events")

    def __init__(self, max_events: int = WINDOW_EVENTS, max_bytes: int = WINDOW_BYTES) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError(f"a window must hold at least one event and one byte, not {max_events} and {max_bytes}")
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.events = 0
        self.bytes = 0
        self._future: Future[None] | None = None
        self._callbacks: deque[Callable[[], None]] | None = None

    @property
    def full(self) -> bool:
        return self.events >= self.max_events or self.bytes >= self.max_bytes

    @property
    def crowded(self) -> bool:
        return self.events >= CROWDED * self.max_events or self.bytes >= CROWDED * self.max_bytes

    def wait(self, new_future: Callable[[], Future[None]]) -> Awaitable[None]:
        """An awaitable that is done once there is room. All producers that wait share one future."""
        if not self.full:
            return READY
        if self._future is None or self._future.done():  # done if somebody cancelled it
            self._future = new_future()
        return Shared(self._future)

    def when_free(self, callback: Callable[[], None]) -> None:
        """Calls ``callback`` once, as soon as there is room again."""
        if self._callbacks is None:
            self._callbacks = deque()
        self._callbacks.append(callback)

    def add(self, size: int) -> None:
        self.events += 1
        self.bytes += size

    def remove(self, events: int, size: int) -> None:
        self.events -= events
        self.bytes -= size
        if not self.full:
            self.release()

    def release(self) -> None:
        """Wakes all who wait. Also called when the log is lost; their next emit then raises."""
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.set_result(None)
        if self._callbacks is not None:
            for _ in range(len(self._callbacks)):
                self._callbacks.popleft()()


@names_options("buffer_window")
def buffer_window(
    room: Room, ready: Observable[Any], *, size: Callable[[T], int], scheduler: abc.SchedulerBase
) -> Callable[[Observable[T]], Attachable[list[T]]]:
    """Collects items into windows; a window closes as soon as the consumer can take it. Nothing is ever dropped.

        source  --a-b-------c-d-e-----f--|
        ready   ----------r---------r------r
        output  -[a]------[b,c?]...            while one window is being committed, the next one fills

    The first window closes at the end of the scheduler turn in which its first item came. From then on, a window closes
    when ``ready`` emits, which says that the consumer is done with the last one, or with the next item if it has
    emitted already. A window holds at least one item, and at most ``room.max_events`` items and ``room.max_bytes``.
    Waiting items are counted in ``room``, where the producers wait.

    When the source completes, what is left is emitted window by window, then the result completes. An error of the
    source is passed on at once, and what is left is not emitted.

    In a run the scheduler is that of the loop. Here each ``start`` is one turn:

        >>> from reactivex.scheduler import HistoricalScheduler
        >>> from reactivex.subject import Subject
        >>> source, ready, loop = Subject[bytes](), Subject[None](), HistoricalScheduler()
        >>> windows = source.pipe(buffer_window(Room(), ready, size=len, scheduler=loop))
        >>> _ = windows.subscribe(print)
        >>> source.on_next(b"a")
        >>> source.on_next(b"b")
        >>> loop.start()
        [b'a', b'b']
        >>> source.on_next(b"c")
        >>> source.on_next(b"d")
        >>> loop.start()  # nothing: the consumer has not said that it is done with a and b
        >>> ready.on_next(None)
        [b'c', b'd']
    """

    def operator(source: Observable[T]) -> Attachable[list[T]]:
        def collect_into(sink: Sink[list[T]], subscribe_scheduler: abc.SchedulerBase | None) -> Disposing:
            windowing = _Windowing(room, sink, size, scheduler)
            windowing.hold(attach(ready, Callbacks(windowing.on_ready, windowing.on_error)))
            if not windowing.is_disposed:
                windowing.hold(attach(source, windowing, subscribe_scheduler))
            return windowing

        return Attachable(collect_into)

    return operator


class _Windowing(Generic[T]):
    """The open window (``waiting``), and whether the consumer can take it (``idle``)."""

    __slots__ = (
        "ended",
        "handing",
        "idle",
        "is_disposed",
        "room",
        "scheduled",
        "scheduler",
        "sink",
        "size",
        "sources",
        "waiting",
    )

    def __init__(self, room: Room, sink: Sink[list[T]], size: Callable[[T], int], scheduler: abc.SchedulerBase) -> None:
        self.room = room
        self.sink = sink
        self.size = size
        self.scheduler = scheduler
        self.waiting: deque[T] = deque()
        self.sources: list[Disposing] = []
        self.is_disposed = False
        self.idle = True
        self.handing = False
        """True while the sink is being called with a window."""
        self.scheduled = False
        self.ended = False

    def hold(self, source: Disposing) -> None:
        """Keeps the subscription of one of its two sources, to dispose it later."""
        if self.is_disposed:  # disposed while it was being attached
            source.dispose()
        else:
            self.sources.append(source)

    def on_next(self, item: T) -> None:
        self.waiting.append(item)
        self.room.add(self.size(item))
        if self.idle and not self.scheduled:
            self.soon()

    def on_ready(self, _: Any) -> None:
        self.idle = True
        if not self.waiting and not self.ended:
            return
        if self.handing:  # the consumer was done at once: others on the loop get a turn before the next window
            self.soon()
        else:
            self.close()

    def on_error(self, error: Exception) -> None:
        self.dispose()
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self.ended = True
        self.soon()

    def soon(self) -> None:
        """Closes the window at the end of this turn of the loop."""
        if self.idle and not self.scheduled:
            self.scheduled = True
            self.scheduler.schedule(self.close)

    def close(self, *_: Any) -> None:
        self.scheduled = False
        if not self.idle:
            return
        if not self.waiting:
            if self.ended:
                self.ended = False  # so that it completes only once
                self.sink.on_completed()
            return
        self.idle = False
        window, total = _take_window(self.waiting, self.size, self.room)
        self.room.remove(len(window), total)
        self.handing = True
        try:
            self.sink.on_next(window)
        finally:
            self.handing = False

    def dispose(self) -> None:
        """Emits nothing more."""
        self.is_disposed = True
        self.idle = False
        self.ended = False
        self.waiting.clear()
        for source in self.sources:
            source.dispose()


def _take_window(waiting: deque[T], size: Callable[[T], int], room: Room) -> tuple[list[T], int]:
    """Removes and returns the longest window within the bounds, at least one item, and its size in bytes."""
    if room.events == len(waiting) <= room.max_events and room.bytes <= room.max_bytes:  # all of it: the usual case
        window = list(waiting)
        waiting.clear()
        return window, room.bytes
    window = [waiting.popleft()]
    total = size(window[0])
    while waiting and len(window) < room.max_events:
        following = size(waiting[0])
        if total + following > room.max_bytes:
            break
        window.append(waiting.popleft())
        total += following
    return window, total

"""The way of an event inside a run: number -> window -> append -> publish.

    drafts ──number──▶ events ──buffer_window──▶ windows ──append──▶ committed windows ──▶ publish

Each stage is an operator; the run's drafts go in at one end and only what is in the log comes out at the other.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable

import structlog
from reactivex import Observable, abc

from reactor.bounds import APPEND_TIMEOUT_SECONDS
from reactor.clock import LoopScheduler
from reactor.errors import LogLost
from reactor.events.event import Draft, Event, Window
from reactor.events.vocabulary import TERMINAL
from reactor.operators.attached import Attachable, Callbacks, Inlet, Sink, Stage, attach, operator_of
from reactor.operators.buffer_window import Room, buffer_window
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog

logger = structlog.get_logger("reactor")


class Pipeline:
    """The single writer of one run. ``write`` is its only entrance, ``publish`` its only exit."""

    def __init__(
        self,
        run_id: str,
        log: EventLog,
        clock: Clock,
        scheduler: LoopScheduler,
        *,
        publish: Callable[[Window], None],
        lost: Callable[[Exception], None],
        room: Room | None = None,
        last_seq: int = 0,
        append_timeout: float = APPEND_TIMEOUT_SECONDS,
    ) -> None:
        self.room = room or Room()
        self._loop = loop = scheduler.loop
        self._drafts: Inlet[Draft] = Inlet()
        committed: Inlet[None] = Inlet()

        def publish_then_take_next(window: Window) -> None:
            publish(window)
            committed.on_next(None)

        windows = self._drafts.pipe(
            number(run_id, clock, last_seq),
            buffer_window(self.room, committed, size=event_size, scheduler=scheduler),
            append(run_id, log, timeout=append_timeout, scheduler=scheduler, clock=loop.time),
        )
        self._subscription = attach(windows, Callbacks(publish_then_take_next, lost))

    def write(self, draft: Draft) -> None:
        """Numbers a draft and puts it into the open window. The terminal one seals the pipeline."""
        self._drafts.on_next(draft)

    def wait(self) -> Awaitable[None]:
        """Awaitable: done as soon as the window has room."""
        return self.room.wait(self._loop.create_future)

    def dispose(self) -> None:
        """Writes nothing more; what waits in the window is gone."""
        self._subscription.dispose()
        self.room.release()


def event_size(event: Event) -> int:
    """Bytes an event costs a window."""
    return len(event.json)


def number(run_id: str, clock: Clock, last_seq: int = 0) -> Callable[[Observable[Draft]], Attachable[Event]]:
    """Gives each draft its time and its seq, the one after ``last_seq`` first; completes with the terminal event."""

    return operator_of(lambda sink: _Numbering(sink, run_id, clock, last_seq))


class _Numbering(Stage[Draft, Event]):
    """The one place where an event gets its number."""

    __slots__ = ("clock", "is_sealed", "run_id", "seq")

    def __init__(self, sink: Sink[Event], run_id: str, clock: Clock, last_seq: int) -> None:
        super().__init__(sink)
        self.run_id = run_id
        self.clock = clock
        self.seq = last_seq
        self.is_sealed = False

    def on_next(self, draft: Draft, /) -> None:
        if self.is_sealed:
            logger.warning("event after the end of the run dropped", run_id=self.run_id, type=draft.type)
            return
        self.seq += 1
        self.is_sealed = draft.type in TERMINAL
        self.sink.on_next(Event.numbered(self.seq, self.run_id, self.clock.now(), draft))
        if self.is_sealed:
            self.sink.on_completed()

    def on_completed(self) -> None:
        if not self.is_sealed:
            self.is_sealed = True
            self.sink.on_completed()


def append(
    run_id: str, log: EventLog, *, timeout: float, scheduler: abc.SchedulerBase, clock: Callable[[], float]
) -> Callable[[Observable[list[Event]]], Attachable[list[Event]]]:
    """Passes a window on once it is in the log. One is under way: the source hands out the next when asked to.

    A window that is refused, or not taken within ``timeout`` seconds of ``clock``, is ``on_error(LogLost)``: nothing
    after it can be published either.
    """

    return operator_of(lambda sink: _Appending(run_id, log, sink, timeout, scheduler, clock))


class _Appending(Stage[list[Event], list[Event]]):
    """The window under way, and a timer that looks at it: set once in ``timeout`` seconds, not once a window."""

    __slots__ = ("began", "clock", "is_watched", "log", "run_id", "scheduler", "timeout", "timer", "window")

    def __init__(
        self,
        run_id: str,
        log: EventLog,
        sink: Sink[list[Event]],
        timeout: float,
        scheduler: abc.SchedulerBase,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(sink)
        self.run_id = run_id
        self.log = log
        self.timeout = timeout
        self.scheduler = scheduler
        self.clock = clock
        self.window: list[Event] | None = None
        self.began = 0.0
        self.is_watched = False
        self.timer: abc.DisposableBase | None = None

    def on_next(self, window: list[Event], /) -> None:
        if self.is_disposed:
            return
        self.window = window
        self.began = self.clock()
        try:
            appended = self.log.append(self.run_id, window)
        except Exception as error:  # an adapter that raises instead of failing its future is no different
            self.lose(error, error)
            return
        if appended.done():  # a log in memory: no reason to come back for it in another turn
            self.answered(appended)
            return
        if not self.is_watched:
            self.watch(self.timeout)
        appended.add_done_callback(self.answered)

    def on_error(self, error: Exception, /) -> None:
        self.dispose()
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self.dispose()  # a timer would hold the run for as long as a log may take
        self.sink.on_completed()

    def answered(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()  # asked for in any case, or asyncio complains
        window, self.window = self.window, None
        if self.is_disposed or window is None:
            return
        if error is not None or future.cancelled():
            self.window = window
            self.lose(error or "cancelled", error)
            return
        for event in window:
            event.blob = None  # it is in the log; the ring need not hold it
        try:
            self.sink.on_next(window)
        except Exception as bug:  # of the fold or the feed: the run must not stop without a word
            self.window = window
            self.lose(bug, bug)

    def watch(self, seconds: float) -> None:
        self.is_watched = True
        self.timer = self.scheduler.schedule_relative(seconds, self.look)

    def look(self, *_: object) -> None:
        self.is_watched = False
        if self.window is not None:
            rest = self.began + self.timeout - self.clock()
            if rest > 0:
                self.watch(rest)
            else:
                self.lose(f"no answer within {self.timeout:g} seconds")

    def lose(self, why: object, cause: BaseException | None = None) -> None:
        if self.is_disposed or self.window is None:
            return
        first, last = self.window[0].seq, self.window[-1].seq
        self.dispose()  # what it answers later is not published: who reads the log at the next start has it
        lost = LogLost(f"the log did not take events {first} to {last} of run {self.run_id}: {why}", run_id=self.run_id)
        lost.__cause__ = cause
        self.sink.on_error(lost)

    def dispose(self) -> None:
        super().dispose()
        if self.timer is not None:
            self.timer.dispose()

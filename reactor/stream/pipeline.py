"""How a run writes its events: number -> window -> append -> publish.

    drafts ──number──▶ events ──buffer_window──▶ windows ──append──▶ committed windows ──▶ publish

Each stage is an operator. Drafts go in at one end; at the other end only those events come out that are in the log.
"""

from __future__ import annotations

from asyncio import CancelledError, Future
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from reactivex import Observable

from reactor.bounds import APPEND_TIMEOUT_SECONDS
from reactor.clock import LoopScheduler, part_of, without_standstill
from reactor.errors import LogLost
from reactor.events.event import Draft, Event, Window
from reactor.events.vocabulary import TERMINAL
from reactor.listeners import Listeners, RunInfo, Stall
from reactor.logger import get_logger
from reactor.operators.attached import Attachable, Callbacks, Inlet, Sink, Stage, attach, operator_of
from reactor.operators.buffer_window import Room, buffer_window
from reactor.ports.clock import Clock, Timer
from reactor.ports.log import EventLog

logger = get_logger()


class Appends(Protocol):
    """What of a log the pipeline uses."""

    def append(self, run_id: str, window: Window, /) -> Future[int]: ...


class Appended:
    """The log, which remembers its last answer: a run that is lost may go on only once that is known."""

    __slots__ = ("_clock", "_log", "_since", "answer", "last")

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._since = 0.0
        """When an answer was first waited for, by the clock."""
        self.answer: Future[int] | None = None
        self.last = 0
        """The last seq that it was given."""

    def append(self, run_id: str, window: Window, /) -> Future[int]:
        self.answer = None  # where the log raises there is none
        self.last = window[-1].seq
        answer = self.answer = self._log.append(run_id, window)
        if not answer.done():
            self._since = self._clock.monotonic()
        return answer

    @property
    def pending_since(self) -> float | None:
        """Since when the log is waited for, by the clock; None where it has answered."""
        return None if self.answer is None or self.answer.done() else self._since


class Pipeline:
    """The single writer of one run: drafts go in by ``write``, committed windows go out by ``publish``.

    ``lost`` is called, once, with the LogLost where the log does not take a window.
    """

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
        listeners: Listeners | None = None,
        about: RunInfo | None = None,
    ) -> None:
        self.room = room or Room()
        self._loop = scheduler.loop
        self._log = Appended(log, clock)
        drafts: Inlet[Draft] = Inlet()
        self.write: Final = drafts.on_next
        """Numbers a draft and puts it into the open window. Nothing can be written after the terminal event."""
        committed: Inlet[None] = Inlet()

        def publish_then_take_next(window: Window) -> None:
            publish(window)
            committed.on_next(None)

        windows = drafts.pipe(
            number(run_id, clock, last_seq),
            buffer_window(self.room, committed, size=event_size, scheduler=scheduler),
            append(
                about or RunInfo(run_id, "", ""), self._log, timeout=append_timeout, clock=clock, listeners=listeners
            ),
        )
        self._subscription = attach(windows, Callbacks(publish_then_take_next, lost))

    def wait(self) -> Awaitable[None]:
        """An awaitable that is done as soon as the window has room."""
        return self.room.wait(self._loop.create_future)

    def answered(self) -> Future[int]:
        """Done when the log has answered the last append, whatever it says; that may be after the run was lost."""
        answer = self._log.answer
        if answer is None:
            answer = self._loop.create_future()
            answer.set_result(0)
        return answer

    @property
    def append_since(self) -> float | None:
        """Since when the log is waited for, by the clock; None where nothing is being appended."""
        return self._log.pending_since

    @property
    def last_given(self) -> int:
        """The last seq that the log was given, whatever it says."""
        return self._log.last

    def dispose(self) -> None:
        """Writes nothing more, not even the events in the open window."""
        self._subscription.dispose()
        self.room.release()


def event_size(event: Event) -> int:
    """The bytes of an event that count for the size of a window."""
    return len(event.json)


def number(run_id: str, clock: Clock, last_seq: int = 0) -> Callable[[Observable[Draft]], Attachable[Event]]:
    """Turns drafts into events with a time and the next seq after ``last_seq``. Completes with the terminal event."""

    return operator_of(lambda sink: _Numbering(sink, run_id, clock, last_seq))


class _Numbering(Stage[Draft, Event]):
    """The only place where an event gets its seq."""

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
        self.sink.on_next(Event.from_draft(self.seq, self.run_id, self.clock.now(), draft))
        if self.is_sealed:
            self.sink.on_completed()

    def on_completed(self) -> None:
        if not self.is_sealed:
            self.is_sealed = True
            self.sink.on_completed()


def append(
    run: RunInfo, log: Appends, *, timeout: float, clock: Clock, listeners: Listeners | None = None
) -> Callable[[Observable[list[Event]]], Attachable[list[Event]]]:
    """Passes each window on once it is in the log. The source must not send the next window before that.

    Where the log refuses a window, or does not answer within ``timeout`` seconds of ``clock``, ``on_error`` gets a
    LogLost: a log with a gap must not be published. Time in which this process stood still, stopped by a signal or held
    by a body, does not count: the answer may be there and could not be taken. ``listeners`` are told how long it took.
    """

    return operator_of(lambda sink: _Appending(run, log, sink, timeout, clock, listeners or Listeners()))


class _Appending(Stage[list[Event], list[Event]]):
    """The window that is being appended, and its time limit: one timer a ``piece`` of it, not one a window.

    A timer that rings late was late because nothing ran here. In pieces, so that little of a standstill is counted.
    """

    __slots__ = ("about", "began", "clock", "due", "listeners", "log", "piece", "run_id", "timeout", "timer", "window")

    def __init__(
        self,
        about: RunInfo,
        log: Appends,
        sink: Sink[list[Event]],
        timeout: float,
        clock: Clock,
        listeners: Listeners,
    ) -> None:
        super().__init__(sink)
        self.about = about
        self.run_id = about.run_id
        self.log = log
        self.timeout = timeout
        self.piece = part_of(timeout)
        self.clock = clock
        self.listeners = listeners
        self.window: list[Event] | None = None
        self.began = 0.0
        self.due = 0.0
        self.timer: Timer | None = None
        """Rings while a window may wait."""

    def on_next(self, window: list[Event], /) -> None:
        if self.is_disposed:
            return
        self.window = window
        self.began = self.clock.monotonic()
        try:
            appended = self.log.append(self.run_id, window)
        except Exception as error:  # raising has the same meaning as a future that fails
            self.lose(error, error)
            return
        if appended.done():  # a log in memory: it need not wait for another turn of the loop
            self.on_answer(appended)
            return
        if self.timer is None:
            self.watch(self.piece)
        appended.add_done_callback(self.on_answer)

    def on_error(self, error: Exception, /) -> None:
        self.dispose()
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self.dispose()  # else the timer would keep the run in memory until it is due
        self.sink.on_completed()

    def on_answer(self, future: Future[int]) -> None:
        error = None if future.cancelled() else future.exception()  # always read, or asyncio complains
        window, self.window = self.window, None
        if self.is_disposed or window is None:
            return
        if error is not None or future.cancelled():
            self.window = window
            self.lose(error or "cancelled", error)
            return
        if self.listeners.hear_windows:
            self.listeners.appended(self.about, window, self.clock.monotonic() - self.began)
        for event in window:
            event.blob = None  # it is in the log: the ring need not keep it too
        try:
            self.sink.on_next(window)
        except (Exception, CancelledError) as bug:  # in the fold or the feed: the run must not stop in silence
            self.window = window
            self.lose(bug, bug)

    def watch(self, seconds: float) -> None:
        self.due = self.clock.monotonic() + seconds
        self.timer = self.clock.call_later(seconds, self.look)

    def look(self) -> None:
        self.timer = None
        if self.window is not None:
            now = self.clock.monotonic()
            self.began = without_standstill(self.began, self.due, now)
            rest = self.began + self.timeout - now
            if rest > 0:
                self.watch(min(self.piece, rest))
            else:
                self.lose(f"no answer within {self.timeout:g} seconds")

    def lose(self, why: object, cause: BaseException | None = None) -> None:
        if self.is_disposed or self.window is None:
            return
        first, last = self.window[0].seq, self.window[-1].seq
        self.listeners.stalled(Stall("log", self.clock.monotonic() - self.began, self.run_id))
        self.dispose()  # a later answer is not published: the window, if it is in the log, is read at the next start
        lost = LogLost(f"the log did not take events {first} to {last} of run {self.run_id}: {why}", run_id=self.run_id)
        lost.__cause__ = cause
        self.sink.on_error(lost)

    def dispose(self) -> None:
        super().dispose()
        if self.timer is not None:
            self.timer.cancel()

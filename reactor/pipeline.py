"""The way of an event inside a run: number -> window -> append -> publish.

    drafts ──number──▶ events ──buffer_window──▶ windows ──append──▶ committed windows ──▶ publish

Each stage is an operator; the run's drafts go in at one end and only what is in the log comes out at the other.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable

import structlog
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from reactor.bounds import APPEND_TIMEOUT_SECONDS
from reactor.errors import LogLost
from reactor.events import TERMINAL, Draft, Event, Window
from reactor.operators.buffer_window import Room, buffer_window
from reactor.ports import Clock, EventLog

logger = structlog.get_logger("reactor")


class Pipeline:
    """The single writer of one run. ``write`` is its only entrance, ``publish`` its only exit."""

    def __init__(
        self,
        run_id: str,
        log: EventLog,
        clock: Clock,
        loop: AbstractEventLoop,
        *,
        publish: Callable[[Window], None],
        lost: Callable[[Exception], None],
        room: Room | None = None,
        last_seq: int = 0,
        append_timeout: float = APPEND_TIMEOUT_SECONDS,
    ) -> None:
        self.room = room or Room()
        self._loop = loop
        self._drafts: Subject[Draft] = Subject()
        scheduler = AsyncIOScheduler(loop)
        committed: Subject[None] = Subject()

        def publish_then_take_next(window: Window) -> None:
            publish(window)
            committed.on_next(None)

        self._subscription = self._drafts.pipe(
            number(run_id, clock, last_seq),
            buffer_window(self.room, committed, size=event_size, scheduler=scheduler),
            append(run_id, log, timeout=append_timeout, scheduler=scheduler),
        ).subscribe(publish_then_take_next, lost)

    def write(self, draft: Draft) -> None:
        """Numbers a draft and puts it into the open window. The terminal one seals the pipeline."""
        self._drafts.on_next(draft)
        if draft.type in TERMINAL:
            self._drafts.on_completed()

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


def number(run_id: str, clock: Clock, last_seq: int = 0) -> Callable[[Observable[Draft]], Observable[Event]]:
    """Gives each draft its time and its seq, the one after ``last_seq`` first; none after the terminal event."""

    def operator(source: Observable[Draft]) -> Observable[Event]:
        def subscribe(
            observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            seq = last_seq
            sealed = False

            def on_next(draft: Draft) -> None:
                nonlocal seq, sealed
                if sealed:
                    logger.warning("event after the end of the run dropped", run_id=run_id, type=draft.type)
                    return
                seq += 1
                sealed = draft.type in TERMINAL
                observer.on_next(Event.numbered(seq, run_id, clock.now(), draft))

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return operator


def append(
    run_id: str, log: EventLog, *, timeout: float, scheduler: abc.SchedulerBase
) -> Callable[[Observable[list[Event]]], Observable[list[Event]]]:
    """Passes a window on once it is in the log. One is under way: the source hands out the next when asked to.

    A window that is refused, or not taken within ``timeout`` seconds, is ``on_error(LogLost)``: nothing after it can be
    published either.
    """

    def operator(source: Observable[list[Event]]) -> Observable[list[Event]]:
        def subscribe(
            observer: abc.ObserverBase[list[Event]], subscribe_scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            disposed = False
            watchdog = SerialDisposable()

            def lose(window: list[Event], why: object, cause: BaseException | None = None) -> None:
                nonlocal disposed
                disposed = True  # what it answers later is not published: who reads the log at the next start has it
                seqs = f"{window[0].seq} to {window[-1].seq}"
                lost = LogLost(f"the log did not take events {seqs} of run {run_id}: {why}", run_id=run_id)
                lost.__cause__ = cause
                observer.on_error(lost)

            def on_next(window: list[Event]) -> None:
                def done(future: Future[None]) -> None:
                    if disposed:
                        return
                    watchdog.disposable = Disposable()
                    error = None if future.cancelled() else future.exception()
                    if error is None and not future.cancelled():
                        for event in window:
                            event.blob = None  # it is in the log; the ring need not hold it
                        try:
                            observer.on_next(window)
                        except Exception as bug:  # of the fold or the feed: the run must not stop without a word
                            lose(window, bug, bug)
                    else:
                        lose(window, error or "cancelled", error)

                try:
                    appended = log.append(run_id, window)
                except Exception as error:  # an adapter that raises instead of failing its future is no different
                    lose(window, error, error)
                else:

                    def expired(*_: object) -> None:
                        lose(window, f"no answer within {timeout:g} seconds")

                    watchdog.disposable = scheduler.schedule_relative(timeout, expired)
                    appended.add_done_callback(done)

            def dispose() -> None:
                nonlocal disposed
                disposed = True

            subscription = source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=subscribe_scheduler
            )
            return CompositeDisposable(subscription, watchdog, Disposable(dispose))

        return Observable(subscribe)

    return operator

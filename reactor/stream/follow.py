"""Follow: catch up from the log, then live, without gap or duplicate; one integer a subscriber.

A subscriber that keeps up is called with each window as it is published. One that does not is never queued for: it
holds a cursor and reads on when it can.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import structlog
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor.errors import LogLost
from reactor.events.event import Event, Message, Window
from reactor.events.values import traceback_of
from reactor.operators.guarded import guarded
from reactor.operators.unwindow import unwindow
from reactor.ports.log import EventLog
from reactor.stream.feed import Feed

logger = structlog.get_logger("reactor")

_behind: WeakKeyDictionary[EventLog, set[asyncio.Future[None]]] = WeakKeyDictionary()
"""Subscribers that still read, by the log they read: strong references, and what the end of an engine waits for."""

T = TypeVar("T")


def _track(feed: Feed, reading: asyncio.Future[None]) -> None:
    readers = _behind.setdefault(feed.log, set())
    readers.add(reading)
    reading.add_done_callback(readers.discard)


async def caught_up(log: EventLog, seconds: float) -> None:
    """Waits until nobody is behind any more, so that the end of a program does not take events from a subscriber."""
    readers = _behind.get(log)
    if readers:
        _, late = await asyncio.wait(set(readers), timeout=seconds)
        if late:
            logger.warning("subscribers left behind", subscribers=len(late), seconds=seconds)


def cursor_after(messages: Sequence[Message], cursor: int) -> int:
    """The cursor once these messages are handled."""
    last = messages[-1]
    return last.seq if isinstance(last, Event) else cursor


def lost(feed: Feed) -> LogLost | None:
    """Why a feed that closed ends with an error, if it does."""
    if feed.closed == "log":
        return LogLost(f"run {feed.run_id} ended in this process because its log refused it", run_id=feed.run_id)
    return None


class Follow(Observable[Sequence[Message]]):
    """Cold Observable of windows of one run from ``after`` on; completes with the run (or when the engine closes).

    Subscribe on the engine's loop. Delivery never happens inside ``subscribe``.
    """

    def __init__(self, feed: Feed, after: int = 0) -> None:
        super().__init__()
        self.feed = feed
        self.after = after

    def _subscribe_core(
        self, observer: abc.ObserverBase[Sequence[Message]], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        follower = _Follower(self.feed, self.after, observer)
        follower.start()
        return Disposable(follower.dispose)


class RunEvents(Observable[Message]):
    """``run.events``: the messages of a run one by one, from ``after`` on, each subscriber isolated from all others.

    A subscriber that raises is detached and logged. One that blocks the loop above 100 ms is named in the log, the
    second time it is detached with ``on_error(SlowSubscriber)``; ``off_loop()`` gives it a thread.
    """

    def __init__(self, follow: Follow) -> None:
        super().__init__()
        self.follow = follow
        self._events = follow.pipe(unwindow(), guarded(report(follow.feed.run_id), run_id=follow.feed.run_id))

    def _subscribe_core(
        self, observer: abc.ObserverBase[Message], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._events.subscribe(observer, scheduler=scheduler)


def report(run_id: str) -> Callable[[Exception], None]:
    """Logs what a subscriber did, with the run it followed."""

    def log(error: Exception) -> None:
        logger.error("subscriber detached or slow", run_id=run_id, traceback=traceback_of(error))

    return log


class _Follower:
    """One subscriber: ``live`` while windows are passed straight on, else it is reading."""

    __slots__ = ("cursor", "disposed", "feed", "live", "observer", "reading", "subscription")

    def __init__(self, feed: Feed, after: int, observer: abc.ObserverBase[Sequence[Message]]) -> None:
        self.feed = feed
        self.cursor = after
        self.observer = observer
        self.live = False
        self.disposed = False
        self.reading: asyncio.Task[None] | None = None
        self.subscription: abc.DisposableBase | None = None

    def start(self) -> None:
        self.subscription = self.feed.windows.subscribe(self.on_window, self.observer.on_error, self.on_closed)
        self.reading = asyncio.get_running_loop().create_task(self.catch_up())
        _track(self.feed, self.reading)

    async def catch_up(self) -> None:
        try:
            while messages := await self.feed.read(self.cursor):
                self.cursor = cursor_after(messages, self.cursor)
                self.observer.on_next(messages)
                if self.disposed:
                    return
                await asyncio.sleep(0)  # a long replay leaves the loop to others between windows
        except Exception as error:
            self.observer.on_error(error)
            return
        # the last read found nothing and did not suspend: no window can have come in between
        self.live = True
        if self.feed.closed:
            self.finish()

    def on_window(self, window: Window) -> None:
        if self.live and window[-1].seq > self.cursor:
            # a cursor may be ahead of the run; then a window may begin below it
            new = window if window[0].seq > self.cursor else [e for e in window if e.seq > self.cursor]
            self.cursor = window[-1].seq
            self.observer.on_next(new)

    def on_closed(self) -> None:
        if self.live:
            self.finish()

    def finish(self) -> None:
        error = lost(self.feed)
        if error is not None:
            self.observer.on_error(error)
        else:
            self.observer.on_completed()

    def dispose(self) -> None:
        self.live = False
        self.disposed = True
        if self.subscription is not None:
            self.subscription.dispose()
        if self.reading is not None and self.reading is not _current_task():
            self.reading.cancel()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # disposed from a thread without a loop, or after the loop ended
        return None


async def iterate(feed: Feed, after: int = 0) -> AsyncGenerator[Sequence[Message], None]:
    """The same as an async iterator: pulls by cursor, so a slow consumer costs nothing but itself."""
    wake = asyncio.Event()
    subscription = feed.windows.subscribe(lambda _: wake.set(), lambda _: wake.set(), wake.set)
    cursor = after
    try:
        while True:
            wake.clear()  # before the read: what is published during it sets it again
            closed = feed.closed
            while messages := await feed.read(cursor):
                cursor = cursor_after(messages, cursor)
                yield messages
                await asyncio.sleep(0)  # a long replay leaves the loop to others between windows
            if closed:
                error = lost(feed)
                if error is not None:
                    raise error
                return
            await wake.wait()
    finally:
        subscription.dispose()


def off_loop() -> Callable[[Observable[Message]], Observable[Message]]:
    """Moves a slow subscriber to a thread of its own, which pulls by cursor.

        loop    --1-2-3-4-5-6-7-8--|
        thread  --1-----2-----3-----4-----5-----6-----7-----8--|

    The subscriber's callbacks run on that thread, one after the other; it may block as long as it likes and costs
    the run a cursor. Comes first after ``run.events``, because only there a cursor exists; what follows runs on
    the thread too. Raises TypeError elsewhere.

    Example: ``run.events.pipe(off_loop(), select(types="task.*")).subscribe(write_to_disk)``
    """

    def operator(source: Observable[Message]) -> Observable[Message]:
        if not isinstance(source, RunEvents):
            raise TypeError("off_loop() comes first in the pipe: run.events.pipe(off_loop(), ...)")
        feed, after = source.follow.feed, source.follow.after

        def subscribe(
            observer: abc.ObserverBase[Message], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            puller = _Puller(feed, after, observer)
            puller.start(asyncio.get_running_loop())
            return Disposable(puller.stop)

        # on its own thread it may take its time, but not raise into ours
        return Observable(subscribe).pipe(guarded(report(feed.run_id), limit=math.inf, run_id=feed.run_id))

    return operator


class _Puller:
    """A thread that asks the loop for the next window and hands it out event by event."""

    def __init__(self, feed: Feed, after: int, observer: abc.ObserverBase[Message]) -> None:
        self.feed = feed
        self.after = after
        self.observer = observer
        self.stopped = threading.Event()
        self.pending: concurrent.futures.Future[Sequence[Message] | None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        ended: asyncio.Future[None] = loop.create_future()
        _track(self.feed, ended)
        # daemon: a subscriber that never returns must not keep the process alive
        threading.Thread(target=self.run, args=(loop, ended), name=f"off_loop {self.feed.run_id}", daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        if self.pending is not None:
            self.pending.cancel()

    def run(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        windows = iterate(self.feed, self.after)
        try:
            while not self.stopped.is_set():
                self.pending = asyncio.run_coroutine_threadsafe(_next(windows), loop)
                messages = self.pending.result()
                if messages is None:
                    self.observer.on_completed()
                    return
                for message in messages:
                    if self.stopped.is_set():
                        return
                    self.observer.on_next(message)
        except concurrent.futures.CancelledError:
            if not self.stopped.is_set():  # the loop ended under the run
                self.observer.on_error(LogLost(f"the loop of run {self.feed.run_id} ended", run_id=self.feed.run_id))
        except Exception as error:  # of the feed; a subscriber's own is caught by the guard before it comes here
            self.observer.on_error(error)
        finally:
            if not loop.is_closed():
                asyncio.run_coroutine_threadsafe(_close(windows, ended), loop)


async def _next(windows: AsyncIterator[T]) -> T | None:
    return await anext(windows, None)


async def _close(windows: AsyncGenerator[Any, None], ended: asyncio.Future[None]) -> None:
    try:
        await windows.aclose()
    except RuntimeError:
        pass  # the pull that was cancelled is still on its way out, and closes it
    if not ended.done():
        ended.set_result(None)

"""Follow: catch up from the log, then live, without a gap or a duplicate.

A subscriber that keeps up is called with each window as it is published. For one that is slow nothing is queued: it
has a cursor, the seq of the last event it has seen, and reads on from there when it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor.bounds import PIECE_EVENTS
from reactor.errors import LogLost
from reactor.events.event import Event, Message, Window
from reactor.logger import get_logger
from reactor.operators.guarded import guarded
from reactor.stream.behind import track
from reactor.stream.feed import Closed, Feed
from reactor.stream.views import views
from reactor.waiting import turn_of

logger = get_logger()


def cursor_after(messages: Sequence[Message], cursor: int) -> int:
    """The cursor after these messages, which follow ``cursor``."""
    last = messages[-1]
    return last.seq if isinstance(last, Event) else cursor


async def begin_at(feed: Feed, cursor: int) -> tuple[list[Message], int]:
    """Where to begin for a cursor that somebody has kept. The log may have lost what was seen last, and another event
    may have its number: then ``stream.gap {reason: rewound}`` comes first, and all events behind it."""
    gap = await feed.rewound_gap(cursor) if cursor else None
    return ([], cursor) if gap is None else ([gap], 0)


def closing_error(feed: Feed) -> LogLost | None:
    """The error that a closed feed ends with; None where it ends well."""
    if feed.closed == Closed.LOG:
        return LogLost(
            f"run {feed.run_id} was lost: its log failed; it goes on as soon as the log answers, ask engine.get then",
            run_id=feed.run_id,
        )
    return None


class Follow(Observable[Sequence[Message]]):
    """Cold Observable of the windows of one run with ``seq > after``; completes with the run, or its engine.

    Subscribe on the engine's loop. Nothing is delivered inside ``subscribe``. ``is_kept``: the cursor is from before.
    """

    def __init__(self, feed: Feed, after: int = 0, *, is_kept: bool = False) -> None:
        super().__init__()
        self.feed = feed
        self.after = after
        self.is_kept = is_kept

    def _subscribe_core(
        self, observer: abc.ObserverBase[Sequence[Message]], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        follower = _Follower(self.feed, self.after, observer, is_kept=self.is_kept)
        follower.start()
        return Disposable(follower.dispose)


class RunEvents(Observable[Event]):
    """``run.events``: the events of a run one by one. No subscriber can harm another.

    A subscriber that raises is detached and logged. One that blocks the loop for more than 100 ms is logged; the second
    time it is detached and gets ``on_error(SlowSubscriber)``. ``off_loop()`` gives a slow one its own thread.
    """

    def __init__(self, follow: Follow) -> None:
        super().__init__()
        self.follow = follow
        self._events = follow.pipe(views(), guarded(log_error_of(follow.feed.run_id), run_id=follow.feed.run_id))

    def _subscribe_core(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._events.subscribe(observer, scheduler=scheduler)


def log_error_of(run_id: str) -> Callable[[Exception], None]:
    """The ``report`` of ``guarded``: logs what a subscriber of this run has raised, or that it was slow."""

    def log(error: Exception) -> None:
        logger.error("subscriber detached or slow", run_id=run_id, exc_info=error)

    return log


class _Follower:
    """One subscriber. It reads until it has caught up; from then on it is ``live``, and windows pass straight on."""

    __slots__ = ("cursor", "disposed", "feed", "is_kept", "live", "observer", "reading", "subscription")

    def __init__(self, feed: Feed, after: int, observer: abc.ObserverBase[Sequence[Message]], *, is_kept: bool) -> None:
        self.feed = feed
        self.cursor = after
        self.is_kept = is_kept
        self.observer = observer
        self.live = False
        self.disposed = False
        self.reading: asyncio.Task[None] | None = None
        self.subscription: abc.DisposableBase | None = None

    def start(self) -> None:
        self.subscription = self.feed.windows.subscribe(self.on_window, self.observer.on_error, self.on_closed)
        self.reading = asyncio.get_running_loop().create_task(self.catch_up())
        track(self.feed.log, self.reading)

    async def catch_up(self) -> None:
        turn = turn_of(asyncio.get_running_loop())
        try:
            if self.is_kept:
                gap, self.cursor = await begin_at(self.feed, self.cursor)
                if gap:
                    self.observer.on_next(gap)
            while messages := await self.feed.read(self.cursor):
                for start in range(0, len(messages), PIECE_EVENTS):
                    piece = messages[start : start + PIECE_EVENTS]
                    self.cursor = cursor_after(piece, self.cursor)
                    self.observer.on_next(piece)
                    if self.disposed:
                        return
                    await turn  # an observer may take a tenth of a millisecond for each event
                await asyncio.sleep(0)  # lets others use the loop during a long replay
        except Exception as error:
            self.observer.on_error(error)
            return
        # the last read was empty and did not suspend, so no window can have come in between
        self.live = True
        if self.feed.closed:
            self.finish()

    def on_window(self, window: Window) -> None:
        if self.live and window[-1].seq > self.cursor:
            # a cursor may be ahead of the run: then the window may begin below it
            new = window if window[0].seq > self.cursor else [e for e in window if e.seq > self.cursor]
            self.cursor = window[-1].seq
            self.observer.on_next(new)

    def on_closed(self) -> None:
        if self.live:
            self.finish()

    def finish(self) -> None:
        error = closing_error(self.feed)
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


async def iterate(feed: Feed, after: int = 0, *, is_kept: bool = False) -> AsyncGenerator[Sequence[Message], None]:
    """The windows of one run with ``seq > after``, as an async iterator; raises LogLost where its log is lost.

    It pulls by cursor, so a slow consumer holds up nobody else. ``is_kept``: as of ``Follow``.
    """
    wake = asyncio.Event()
    subscription = feed.windows.subscribe(lambda _: wake.set(), lambda _: wake.set(), wake.set)
    cursor = after
    try:
        if is_kept:
            gap, cursor = await begin_at(feed, after)
            if gap:
                yield gap
        while True:
            wake.clear()  # before the read: a window published during the read sets it again
            closed = feed.closed
            while messages := await feed.read(cursor):
                cursor = cursor_after(messages, cursor)
                yield messages
                await asyncio.sleep(0)  # lets others use the loop during a long replay
            if closed:
                error = closing_error(feed)
                if error is not None:
                    raise error
                return
            await wake.wait()
    finally:
        subscription.dispose()

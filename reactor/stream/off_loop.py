"""``off_loop``: a thread for a slow subscriber."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor.errors import LogLost
from reactor.events.event import Event, Message
from reactor.operators.guarded import guarded
from reactor.stream.behind import track
from reactor.stream.follow import Follow, RunEvents, iterate, log_error_of

T = TypeVar("T")


def off_loop() -> Callable[[Observable[Event]], Observable[Event]]:
    """Moves a slow subscriber to a thread of its own, which pulls the events by cursor.

        loop    --1-2-3-4-5-6-7-8--|
        thread  --1-----2-----3-----4-----5-----6-----7-----8--|

    The subscriber's callbacks run on that thread, one after the other. They may block as long as they like: the run
    keeps no more than a cursor for it. ``off_loop()`` comes first after ``run.events``, because only there is a cursor;
    the operators after it run on the thread too. Raises TypeError in any other place.

    Example: ``run.events.pipe(off_loop(), select(types="task.*")).subscribe(write_to_disk)``
    """

    def operator(source: Observable[Event]) -> Observable[Event]:
        if not isinstance(source, RunEvents):
            raise TypeError("off_loop() comes first in the pipe: run.events.pipe(off_loop(), ...)")
        follow, feed = source.follow, source.follow.feed

        def subscribe(
            observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            puller = _Puller(follow, observer)
            puller.start(asyncio.get_running_loop())
            return Disposable(puller.stop)

        # no limit of time: the thread is its own; but what it raises must not reach ours
        return Observable(subscribe).pipe(guarded(log_error_of(feed.run_id), limit=math.inf, run_id=feed.run_id))

    return operator


class _Puller:
    """A thread that asks the loop for the next window, and hands it to its observer event by event."""

    def __init__(self, follow: Follow, observer: abc.ObserverBase[Event]) -> None:
        self.follow = follow
        self.feed = follow.feed
        self.observer = observer
        self.stopped = threading.Event()
        self.pending: concurrent.futures.Future[Sequence[Message] | None] | None = None
        """The window that the thread waits for."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        ended: asyncio.Future[None] = loop.create_future()
        track(self.feed.log, ended)
        # daemon: a subscriber that never returns must not keep the process alive
        threading.Thread(target=self.run, args=(loop, ended), name=f"off_loop {self.feed.run_id}", daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        if self.pending is not None:
            self.pending.cancel()

    def run(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        windows = iterate(self.feed, self.follow.after, is_kept=self.follow.is_kept)
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
                    self.observer.on_next(cast(Event, message.view()))  # as ``views`` does
        except concurrent.futures.CancelledError:
            if not self.stopped.is_set():  # the loop ended before the run did
                self.observer.on_error(LogLost(f"the loop of run {self.feed.run_id} ended", run_id=self.feed.run_id))
        except Exception as error:  # of the feed: the guard catches what the subscriber raises
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
        pass  # a cancelled pull is still running in it, and closes it
    if not ended.done():
        ended.set_result(None)

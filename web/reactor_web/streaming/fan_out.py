"""The share of the loop that writing to clients may take: no run and no request is slowed by who watches.

    channels ──pass over their clients──▶┐
    clients ──what they read and write──▶┴─ a slice of the loop, then a pause many times as long, then the next one

A pause ends at once where nobody else wants the loop, so it costs no time in which there is nothing else to do. The
pause also makes for large writes: what comes meanwhile goes out together, at a fraction of the system calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final
from weakref import WeakKeyDictionary, proxy

from reactor_web.bounds import FAN_OUT_PAUSE_SECONDS, FAN_OUT_SLICE_SECONDS

SHARE: Final = 1 / 16
"""Of the loop, while somebody else wants it, as long as slices are short: one client costs a run little. Whole slices
have more, because the pause is bounded: a sixth."""
MIN_PAUSE_SECONDS: Final = 0.001
"""Between two slices. A run emits some 60 events in this time, which then are one write and not 60."""
LOOKS: Final = 8
"""Turns of the loop in which it is looked whether somebody else wants it, before there is a pause."""
MAX_ENTERING: Final = 64
"""Clients that are let in at once."""

Job = Callable[[float], bool]
"""``job(until)`` works until this time, by ``perf_counter``; False where it has more to do."""


class FanOut:
    """What is to be written to the clients of one loop, in the order in which it was asked for."""

    __slots__ = (
        "__weakref__", "_at_once", "_began", "_entering", "_is_entering", "_jobs", "_looks", "_loop", "_others",
        "_pause_until", "_takes", "_timer",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = proxy(loop)  # it is found by its loop, and must not keep it
        self._others: deque[Any] | None = getattr(loop, "_ready", None)
        """What is ready to run in this loop. It is not public: another loop than asyncio's has a pause each time."""
        self._jobs: deque[Job] = deque()
        self._entering: deque[Callable[[], None]] = deque()
        self._is_entering = False
        self._at_once = 1
        """How many clients are let in at once: as many as a slice has time for."""
        self._looks = 0
        self._takes = False
        """Whether clients are next; they and the jobs take turns."""
        self._pause_until = self._began = 0.0
        self._timer: asyncio.Handle | None = None

    def add(self, job: Job, *, urgent: bool = False) -> None:
        """Does the job soon: at the end of the pause, or, if it is ``urgent``, in the next turn of the loop."""
        self._jobs.append(job)
        if urgent:
            self._pause_until = 0.0
        self._begin(anew=urgent)

    def hurry(self) -> None:
        """What was added is urgent now."""
        self._pause_until = 0.0
        self._begin(anew=True)

    def enter(self, wake: Callable[[], None]) -> None:
        """Wakes a client, or whoever writes to one, as soon as there is time for what it will do."""
        self._entering.append(wake)
        self._begin()

    async def turn(self) -> None:
        """Waits until there is time for a piece of work on behalf of one client."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self.enter(lambda: None if waiter.done() else waiter.set_result(None))
        await waiter

    def _begin(self, *, anew: bool = False) -> None:
        if self._timer is not None:
            if not anew:
                return
            self._timer.cancel()
        if not self._is_entering:
            self._timer = self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Goes on, unless others want the loop, and are to have it first."""
        rest = self._pause_until - perf_counter()
        if rest <= 0 or (self._others is not None and not self._others):
            self._work()
        elif self._others is not None and self._looks < LOOKS:
            self._looks += 1  # what there is to write came from somebody who may be done in a moment, or from itself
            self._timer = self._loop.call_soon(self._look)
        else:
            self._timer = self._loop.call_later(rest, self._work)

    def _work(self) -> None:
        self._timer = None
        self._looks = 0
        began = perf_counter()
        until = began + FAN_OUT_SLICE_SECONDS
        if self._jobs and not (self._takes and self._entering):
            self._takes = True
            try:
                for _ in range(len(self._jobs)):
                    job = self._jobs.popleft()
                    if not job(until):
                        self._jobs.append(job)
                    if perf_counter() > until:
                        break
            finally:
                self._pause(began)
        elif self._entering:
            self._takes = False
            self._is_entering = True
            count = min(self._at_once, len(self._entering))
            self._loop.call_soon(self._mark)  # behind what others are about to do, before what they begin
            try:
                for _ in range(count):
                    self._entering.popleft()()
            finally:  # behind all that they have begun
                self._loop.call_soon(self._entered, count)

    def _mark(self) -> None:
        self._began = perf_counter()

    def _entered(self, count: int) -> None:
        """They have done what they were woken for, up to where they wait for something."""
        self._is_entering = False
        began = self._began
        each = max(perf_counter() - began, 1e-9) / count
        self._at_once = max(1, min(int(FAN_OUT_SLICE_SECONDS / each), 2 * self._at_once, MAX_ENTERING))
        self._pause(began)

    def _pause(self, began: float) -> None:
        now = perf_counter()
        pause = (now - began) * (1 / SHARE - 1)
        self._pause_until = now + min(max(pause, MIN_PAUSE_SECONDS), FAN_OUT_PAUSE_SECONDS)
        if self._jobs or self._entering:
            self._begin()


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, FanOut]] = WeakKeyDictionary()


def fan_out_of(loop: asyncio.AbstractEventLoop) -> FanOut:
    """The one of this loop."""
    fan_out = _of_loop.get(loop)
    if fan_out is None:
        fan_out = _of_loop[loop] = FanOut(loop)
    return fan_out

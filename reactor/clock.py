"""Time: the clock of the machine, waiting by any clock, and the scheduler of an event loop.

An engine waits by its ``Clock``: for delays, timeouts, rates, pauses, graces. Only what lives outside of its loop has
the machine's time: worker processes that end, threads that read, sockets.

What waits for others has **patience**: it counts the time in which this process could have heard them. A process may
stand still: stopped by a signal, in a container that is paused, under a debugger, or because a body holds the loop.
What others did meanwhile is there when it goes on, and must be looked at before anybody is given up. So by how much a
timer rings late does not count. What somebody has promised about the time that passes (a task's ``timeout``, a budget
of seconds, the ``timeout`` of a question, a retry's delay, the life of a ticket) is no patience: ``call_later``.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from reactivex import abc, typing
from reactivex.disposable import Disposable, SerialDisposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from reactor.interrupts import is_from_signal
from reactor.ports.clock import Clock, Timer

S = TypeVar("S")
T = TypeVar("T")


_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Not all systems have one that goes on while the machine sleeps."""


def boot_time() -> float:
    """Seconds since the machine was started, in which it slept too. Leases are counted by it, whatever the clock."""
    return time.clock_gettime(_BOOT)


class SystemClock:
    """The clock of the machine. It formats each second once, which costs a third of ``datetime.isoformat``."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._second = -1
        self._prefix = b""

    def now(self) -> bytes:
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%06dZ" % (self._prefix, nanos // 1000)

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        return get_running_loop().call_later(seconds, callback, *args)


def check_clock(clock: Any) -> Clock:
    """The clock; raises TypeError for what is not one."""
    for method in ("now", "monotonic", "call_later"):
        if not callable(getattr(clock, method, None)):
            name = clock.__name__ if isinstance(clock, type) else type(clock).__name__
            raise TypeError(f"the clock {name} needs a method {method}(): derive it from reactor.clock.SystemClock")
    if isinstance(clock, type):
        raise TypeError(f"{clock.__name__} is a class; a clock is an object: {clock.__name__}()")
    return clock


async def sleep(clock: Clock, seconds: float) -> None:
    """Waits until ``seconds`` have passed on ``clock``."""
    rung: asyncio.Future[None] = get_running_loop().create_future()
    timer = clock.call_later(seconds, _ring, rung)
    try:
        await rung
    finally:
        timer.cancel()


def _ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)


PARTS: Final = 4
"""A time limit is waited for in at least so many parts, and in parts of a second at most. What is counted of a
standstill is less than one part."""


def part_of(seconds: float) -> float:
    """How long one part of a time limit is."""
    return min(1.0, seconds / PARTS)


def without_standstill(since: float, due: float, now: float) -> float:
    """``since``, put forward by the part of it in which nobody could be heard.

    For timers that look at many: the timer was ``due`` then, and rings ``now``.
    """
    return since + max(0.0, now - max(due, since))


class Patience:
    """Calls ``callback(*args)`` once ``seconds`` have passed on ``clock`` in which the loop could run."""

    __slots__ = ("_args", "_callback", "_clock", "_left", "_part", "_timer", "_waits")

    def __init__(self, clock: Clock, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        self._clock = clock
        self._callback = callback
        self._args = args
        self._left = seconds
        self._part = part_of(seconds)
        self._wait()

    def _wait(self) -> None:
        self._waits = min(self._part, self._left)
        self._timer: Timer | None = self._clock.call_later(self._waits, self._ring)

    def _ring(self) -> None:
        self._left -= self._waits  # and not what has passed: the rest is what it rang late
        if self._left > 1e-9:
            self._wait()
            return
        self._timer = None
        self._callback(*self._args)

    def cancel(self) -> None:
        """It does not call any more. Nothing happens where it has called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def wait_at_most(
    clock: Clock, futures: Iterable[asyncio.Future[T]], seconds: float
) -> tuple[set[asyncio.Future[T]], set[asyncio.Future[T]]]:
    """As ``asyncio.wait(futures, timeout=seconds)``, with patience: returns (done, pending) and cancels nothing."""
    awaited = set(futures)
    if not awaited:
        return set(), set()
    if seconds <= 0:  # only what is done by now, also on a clock that stands still
        return await asyncio.wait(awaited, timeout=0)
    over: asyncio.Future[None] = get_running_loop().create_future()
    left = len(awaited)

    def count(_: asyncio.Future[T]) -> None:  # and nobody looks at the others: 10,000 runs may end one after the other
        nonlocal left
        left -= 1
        if not left:
            _ring(over)

    for future in awaited:
        future.add_done_callback(count)
    timer = Patience(clock, seconds, _ring, over)
    try:
        await over
    finally:
        timer.cancel()
        for future in awaited:
            future.remove_done_callback(count)
    pending = {future for future in awaited if not future.done()}
    return awaited - pending, pending


@contextmanager
def patiently(seconds: float, clock: Clock | None = None) -> Generator[None]:
    """As ``async with asyncio.timeout(seconds)``, with patience. Raises TimeoutError."""
    task = asyncio.current_task()
    assert task is not None, "there is a task where a body awaits"
    is_late, before = False, task.cancelling()

    def interrupt() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    timer = Patience(clock or SystemClock(), seconds, interrupt)
    try:
        yield
    except BaseException as error:
        if is_late and task.uncancel() <= before and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from None
        raise
    else:
        if is_late:  # what was awaited has swallowed the cancel: the task is not one that was cancelled
            task.uncancel()
    finally:
        timer.cancel()


class LoopScheduler(AsyncIOScheduler):
    """An ``AsyncIOScheduler`` with a cheap ``schedule``: all actions of one loop turn run together in the next turn.

    This matters because each run closes one window a turn, and a thousand runs may be open.

    - ``clock``: what it waits by, and what its ``now`` says; None: the time of the loop.
    """

    def __init__(self, loop: AbstractEventLoop, clock: Clock | None = None) -> None:
        super().__init__(loop)
        self.loop = loop
        self.clock = clock
        self._context = copy_context()
        """Actions run in the context that made the scheduler, not in that of the body that scheduled first."""
        self._turns: list[_Turn[Any]] = []

    def schedule(self, action: abc.ScheduledAction[S], state: S | None = None) -> abc.DisposableBase:
        if not self._turns:
            self.loop.call_soon(self._run, context=self._context)
        turn = _Turn(action, state)
        self._turns.append(turn)
        return turn

    @property
    def now(self) -> datetime:
        """The wall time, in UTC."""
        return super().now if self.clock is None else datetime.fromisoformat(self.clock.now().decode())

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: abc.ScheduledAction[S], state: S | None = None
    ) -> abc.DisposableBase:
        seconds = self.to_seconds(duetime)
        if self.clock is None or seconds <= 0:
            return super().schedule_relative(duetime, action, state)
        waiting = SerialDisposable()

        def ring() -> None:
            waiting.disposable = self.invoke_action(action, state)

        waiting.disposable = Disposable(self.clock.call_later(seconds, ring).cancel)
        return waiting

    def _run(self) -> None:
        turns, self._turns = self._turns, []
        for count, turn in enumerate(turns, 1):
            try:
                turn.run(self)
            except BaseException as error:  # report it like the loop does, and run the other actions
                if is_from_signal(error):  # leaves the loop, which may run again for a clean-up
                    self._turns = turns[count:] + self._turns
                    if self._turns:
                        self.loop.call_soon(self._run, context=self._context)
                    raise
                context = {"message": f"exception in {turn.action!r}", "exception": error}
                self.loop.call_exception_handler(context)


class _Turn(abc.DisposableBase, Generic[S]):
    """One action for the next turn of the loop. Disposing it cancels the action, or disposes what the action began."""

    __slots__ = ("action", "begun", "is_disposed", "state")

    def __init__(self, action: abc.ScheduledAction[S], state: S | None) -> None:
        self.action = action
        self.state = state
        self.begun: abc.DisposableBase | None = None
        self.is_disposed = False

    def run(self, scheduler: abc.SchedulerBase) -> None:
        if not self.is_disposed:
            self.begun = self.action(scheduler, self.state)
            if self.is_disposed and self.begun is not None:  # the action disposed its own turn
                self.begun.dispose()

    def dispose(self) -> None:
        self.is_disposed = True
        if self.begun is not None:
            self.begun.dispose()


def is_in_loop() -> bool:
    """Whether this thread runs an event loop already."""
    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True

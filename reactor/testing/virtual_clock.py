"""``VirtualClock``: hours that pass in milliseconds, the same at each run."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle, get_running_loop
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from reactor.testing.virtual import VirtualLoop, VirtualTimer

START: Final = "2026-01-01T00:00:00Z"
_REAL_SECONDS: Final = 1.0
"""How long timers of asyncio itself are waited for before a jump: a body may sleep for a moment."""
_IDLE_TURNS: Final = 2
"""Turns of the loop in which nothing is ready: in the first, an answer on a socket may still be on its way."""


class VirtualClock:
    """Implements ``Clock``. Time stands still while the loop has anything to do; then it jumps to the next timer.

    - ``start``: its wall time at the beginning, ISO 8601.
    - ``jumps``: False: it stands still until ``advance``.

    It knows what happens on its loop. For what happens elsewhere, on a socket or in a thread of yours, there is
    ``hold``. Only what waits by this clock waits in virtual time: the engine, ``reactor.clock.sleep``, an operator with
    ``LoopScheduler(loop, clock)``. A plain ``asyncio.sleep`` takes as long as it always does, and the next jump waits
    for it, a second at most.

        clock = VirtualClock()
        async with Engine(clock=clock, workflows=[flow]) as engine: ...
    """

    def __init__(self, start: str = START, *, jumps: bool = True) -> None:
        self._start = datetime.fromisoformat(start).astimezone(UTC)
        self._timers = VirtualLoop()
        self._is_jumping = jumps
        self._holds = 0
        self._idle_turns = 0
        self._jumped_at = 0.0
        """When it last jumped, by the time of the loop."""
        self._driver: asyncio.Handle | None = None
        """The next look at whether time may jump."""

    # --- as a clock ---

    def now(self) -> bytes:
        time = self._start + timedelta(seconds=self._timers.time())
        return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()

    def monotonic(self) -> float:
        """The virtual seconds since its beginning."""
        return self._timers.time()

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> VirtualTimer:
        timer = self._timers.call_later(max(0.0, seconds), callback, *args, context=copy_context())
        self._drive()
        return timer

    # --- for tests ---

    def jump(self, seconds: float) -> None:
        """Lets time pass at once and runs what is due, in its order. Tasks of the loop do not run in between."""
        self._timers.advance(seconds)

    async def advance(self, seconds: float) -> None:
        """Lets time pass, also while it is held. At each timer the loop first does all that there is to do.

        Waits for the end of it, so what was due within ``seconds`` has been done when it returns.
        """
        until = self._timers.time() + seconds
        with self.hold():
            await self.settle()
            while (due := self._timers.next_due) is not None and due <= until:
                self._timers.advance(max(0.0, due - self._timers.time()))
                await self.settle()
            self._timers.advance(max(0.0, until - self._timers.time()))

    async def settle(self) -> None:
        """Waits until the loop has nothing to do. Time stands still meanwhile."""
        with self.hold():
            idle = 0
            while idle < _IDLE_TURNS:
                await asyncio.sleep(0)
                idle = idle + 1 if not _ready(get_running_loop()) else 0

    @property
    def jumps(self) -> bool:
        """Whether time jumps to the next timer, or stands still until ``advance``. Can be set."""
        return self._is_jumping

    @jumps.setter
    def jumps(self, jumps: bool) -> None:
        self._is_jumping = jumps
        self._drive()

    @contextmanager
    def hold(self) -> Generator[None]:
        """Inside it time does not jump: around what the clock cannot see, such as a request to a real server."""
        self.begin_hold()
        try:
            yield
        finally:
            self.end_hold()

    def begin_hold(self) -> None:
        """``hold`` in two parts, for what ends in a callback. Each needs its ``end_hold``."""
        self._holds += 1

    def end_hold(self) -> None:
        self._holds -= 1
        self._drive()

    @property
    def pending(self) -> int:
        """How many timers wait and have not been cancelled."""
        return self._timers.pending

    # --- jumping ---

    def _drive(self) -> None:
        if self._driver is None and self._is_jumping and not self._holds and self._timers.next_due is not None:
            loop = get_running_loop()
            self._jumped_at = loop.time()
            self._driver = loop.call_soon(self._turn)

    def _turn(self) -> None:
        """One look. While time may not jump it is repeated at each turn; a hold, or the last timer, ends that."""
        self._driver = None
        due = self._timers.next_due
        if self._holds or due is None or not self._is_jumping:
            self._idle_turns = 0
            return
        loop = get_running_loop()
        self._idle_turns = 0 if _ready(loop) else self._idle_turns + 1
        if self._idle_turns <= _IDLE_TURNS:
            self._driver = loop.call_soon(self._turn)
            return
        self._idle_turns = 0
        until = self._jumped_at + _REAL_SECONDS
        if (real := _next_timer(loop)) is not None and real < until:
            self._driver = loop.call_at(real, self._turn)
            return
        self._jumped_at = loop.time()
        self._driver = loop.call_soon(self._turn)  # first: what is due may raise
        self._timers.advance(max(0.0, due - self._timers.time()))


def _ready(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether anything on the loop is ready to run. asyncio has no public way to ask."""
    ready = getattr(loop, "_ready", None)
    if ready is None:
        raise TypeError(f"a VirtualClock needs a loop of asyncio; {type(loop).__name__} does not tell when it is idle")
    return bool(ready)


def _next_timer(loop: asyncio.AbstractEventLoop) -> float | None:
    """When the next timer of asyncio itself is due, by the time of the loop."""
    scheduled = cast("list[TimerHandle]", getattr(loop, "_scheduled", []))
    return next((timer.when() for timer in scheduled[:1] if not timer.cancelled()), None)

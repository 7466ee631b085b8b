"""How late the event loop is: a timer says when it wanted to ring, and when it did."""

from __future__ import annotations

import asyncio
from typing import Final

from reactor_web.metrics.numbers import DELAY_SECONDS, Histogram

LOOK_SECONDS: Final = 0.5


class LoopLag:
    """Looks from ``begin`` until as many ``end`` were called. By the loop's own time, not by a clock of the engine."""

    def __init__(self) -> None:
        self.seconds = Histogram(DELAY_SECONDS)
        self._users = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """On the loop that is looked at."""
        self._users += 1
        if self._timer is None:
            self._next(asyncio.get_running_loop())

    def end(self) -> None:
        self._users = max(0, self._users - 1)
        if not self._users and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LOOK_SECONDS
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.seconds.observe(max(0.0, loop.time() - due))
        self._next(loop)

"""How long nobody has said anything in a session."""

from __future__ import annotations

from collections.abc import Callable

from reactor.clock import part_of, without_standstill
from reactor.ports.clock import Clock, Timer


class Idle:
    """Calls ``over`` once nothing was said for so many seconds.

    One timer at a time: when it rings it looks at when the last event came, and waits for the rest. So an event costs a
    look at the clock. By how much it rings late does not count: what was said meanwhile could not be heard.
    """

    def __init__(self, seconds: float, clock: Clock, over: Callable[[], None]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._over = over
        self._last = 0.0
        """When something was said, on the monotonic clock."""
        self._due = 0.0
        self._timer: Timer | None = None

    def begin(self, silent: float) -> None:
        """``silent``: for how many seconds nothing was said before."""
        self._last = self._clock.monotonic() - silent
        self._look()

    def heard(self) -> None:
        self._last = self._clock.monotonic()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._clock.monotonic()
        wait = max(0.0, min(self._last + self.seconds - now, part_of(self.seconds)))
        self._due = now + wait
        self._timer = self._clock.call_later(wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        self._last = without_standstill(self._last, self._due, now)
        if now >= self._last + self.seconds:
            self._over()
        else:
            self._look()

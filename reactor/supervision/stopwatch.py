"""Time limits that can be stopped: an attempt's while its body waits for an answer, a run's while it is paused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reactor.ports.clock import Clock, Timer

Alarm = tuple[float, Callable[[], None]]
"""The seconds after which it rings, and what it calls."""


class Stopwatch:
    """Calls each alarm once, after its seconds of running time. It has one timer at most, none while it is stopped."""

    __slots__ = ("_alarms", "_clock", "_elapsed", "_since", "_timer")

    def __init__(self, clock: Clock, alarms: Sequence[Alarm], elapsed: float = 0.0) -> None:
        self._clock = clock
        self._alarms = sorted(alarms, key=lambda alarm: alarm[0], reverse=True)
        self._elapsed = elapsed
        self._since: float | None = None
        self._timer: Timer | None = None

    @property
    def elapsed(self) -> float:
        """The seconds it has run."""
        return self._elapsed + (0.0 if self._since is None else self._clock.monotonic() - self._since)

    def go(self) -> None:
        """Starts, or goes on after ``stop``."""
        if self._since is None:
            self._since = self._clock.monotonic()
            self._arm()

    def stop(self) -> None:
        """Stands still until ``go``."""
        self._elapsed = self.elapsed
        self._since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ring_due(self) -> None:
        """Rings what is due by now: a body may have held the loop, and with it the timer."""
        while self._since is not None and self._alarms and self.elapsed >= self._alarms[-1][0]:
            if self._timer is not None:
                self._timer.cancel()
            self._ring()

    def _arm(self) -> None:
        if self._alarms:
            self._timer = self._clock.call_later(max(0.0, self._alarms[-1][0] - self.elapsed), self._ring)

    def _ring(self) -> None:
        self._timer = None
        _, alarm = self._alarms.pop()
        alarm()
        if self._since is not None and self._timer is None:
            self._arm()

"""Time that passes only where a test lets it."""

from __future__ import annotations

from typing import Any


class FakeLoop:
    """A loop of which only the time is used."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> FakeTimer:
        timer = FakeTimer(self.now + delay, callback)
        self._timers.append(timer)
        return timer

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while due := sorted((t for t in self._timers if t.when <= until and not t.is_over), key=lambda t: t.when):
            self.now = max(self.now, due[0].when)
            due[0].is_over = True
            due[0].callback()
        self.now = until

    @property
    def pending(self) -> int:
        return sum(not timer.is_over for timer in self._timers)


class FakeTimer:
    def __init__(self, when: float, callback: Any) -> None:
        self.when = when
        self.callback = callback
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True

"""The clock that the engine reads and waits by, so that tests can bring a virtual one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """What ``Clock.call_later`` returns."""

    def cancel(self) -> None:
        """It does not ring any more. Nothing happens where it has rung."""
        ...


class Clock(Protocol):
    """Wall time for events, monotonic time for durations, and timers for everything an engine waits for.

    Used on the engine's loop only. ``reactor.clock`` has ``SystemClock``, which reads the machine; ``sleep`` there and
    ``Patience`` wait by any clock. ``reactor.testing.VirtualClock`` goes forward when a test says so.
    """

    def now(self) -> bytes:
        """The wall time in the format of event times: ISO 8601, UTC, with microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since any fixed moment; never goes back."""
        ...

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Calls ``callback(*args)`` on the loop, once, when ``seconds`` have passed on this clock.

        Never inside of ``call_later`` itself, also for 0 seconds. Callbacks run in the order of their times.
        """
        ...

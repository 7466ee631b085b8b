"""The clock of the machine."""

from __future__ import annotations

import time


class SystemClock:
    """Formats the second once and the microseconds per event: a third of the price of ``datetime.isoformat``."""

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

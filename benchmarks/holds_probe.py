"""How long a loop is held: ``Probe`` looks at each callback of the loop that it is made on.

All is told in processor time of this process, which does not depend on what else the machine does. ``gap`` is what the
process has worked while a timer of the loop was due and did not come: by callbacks, and by threads that kept the GIL.
``callback`` is the longest single callback, to find out whose doing it is; ``collector`` the longest pause of the
interpreter's garbage collector, which looks at all that lives and is a part of whatever it comes into.
"""

from __future__ import annotations

import asyncio
import gc
from asyncio import events
from functools import partial
from time import process_time, thread_time
from typing import Any, Final

TICK: Final = 0.001
"""Seconds between two looks."""


class Probe:
    """Measures from now on, until the process ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before = process_time()
        self.reset()
        self._look_at_callbacks()
        self._collecting = 0.0
        gc.callbacks.append(self._look_at_collector)
        self._tick()

    def reset(self) -> None:
        """A new round begins."""
        self.cpu = self.gap = self.collector = 0.0
        self.callback = ""

    def taken(self) -> dict[str, Any]:
        """The longest hold of this round in milliseconds: and the longest callback."""
        return {
            "gap": self.gap * 1e3, "cpu": self.cpu * 1e3, "callback": self.callback, "collector": self.collector * 1e3,
        }  # fmt: skip

    def _tick(self) -> None:
        now = process_time()
        self.gap = max(self.gap, now - self._before)
        self._before = now
        self._loop.call_later(TICK, self._tick)

    def _look_at_collector(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = thread_time()
        else:
            self.collector = max(self.collector, thread_time() - self._collecting)

    def _look_at_callbacks(self) -> None:
        run = events.Handle._run  # pyright: ignore[reportPrivateUsage]  # the one place through which asyncio calls

        def measured(handle: Any) -> None:
            began = thread_time()
            run(handle)
            took = thread_time() - began
            if took > self.cpu:
                self.cpu, self.callback = took, _name(handle._callback)

        events.Handle._run = measured  # type: ignore[method-assign]


def _name(callback: Any) -> str:
    """What a callback is for: of a task, the coroutine that it runs."""
    while isinstance(callback, partial):
        callback = callback.func
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return str(getattr(owner.get_coro(), "__qualname__", None) or type(owner.get_coro()).__name__)
    return str(getattr(callback, "__qualname__", callback))

"""The loop of a server: a turn takes few of those that ask at the same time, and the others wait for the next one.

The loop of asyncio handles in one turn everything that has come: a thousand requests, half a second. An event needs
some turns from its task to its clients, so it would wait that long several times. With a few requests a turn it waits
some milliseconds, and the thousand are answered as soon as before.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from typing import Any, Final

AT_ONCE: Final = 4
"""Connections that are accepted or read in one turn."""


class _Few:
    """An epoll that reports a few of those that are ready; it reports the others next (epoll_wait(2) takes turns)."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        return self._epoll.poll(timeout, AT_ONCE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


def make_loop() -> asyncio.AbstractEventLoop:
    """A new loop; where there is no epoll, one as asyncio makes it."""
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.new_event_loop()
    selector = selectors.EpollSelector()
    selector._selector = _Few(selector._selector)  # pyright: ignore  # no public way to what it asks
    return asyncio.SelectorEventLoop(selector)

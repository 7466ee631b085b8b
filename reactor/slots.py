"""Limits on what runs at once, and the queue of what is ready to."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from reactor.operators.buffer_window import Room


class Startable(Protocol):
    """A task whose upstreams ended."""

    @property
    def has_ended(self) -> bool: ...

    def begin(self) -> None:
        """Takes its slots and starts, or parks itself at the first one that is taken."""
        ...

    def fail(self, error: Exception) -> None:
        """It could not begin."""
        ...

    def granted(self, slots: Slots) -> None:
        """A slot it was parked at is its own now."""
        ...


class Slots:
    """At most ``limit`` holders at once; whoever comes later is parked and served in order."""

    __slots__ = ("_free", "_parked")

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._parked: deque[Startable] = deque()

    def acquire(self, task: Startable) -> bool:
        """True if taken; else the task is parked until ``granted``."""
        if self._free > 0:
            self._free -= 1
            return True
        self._parked.append(task)
        return False

    def release(self) -> None:
        """Hands the slot to the first of the parked that still wants it."""
        while self._parked:
            task = self._parked.popleft()
            if not task.has_ended:  # cancelled while it was parked
                task.granted(self)
                return
        self._free += 1


class ReadyQueue:
    """Starts what is ready, in order, while the window has room.

    Completions and skips only append here, so a cascade through 10,000 tasks is a loop, never a recursion.
    """

    __slots__ = ("_pumping", "_queue", "_room", "_waiting")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._queue: deque[Startable] = deque()
        self._pumping = False
        self._waiting = False

    def push(self, task: Startable) -> None:
        self._queue.append(task)

    def pump(self) -> None:
        """Begins what is ready; stops at a full window and goes on when there is room."""
        if self._pumping:
            return
        self._pumping = True
        try:
            queue, room = self._queue, self._room
            while queue:
                if room.full:
                    self._wait()
                    return
                task = queue.popleft()
                try:
                    task.begin()
                except Exception as error:  # of a value a user made: one task fails, the queue goes on
                    task.fail(error)
        finally:
            self._pumping = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Begins nothing inside of it, whatever becomes ready."""
        was_pumping, self._pumping = self._pumping, True
        try:
            yield
        finally:
            self._pumping = was_pumping

    def _wait(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._room.when_free(self._resume)

    def _resume(self) -> None:
        self._waiting = False
        self.pump()

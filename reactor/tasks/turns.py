"""Long work on the loop, a few milliseconds at a time: in between, others have their turn."""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import Callable, Generator
from time import perf_counter
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_HOLD_SECONDS: Final = 0.004
"""How long all such work together holds a loop in one of its turns."""


class Turns(Generic[T]):
    """Takes the steps of a generator, and calls ``done`` with what it returns, ``failed`` with what a step raises.

    Where it is quick, and nothing else is under way, this is inside of ``begin``. What these two raise comes out of
    ``begin``, or goes to the loop.
    """

    __slots__ = ("_done", "_failed", "_is_stepping", "_steps")

    def __init__(
        self,
        steps: Generator[None, None, T],
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._steps: Generator[None, None, T] | None = steps
        self._is_stepping = False
        self._done = done
        self._failed = failed

    def begin(self) -> None:
        """Takes some steps, and the others later; all of them later while the running loop has other long work."""
        _ring_of(get_running_loop()).add(self)

    def go_on(self, began: float) -> bool:
        """Takes steps until the time is over that ``began`` then; whether there may be more."""
        steps = self._steps
        if steps is None:
            return False
        self._is_stepping = True
        try:
            next(steps)
            while self._steps is not None and perf_counter() - began < _HOLD_SECONDS:
                next(steps)
        except StopIteration as end:
            if self._steps is not None:
                self._steps = None
                self._done(end.value)
        except BaseException as error:
            if self._steps is not None:
                self._steps = None
                self._failed(error)
        else:
            if self._steps is None:
                steps.close()
        finally:
            self._is_stepping = False
        return self._steps is not None

    def stop(self) -> None:
        """Takes no more steps; neither function is called."""
        steps, self._steps = self._steps, None
        if steps is not None and not self._is_stepping:  # else it is a step that stops it
            steps.close()


class _Ring:
    """The long work of one loop. Where a hundred bodies end at once with large outputs, they share the time of one."""

    __slots__ = ("_is_in_turn", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Turns[Any]] = deque()
        self._is_in_turn = False
        """Its time in this turn of the loop is used; the next one is asked for."""

    def add(self, work: Turns[Any]) -> None:
        self._waiting.append(work)
        if not self._is_in_turn:
            self._use_turn()

    def _use_turn(self) -> None:
        self._is_in_turn = True
        get_running_loop().call_soon(self._next_turn)  # first of all: a step may raise what ends the loop
        began = perf_counter()
        while True:  # a step is taken in any case
            work = self._waiting.popleft()
            if work.go_on(began):
                self._waiting.append(work)
            if not self._waiting or perf_counter() - began >= _HOLD_SECONDS:
                return

    def _next_turn(self) -> None:
        if self._waiting:
            self._use_turn()
        else:
            self._is_in_turn = False


_rings: Final[WeakKeyDictionary[AbstractEventLoop, _Ring]] = WeakKeyDictionary()


def _ring_of(loop: AbstractEventLoop) -> _Ring:
    ring = _rings.get(loop)
    if ring is None:
        ring = _rings[loop] = _Ring()
    return ring

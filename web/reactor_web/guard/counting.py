"""``MemoryCaps``: counts what is capped, in one process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

from reactor.ports.clock import Clock
from reactor_web.bounds import CAP_ENTRIES

SLOTS: Final = 16
"""Parts of a window. What is taken counts until its part is over: at most a sixteenth longer than the window."""
_SWEPT: Final = 2
"""Idle entries that one take drops: more than it can make."""


class _Window:
    """What was taken of one cap by one who, in the last seconds. There may be one for each address: it is small."""

    __slots__ = ("slots", "total")

    def __init__(self) -> None:
        self.slots: tuple[int, ...] = ()
        """The number of a slot, how many were taken in it, and so on; the newest last: ``SLOTS + 1`` slots at most."""
        self.total = 0

    @property
    def newest(self) -> int:
        """The number of the last slot in which something was taken."""
        return self.slots[-2]

    def expire(self, slot: int) -> None:
        slots = self.slots
        while slots and slots[0] < slot - SLOTS:
            self.total -= slots[1]
            slots = slots[2:]
        self.slots = slots

    def add(self, slot: int, count: int) -> None:
        if self.slots and self.newest == slot:
            self.slots = (*self.slots[:-1], self.slots[-1] + count)
        else:
            self.slots = (*self.slots, slot, count)
        self.total += count

    def remove(self, count: int) -> None:
        slots: list[int] = list(self.slots)
        while count and slots:
            fewer = min(count, slots[-1])
            slots[-1] -= fewer
            self.total -= fewer
            count -= fewer
            if not slots[-1]:
                del slots[-2:]
        self.slots = tuple(slots)


class _Timed:
    """A cap that counts for some seconds: its windows, that of the last take at the end."""

    __slots__ = ("seconds", "windows")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.windows: OrderedDict[str, _Window] = OrderedDict()

    def slot_at(self, time: float) -> int:
        return int(time * SLOTS // self.seconds)


class MemoryCaps:
    """Implements ``CapCounter`` in memory.

    It remembers ``most`` pairs of a cap and a who. Beyond that a pair that counts until it is given back is refused:
    none of these may be forgotten. Of those that count for some seconds the pair that was taken longest ago is
    forgotten instead, so that somebody with very many addresses locks nobody out.
    """

    scope: Literal["process"] = "process"

    def __init__(self, clock: Clock, most: int = CAP_ENTRIES) -> None:
        self._clock = clock
        self._most = most
        self._held: dict[tuple[str, str], int] = {}
        self._timed: dict[str, _Timed] = {}
        """By cap."""
        self._windows = 0
        """Of all of ``_timed``."""

    def __len__(self) -> int:
        return len(self._held) + self._windows

    async def take(self, cap: str, who: str, most: int, seconds: float | None = None, *, count: int = 1) -> bool:
        if count < 1:
            raise ValueError(f"{count} cannot be taken of the cap {cap}")
        if count > most:
            return False
        if seconds is None:
            return self._hold(cap, who, most, count)
        timed = self._timed.get(cap)
        if timed is None or (not timed.windows and timed.seconds != seconds):
            timed = self._timed[cap] = _Timed(seconds)
        if timed.seconds != seconds:
            raise ValueError(f"the cap {cap} counts for {timed.seconds} s, not for {seconds} s")
        slot = timed.slot_at(self._clock.monotonic())
        self._sweep(timed, slot, _SWEPT)
        window = timed.windows.get(who)
        if window is None:
            if not self._make_room():
                return False
            window = timed.windows[who] = _Window()
            self._windows += 1
        window.expire(slot)
        if window.total + count > most:
            return False
        window.add(slot, count)
        timed.windows.move_to_end(who)
        return True

    async def give_back(self, cap: str, who: str, *, count: int = 1) -> None:
        if (held := self._held.get((cap, who))) is not None:
            if held > count:
                self._held[cap, who] = held - count
            else:
                del self._held[cap, who]
        elif (timed := self._timed.get(cap)) is not None and (window := timed.windows.get(who)) is not None:
            window.remove(count)
            if not window.slots:
                self._drop(timed, who)

    def _hold(self, cap: str, who: str, most: int, count: int) -> bool:
        held = self._held.get((cap, who), 0)
        if held + count > most or (not held and not self._make_room()):
            return False
        self._held[cap, who] = held + count
        return True

    def _make_room(self) -> bool:
        """Whether there is room for one pair more."""
        if len(self) < self._most:
            return True
        fullest = max(self._timed.values(), key=lambda timed: len(timed.windows), default=None)
        if fullest is None or not fullest.windows:
            return False
        self._drop(fullest, next(iter(fullest.windows)))
        return True

    def _sweep(self, timed: _Timed, slot: int, most: int) -> None:
        """Drops windows in which nothing counts any more. The oldest are at the front."""
        for _ in range(most):
            who = next(iter(timed.windows), None)
            if who is None or timed.windows[who].newest >= slot - SLOTS:
                return
            self._drop(timed, who)

    def _drop(self, timed: _Timed, who: str) -> None:
        del timed.windows[who]
        self._windows -= 1

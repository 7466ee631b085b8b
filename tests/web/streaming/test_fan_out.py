"""The share of the loop that writing to clients may take, on a loop whose clock is set by what runs on it."""

from __future__ import annotations

import asyncio
import gc
import heapq
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor_web.bounds import FAN_OUT_PAUSE_SECONDS, FAN_OUT_SLICE_SECONDS
from reactor_web.streaming import fan_out
from reactor_web.streaming.fan_out import SHARE, FanOut, fan_out_of


class Loop:
    """As much of an event loop as is needed. Nothing takes time but what says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.Handle]] = []

    def call_soon(self, function: Callable[..., object], *args: Any) -> asyncio.Handle:
        handle = asyncio.Handle(function, args, cast(asyncio.AbstractEventLoop, self))
        self._ready.append(handle)
        return handle

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> asyncio.Handle:
        handle = asyncio.Handle(function, args, cast(asyncio.AbstractEventLoop, self))
        heapq.heappush(self._timers, (self.now + seconds, len(self._timers), handle))
        return handle

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failed = context

    def run(self, until: float) -> None:
        """Runs until the clock says so, or nothing is left to do."""
        while self.now < until and (self._ready or self._timers):
            if not self._ready:
                self.now = max(self.now, self._timers[0][0])
            while self._timers and self._timers[0][0] <= self.now:
                self._ready.append(heapq.heappop(self._timers)[2])
            for _ in range(len(self._ready)):
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(fan_out, "perf_counter", lambda: loop.now)
    return loop


def made(loop: Loop) -> FanOut:
    return FanOut(cast(asyncio.AbstractEventLoop, loop))


class Run:
    """Wants the loop all the time, for some microseconds a turn."""

    def __init__(self, loop: Loop, step: float = 0.000_02) -> None:
        self.loop = loop
        self.step = step
        self.time = 0.0
        self.longest = 0.0
        self._last = loop.now
        loop.call_soon(self.go)

    def go(self) -> None:
        self.longest = max(self.longest, self.loop.now - self._last)
        self.loop.now += self.step
        self.time += self.step
        self._last = self.loop.now
        self.loop.call_soon(self.go)


@settings(deadline=None, max_examples=30)
@given(pieces=st.lists(st.sampled_from([0.000_01, 0.000_1, 0.000_3]), min_size=1, max_size=6))
def test_a_run_keeps_its_part_of_the_loop_whatever_there_is_to_write(pieces: list[float]) -> None:
    """Passes that never end, and clients that come without end, take at most their share, and no long slice."""
    with pytest.MonkeyPatch.context() as patch:
        loop = Loop()
        patch.setattr(fan_out, "perf_counter", lambda: loop.now)
        out, run, written = made(loop), Run(loop), [0.0]

        def work(until: float) -> bool:
            for piece in pieces:
                loop.now += piece
                written[0] += piece
                if loop.now > until:
                    break
            return False

        def come() -> None:
            loop.now += pieces[0]
            written[0] += pieces[0]
            out.enter(come)

        out.add(work)
        out.enter(come)
        loop.run(0.5)
        slice = FAN_OUT_SLICE_SECONDS + max(pieces)
        share = max(SHARE, slice / (slice + FAN_OUT_PAUSE_SECONDS)) + 0.01
        assert written[0] <= share * loop.now
        assert run.time >= (1 - share) * loop.now
        assert run.longest <= 2 * FAN_OUT_SLICE_SECONDS + max(pieces) * (1 + fan_out.LOOKS)


def test_where_nobody_else_wants_the_loop_there_is_no_pause(loop: Loop) -> None:
    """Slice follows slice: what is to be written is written at once."""
    out, left = made(loop), [10]

    def work(until: float) -> bool:
        loop.now += FAN_OUT_SLICE_SECONDS
        left[0] -= 1
        return not left[0]

    out.add(work)
    loop.run(10.0)
    assert loop.now == pytest.approx(10 * FAN_OUT_SLICE_SECONDS)


def test_a_pause_is_never_longer_than_it_says_and_what_is_urgent_waits_for_none(loop: Loop) -> None:
    """However long a slice was."""
    out, began = made(loop), list[float]()
    Run(loop)

    def work(until: float) -> bool:
        began.append(loop.now)
        loop.now += 0.05
        return True

    for _ in range(2):
        out.add(work)
    loop.run(0.112)
    assert began[1] - began[0] - 0.05 == pytest.approx(FAN_OUT_PAUSE_SECONDS, abs=0.001)
    out.add(work)
    loop.run(loop.now + 0.001)
    assert len(began) == 2, "it waits"
    out.hurry()
    loop.run(loop.now + 0.001)
    assert len(began) == 3


def test_clients_come_in_their_order_and_as_many_at_once_as_a_slice_has_time_for(loop: Loop) -> None:
    """The first alone, since nobody knows what they cost; where they cost little soon more."""
    out, order, at = made(loop), list[int](), list[float]()

    def come(number: int) -> None:
        order.append(number)
        at.append(loop.now)
        loop.call_soon(spend)

    def spend() -> None:
        loop.now += 0.000_1

    for number in range(200):
        out.enter(lambda number=number: come(number))
    Run(loop)
    loop.run(1.0)
    assert order == list(range(200))
    most = max(at.count(time) for time in at)
    assert 10 <= most <= FAN_OUT_SLICE_SECONDS / 0.000_1 + 1


def test_many_small_passes_share_a_slice(loop: Loop) -> None:
    """A thousand runs with a client each wait for what they cost together, not for a pause each."""
    out, done = made(loop), [0]

    def work(until: float) -> bool:
        loop.now += 0.000_02
        done[0] += 1
        return True

    Run(loop)
    loop.run(0.01)
    began = loop.now
    for _ in range(1_000):
        out.add(work)
    while done[0] < 1_000 and loop.now < 10:
        loop.run(loop.now + 0.001)
    slices = 1_000 * 0.000_02 / FAN_OUT_SLICE_SECONDS + 1
    assert loop.now - began <= slices * (FAN_OUT_SLICE_SECONDS + FAN_OUT_PAUSE_SECONDS) + 0.01


def test_clients_do_not_pay_for_the_long_turns_of_others(loop: Loop) -> None:
    """What a body takes between the waking of clients and what they do is not what the clients cost."""
    out, entered, most = made(loop), list[float](), 300

    def spend() -> None:
        loop.now += 0.000_03
        entered.append(loop.now)

    Run(loop, step=2 * FAN_OUT_SLICE_SECONDS)
    for _ in range(most):
        out.enter(lambda: loop.call_soon(spend))
    began = loop.now
    while len(entered) < most and loop.now < 10:
        loop.run(loop.now + 0.001)
    slices = 6 + most / fan_out.MAX_ENTERING + 1  # 1, 2, 4 and so on up to the most at once
    assert entered[-1] - began <= slices * (FAN_OUT_SLICE_SECONDS + FAN_OUT_PAUSE_SECONDS + 0.01)


def test_what_raises_holds_up_nobody(loop: Loop) -> None:
    """A pass that breaks off is told to the loop; the others go on."""
    out, done = made(loop), list[int]()

    def broken(until: float) -> bool:
        raise ValueError("broken")

    def work(until: float) -> bool:
        done.append(1)
        return True

    def left() -> None:
        raise ValueError("broken")

    out.enter(left)
    loop.run(1.0)
    assert str(loop.failed["exception"]) == "broken"
    out.enter(lambda: done.append(0))
    out.add(broken)
    out.add(work)
    loop.run(2.0)
    assert sorted(done) == [0, 1]
    assert str(loop.failed["exception"]) == "broken"


def test_a_loop_that_is_over_is_forgotten() -> None:
    """What is kept by loop does not keep the loop."""
    loop = Loop()
    fan_out_of(cast(asyncio.AbstractEventLoop, loop)).add(lambda until: True)
    loop.run(1.0)
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None

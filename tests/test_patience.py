"""Patience: what waits for others counts the time in which they could be heard, and not a standstill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reactor import Engine, Workflow
from reactor.clock import Patience, SystemClock, part_of, patiently, wait_at_most
from reactor.runs.idle import Idle
from tests.helpers.runs import PATIENCE


class StoppedClock(SystemClock):
    """A clock of a process that can be stopped: what was due meanwhile rings once, when it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0

    def monotonic(self) -> float:  # type: ignore[override]
        return self.time

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Any:
        self._numbers += 1
        timer = (self.time + seconds, self._numbers, lambda: callback(*args))
        self._timers.append(timer)

        class Timer:
            def cancel(_) -> None:
                if timer in self._timers:
                    self._timers.remove(timer)

        return Timer()

    def stand_still(self, seconds: float) -> None:
        """Time passes, and nothing runs before it is over."""
        self.time += seconds
        due = sorted(timer for timer in self._timers if timer[0] <= self.time)
        for timer in due:
            if timer in self._timers:
                self._timers.remove(timer)
                timer[2]()

    def run(self, seconds: float) -> None:
        """Time passes, and each timer rings when it is due."""
        until = self.time + seconds
        while due := sorted(timer for timer in self._timers if timer[0] <= until):
            self.stand_still(due[0][0] - self.time)
        self.time = until


@pytest.mark.parametrize("seconds", [0.2, 2.0, 10.0, 100.0])
@pytest.mark.parametrize("before", [0.0, 0.3, 0.9])
def test_a_standstill_counts_less_than_a_part(seconds: float, before: float) -> None:
    """Whenever it comes, and however long it is. Without one it calls after just its seconds."""
    rung: list[float] = []
    clock = StoppedClock()
    Patience(clock, seconds, lambda: rung.append(clock.time))
    clock.run(seconds - 0.001)
    assert not rung
    clock.run(0.002)
    assert rung == [pytest.approx(seconds)]
    clock, rung = StoppedClock(), []
    Patience(clock, seconds, lambda: rung.append(clock.time))
    clock.run(before * seconds)
    clock.stand_still(1_000 * seconds)
    least = seconds * (1 - before) - part_of(seconds)
    if least > 0:
        clock.run(least - 0.001)
        assert not rung
    clock.run(part_of(seconds) + 0.002)
    assert len(rung) == 1


def test_what_is_cancelled_does_not_call_and_leaves_no_timer() -> None:
    """At any time."""
    clock = StoppedClock()
    patience = Patience(clock, 4.0, pytest.fail, "it has called")
    clock.run(2.5)
    patience.cancel()
    patience.cancel()
    assert not clock._timers
    clock.run(10.0)


async def test_a_wait_is_interrupted_and_a_cancel_from_outside_is_one() -> None:
    """``patiently`` raises TimeoutError for its own interruption only, and what is in time is not interrupted."""
    clock = StoppedClock()

    async def wait() -> None:
        with patiently(4.0, clock):
            await asyncio.Event().wait()

    asyncio.get_running_loop().call_later(0, clock.run, 5.0)
    with pytest.raises(TimeoutError):
        await wait()
    with patiently(4.0, clock):
        clock.stand_still(100.0)
        await asyncio.sleep(0)
    assert not clock._timers
    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("ends_with", [None, ValueError])
async def test_a_task_that_was_late_is_not_one_that_was_cancelled(ends_with: type[Exception] | None) -> None:
    """Code that swallows the cancel at the end of patience, or makes another error of it, leaves no cancel behind."""
    clock, task = StoppedClock(), asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(clock.run, 5.0)
    with suppress(ValueError), patiently(4.0, clock):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ends_with is not None:
                raise ends_with from None
    assert task.cancelling() == 0


async def test_several_are_waited_for_in_spite_of_a_standstill() -> None:
    """``wait_at_most`` gives what is done, and the rest after its seconds."""
    clock, loop = StoppedClock(), asyncio.get_running_loop()
    one, other = loop.create_future(), loop.create_future()
    waiting = asyncio.ensure_future(wait_at_most(clock, [one, other], 4.0))
    await asyncio.sleep(0)
    clock.stand_still(100.0)
    one.set_result(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    clock.run(4.0)
    assert await asyncio.wait_for(waiting, PATIENCE) == ({one}, {other})


def test_a_session_is_not_idle_because_nobody_could_be_heard() -> None:
    """What was said during a standstill comes after it. Silence in between counts as ever."""
    clock, over = StoppedClock(), list[float]()
    idle = Idle(10.0, clock, lambda: over.append(clock.time))
    idle.begin(0.0)
    clock.run(3.0)
    clock.stand_still(1_000.0)
    assert not over
    clock.run(1.0)
    idle.heard()
    clock.run(9.9)
    assert not over
    clock.run(0.2)
    assert len(over) == 1


async def test_a_body_gets_its_grace_in_spite_of_a_standstill() -> None:
    """The cancel came, the process stood still, and the body stops when it goes on: it is not abandoned."""
    clock, stopping, go = StoppedClock(), asyncio.Event(), asyncio.Event()
    flow = Workflow("slow")

    @flow.task
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await go.wait()

    async with Engine(clock=clock, workflows=[flow], grace=0) as engine:
        run = await engine.start(flow)
        cancelling = asyncio.ensure_future(run.cancel(grace=10.0))
        await asyncio.wait_for(stopping.wait(), PATIENCE)
        clock.run(5.0)
        clock.stand_still(3_600.0)
        await asyncio.sleep(0)
        assert run.status == "cancelling"
        go.set()
        await asyncio.wait_for(cancelling, PATIENCE)
        assert run.state.tasks["slow"].status == "cancelled"
        assert (await run.feed.event(run.feed.last_seq)).data["abandoned"] == 0  # type: ignore[union-attr]

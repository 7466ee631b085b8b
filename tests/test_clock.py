"""The scheduler of a loop, turn by turn, and the clock of the machine."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reactivex.disposable import Disposable

from reactor import clock
from reactor.clock import LoopScheduler, SystemClock
from reactor.testing import VirtualLoop

A_TURN = 0
"""Seconds of the sleep that lets the loop run once."""


class Turns:
    """A scheduler on the running loop, in which turn of it what ran, and what reached the loop's exception handler."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.scheduler = LoopScheduler(self.loop)
        self.turn = 0
        self.ran: list[tuple[int, Any]] = []
        self.reported: list[BaseException] = []
        self.loop.set_exception_handler(lambda _, context: self.reported.append(context["exception"]))

    def note(self, _: Any, name: Any) -> None:
        self.ran.append((self.turn, name))

    async def pass_turns(self, count: int) -> None:
        for _ in range(count):
            self.turn += 1
            await asyncio.sleep(A_TURN)


# --- turns --------------------------------------------------------------------------------------------------------


async def test_what_is_scheduled_in_a_turn_runs_in_the_next_one_in_its_order() -> None:
    """Nothing runs inside of ``schedule``; then all at once, first come, first run."""
    turns = Turns()
    for n in range(5):
        turns.scheduler.schedule(turns.note, n)
    assert turns.ran == []
    await turns.pass_turns(2)
    assert turns.ran == [(1, n) for n in range(5)]


async def test_what_is_scheduled_from_inside_runs_in_a_later_turn() -> None:
    """One that always schedules itself again has each turn once: the loop is never starved."""
    turns = Turns()

    def again(scheduler: Any, n: Any) -> None:
        turns.note(scheduler, n)
        scheduler.schedule(again, n + 1)

    turns.scheduler.schedule(again, 0)
    turns.scheduler.schedule(turns.note, "the other")
    await turns.pass_turns(3)
    assert turns.ran == [(1, 0), (1, "the other"), (2, 1), (3, 2)]


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=6))
def test_everything_runs_once_in_the_order_of_its_turns(plan: list[list[int]]) -> None:
    """Whatever schedules how many from inside: an action runs one turn after it was scheduled, behind those before."""

    async def follow() -> None:
        turns, scheduled = Turns(), list[tuple[int, int]]()

        def schedule(children: int) -> None:
            name = len(scheduled)
            scheduled.append((turns.turn + 1, name))
            turns.scheduler.schedule(run, (name, children))

        def run(scheduler: Any, state: Any) -> None:
            name, children = state
            turns.note(scheduler, name)
            for _ in range(children):
                schedule(0)

        for several in plan:
            for children in several:
                schedule(children)
            await turns.pass_turns(1)
        await turns.pass_turns(2)
        assert turns.ran == scheduled

    asyncio.run(follow())


async def test_an_action_is_given_the_scheduler_and_its_state() -> None:
    """An action gets the scheduler and the state, as from the library's schedulers; without a state it is None."""
    turns, given_to = Turns(), list[Any]()
    turns.scheduler.schedule(lambda scheduler, state: given_to.append((scheduler, state)), "state")
    turns.scheduler.schedule(lambda scheduler, state: given_to.append((scheduler, state)))
    await turns.pass_turns(1)
    assert given_to == [(turns.scheduler, "state"), (turns.scheduler, None)]


# --- disposal -----------------------------------------------------------------------------------------------------


async def test_what_is_disposed_before_its_turn_is_not_run() -> None:
    """By whoever scheduled it, or by one that runs before it in the same turn; disposed again: nothing happens."""
    turns = Turns()
    first = turns.scheduler.schedule(turns.note, "first")
    turns.scheduler.schedule(lambda _, __: third.dispose())
    turns.scheduler.schedule(turns.note, "second")
    third = turns.scheduler.schedule(turns.note, "third")
    first.dispose()
    first.dispose()
    await turns.pass_turns(2)
    assert turns.ran == [(1, "second")]


async def test_disposing_what_has_run_disposes_what_it_began() -> None:
    """An action may return what it has begun; that belongs to whoever scheduled it."""
    turns, disposed = Turns(), list[str]()
    began = turns.scheduler.schedule(lambda _, __: Disposable(lambda: disposed.append("begun")))
    await turns.pass_turns(1)
    assert disposed == []
    began.dispose()
    assert disposed == ["begun"]


async def test_what_an_action_begins_after_its_own_disposal_is_disposed() -> None:
    """As with the library's schedulers: nothing stays behind of what was disposed while it ran."""
    turns, disposed = Turns(), list[str]()

    def dispose_itself(*_: Any) -> Disposable:
        mine.dispose()
        return Disposable(lambda: disposed.append("begun"))

    mine = turns.scheduler.schedule(dispose_itself)
    await turns.pass_turns(1)
    assert disposed == ["begun"]


# --- what goes wrong ----------------------------------------------------------------------------------------------


def failing(error: BaseException) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [ValueError("a bug"), asyncio.CancelledError("escaped"), SystemExit(3)], ids=repr)
async def test_one_that_raises_is_reported_and_the_others_run_all_the_same(error: BaseException) -> None:
    """As the loop does with what it calls: to its exception handler, and on; later turns come, too."""
    turns = Turns()
    turns.scheduler.schedule(turns.note, "before")
    turns.scheduler.schedule(failing(error))
    turns.scheduler.schedule(turns.note, "behind")
    await turns.pass_turns(1)
    turns.scheduler.schedule(turns.note, "later")
    await turns.pass_turns(1)
    assert turns.reported == [error]
    assert turns.ran == [(1, "before"), (1, "behind"), (2, "later")]


def test_what_ends_the_loop_leaves_the_others_of_its_turn_for_when_it_goes_on() -> None:
    """A Ctrl-C is raised out of the loop, which may then run again for a clean-up."""
    loop, ran = asyncio.new_event_loop(), list[str]()
    try:
        scheduler = LoopScheduler(loop)
        scheduler.schedule(failing(KeyboardInterrupt()))
        scheduler.schedule(lambda _, __: ran.append("behind"))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        for _ in range(2):
            loop.run_until_complete(asyncio.sleep(A_TURN))
    finally:
        loop.close()
    assert ran == ["behind"]


# --- timers -------------------------------------------------------------------------------------------------------


def test_what_is_scheduled_for_later_runs_then() -> None:
    """``schedule_relative`` is the library's own: after so many seconds of the loop, unless it was disposed."""
    loop: Any = VirtualLoop()
    scheduler, ran = LoopScheduler(loop), list[tuple[float, str]]()

    def note(_: Any, name: str | None) -> None:
        ran.append((loop.time(), str(name)))

    scheduler.schedule_relative(2.0, note, "second")
    scheduler.schedule_relative(timedelta(seconds=1), note, "first")
    scheduler.schedule_relative(3.0, note, "never").dispose()
    loop.advance(5)
    assert ran == [(1.0, "first"), (2.0, "second")]
    assert loop.pending == 0


async def test_what_is_scheduled_in_no_time_runs_in_the_next_turn() -> None:
    """``schedule_relative(0)`` is ``schedule``, and stands in its order."""
    turns = Turns()
    turns.scheduler.schedule(turns.note, "first")
    turns.scheduler.schedule_relative(0, turns.note, "second")
    turns.scheduler.schedule(turns.note, "third")
    await turns.pass_turns(1)
    assert turns.ran == [(1, "first"), (1, "second"), (1, "third")]


# --- the clock ----------------------------------------------------------------------------------------------------


def test_the_time_of_an_event_has_27_characters_ends_in_z_and_grows() -> None:
    """Times have one length, so that they compare as text."""
    system = SystemClock()
    times = [system.now() for _ in range(10_000)]
    assert {len(time) for time in times} == {27}
    assert {time[-1:] for time in times} == {b"Z"}
    assert times == sorted(times)
    assert times[0] < times[-1]


class Hands:
    """A clock that is set by hand."""

    gmtime = staticmethod(time.gmtime)
    strftime = staticmethod(time.strftime)

    def __init__(self, nanoseconds: list[int]) -> None:
        self._left = iter(nanoseconds)

    def time_ns(self) -> int:
        return next(self._left)


@given(st.lists(st.integers(0, 4_102_444_800_000_000_000), min_size=1))
@example([1_000_000_000_999_999_999, 1_000_000_001_000_000_000, 1_000_000_001_000_000_999, 1_000_000_000_000_001_000])
def test_the_time_of_an_event_is_iso_8601_to_the_microsecond(nanoseconds: list[int]) -> None:
    """The text is right whatever second came before, also if somebody sets the clock back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "time", Hands(nanoseconds))
        system = SystemClock()
        times = [system.now().decode() for _ in nanoseconds]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    moments = [epoch + timedelta(microseconds=each // 1000) for each in nanoseconds]
    assert times == [f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z" for moment in moments]

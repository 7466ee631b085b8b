"""``buffer_window`` in virtual time: what closes a window, what is held back, and that nothing is lost."""

from __future__ import annotations

import asyncio
import doctest
import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.operators.buffer_window import READY, Room, buffer_window

on_next, on_completed, on_error = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error
subscribe = ReactiveTest.subscribe


def windows(
    scheduler: TestScheduler, source: Observable[str], ready: Observable[Any], room: Room, disposed: float = 1000
) -> list[Any]:
    return scheduler.start(
        lambda: source.pipe(buffer_window(room, ready, size=len, scheduler=scheduler)), disposed=disposed
    ).messages


def test_the_first_window_closes_at_the_end_of_the_turn_that_opened_it() -> None:
    """Items of one turn share a window, and it does not wait for a second turn."""
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, "a"), on_next(210, "b"), on_next(220, "c"))
    ready = scheduler.create_hot_observable(on_next(230, None))
    messages = windows(scheduler, source, ready, Room())
    assert [(m.time, m.value.value) for m in messages] == [(210, ["a", "b"]), (230, ["c"])]


def test_while_one_window_is_taken_the_next_fills_and_closes_when_the_consumer_is_ready() -> None:
    """One window is under way at a time; what comes meanwhile is one window."""
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*(on_next(t, str(t)) for t in (210, 220, 230, 240, 250)))
    ready = scheduler.create_hot_observable(on_next(245, None))
    messages = windows(scheduler, source, ready, Room())
    assert [m.value.value for m in messages] == [["210"], ["220", "230", "240"]]
    assert messages[1].time == 245


def test_a_consumer_that_is_ready_before_anything_came_gets_the_next_item_at_once() -> None:
    """Being ready is remembered."""
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, "a"), on_next(300, "b"))
    ready = scheduler.create_hot_observable(on_next(250, None))
    messages = windows(scheduler, source, ready, Room())
    assert [(m.time, m.value.value) for m in messages] == [(210, ["a"]), (300, ["b"])]


def test_completion_hands_out_what_is_left_window_by_window_and_completes_after_the_last_was_taken() -> None:
    """Nothing is lost at the end, and the end is not announced before everything is taken."""
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        on_next(210, "a"), on_next(220, "b"), on_next(221, "c"), on_next(222, "d"), on_completed(225)
    )
    ready = scheduler.create_hot_observable(on_next(300, None), on_next(310, None), on_next(320, None))
    messages = windows(scheduler, source, ready, Room(max_events=2))
    assert [m.value.value for m in messages[:-1]] == [["a"], ["b", "c"], ["d"]]
    assert messages[-1] == on_completed(320)
    assert source.subscriptions == [subscribe(200, 225)]


def test_an_error_passes_at_once() -> None:
    """An error of the source is a bug of the engine: nothing waits behind it."""
    scheduler = TestScheduler()
    error = RuntimeError("bug")
    source = scheduler.create_hot_observable(on_next(210, "a"), on_next(220, "b"), on_error(225, error))
    messages = windows(scheduler, source, Subject[None](), Room())
    assert messages[-1] == on_error(225, error)


def test_disposal_ends_both_subscriptions_and_the_scheduled_close() -> None:
    """Nothing is delivered, and nothing stays subscribed, after disposal."""
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, "a"), on_next(250, "b"))
    ready = scheduler.create_hot_observable(on_next(260, None))
    messages = windows(scheduler, source, ready, Room(), disposed=240)
    assert len(messages) == 1
    assert source.subscriptions == ready.subscriptions == [subscribe(200, 240)]


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 8), st.integers(1, 64))
def test_windows_are_the_items_in_order_within_the_bounds(sizes: list[int], max_events: int, max_bytes: int) -> None:
    """Concatenated, the windows are the source; each is within count and bytes, or is one item."""
    room = Room(max_events, max_bytes)
    items = [str(i % 10) * size for i, size in enumerate(sizes)]
    source, ready, scheduler = Subject[str](), Subject[None](), TestScheduler()
    out: list[list[str]] = []
    source.pipe(buffer_window(room, ready, size=len, scheduler=scheduler)).subscribe(out.append)
    for item in items:
        source.on_next(item)
    assert room.events == len(items)
    assert room.bytes == sum(sizes)
    scheduler.start()
    while sum(map(len, out)) < len(items):
        ready.on_next(None)
    assert [item for window in out for item in window] == items
    for window in out:
        assert len(window) == 1 or (len(window) <= max_events and sum(map(len, window)) <= max_bytes)
    assert (room.events, room.bytes) == (0, 0)


def test_room_is_full_at_the_high_water_mark_and_crowded_at_twice_that() -> None:
    """Events and bytes each have a mark, and the first that is reached counts."""
    room = Room(max_events=2, max_bytes=100)
    assert not room.full
    room.add(1)
    room.add(1)
    assert room.full
    assert not room.crowded
    room.add(198)
    assert room.crowded
    room.remove(2, 150)
    assert not room.full


async def test_whoever_waits_for_room_is_woken_when_a_window_is_taken_and_a_cancelled_one_wakes_nobody() -> None:
    """The waiters share one future, and own none of it."""
    loop = asyncio.get_running_loop()
    room = Room(max_events=1)
    assert room.wait(loop.create_future) is READY
    room.add(1)

    async def wait() -> None:
        await room.wait(loop.create_future)

    first, second = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert first.cancelled()
    assert not second.done()
    room.remove(1, 1)
    await second


def test_a_window_that_can_hold_nothing_is_refused() -> None:
    """A bound below one would never let anything through."""
    with pytest.raises(ValueError, match="at least one event"):
        Room(max_events=0)


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.buffer_window"))
    assert (result.failed, result.attempted > 0) == (0, True)

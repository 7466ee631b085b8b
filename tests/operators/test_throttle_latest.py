import doctest
import importlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable, SerialDisposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.events.event import Event, Notice
from reactor.operators import Flush, event_flushes, event_key, throttle_latest
from reactor.operators.attached import Callbacks, attach
from tests.helpers.timers import ENDS, armed, end_it

on_next, on_completed, subscribe = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.subscribe


def key(item: str) -> str | None:
    """``a1`` is progress of a."""
    return item[0] if item[0].islower() else None


def flushes(item: str) -> Hashable | None:
    """``A`` is a transition of a, ``*`` ends everything, ``.`` is nobody's."""
    return Flush.ALL if item == "*" else None if item == "." else item[0].lower()


def throttled(scheduler: TestScheduler, **options: Any) -> Any:
    return throttle_latest(50.0, key=key, flushes=flushes, scheduler=scheduler, late=lambda item: item + "?", **options)


def test_the_first_passes_at_once_and_then_the_latest_once_a_period() -> None:
    """Of a burst the first passes at once and the last when the period ended; what lies between is superseded."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(
        on_next(210, "a1"), on_next(220, "a2"), on_next(230, "a3"), on_next(275, "a4"), on_completed(500)
    )
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages == [
        on_next(210, "a1"),
        on_next(260, "a3?"),
        on_next(310, "a4?"),
        on_completed(500),
    ]
    assert hot.subscriptions == [subscribe(200, 500)]


def test_after_a_period_of_rest_the_next_passes_at_once() -> None:
    """An item exactly a period after the last one is not late and not held."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, "a1"), on_next(260, "a2"), on_next(400, "a3"))
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages == [on_next(210, "a1"), on_next(260, "a2"), on_next(400, "a3")]
    assert hot.subscriptions == [subscribe(200, 1000)]


def test_keys_are_throttled_apart() -> None:
    """One key's items never hold back another's."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(
        on_next(210, "a1"), on_next(220, "b1"), on_next(230, "b2"), on_next(240, "a2"), on_completed(500)
    )
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages == [
        on_next(210, "a1"),
        on_next(220, "b1"),
        on_next(260, "a2?"),
        on_next(270, "b2?"),
        on_completed(500),
    ]


def test_a_transition_lets_its_own_progress_leave_first() -> None:
    """What is held leaves before its task's transition, both at once; others stay held; the key starts afresh."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(
        on_next(205, "b1"),
        on_next(206, "b2"),
        on_next(210, "a1"),
        on_next(220, "a2"),
        on_next(230, "A"),
        on_next(231, "a3"),
        on_completed(500),
    )
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages == [
        on_next(205, "b1"),
        on_next(210, "a1"),
        on_next(230, "a2?"),
        on_next(230, "A"),
        on_next(231, "a3"),
        on_next(255, "b2?"),
        on_completed(500),
    ]


def test_what_belongs_to_nobody_passes_untouched() -> None:
    """An item without a key that flushes none passes at once and moves nobody."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, "a1"), on_next(220, "a2"), on_next(230, "."))
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages == [on_next(210, "a1"), on_next(230, "."), on_next(260, "a2?")]


def test_the_end_of_the_run_lets_everything_leave_in_the_order_of_arrival() -> None:
    """``Flush.ALL`` empties all keys, oldest arrival first, and starts all of them afresh."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(
        on_next(210, "a1"),
        on_next(211, "b1"),
        on_next(212, "c1"),
        on_next(220, "c2"),
        on_next(221, "a2"),
        on_next(222, "b2"),
        on_next(223, "c3"),
        on_next(230, "*"),
        on_next(231, "a4"),
    )
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages[3:] == [
        on_next(230, "a2?"),
        on_next(230, "b2?"),
        on_next(230, "c3?"),
        on_next(230, "*"),
        on_next(231, "a4"),
    ]


@pytest.mark.parametrize("end", [on_completed(230), ReactiveTest.on_error(230, RuntimeError("engine"))])
def test_the_end_of_the_source_loses_nothing_final(end: Any) -> None:
    """Completion and error let everything leave in the order of arrival, then pass at once."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(
        on_next(210, "a1"), on_next(211, "b1"), on_next(220, "b2"), on_next(221, "a2"), end
    )
    result = scheduler.start(lambda: hot.pipe(throttled(scheduler)))
    assert result.messages[2:] == [on_next(230, "b2?"), on_next(230, "a2?"), end]
    assert hot.subscriptions == [subscribe(200, 230)]


def test_without_late_a_held_item_leaves_as_it_came() -> None:
    """``late`` and ``flushes`` are optional."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, "a1"), on_next(220, "a2"), on_next(225, "A"), on_completed(230))
    result = scheduler.start(lambda: hot.pipe(throttle_latest(50.0, key=key, scheduler=scheduler)))
    assert result.messages == [on_next(210, "a1"), on_next(225, "A"), on_next(230, "a2"), on_completed(230)]


@ENDS
def test_no_timer_outlives_the_subscription(end: str) -> None:
    """However it ends, the timer is gone at that moment and the source is let go."""
    scheduler, source = TestScheduler(), Subject[str]()
    subscription = source.pipe(throttled(scheduler)).subscribe(on_error=lambda _: None)
    source.on_next("a1")
    source.on_next("a2")
    assert armed(scheduler) == 1
    end_it(end, source, subscription)
    assert armed(scheduler) == 0
    assert source.observers == []


def test_there_is_a_timer_only_while_something_is_held() -> None:
    """A key that merely cools needs no timer, and the last transition takes the timer with it."""
    scheduler, source = TestScheduler(), Subject[str]()
    source.pipe(throttled(scheduler)).subscribe()
    source.on_next("a1")
    assert armed(scheduler) == 0
    source.on_next("a2")
    assert armed(scheduler) == 1
    source.on_next("A")
    assert armed(scheduler) == 0
    source.on_next("a3")
    source.on_next("a4")
    scheduler.advance_by(50.0)
    assert armed(scheduler) == 0


def test_a_thousand_keys_share_one_timer() -> None:
    """However many keys wait, one timer is armed, and each leaves when its own period ends."""
    scheduler, source, said = TestScheduler(), Subject[tuple[int, int]](), list[Any]()
    piped = source.pipe(throttle_latest(5_000.0, key=lambda item: item[0], scheduler=scheduler))
    piped.subscribe(lambda item: said.append((scheduler.clock, *item)))
    for n in range(1_000):
        source.on_next((n, 1))
        scheduler.advance_by(1.0)
    for n in reversed(range(1_000)):
        source.on_next((n, 2))
        assert armed(scheduler) == 1
    del said[:]
    while armed(scheduler):
        assert armed(scheduler) == 1
        scheduler.advance_by(1.0)
    assert said == [(5_000.0 + n, n, 2) for n in range(1_000)]


def test_keys_that_cooled_are_forgotten() -> None:
    """A million tasks over time leave no more in memory than those of the last period."""
    module = importlib.import_module("reactor.operators.throttle_latest")
    held = module._Held(50.0)
    for n in range(10_000):
        assert not held.keeps(n, "item", float(n))
        assert len(held.due) <= 50
    held.keeps(9_999, "held", 9_999.0)
    assert held.pop(9_999) == ["held"]
    assert 9_999 not in held.due


def test_a_late_timer_does_not_hold_anything_longer() -> None:
    """When the period ended but the timer has not rung, an item passes at once and replaces the held one."""
    scheduler, source, said = TestScheduler(), Subject[str](), list[str]()
    time = [0.0]
    source.pipe(throttled(scheduler, clock=lambda: time[0])).subscribe(said.append)
    source.on_next("a1")
    source.on_next("a2")
    time[0] = 60.0
    source.on_next("a3")
    assert said == ["a1", "a3"]
    assert armed(scheduler) == 0


def test_a_clock_that_was_set_back_holds_nothing() -> None:
    """No item waits longer than a period of the scheduler's time, wherever the clock jumps."""
    scheduler, source, said = TestScheduler(), Subject[str](), list[str]()
    time = [1_000_000.0]
    source.pipe(throttled(scheduler, clock=lambda: time[0])).subscribe(said.append)
    for item in ("a1", "a2", "b1"):
        source.on_next(item)
    time[0] = 0.0
    source.on_next("b2")
    assert said == ["a1", "b1", "b2"]
    scheduler.advance_by(50.0)
    assert said == ["a1", "b1", "b2", "a2?"]


def test_a_subscriber_may_leave_on_a_held_item() -> None:
    """Who disposes while it gets what was held gets neither the rest nor the transition, and leaves no timer."""
    scheduler, source, said = TestScheduler(), Subject[str](), list[str]()
    source.pipe(throttled(scheduler), ops.take(3)).subscribe(said.append)
    for item in ("a1", "b1", "a2", "b2", "A"):
        source.on_next(item)
    assert said == ["a1", "b1", "a2?"]
    assert armed(scheduler) == 0


def test_what_a_subscriber_sets_off_does_not_overtake_what_is_held() -> None:
    """A transition caused while the timer empties the keys still has its task's progress before it."""
    scheduler, source, said = TestScheduler(), Subject[str](), list[str]()

    def on_item(item: str) -> None:
        said.append(item)
        if item == "a2?":
            source.on_next("B")

    source.pipe(throttled(scheduler)).subscribe(on_item)
    for item in ("a1", "b1", "a2", "b2"):
        source.on_next(item)
    scheduler.advance_by(50.0)
    assert said == ["a1", "b1", "a2?", "b2?", "B"]
    assert armed(scheduler) == 0


def test_a_subscriber_that_raises_does_not_stop_the_others_time() -> None:
    """If an item raises as the timer lets it go, what still waits keeps its timer."""
    scheduler, source, said = TestScheduler(), Subject[str](), list[str]()

    def on_item(item: str) -> None:
        said.append(item)
        if item == "a2?":
            raise ZeroDivisionError

    source.pipe(throttled(scheduler)).subscribe(on_item)
    source.on_next("a1")
    scheduler.advance_by(10.0)
    for item in ("b1", "b2", "a2"):
        source.on_next(item)
    with pytest.raises(ZeroDivisionError):
        scheduler.advance_by(45.0)
    scheduler.stop()
    scheduler.advance_by(10.0)
    assert said == ["a1", "b1", "a2?", "b2?"]


@pytest.mark.parametrize("which", ["key", "flushes", "late"])
@pytest.mark.parametrize("way", ["attach", "subscribe"])
def test_what_its_functions_raise_is_the_results_error(which: str, way: str) -> None:
    """Said once, at the moment it happens; the source is let go and no timer is left."""
    scheduler, source = TestScheduler(), Subject[str]()
    bug = RuntimeError(which)

    def broken(item: str) -> Any:
        if item in ("!", "a2"):
            raise bug
        return item

    options: dict[str, Any] = {"key": key, "flushes": flushes, "late": None}
    options[which] = {
        "key": lambda item: key(broken(item)),
        "flushes": lambda item: flushes(broken(item)),
        "late": broken,
    }[which]
    result = source.pipe(throttle_latest(50.0, scheduler=scheduler, **options))
    said: list[Any] = []
    sink = Callbacks[str](said.append, said.append, lambda: said.append("done"))
    if way == "attach":
        attach(result, sink)
    else:
        result.subscribe(sink.on_next, sink.on_error, sink.on_completed)
    for item in ("a1", "a2") if which == "late" else ("a1", "!"):
        source.on_next(item)
    scheduler.advance_to(1000.0)
    source.on_completed()
    assert said == ["a1", bug]
    assert not source.observers
    assert armed(scheduler) == 0


@pytest.mark.parametrize("way", ["attach", "subscribe"])
def test_one_that_leaves_on_what_was_held_hears_no_end(way: str) -> None:
    """Disposed in the middle of the last flush, it is given neither the rest nor a completion."""
    scheduler, source = TestScheduler(), Subject[str]()
    said: list[Any] = []
    subscription = SerialDisposable()

    def heard(item: str) -> None:
        said.append(item)
        if item == "a2?":
            subscription.dispose()

    sink = Callbacks[str](heard, said.append, lambda: said.append("done"))
    result: Observable[str] = source.pipe(throttled(scheduler))
    if way == "attach":
        attached = attach(result, sink)
        subscription.disposable = Disposable(attached.dispose)
    else:
        subscription.disposable = result.subscribe(sink.on_next, sink.on_error, sink.on_completed)
    for item in ("a1", "b1", "a2", "b2"):
        source.on_next(item)
    source.on_completed()
    assert said == ["a1", "b1", "a2?"]
    assert not source.observers
    assert armed(scheduler) == 0


def test_the_scheduler_of_the_subscription_is_passed_on() -> None:
    """The source sees the scheduler of whoever subscribes, not that of the throttle."""
    mine, theirs, seen = TestScheduler(), TestScheduler(), list[Any]()

    def remember(_: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        return Disposable()

    Observable[str](remember).pipe(throttled(mine)).subscribe(scheduler=theirs)
    assert seen == [theirs]


def test_each_subscription_throttles_for_itself() -> None:
    """Two subscribers of one pipeline do not share what cools."""
    scheduler, source, first, second = TestScheduler(), Subject[str](), list[str](), list[str]()
    piped = source.pipe(throttled(scheduler))
    piped.subscribe(first.append)
    source.on_next("a1")
    piped.subscribe(second.append)
    source.on_next("a2")
    assert (first, second) == (["a1"], ["a2"])


def test_it_insists_on_a_scheduler_and_a_period() -> None:
    """Without a scheduler it would be a thread a timer, so there is no default; a period is above 0."""
    with pytest.raises(TypeError, match="scheduler"):
        throttle_latest(0.1, key=key)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="throttle_latest needs a scheduler"):
        throttle_latest(0.1, key=key, scheduler=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="above 0"):
        throttle_latest(0.0, key=key, scheduler=TestScheduler())


def event(type: str, task_id: str | None, run_id: str = "r") -> Event:
    return Event(1, run_id, type, task_id, b"")


def test_only_progress_of_a_task_is_held_and_by_its_own_task() -> None:
    """Progress has its task's key, in its own run; whatever else the task says flushes exactly that key."""
    progress = event_key(event("task.progress", "a"))
    assert progress is not None
    assert progress == event_flushes(event("task.completed", "a")) == event_flushes(event("note", "a"))
    assert progress != event_key(event("task.progress", "b"))
    assert progress != event_key(event("task.progress", "a", run_id="other"))
    for type in ("task.completed", "task.chunk", "note"):
        assert event_key(event(type, "a")) is None


def test_what_speaks_of_the_whole_run_flushes_all() -> None:
    """What came before the terminal event or a control message leaves before it; other run events move nobody."""
    for type in ("run.completed", "run.failed", "run.cancelled"):
        assert event_flushes(event(type, None)) is Flush.ALL
    gap = Notice("stream.gap", "r", "", {})
    assert event_flushes(gap) is Flush.ALL
    assert event_key(gap) is None
    assert event_flushes(event("run.cancelling", None)) is None
    assert event_flushes(event("note", None)) is None


PERIOD = 10.0


@dataclass(frozen=True)
class Item:
    number: int
    key: str
    kind: str
    late: bool = False


def item_key(item: Item) -> str | None:
    return item.key if item.kind == "progress" else None


def item_flushes(item: Item) -> Hashable | None:
    return {"transition": item.key, "all": Flush.ALL}.get(item.kind)


def stretches(sent: list[tuple[float, Item]], name: str) -> Iterator[tuple[float, list[tuple[float, Item]]]]:
    """The progress of one key between two flushes, with the time of the second."""
    said: list[tuple[float, Item]] = []
    for time, item in sent:
        if item.kind == "all" or (item.kind == "transition" and item.key == name):
            yield time, said
            said = []
        elif item.kind == "progress" and item.key == name:
            said.append((time, item))
    yield inf, said


steps = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.integers(0, 12).map(float), st.floats(0.0, 12.0)),
        st.sampled_from("abc"),
        st.sampled_from(["progress"] * 6 + ["transition"] * 2 + ["nobody", "all"]),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(steps, st.sampled_from(["completed", "error"]))
def test_the_laws_of_the_throttle(script: list[tuple[float, str, str]], end: str) -> None:
    """Transitions pass at once, in order; progress is superseded, never reordered, doubled, crowded, late or lost."""
    scheduler, source = TestScheduler(), Subject[Item]()
    sent: list[tuple[float, Item]] = []
    got: list[tuple[float, Item]] = []
    ends: list[float] = []
    source.pipe(
        throttle_latest(
            PERIOD,
            key=item_key,
            flushes=item_flushes,
            scheduler=scheduler,
            late=lambda item: replace(item, late=True),
        )
    ).subscribe(
        lambda item: got.append((scheduler.now.timestamp(), item)),
        lambda _: ends.append(scheduler.now.timestamp()),
        lambda: ends.append(scheduler.now.timestamp()),
    )
    for number, (gap, name, kind) in enumerate(script):
        scheduler.advance_by(gap)
        item = Item(number, name, kind)
        sent.append((scheduler.now.timestamp(), item))
        source.on_next(item)
        assert armed(scheduler) <= 1
    source.on_completed() if end == "completed" else source.on_error(RuntimeError())
    ended = scheduler.now.timestamp()
    assert ends == [ended]
    assert armed(scheduler) == 0

    numbers = [item.number for _, item in got]
    assert len(set(numbers)) == len(numbers)
    # what is never held passes in order and at once
    assert [at for at in got if at[1].kind != "progress"] == [at for at in sent if at[1].kind != "progress"]
    # what is not marked late left as it came, so ids on the wire only grow
    prompt = [at for at in got if not at[1].late]
    assert prompt == [sent[item.number] for _, item in prompt]
    assert [item.number for _, item in prompt] == sorted(item.number for _, item in prompt)

    for name in "abc":
        mine = [item.number for _, item in got if item.kind == "all" or (item.key == name and item.kind != "nobody")]
        assert mine == sorted(mine)
        for flushed, said in stretches(sent, name):
            if not said:
                continue
            leaves = min(flushed, ended)
            heard = [(time, item) for time, item in got if sent[item.number] in said]
            # the first passes at once, the last is never lost and leaves before what flushes it
            assert heard[0] == said[0]
            assert heard[-1][1].number == said[-1][1].number
            assert heard[-1][0] <= leaves
            # at most one a period, but for the one that is flushed
            for (before, _), (after, item) in pairwise(heard):
                assert after - before >= PERIOD - 1e-5 or (item is heard[-1][1] and after == leaves)
            # and nothing waits longer than a period for itself or something newer
            for time, item in said:
                assert any(other.number >= item.number and left <= time + PERIOD + 1e-5 for left, other in heard)


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.throttle_latest"))
    assert (result.failed, result.attempted > 0) == (0, True)

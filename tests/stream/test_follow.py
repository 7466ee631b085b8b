"""Followers: each has its own place, none harms the run or another, and nobody misses or repeats an event."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Event, Notice, Run, SlowSubscriber, Workflow, evolve, off_loop
from reactor.events.event import Message
from reactor.logs.memory import MemoryLog
from reactor.testing import SlowLog, read_all
from tests.helpers.jittered_log import JITTERS, JitteredLog, turns
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE


def talk(count: int, *, pause_every: int = 1) -> Workflow:
    """A workflow of one body that says ``count`` things, giving way to others every few."""
    flow = Workflow("talk")

    @flow.task
    async def speaker(ctx: Context) -> int:
        for i in range(count):
            await ctx.emit("number.said", {"i": i})
            if i % pause_every == 0:
                await asyncio.sleep(0)
        return count

    return flow


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine() as engine:
        yield engine


async def events_of(engine: Engine, run: Run) -> list[Event]:
    await asyncio.wait_for(run.ended(), PATIENCE)
    return await read_all(engine.log, run.id)


async def turn() -> None:
    """Lets everything that is ready on the loop run, several times over."""
    for _ in range(20):
        await asyncio.sleep(0)


# --- isolation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fatal", [1, 2, 7, 22])
async def test_a_subscriber_that_raises_is_detached_and_logged_and_nobody_else_notices(
    engine: Engine, fatal: int
) -> None:
    """It hears nothing after the event it raised on; the others and the run see everything."""
    before: list[Message] = []
    broken: list[Message] = []
    after: list[Message] = []

    def breaks(event: Message) -> None:
        broken.append(event)
        if event.seq == fatal:
            raise RuntimeError("subscriber broke")

    with log_lines() as lines:
        run = await engine.start(talk(20))
        run.events.subscribe(before.append)
        run.events.subscribe(breaks)
        run.events.subscribe(after.append)
        events = await events_of(engine, run)
        await turn()
    assert before == after == events
    assert broken == events[:fatal]
    assert run.status == "completed"
    assert [line["run_id"] for line in lines if "subscriber broke" in str(line)] == [run.id]


async def test_who_left_reads_nothing_more(engine: Engine) -> None:
    """After it was disposed or detached a subscriber costs nothing, also in the middle of a long replay."""
    run = await engine.start(talk(5_000, pause_every=100))
    await run
    reads = 0
    read = run.feed.read

    async def counted(after: int) -> list[Message]:
        nonlocal reads
        reads += 1
        return await read(after)

    run.feed.read = counted  # type: ignore[method-assign]
    subscription = run.events.subscribe(lambda _: subscription.dispose())
    await asyncio.sleep(0.05)
    assert reads == 1


async def test_a_subscriber_that_raises_at_the_end_harms_nobody(engine: Engine) -> None:
    """``on_completed`` is guarded as ``on_next`` is."""
    ended: list[str] = []

    def breaks() -> None:
        raise RuntimeError("subscriber broke")

    run = await engine.start(talk(3))
    run.events.subscribe(on_completed=breaks)
    run.events.subscribe(on_completed=lambda: ended.append("other"))
    await events_of(engine, run)
    await turn()
    assert ended == ["other"]


async def test_an_iterator_that_stalls_holds_up_nobody_and_still_gets_everything(engine: Engine) -> None:
    """A consumer that handles one event for as long as the run takes costs a cursor; it then reads the rest."""
    go_on = asyncio.Event()
    taken: list[Message] = []
    live: list[Message] = []

    async def slow(run: Run) -> None:
        async for event in run:
            taken.append(event)
            await go_on.wait()

    run = await engine.start(talk(5_000, pause_every=100))
    run.events.subscribe(live.append)
    consumer = asyncio.create_task(slow(run))
    events = await events_of(engine, run)
    assert taken == events[:1]
    go_on.set()
    await asyncio.wait_for(consumer, PATIENCE)
    await turn()
    assert taken == live == events


async def test_an_iterator_that_takes_its_time_for_each_event_sees_each_once(engine: Engine) -> None:
    """Slower than the run at every event, in order and without loss."""
    taken: list[Message] = []
    run = await engine.start(talk(20))
    async for event in run:
        taken.append(event)
        await asyncio.sleep(0.005)
    assert taken == await events_of(engine, run)


async def test_an_iterator_that_is_left_early_ends_nothing(engine: Engine) -> None:
    """Breaking out of the loop is unsubscribing."""
    run = await engine.start(talk(20))
    async for event in run:
        if event.seq == 3:
            break
    events = await events_of(engine, run)
    assert [event async for event in run] == events


async def test_a_subscriber_behind_off_loop_may_block_as_long_as_it_likes(engine: Engine) -> None:
    """The run ends while it blocks in a thread of its own; it then sees every event, in order, on that thread."""
    go_on, done = threading.Event(), threading.Event()
    seen: list[Message] = []
    threads: set[int] = set()

    def blocks(event: Message) -> None:
        seen.append(event)
        threads.add(threading.get_ident())
        go_on.wait(10)

    run = await engine.start(talk(3_000, pause_every=100))
    run.events.pipe(off_loop()).subscribe(blocks, on_completed=done.set)
    events = await events_of(engine, run)
    assert len(seen) <= 1
    go_on.set()
    assert await asyncio.to_thread(done.wait, PATIENCE)
    assert seen == events
    assert threads.isdisjoint({threading.get_ident()})


async def test_a_subscriber_behind_off_loop_that_raises_is_detached_alone(engine: Engine) -> None:
    """Its thread is no way into ours."""
    raised = threading.Event()
    seen: list[Message] = []

    def breaks(event: Message) -> None:
        seen.append(event)
        if event.seq == 2:
            raised.set()
            raise RuntimeError("subscriber broke")

    live: list[Message] = []
    run = await engine.start(talk(50))
    run.events.subscribe(live.append)
    run.events.pipe(off_loop()).subscribe(breaks)
    events = await events_of(engine, run)
    assert await asyncio.to_thread(raised.wait, PATIENCE)
    await turn()
    assert [event.seq for event in seen] == [1, 2]
    assert live == events


async def test_off_loop_comes_first_or_is_refused(engine: Engine) -> None:
    """Only a run's own events have a cursor to pull by."""
    run = await engine.start(talk(1))
    with pytest.raises(TypeError, match="first"):
        run.events.pipe(off_loop()).pipe(off_loop())
    await run


@pytest.mark.parametrize("last", [1, 5])
async def test_one_that_unsubscribes_hears_nothing_more_and_changes_nothing(engine: Engine, last: int) -> None:
    """Disposing in the middle of a window ends it there."""
    seen: list[Message] = []
    live: list[Message] = []

    def leaves(event: Message) -> None:
        seen.append(event)
        if event.seq == last:
            subscription.dispose()

    run = await engine.start(talk(30))
    subscription = run.events.subscribe(leaves)
    run.events.subscribe(live.append)
    events = await events_of(engine, run)
    await turn()
    assert seen == events[:last]
    assert live == events
    assert run.status == "completed"


async def test_one_that_blocks_the_loop_twice_is_named_then_detached(engine: Engine) -> None:
    """The first time above 100 ms is logged, the second time it gets SlowSubscriber; the others get everything."""
    seen: list[Message] = []
    errors: list[Exception] = []
    live: list[Message] = []

    def holds_the_loop(event: Message) -> None:
        seen.append(event)
        if event.seq in (2, 4):
            time.sleep(0.11)

    with log_lines() as lines:
        run = await engine.start(talk(20))
        run.events.subscribe(holds_the_loop, errors.append)
        run.events.subscribe(live.append)
        events = await events_of(engine, run)
        await turn()
    assert seen == events[:4]
    assert [type(error) for error in errors] == [SlowSubscriber]
    assert errors[0].run_id == run.id  # type: ignore[attr-defined]
    assert live == events
    assert sum("held the event loop" in str(line) for line in lines) == 2


@pytest.fixture
def slow_collector() -> Iterator[None]:
    """Every collection pauses the process above 100 ms, as it does where millions of objects live."""

    def pause(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            time.sleep(0.11)

    was_enabled = gc.isenabled()
    gc.disable()
    gc.callbacks.append(pause)
    yield
    gc.callbacks.remove(pause)
    if was_enabled:
        gc.enable()


async def test_a_pause_of_the_collector_is_nobodys_fault(engine: Engine, slow_collector: None) -> None:
    """A subscriber in whose callback the collector happens to run twice is not detached."""
    seen: list[Message] = []

    def meets_the_collector(event: Message) -> None:
        seen.append(event)
        if event.seq in (2, 4):
            gc.collect(0)  # as allocating anything may

    run = await engine.start(talk(20))
    run.events.subscribe(meets_the_collector)
    events = await events_of(engine, run)
    await turn()
    assert seen == events


async def test_subscribers_of_the_engine_are_isolated_too(engine: Engine) -> None:
    """``engine.live`` is hot over all runs; one of its subscribers that raises is detached alone."""
    seen: list[Event] = []

    def breaks(_: Event) -> None:
        raise RuntimeError("subscriber broke")

    engine.live.subscribe(breaks)
    engine.live.subscribe(seen.append)
    runs = [await engine.start(talk(10)) for _ in range(3)]
    for run in runs:
        events = await events_of(engine, run)
        assert [event for event in seen if event.run_id == run.id] == events


# --- replay, then live ------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    joins=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    pause_every=st.integers(1, 7),
    cursor=st.integers(0, 40),
    jitters=st.none() | JITTERS,
)
def test_whoever_subscribes_at_whatever_moment_gets_each_event_once(
    joins: list[int], pause_every: int, cursor: int, jitters: list[tuple[int, ...]] | None
) -> None:
    """From the replay to the live part there is neither gap nor duplicate, pushed or pulled, from any cursor.

    However long the log takes for what, nobody is shown an event that the state does not know of.
    """
    log = MemoryLog() if jitters is None else JitteredLog(MemoryLog(), jitters)

    async def main() -> None:
        async with Engine(log) as engine:
            run = await engine.start(talk(40, pause_every=pause_every))
            pushed: list[list[Message]] = []
            pulled: list[asyncio.Task[list[Message]]] = []
            too_early: list[Message] = []

            def hear(message: Message, seen: list[Message]) -> None:
                seen.append(message)
                if message.seq is None or message.seq > run.state.seq:
                    too_early.append(message)

            async def pull() -> list[Message]:
                seen: list[Message] = []
                async for message in run:
                    hear(message, seen)
                return seen

            ends: list[asyncio.Future[None]] = []
            places: list[int] = []
            for count in sorted(joins):
                await turns(count)
                seen: list[Message] = []
                places.append(min(cursor, run.state.seq))  # one ahead of the run is no cursor
                end = asyncio.get_running_loop().create_future()
                run.events_after(places[-1]).subscribe(
                    partial(hear, seen=seen), end.set_exception, lambda end=end: end.set_result(None)
                )
                pushed.append(seen)
                ends.append(end)
                pulled.append(asyncio.create_task(pull()))
            await asyncio.wait_for(asyncio.gather(*ends), PATIENCE)
            events = await events_of(engine, run)
            for seen, place in zip(pushed, places, strict=True):
                assert seen == events[place:]
            for taken in await asyncio.gather(*pulled):
                assert taken == events
            assert too_early == []

    asyncio.run(main())


async def pull(run: Run) -> list[Message]:
    return [message async for message in run]


async def test_a_long_replay_joins_the_live_part_while_the_run_goes_on(engine: Engine) -> None:
    """Thousands of events behind, in the ring no more: it reads the log, then follows live."""
    flow = Workflow("long")
    late = asyncio.Event()

    @flow.task
    async def speaker(ctx: Context) -> None:
        for i in range(8_000):
            if i == 5_000:
                await late.wait()
            await ctx.emit("number.said", {"i": i})
            if i % 50 == 0:
                await asyncio.sleep(0)

    run = await engine.start(flow)
    while run.state.seq < 5_000:
        await asyncio.sleep(0)
    seen: list[Message] = []
    run.events.subscribe(seen.append)
    late.set()
    events = await events_of(engine, run)
    await turn()
    assert seen == events


async def test_a_cursor_the_run_has_not_reached_yet_waits_for_what_comes_after_it(engine: Engine) -> None:
    """``events_after(k)`` gives what has ``seq > k``, also when the run is not there yet."""
    seen: list[Message] = []
    run = await engine.start(talk(40, pause_every=1))
    run.events_after(20).subscribe(seen.append)
    events = await events_of(engine, run)
    await turn()
    assert seen == events[20:]


async def test_nobody_is_shown_an_event_the_state_does_not_know_of() -> None:
    """A log may have a window before it says so: until then it is not published, whoever reads in the meantime."""
    too_early: list[tuple[int, int]] = []
    pushed: list[int] = []
    unpublished = 0

    async def follow(run: Run) -> list[int]:
        seen: list[int] = []
        async for message in run:
            if message.seq is not None:
                seen.append(message.seq)
                if message.seq > run.state.seq:
                    too_early.append((message.seq, run.state.seq))
        return seen

    def on_push(run: Run, message: Message) -> None:
        if message.seq is not None:
            pushed.append(message.seq)
            if message.seq > run.state.seq:
                too_early.append((message.seq, run.state.seq))

    async with Engine(SlowLog(MemoryLog(), 0.001, keeps_at_once=True)) as engine:
        run = await engine.start(talk(2_000))
        while not unpublished:  # nobody follows, and there have been windows: whoever comes now reads the log
            await asyncio.sleep(0)
            if run.state.seq > 2:
                unpublished = len(await engine.log.read(run.id, run.state.seq, 100))
        run.events.subscribe(lambda message: on_push(run, message))
        pulled = await asyncio.wait_for(follow(run), PATIENCE)
        whole = list(range(1, run.state.seq + 1))
        assert pulled == whole
        await turn()
        assert pushed == whole
    assert too_early == []


async def test_delivery_never_happens_inside_subscribe(engine: Engine) -> None:
    """``subscribe`` returns before the first event, also for a run that has ended."""
    run = await engine.start(talk(1))
    await run
    seen: list[Message] = []
    run.events.subscribe(seen.append)
    assert seen == []
    await turn()
    assert len(seen) == run.state.seq


# --- trim -------------------------------------------------------------------------------------------------------


async def test_who_comes_after_a_trim_is_told_and_gets_the_rest() -> None:
    """First ``stream.gap {from, to, reason}``, then every kept event; the base at the cut plus those is the state."""
    live: list[Message] = []
    async with Engine(MemoryLog(max_events=50)) as engine:
        run = await engine.start(talk(3_000, pause_every=10))
        run.events.subscribe(live.append)
        await asyncio.wait_for(run.ended(), PATIENCE)
        await turn()
        pushed: list[Message] = []
        run.events.subscribe(pushed.append)
        await turn()
        loaded = await engine.get(run.id)
        for seen in (pushed, await pull(run), await pull(loaded)):
            gap, *rest = seen
            assert isinstance(gap, Notice)
            assert gap.seq is None
            first = rest[0].seq
            assert first is not None
            assert (gap.type, gap.data) == ("stream.gap", {"from": 1, "to": first - 1, "reason": "trimmed"})
            assert [event.seq for event in rest] == list(range(first, run.state.seq + 1))
            state = await engine.log.base(run.id)
            assert state.seq == first - 1
            for event in rest:
                assert isinstance(event, Event)
                evolve(state, event)
            assert state == run.state == loaded.state
        assert [event.seq for event in live] == list(range(1, run.state.seq + 1))


async def test_an_iterator_overtaken_by_a_trim_is_told_where_it_happened() -> None:
    """A stalled consumer meets the gap exactly between what it has and what is kept."""
    go_on = asyncio.Event()
    taken: list[Message] = []

    async def slow(run: Run) -> None:
        async for message in run:
            taken.append(message)
            if len(taken) == 3:
                await go_on.wait()

    async with Engine(MemoryLog(max_events=50)) as engine:
        run = await engine.start(talk(4_000, pause_every=10))
        consumer = asyncio.create_task(slow(run))
        await asyncio.wait_for(run.ended(), PATIENCE)
        go_on.set()
        await asyncio.wait_for(consumer, PATIENCE)
    gaps = [message for message in taken if isinstance(message, Notice)]
    assert len(gaps) == 1
    expected = [message.seq for message in taken if message.seq is not None]
    missing = set(range(1, run.state.seq + 1)) - set(expected)
    assert missing == set(range(gaps[0].data["from"], gaps[0].data["to"] + 1))
    assert expected == sorted(set(expected))


# --- no re-entrance ---------------------------------------------------------------------------------------------


async def test_what_a_subscriber_sets_off_is_delivered_after_what_it_is_handling(engine: Engine) -> None:
    """A cancel, or an event of a body, set off inside a callback never re-enters it or overtakes what is under way."""
    depth = 0
    contexts: list[Context] = []
    seen: list[Message] = []
    other: list[Message] = []
    flow = Workflow("echo")

    @flow.task
    async def body(ctx: Context) -> None:
        contexts.append(ctx)
        for i in range(5):
            await ctx.emit("number.said", {"i": i})
        await asyncio.sleep(10)

    run = await engine.start(flow)
    cancels: list[asyncio.Task[None]] = []

    def reacts(event: Message) -> None:
        nonlocal depth
        depth += 1
        assert depth == 1, "re-entered"
        seen.append(event)
        if event.type == "number.said":
            contexts[0].emit("number.heard", event.data)
            if event.data["i"] == 4:
                cancels.append(asyncio.get_running_loop().create_task(run.request_cancel(1)))
        depth -= 1

    run.events.subscribe(reacts)
    run.events.subscribe(other.append)
    events = await events_of(engine, run)
    await turn()
    await asyncio.gather(*cancels)
    assert seen == other == events
    assert [e.data["i"] for e in events if e.type == "number.heard"] == [0, 1, 2, 3, 4]
    assert run.status == "cancelled"


async def test_one_who_subscribes_inside_a_callback_gets_everything(engine: Engine) -> None:
    """Subscribing while events are delivered is like subscribing at any other moment."""
    inner: list[Message] = []
    run = await engine.start(talk(20))

    def subscribes(event: Message) -> None:
        if event.seq == 5:
            run.events.subscribe(inner.append)

    run.events.subscribe(subscribes)
    events = await events_of(engine, run)
    await turn()
    assert inner == events

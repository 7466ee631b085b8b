"""Followers in process: what they cost, threads of their own, the log behind them.

The laws of following, in process or not, are in test_following.py.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from reactor import Context, Engine, Event, Notice, Run, Workflow, off_loop
from reactor.events.event import Message
from reactor.logs.memory import MemoryLog
from reactor.testing import SlowLog, read_all
from tests.helpers.runs import PATIENCE
from tests.stream.test_following import talk


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


# --- trim -------------------------------------------------------------------------------------------------------


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

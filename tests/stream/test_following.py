"""The laws of following a run. They are the same in process, over HTTP, and where the connection is cut at any byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Context, Event, Notice, RunCancelled, RunFailed, SlowSubscriber, Workflow, evolve
from reactor.events.event import Message
from reactor.logs.memory import MemoryLog
from tests.helpers.jittered_log import JITTERS, JitteredLog, turns
from tests.helpers.log_lines import log_lines
from tests.helpers.places import PLACES, Handle, Place, placed, turn
from tests.helpers.runs import PATIENCE, wait_until


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


async def pull(run: Handle) -> list[Message]:
    """Everything that an iterator gives."""
    return [message async for message in run]


class Heard(list[Message]):
    """What a subscriber is given."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.errors: list[Exception] = []
        self.completed = 0
        self.subscription = source.subscribe(self.append, self.errors.append, self._complete)

    def _complete(self) -> None:
        self.completed += 1

    async def end(self) -> Heard:
        """Waits for its end, which must be no error."""
        await wait_until(lambda: self.completed or self.errors)
        assert (self.completed, self.errors) == (1, [])
        return self


# --- every event once, in order ---------------------------------------------------------------------------------


async def test_iterators_and_subscribers_get_the_bytes_of_the_log(place: Place) -> None:
    """Pulled and pushed, while the run goes on and after its end; with them the state is that of the engine."""
    run = await place.start(talk(40))
    pushed = Heard(run.events)
    pulled = await asyncio.wait_for(pull(run), PATIENCE)
    events = await place.events_of(run)
    again = await asyncio.wait_for(pull(await place.get(run)), PATIENCE)
    assert pulled == await pushed.end() == again == events
    assert [message.json for message in pulled] == [event.json for event in events]
    assert run.state == (await place.here(run)).state
    assert run.status == "completed"


async def test_an_event_is_decoded_the_same_way(place: Place) -> None:
    """All attributes of an event, and its ``decode()``."""
    run = await place.start(talk(3))
    ours = await asyncio.wait_for(pull(run), PATIENCE)
    names = ("seq", "run_id", "type", "task_id", "task", "map_index", "attempt", "time", "data")
    for mine, logged in zip(ours, await place.events_of(run), strict=True):
        assert isinstance(mine, Event)
        assert [getattr(mine, name) for name in names] == [getattr(logged, name) for name in names]
        assert mine.decode() == logged.decode()


async def whoever_subscribes(place: Place, joins: Sequence[int], pause_every: int, cursor: int) -> None:
    """The law of joining: from the replay to the live part there is neither gap nor duplicate, from any cursor."""
    run = await place.start(talk(40, pause_every=pause_every))
    too_early: list[Message] = []
    pushed: list[tuple[int, list[Message], asyncio.Future[None]]] = []
    pulled: list[asyncio.Task[list[Message]]] = []

    def hear(message: Message, seen: list[Message]) -> None:
        seen.append(message)
        if message.seq is None or message.seq > run.state.seq:
            too_early.append(message)

    async def pull_and_look() -> list[Message]:
        seen: list[Message] = []
        async for message in run:
            hear(message, seen)
        return seen

    # over HTTP a handle knows nothing before its first stream, and a cursor ahead of the run would be told so
    for count in sorted(joins):
        await turns(count)
        seen: list[Message] = []
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        after = min(cursor, run.state.seq)
        run.events_after(after).subscribe(partial(hear, seen=seen), end.set_exception, partial(end.set_result, None))
        pushed.append((after, seen, end))
        pulled.append(asyncio.create_task(pull_and_look()))
    await asyncio.wait_for(asyncio.gather(*(end for _, _, end in pushed)), PATIENCE)
    events = await place.events_of(run)
    for after, seen, _ in pushed:
        assert seen == events[after:]
    for taken in await asyncio.wait_for(asyncio.gather(*pulled), PATIENCE):
        assert taken == events
    assert too_early == []


JOINS = st.lists(st.integers(0, 60), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(
    joins=JOINS, pause_every=st.integers(1, 7), cursor=st.integers(0, 40), jitters=st.none() | JITTERS
)  # fmt: skip
def test_whoever_subscribes_at_whatever_moment_gets_each_event_once(
    joins: list[int], pause_every: int, cursor: int, jitters: list[tuple[int, ...]] | None
) -> None:
    """Pushed or pulled; however long the log takes for what, nobody is shown an event that the state does not know."""
    log = MemoryLog() if jitters is None else JitteredLog(MemoryLog(), jitters)

    async def main() -> None:
        async with placed("in process", log) as place:
            await whoever_subscribes(place, joins, pause_every, cursor)

    asyncio.run(main())


@settings(max_examples=25, deadline=None)
@given(
    joins=JOINS,
    pause_every=st.integers(1, 7),
    cursor=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 4_000), max_size=20),
)
def test_wherever_the_wires_are_cut_each_event_comes_once(
    joins: list[int], pause_every: int, cursor: int, cuts: list[int]
) -> None:
    """The same over HTTP: cut in the head of an answer, in a frame, in a character."""

    async def main() -> None:
        async with placed("cut", cuts=cuts) as place:
            await whoever_subscribes(place, joins, pause_every, cursor)

    asyncio.run(main())


# --- isolation, and leaving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fatal", [1, 2, 7, 22])
async def test_a_subscriber_that_raises_is_detached_and_logged_and_nobody_else_notices(
    place: Place, fatal: int
) -> None:
    """It hears nothing after the event it raised on; the others and the run see everything."""
    broken: list[Message] = []

    def breaks(event: Message) -> None:
        broken.append(event)
        if event.seq == fatal:
            raise RuntimeError("subscriber broke")

    with log_lines() as lines:
        run = await place.start(talk(20))
        before = Heard(run.events)
        run.events.subscribe(breaks)
        after = Heard(run.events)
        events = await place.events_of(run)
        assert await before.end() == await after.end() == events
        await turn(broken, fatal)
        await place.until_nobody_follows()
    assert broken == events[:fatal]
    assert run.status == "completed"
    assert [line["run_id"] for line in lines if "subscriber broke" in str(line)] == [run.id]


async def test_a_subscriber_that_raises_at_the_end_harms_nobody(place: Place) -> None:
    """``on_completed`` is guarded as ``on_next`` is."""

    def breaks() -> None:
        raise RuntimeError("subscriber broke")

    run = await place.start(talk(3))
    run.events.subscribe(on_completed=breaks)
    other = Heard(run.events)
    assert await other.end() == await place.events_of(run)


async def test_an_iterator_that_stalls_holds_up_nobody_and_still_gets_everything(place: Place) -> None:
    """A consumer that handles one event for as long as the run takes costs a cursor; it then reads the rest."""
    go_on = asyncio.Event()
    taken: list[Message] = []
    run = await place.start(talk(5_000, pause_every=100))
    slowly = await place.get(run)

    async def slow() -> None:
        async for event in slowly:
            taken.append(event)
            await go_on.wait()

    live = Heard(run.events)
    consumer = asyncio.create_task(slow())
    await wait_until(lambda: taken)
    events = await place.events_of(run)
    assert await live.end() == events
    assert taken == events[:1]
    go_on.set()
    await asyncio.wait_for(consumer, PATIENCE)
    assert taken == events


async def test_an_iterator_that_takes_its_time_for_each_event_sees_each_once(place: Place) -> None:
    """Slower than the run at every event, in order and without loss."""
    taken: list[Message] = []
    run = await place.start(talk(20))
    async for event in run:
        taken.append(event)
        await asyncio.sleep(0.005)
    assert taken == await place.events_of(run)


async def test_an_iterator_that_is_left_early_ends_nothing(place: Place) -> None:
    """Breaking out of the loop is unsubscribing: what it read from is closed, and the run goes on."""
    run = await place.start(talk(20))
    async for event in run:
        if event.seq == 3:
            break
    await place.until_nobody_follows()
    events = await place.events_of(run)
    assert await asyncio.wait_for(pull(run), PATIENCE) == events


@pytest.mark.parametrize("last", [1, 5])
async def test_one_that_unsubscribes_hears_nothing_more_and_changes_nothing(place: Place, last: int) -> None:
    """Disposing in the middle of a window, or of what one read has brought, ends it there."""
    seen: list[Message] = []

    def leaves(event: Message) -> None:
        seen.append(event)
        if event.seq == last:
            subscription.dispose()

    run = await place.start(talk(30))
    subscription = run.events.subscribe(leaves)
    live = Heard(run.events)
    events = await place.events_of(run)
    assert await live.end() == events
    await turn(seen, last)
    await place.until_nobody_follows()
    assert seen == events[:last]
    assert run.status == "completed"


async def test_one_that_blocks_the_loop_twice_is_named_then_detached(place: Place) -> None:
    """The first time above 100 ms is logged, the second time it gets SlowSubscriber; the others get everything."""
    seen: list[Message] = []
    errors: list[Exception] = []

    def holds_the_loop(event: Message) -> None:
        seen.append(event)
        if event.seq in (2, 4):
            time.sleep(0.11)

    with log_lines() as lines:
        run = await place.start(talk(20))
        run.events.subscribe(holds_the_loop, errors.append)
        live = Heard(run.events)
        events = await place.events_of(run)
        assert await live.end() == events
        await turn(errors, 1)
    assert seen == events[:4]
    assert [type(error) for error in errors] == [SlowSubscriber]
    assert errors[0].run_id == run.id  # type: ignore[attr-defined]
    assert sum("held the event loop" in str(line) for line in lines) == 2


async def test_delivery_never_happens_inside_subscribe(place: Place) -> None:
    """``subscribe`` returns before the first event, also for a run that has ended."""
    run = await place.start(talk(1))
    events = await place.events_of(run)
    heard = Heard(run.events)
    assert heard == []
    assert await heard.end() == events


async def test_what_a_user_does_to_an_event_reaches_neither_state_nor_others(place: Place) -> None:
    """Each subscription and iterator has events of its own, and the fold decodes for itself."""
    run = await place.start(talk(20), meta={"team": ["a"]})
    run.events.subscribe(lambda event: event.data.clear())
    clean = Heard(run.events)
    async for event in run:
        event.data.clear()
    events = await place.events_of(run)
    assert [event.data for event in await clean.end()] == [event.data for event in events]
    assert [event.data for event in await pull(run)] == [event.data for event in events]
    assert run.state == (await place.here(run)).state


# --- no re-entrance ---------------------------------------------------------------------------------------------


async def test_what_a_subscriber_sets_off_is_delivered_after_what_it_is_handling(place: Place) -> None:
    """A cancel, or an event of a body, set off inside a callback never re-enters it or overtakes what is under way."""
    depth = 0
    contexts: list[Context] = []
    seen: list[Message] = []
    flow = Workflow("echo")

    @flow.task
    async def body(ctx: Context) -> None:
        contexts.append(ctx)
        for i in range(5):
            await ctx.emit("number.said", {"i": i})
        await asyncio.sleep(10)

    run = await place.start(flow)
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
    other = Heard(run.events)
    events = await place.events_of(run)
    assert await other.end() == events
    await turn(seen, len(events))
    await asyncio.gather(*cancels)
    assert seen == events
    assert [e.data["i"] for e in events if e.type == "number.heard"] == [0, 1, 2, 3, 4]
    assert run.status == "cancelled"


async def test_one_who_subscribes_inside_a_callback_gets_everything(place: Place) -> None:
    """Subscribing while events are delivered is like subscribing at any other moment."""
    inner: list[Heard] = []
    run = await place.start(talk(20))

    def subscribes(event: Message) -> None:
        if event.seq == 5:
            inner.append(Heard(run.events))

    run.events.subscribe(subscribes)
    events = await place.events_of(run)
    await turn(inner, 1)
    assert await inner[0].end() == events


# --- trim -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=PLACES)
async def trimming(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The same with a log that keeps 50 events of a run."""
    async with placed(request.param, MemoryLog(max_events=50), cuts=[]) as place:
        yield place


async def test_who_comes_after_a_trim_is_told_and_gets_the_rest(trimming: Place) -> None:
    """First ``stream.gap {from, to, reason}``, once, then every kept event; the base at the cut plus those is the
    state. A connection that is cut behind the gap changes nothing.
    """
    run = await trimming.start(talk(3_000, pause_every=10))
    here = await trimming.here(run)
    await asyncio.wait_for(here.ended(), PATIENCE)
    pushed = await Heard(run.events).end()
    trimming.cut([250, 450, 650, 900, 1_300])
    pulled = await asyncio.wait_for(pull(run), PATIENCE)
    found = await trimming.get(run)
    for seen in (pushed, pulled, await asyncio.wait_for(pull(found), PATIENCE)):
        gap, *rest = seen
        assert isinstance(gap, Notice)
        assert gap.seq is None
        first = rest[0].seq
        assert first is not None
        assert (gap.type, gap.data) == ("stream.gap", {"from": 1, "to": first - 1, "reason": "trimmed"})
        assert [event.seq for event in rest] == list(range(first, here.state.seq + 1))
        state = await trimming.engine.log.base(run.id)
        assert state.seq == first - 1
        for event in rest:
            assert isinstance(event, Event)
            evolve(state, event)
        assert state == run.state == found.state == here.state


# --- how it ends ------------------------------------------------------------------------------------------------


async def test_awaiting_gives_the_outputs_or_raises_why_there_are_none(place: Place) -> None:
    """RunFailed with the errors of the tasks and RunCancelled with the reason, in the same words everywhere."""
    breaks, waits = Workflow("breaks"), Workflow("waits")
    breaks.task(lambda: [][0], name="first")

    @waits.task
    async def asks(ctx: Context) -> Any:
        return await ctx.receive("what?", key="k")

    done, failed, left = [await place.start(flow) for flow in (talk(5), breaks, waits)]
    assert await asyncio.wait_for(done, PATIENCE) == await done.outputs() == {"speaker": 5}
    with pytest.raises(RunFailed) as ours:
        await asyncio.wait_for(failed, PATIENCE)
    with pytest.raises(RunFailed) as theirs:
        await (await place.here(failed))
    assert (str(ours.value), ours.value.errors) == (str(theirs.value), theirs.value.errors)
    await asyncio.wait_for(left.cancel(reason="enough"), PATIENCE)
    with pytest.raises(RunCancelled, match="enough") as cancelled:
        await asyncio.wait_for(left, PATIENCE)
    assert cancelled.value.reason == "enough"
    for run in (done, failed, left):
        assert await run.ended() == run.state == (await place.here(run)).state


async def test_many_who_wait_and_follow_all_see_the_end(place: Place) -> None:
    """Beside each other, each with its own place: iterators, subscribers, who waits."""
    run = await place.start(talk(50))
    handles = [await place.get(run) for _ in range(5)]
    ended = asyncio.gather(*(handle.ended() for handle in handles))
    pulled = asyncio.gather(*(pull(handle) for handle in handles))
    pushed = [Heard(handle.events) for handle in handles]
    events = await place.events_of(run)
    states = await asyncio.wait_for(ended, PATIENCE)
    here = (await place.here(run)).state
    assert all(state == here for state in states)
    assert all(seen == events for seen in await asyncio.wait_for(pulled, PATIENCE))
    for heard in pushed:
        assert await heard.end() == events

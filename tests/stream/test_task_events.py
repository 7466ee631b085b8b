"""A task of a live run is an Observable that others can use, with nothing but the stock library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops

from reactor import Engine, Event, LogLost, Run, UnknownTask, Workflow
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog
from tests.helpers.places import Handle, Place
from tests.helpers.runs import wait_until


def fan() -> tuple[Workflow, dict[str, asyncio.Event]]:
    """left and right beside each other, each behind its gate; both feeds join; sizes is mapped over a list of three."""
    flow = Workflow("fan")
    gates = {name: asyncio.Event() for name in ("left", "right")}

    @flow.task
    async def left() -> int:
        await gates["left"].wait()
        return 1

    @flow.task
    async def right() -> int:
        await gates["right"].wait()
        return 2

    @flow.task
    async def both(left: int, right: int) -> list[int]:
        return [left, right, 3]

    @flow.task(map="both")
    async def sizes(both: int) -> int:
        return both * 10

    return flow, gates


def open_all(gates: dict[str, asyncio.Event]) -> None:
    for gate in gates.values():
        gate.set()


async def collect(source: Observable[Any]) -> list[Any]:
    """All values until the end, or the error."""
    values: list[Any] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    source.subscribe(values.append, done.set_exception, lambda: done.set_result(None))
    await asyncio.wait_for(done, 10)
    return values


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def output(run: Handle, task: str) -> Observable[Any]:
    """The output of a task, from its last event."""
    return run.task_events(task).pipe(ops.last(), ops.map(lambda event: event.data["output"]))


async def test_it_is_the_events_of_the_task_and_completes_with_its_end(place: Place) -> None:
    """While the run goes on; the other tasks are not in it."""
    flow, gates = fan()
    run = await place.start(flow)
    following = asyncio.ensure_future(collect(run.task_events("left")))
    gates["left"].set()
    assert types(await following) == ["task.started", "task.completed"]
    assert run.status == "running"
    open_all(gates)
    await run
    assert types(await collect(run.task_events("left"))) == ["task.started", "task.completed"]
    await place.until_nobody_follows()


async def test_fork_join_gives_the_outputs_of_several_tasks(place: Place) -> None:
    flow, gates = fan()
    run = await place.start(flow)
    joined = asyncio.ensure_future(collect(rx.fork_join(output(run, "left"), output(run, "right"))))
    open_all(gates)
    assert await joined == [(1, 2)]
    await run


async def test_merge_gives_all_of_them_as_they_come(place: Place) -> None:
    flow, gates = fan()
    run = await place.start(flow)
    merged = asyncio.ensure_future(collect(rx.merge(run.task_events("left"), run.task_events("right"))))
    open_all(gates)
    seen = await merged
    assert sorted(event.task_id for event in seen) == ["left", "left", "right", "right"]
    await run


async def test_concat_gives_one_after_the_other_whichever_ends_first(place: Place) -> None:
    """A task that has ended is there from its first event on."""
    flow, gates = fan()
    run = await place.start(flow)
    chained = asyncio.ensure_future(collect(rx.concat(output(run, "left"), output(run, "right"))))
    gates["right"].set()
    await collect(run.task_events("right"))
    gates["left"].set()
    assert await chained == [1, 2]
    await run


async def test_flat_map_goes_on_with_another_task(place: Place) -> None:
    flow, gates = fan()
    run = await place.start(flow)
    mapped = run.task_events("both").pipe(ops.last(), ops.flat_map(lambda _: run.task_events("sizes[1]")), ops.last())
    following = asyncio.ensure_future(collect(mapped.pipe(ops.map(lambda event: event.data["output"]))))
    open_all(gates)
    assert await following == [20]
    await run


async def test_a_mapped_task_completes_when_all_its_children_have(place: Place) -> None:
    flow, gates = fan()
    open_all(gates)
    run = await place.start(flow)
    seen = await collect(run.task_events("sizes"))
    assert seen[0].type == "task.mapped"
    assert sorted(event.task_id for event in seen if event.type == "task.completed") == [
        f"sizes[{i}]" for i in range(3)
    ]
    await run


async def test_a_map_over_nothing_completes_with_its_fan_out(place: Place) -> None:
    flow = Workflow("nothing")
    flow.task(lambda: [], name="items")
    flow.task(lambda items: items, name="each", map="items")
    run = await place.start(flow)
    assert types(await collect(run.task_events("each"))) == ["task.mapped"]


async def test_a_skipped_task_completes_after_its_skip(place: Place) -> None:
    flow = Workflow("skipped")
    flow.task(lambda: 1, name="first", when=lambda: False)
    flow.task(lambda first: first, name="second")
    run = await place.start(flow)
    assert types(await collect(run.task_events("second"))) == ["task.skipped"]


async def test_two_subscribers_one_of_them_late_see_the_same(place: Place) -> None:
    flow, gates = fan()
    run = await place.start(flow)
    early = asyncio.ensure_future(collect(run.task_events("left")))
    open_all(gates)
    await run
    ended = await place.get(run)
    assert await early == await collect(run.task_events("left")) == await collect(ended.task_events("left"))


async def test_one_that_raises_harms_nobody(place: Place) -> None:
    flow, gates = fan()
    run = await place.start(flow)

    def breaks(_: object) -> None:
        raise RuntimeError("a subscriber")

    events = run.task_events("left")
    events.subscribe(breaks)
    following = asyncio.ensure_future(collect(events))
    open_all(gates)
    assert types(await following) == ["task.started", "task.completed"]
    await run


async def refused(place: Place, run: Handle, task: str) -> str:
    """The sentence for a task that is not there: raised in process; over HTTP it is the error of the subscriber."""
    try:
        events = run.task_events(task)
    except UnknownTask as error:
        assert place.at is None
        return str(error)
    with pytest.raises(UnknownTask) as caught:
        await collect(events)
    return str(caught.value)


async def test_an_unknown_task_is_refused(place: Place) -> None:
    """While the run goes on and after its end, with a sentence that names run and task."""
    flow, gates = fan()
    run = await place.start(flow)
    assert f"run {run.id} has no task 'lefty'" in await refused(place, run, "lefty")
    open_all(gates)
    await run
    ended = await place.get(run)
    for unknown in ("lefty[0]", "sizes[3]", "sizes[", "sizes[01]", "sizes[-1]", "sizes[1]x", "left[0]"):
        assert f"run {run.id} has no task {unknown!r}" in await refused(place, ended, unknown)
    for wrong in (5, None):
        with pytest.raises(TypeError, match="is named by its id"):
            ended.task_events(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("follow", [lambda run: run.task_events("left"), lambda run: run.live], ids=["task", "live"])
async def test_a_lost_log_is_its_error(follow: Callable[[Run], Observable[Any]]) -> None:
    flow, gates = fan()
    log = FaultyLog(MemoryLog(), fails=["r"], after=2)
    async with Engine(log, grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        following = asyncio.ensure_future(collect(follow(run)))
        await asyncio.sleep(0)
        open_all(gates)
        with pytest.raises(LogLost):
            await following
        with pytest.raises(LogLost):
            await run


async def test_live_is_hot_and_ends_with_the_run(place: Place) -> None:
    """Nothing of what came before; the state is whole all the same; of an ended run nothing."""
    flow, gates = fan()
    run = await place.start(flow)
    here = await place.here(run)
    await wait_until(lambda: here.feed.last_seq >= 3)
    before = here.feed.last_seq
    following = asyncio.ensure_future(collect(run.live))
    await asyncio.sleep(0)
    await wait_until(lambda: run.state.seq == before)
    open_all(gates)
    seen = await following
    assert [event.seq for event in seen] == list(range(before + 1, here.feed.last_seq + 1))
    assert seen[-1].type == "run.completed"
    assert run.state == here.state
    assert await collect(run.live) == []


async def test_engine_live_has_the_events_of_all_runs(engine: Engine) -> None:
    everything: list[Any] = []
    engine.live.subscribe(everything.append)
    flow, gates = fan()
    open_all(gates)
    run = await engine.start(flow)
    await run
    assert [event.seq for event in everything] == list(range(1, run.feed.last_seq + 1))


async def test_what_one_subscriber_does_to_an_event_no_other_sees(place: Place) -> None:
    """Each subscription has views of its own over the shared bytes, and so has each iterator."""
    flow, gates = fan()
    run = await place.start(flow)

    def spoil(event: Event) -> None:
        event.data["output"] = "spoilt"

    for source in (run.events, run.live, run.task_events("left"), place.engine.live):
        source.subscribe(spoil)
    clean = asyncio.ensure_future(collect(run.events))
    open_all(gates)
    await run
    pulled = [event async for event in run]
    spoil(pulled[0])
    again = [event async for event in run]
    for events in (await clean, again):
        assert all(event.data.get("output") != "spoilt" for event in events)

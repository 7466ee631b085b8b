"""Limits through the engine: what runs at once and how often it starts, by the log; what waits holds no slot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reactor import Context, Engine, Limit, Retry, Workflow
from reactor.errors import WorkflowError
from reactor.events.timing import unix_seconds
from tests.helpers.events import most_at_once, of_type, only
from tests.helpers.runs import PATIENCE, full_log, run_to_end, wait_for_event


class Counter:
    """How many are inside at once, and how many at most."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def stay(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1


def fan(name: str, inside: Counter, *, count: int = 8, workflow: dict[str, Any] | None = None, **task: Any) -> Workflow:
    """``child[i]`` for each of ``count`` items, all ready at once."""
    flow = Workflow(name, **(workflow or {}))

    @flow.task
    async def items() -> list[int]:
        return list(range(count))

    @flow.task(map="items", **task)
    async def child(items: int) -> int:
        await inside.stay()
        return items

    return flow


# --- at once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
async def test_at_most_so_many_bodies_of_a_task_run_at_once_in_a_run(limit: int) -> None:
    """``concurrency`` of a task, and no fewer: the slots are all used."""
    inside = Counter()
    events = await run_to_end(fan("task", inside, concurrency=limit))
    assert inside.most == most_at_once(events, "child") == limit
    assert only(events, "run.completed").data["outputs"] == {"child": list(range(8))}


async def test_the_limit_of_a_task_is_of_each_run() -> None:
    """Two runs have two such limits."""
    inside = Counter()
    flow = fan("task", inside, concurrency=2)
    async with Engine() as engine:
        runs = [await engine.start(flow) for _ in range(2)]
        for run in runs:
            assert most_at_once(await full_log(engine, run), "child") == 2
    assert inside.most == 4


async def test_the_limit_of_a_workflow_holds_for_all_its_runs_together() -> None:
    """``Workflow(concurrency=2)``: never more than two bodies, whichever run they are of; others are not held back."""
    inside, others = Counter(), Counter()
    flow = fan("limited", inside, workflow={"concurrency": 2})
    async with Engine() as engine:
        runs = [await engine.start(flow) for _ in range(3)]
        other = await engine.start(fan("free", others))
        for run in (*runs, other):
            await full_log(engine, run)
    assert inside.most == 2
    assert others.most == 8


async def test_the_limit_of_an_engine_holds_for_all_its_runs_together() -> None:
    """``Engine(concurrency=3)``, across workflows."""
    inside = Counter()
    async with Engine(concurrency=3) as engine:
        runs = [await engine.start(fan(name, inside)) for name in ("one", "two", "three")]
        for run in runs:
            await full_log(engine, run)
    assert inside.most == 3


async def test_a_named_limit_is_shared_by_all_tasks_that_name_it() -> None:
    """``Engine(limits=[Limit("gpu", 2)])``: two at once, across tasks, runs and workflows."""
    inside = Counter()
    async with Engine(limits=[Limit("gpu", 2)]) as engine:
        runs = [await engine.start(fan(name, inside, limits="gpu")) for name in ("one", "two")]
        for run in runs:
            await full_log(engine, run)
    assert inside.most == 2


async def test_a_limit_may_be_defined_where_it_is_used() -> None:
    """``limits=[Limit("gpu", 2)]`` needs nothing of the engine, and is shared by its name all the same."""
    inside = Counter()
    async with Engine() as engine:
        first = await engine.start(fan("one", inside, limits=[Limit("gpu", 2)]))
        second = await engine.start(fan("two", inside, limits="gpu"))
        await full_log(engine, first)
        await full_log(engine, second)
    assert inside.most == 2


async def test_all_limits_of_a_task_hold_together() -> None:
    """The narrowest decides, whichever it is."""
    for task, named, workflow, whole in ((1, 2, 3, 4), (4, 1, 2, 3), (3, 4, 1, 2), (2, 3, 4, 1)):
        inside = Counter()
        flow = fan("all", inside, workflow={"concurrency": workflow}, concurrency=task, limits="gpu")
        await run_to_end(flow, limits=[Limit("gpu", named)], concurrency=whole)
        assert inside.most == 1


async def test_two_tasks_with_the_same_limits_in_other_orders_do_not_wait_in_a_circle() -> None:
    """Slots are taken in one order, whatever the order in which they are named."""
    inside = Counter()
    names = ["a", "b", "c"]
    async with Engine(limits=[Limit(name, 1) for name in names]) as engine:
        runs = [await engine.start(fan("up", inside, limits=names))]
        runs += [await engine.start(fan("down", inside, limits=names[::-1]))]
        for run in runs:
            await full_log(engine, run)
    assert inside.most == 1


async def test_a_cancelled_run_gives_back_what_it_held_and_waited_for() -> None:
    """Another run of the workflow goes on with all of it."""
    flow = Workflow("greedy", concurrency=1)

    @flow.task
    async def items() -> list[int]:
        return [0, 1, 2]

    @flow.task(map="items", limits="gpu")
    async def child(items: int, is_stuck: bool) -> int:
        if is_stuck:
            await asyncio.Event().wait()
        return items

    async with Engine(limits=[Limit("gpu", 1)]) as engine:
        stuck = await engine.start(flow, {"is_stuck": True})
        await wait_for_event(stuck, "task.started", "child[0]")
        other = await engine.start(flow, {"is_stuck": False})
        await stuck.cancel()
        assert await asyncio.wait_for(other, PATIENCE) == {"child": [0, 1, 2]}


async def test_a_paused_run_keeps_no_place_in_line() -> None:
    """What waits for a slot lets others go first while its run is paused, and comes to its turn afterwards."""
    inside = Counter()
    flow = Workflow("paused", concurrency=1)
    go_on = asyncio.Event()

    @flow.task
    async def holder() -> None:
        await go_on.wait()

    @flow.task
    async def waiter() -> str:
        await inside.stay()
        return "done"

    async with Engine() as engine:
        first = await engine.start(flow)
        await first.pause()
        second = await engine.start(flow)
        go_on.set()
        await full_log(engine, second)
        assert first.state.tasks["waiter"].status == "pending"
        await first.resume()
        assert (await asyncio.wait_for(first, PATIENCE))["waiter"] == "done"


# --- rates --------------------------------------------------------------------------------------------------------


def starts_of(events: list[Any], *tasks: str) -> list[float]:
    return sorted(
        unix_seconds(event.time)
        for event in of_type(events, "task.started")
        if event.task_id is not None and event.task_id.partition("[")[0] in tasks
    )


def check_rate(times: list[float], amount: int, per: float) -> None:
    """No window of ``per`` seconds has more than ``amount`` starts; two clocks may differ by a little."""
    for first, last in zip(times, times[amount:], strict=False):
        assert last - first >= per - 0.01, times


async def test_a_rate_limits_the_starts_in_any_window_of_time() -> None:
    """The first ``amount`` start at once, and no window has more of them; by the times of the log."""
    amount, per = 3, 0.15
    events = await run_to_end(fan("rated", Counter(), count=10, limits="api"), limits=[Limit("api", amount, per=per)])
    times = starts_of(events, "child")
    assert len(times) == 10
    check_rate(times, amount, per)
    order = [event.map_index for event in of_type(events, "task.started") if event.task == "child"]
    assert order == list(range(10))


async def test_a_rate_holds_across_tasks_runs_and_workflows() -> None:
    """It is the engine's."""
    amount, per = 2, 0.1
    async with Engine(limits=[Limit("api", amount, per=per)]) as engine:
        runs = [await engine.start(fan(name, Counter(), count=3, limits="api")) for name in ("one", "two")]
        times = sorted([time for run in runs for time in starts_of(await full_log(engine, run), "child")])
    assert len(times) == 6
    check_rate(times, amount, per)


async def test_each_attempt_counts_as_a_start() -> None:
    """A retry waits for its turn like everybody else."""
    flow = Workflow("retried")

    @flow.task(retry=Retry(attempts=3, delay=0), limits="api")
    async def body() -> None:
        raise ConnectionError

    events = await run_to_end(flow, limits=[Limit("api", 1, per=0.1)])
    times = starts_of(events, "body")
    assert len(times) == 3
    check_rate(times, 1, 0.1)


async def test_a_body_that_goes_on_after_a_wait_is_no_start() -> None:
    """``receive`` gives the slots back and takes them again; the rate was paid once."""
    flow = Workflow("asks")

    @flow.task(limits=["api", "gpu"])
    async def body(ctx: Context) -> Any:
        return await ctx.receive()

    async with Engine(limits=[Limit("api", 1, per=3600), Limit("gpu", 1)]) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.waiting")
        await run.send("body", 7)
        assert await asyncio.wait_for(run, PATIENCE) == {"body": 7}


async def test_who_waits_for_a_rate_holds_no_slot() -> None:
    """With one slot in all and a rate that is used up for an hour, others run; a cancel ends the wait."""
    flow = Workflow("patient")

    @flow.task(limits="api")
    async def first() -> None: ...

    @flow.task(after="first", limits="api")
    async def rated() -> None: ...

    @flow.task(after="first")
    async def free() -> str:
        return "ran"

    async with Engine(limits=[Limit("api", 1, per=3600)], concurrency=1) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.completed", "free")
        assert run.state.tasks["rated"].status == "pending"
        await asyncio.wait_for(run.cancel(), PATIENCE)
        events = await full_log(engine, run)
    assert [event.task_id for event in of_type(events, "task.started")] == ["first", "free"]
    assert only(events, "task.cancelled").task_id == "rated"


async def test_a_run_that_gave_up_leaves_its_place_in_line_to_the_next() -> None:
    """Whoever waits behind a cancelled run starts when the rate allows, not later."""
    flow = Workflow("rated")

    @flow.task(limits="api")
    async def body() -> str:
        return "ran"

    async with Engine(limits=[Limit("api", 1, per=0.2)]) as engine:
        runs = [await engine.start(flow) for _ in range(4)]
        await runs[1].cancel()
        await runs[2].cancel()
        times = [time for run in runs for time in starts_of(await full_log(engine, run), "body")]
    assert len(times) == 2
    check_rate(times, 1, 0.2)
    assert [run.status for run in runs] == ["completed", "cancelled", "cancelled", "completed"]


# --- what is refused ----------------------------------------------------------------------------------------------


async def test_a_limit_that_nobody_defines_is_refused_before_anything_starts() -> None:
    """The error names the limit and the workflow and says what to write."""
    flow = fan("one", Counter(), limits="gpu")
    with pytest.raises(WorkflowError, match=r"'one' uses the limit 'gpu'.*Engine\(limits=\[Limit\('gpu'"):
        Engine(workflows=[flow])
    async with Engine() as engine:
        with pytest.raises(WorkflowError, match="'gpu'"):
            await engine.start(flow)
        assert await engine.list() == []


async def test_two_limits_of_one_name_are_refused() -> None:
    """In an engine, between a task and the engine, and between two workflows; the same one twice is fine."""
    with pytest.raises(ValueError, match="two limits named 'gpu'"):
        Engine(limits=[Limit("gpu", 1), Limit("gpu", 2)])
    Engine(limits=[Limit("gpu", 1), Limit("gpu", 1)])
    with pytest.raises(WorkflowError, match="'gpu'"):
        Engine(limits=[Limit("gpu", 1)], workflows=[fan("one", Counter(), limits=Limit("gpu", 2))])
    async with Engine(workflows=[fan("one", Counter(), limits=Limit("gpu", 2))]) as engine:
        with pytest.raises(WorkflowError, match="'gpu'"):
            await engine.start(fan("two", Counter(), limits=Limit("gpu", 2, per=1)))
        assert await engine.list() == []
        assert await asyncio.wait_for(await engine.start("one"), PATIENCE) == {"child": list(range(8))}


def test_two_tasks_that_contradict_each_other_are_refused() -> None:
    """Two definitions of one limit in a workflow are refused by its name."""
    flow = Workflow("contradicts")

    @flow.task(limits=Limit("gpu", 1))
    async def one() -> None: ...

    @flow.task(limits=Limit("gpu", 2))
    async def two() -> None: ...

    with pytest.raises(WorkflowError, match="'gpu'"):
        Engine(workflows=[flow])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("", 1), "name"),
        (("a b", 1), "name"),
        ((3, 1), "name"),
        (("gpu", 0), "amount"),
        (("gpu", True), "amount"),
        (("gpu", 1.5), "amount"),
        (("gpu", 100_001), "amount"),
        (("gpu", 1, 0), "per"),
        (("gpu", 1, float("nan")), "per"),
        (("gpu", 1, "1"), "per"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_where_it_is_made(arguments: tuple[Any, ...], named: str) -> None:
    """The sentence names what is wrong."""
    with pytest.raises(ValueError, match=named):
        Limit(*arguments)


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2"])
def test_a_concurrency_that_makes_no_sense_is_refused_where_it_is_given(count: Any) -> None:
    """A task, a workflow and an engine each refuse a concurrency that is not a number from 1."""
    with pytest.raises(WorkflowError, match="concurrency of task 'child'"):
        fan("flow", Counter(), concurrency=count)
    with pytest.raises(WorkflowError, match="concurrency"):
        Workflow("flow", concurrency=count)
    with pytest.raises(ValueError, match="concurrency"):
        Engine(concurrency=count)


@pytest.mark.parametrize("limits", [5, [None], ["gpu", 5]])
def test_limits_are_names_or_limits(limits: Any) -> None:
    """Anything else is refused with the task's name."""
    with pytest.raises(WorkflowError, match="limits of task 'child'"):
        fan("flow", Counter(), limits=limits)


# --- what waits holds no slot -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_body_that_waits_to_receive_holds_no_slot(place: str) -> None:
    """With one slot in all another task runs while it waits; afterwards it takes its turn again."""
    flow = Workflow("asks")

    async def on_loop(ctx: Context) -> Any:
        return await ctx.receive()

    def in_thread(ctx: Context) -> Any:
        return ctx.receive()

    flow.task(on_loop if place == "loop" else in_thread, name="asks")

    @flow.task
    async def other() -> str:
        return "ran"

    async with Engine(concurrency=1) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.completed", "other")
        await run.send("asks", 7)
        assert await asyncio.wait_for(run, PATIENCE) == {"asks": 7, "other": "ran"}


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_parent_and_its_child_run_need_one_slot_between_them(place: str) -> None:
    """``Engine(concurrency=1)``: the parent waits without its slot, and takes it again when the child has ended."""
    inner = Workflow("inner")

    @inner.task
    async def leaf() -> int:
        return 20

    outer = Workflow("outer")

    async def on_loop(ctx: Context) -> Any:
        outputs = [await ctx.run(inner) for _ in range(2)]
        return sum(output["leaf"] for output in outputs)

    def in_thread(ctx: Context) -> Any:
        return sum(ctx.run(inner)["leaf"] for _ in range(2))

    outer.task(on_loop if place == "loop" else in_thread, name="body")
    async with Engine(concurrency=1) as engine:
        run = await engine.start(outer)
        assert await asyncio.wait_for(run, PATIENCE) == {"body": 40}


async def test_child_runs_of_the_same_workflow_need_one_slot_between_them() -> None:
    """A workflow that asks for itself, three deep, with ``Workflow(concurrency=1)``."""
    flow = Workflow("nested", concurrency=1)

    @flow.task
    async def body(ctx: Context, depth: int) -> int:
        return 0 if depth == 0 else 1 + (await ctx.run("nested", {"depth": depth - 1}))["body"]

    async with Engine(workflows=[flow]) as engine:
        run = await engine.start(flow, {"depth": 3})
        assert await asyncio.wait_for(run, PATIENCE) == {"body": 3}


async def test_a_body_goes_on_after_its_wait_only_in_its_turn() -> None:
    """Its slot may be taken by then: never more than the limit run, not even for a moment."""
    inside = Counter()
    flow = Workflow("turns")

    @flow.task
    async def items() -> list[int]:
        return list(range(6))

    @flow.task(map="items", limits="gpu")
    async def child(items: int, ctx: Context) -> Any:
        await inside.stay()
        value = await ctx.receive()
        await inside.stay()
        return value

    async with Engine(limits=[Limit("gpu", 2)]) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.waiting", count=6)
        for i in range(6):
            await run.send(f"child[{i}]", i)
        assert await asyncio.wait_for(run, PATIENCE) == {"child": list(range(6))}
    assert inside.most == 2


async def test_a_body_that_is_stopped_while_it_waits_for_its_slot_harms_nobody() -> None:
    """It has its answer and waits for the slot that another body holds; cancelled, that one's end is as always."""
    flow = Workflow("stopped")
    let_go, tidy = asyncio.Event(), asyncio.Event()

    @flow.task(limits="gpu")
    async def asks(ctx: Context) -> None:
        try:
            await ctx.receive()
        finally:
            await ctx.emit("room.dirty")
            await tidy.wait()  # still here when the slot becomes free

    @flow.task(limits="gpu")
    async def holder(ctx: Context) -> str:
        await let_go.wait()
        return "held"

    async with Engine(limits=[Limit("gpu", 1)]) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started", "holder")
        await run.send("asks", 7)
        for _ in range(5):
            await asyncio.sleep(0)  # it is told, and waits for the slot
        await run.request_cancel(task="asks", grace=60)
        await wait_for_event(run, "room.dirty")
        let_go.set()
        await wait_for_event(run, "task.completed", "holder")
        tidy.set()
        events = await full_log(engine, run)
    assert only(events, "task.cancelled").task_id == "asks"
    assert only(events, "task.completed").data["output"] == "held"


async def test_a_body_that_stops_waiting_by_itself_takes_its_turn_too() -> None:
    """``asyncio.timeout`` around a ``receive`` does not let it run beside whoever has the slot."""
    flow = Workflow("impatient")
    let_go = asyncio.Event()
    inside = Counter()

    @flow.task(limits="gpu", timeout=3600)
    async def asks(ctx: Context) -> str:
        try:
            async with asyncio.timeout(0.02):
                await ctx.receive()
                return "answered"
        except TimeoutError:
            await inside.stay()
            return "gave up"

    @flow.task(limits="gpu")
    async def holder(ctx: Context) -> None:
        inside.now += 1
        inside.most = max(inside.most, inside.now)
        await let_go.wait()
        inside.now -= 1

    @flow.task
    async def clock(ctx: Context) -> None:
        await asyncio.sleep(0.1)

    for is_answered in (True, False):
        let_go.clear()
        async with Engine(limits=[Limit("gpu", 1)]) as engine:
            run = await engine.start(flow)
            await wait_for_event(run, "task.started", "holder")
            if is_answered:  # it has its value and waits for the slot when its own patience ends
                await run.send("asks", 7)
            await wait_for_event(run, "task.completed", "clock")
            assert run.state.tasks["asks"].status in ("waiting", "running")
            let_go.set()
            assert (await asyncio.wait_for(run, PATIENCE))["asks"] == "gave up"
        assert inside.most == 1


async def test_a_body_that_asks_again_while_it_waits_for_its_slot_gets_every_answer() -> None:
    """Two questions at once, the second one asked while the first one's answer waits for a slot."""
    flow = Workflow("twice")
    let_go, ask_more = asyncio.Event(), asyncio.Event()

    @flow.task(limits="gpu")
    async def asks(ctx: Context) -> list[Any]:
        async def more() -> Any:
            await ask_more.wait()
            return await ctx.receive(key="second")

        return await asyncio.gather(ctx.receive(key="first"), more())

    @flow.task(limits="gpu")
    async def holder() -> None:
        await let_go.wait()

    async with Engine(limits=[Limit("gpu", 1)]) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started", "holder")
        await run.send("asks", 1, key="first")
        ask_more.set()
        await wait_for_event(run, "task.waiting", count=2)
        let_go.set()
        await wait_for_event(run, "task.completed", "holder")
        await run.send("asks", 2, key="second")
        assert (await asyncio.wait_for(run, PATIENCE))["asks"] == [1, 2]
        # and nothing is left taken
        again = await engine.start(flow)
        await wait_for_event(again, "task.started", "holder")
        await again.cancel()

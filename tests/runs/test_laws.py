"""The laws of a run, on random DAGs: whatever the graph and the interleaving, these hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Event, Notice, Run, RunEnded, RunFailed, RunState, Workflow
from reactor.events.event import Message
from reactor.events.fold import replay
from reactor.events.vocabulary import TASK_ENDS, TERMINAL
from reactor.operators import select, to_state
from reactor.testing import read_all
from reactor.testing import read_all as read_log
from tests.helpers.dags import Boom, Expected, Spec, build, dags, expected
from tests.helpers.runs import PATIENCE

LAWFUL = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@dataclass
class Recorded:
    """What one run left behind."""

    run: Run
    events: list[Event]

    @property
    def terminal(self) -> Event:
        return self.events[-1]

    def ends(self) -> dict[str, Event]:
        """The event each task ended with, by task id."""
        return {event.task_id: event for event in self.events if event.type in TASK_ENDS and event.task_id}

    def starts(self) -> dict[str, Event]:
        return {event.task_id: event for event in self.events if event.type == "task.started" and event.task_id}


async def record(engine: Engine, flow: Workflow) -> Recorded:
    run = await engine.start(flow)
    await asyncio.wait_for(run.ended(), PATIENCE)
    return Recorded(run, await read_all(engine.log, run.id))


def on_loop(main: Callable[[Engine], Coroutine[Any, Any, None]]) -> None:
    async def with_engine() -> None:
        async with Engine() as engine:
            await main(engine)

    asyncio.run(with_engine())


# --- order ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@LAWFUL
@given(dags())
def test_nothing_starts_before_its_upstreams_ended_and_no_limit_is_exceeded(spec: Spec) -> None:
    """In the log every start comes after the ends it waits for, by index for maps over maps, and within each limit."""

    async def main(engine: Engine) -> None:
        recorded = await record(engine, build(spec))
        for task in spec:
            check_order(task.name, spec, recorded)
            if task.concurrency is not None:
                check_limit(task.name, task.concurrency, recorded.events)

    on_loop(main)


def check_order(name: str, spec: Spec, recorded: Recorded) -> None:
    by_name = {task.name: task for task in spec}
    task = by_name[name]
    ends, starts = ends_of_tasks(spec, recorded), recorded.starts()
    for start in starts.values():
        if start.task != name:
            continue
        for upstream in task.upstreams:
            assert ends[upstream] < start.seq, f"{start.task_id} started before {upstream} ended"
        if task.map_over is None:
            continue
        source = by_name[task.map_over]
        awaited = f"{source.name}[{start.map_index}]" if source.map_over else source.name
        assert recorded.ends()[awaited].seq < start.seq, f"{start.task_id} started before {awaited} ended"


def ends_of_tasks(spec: Spec, recorded: Recorded) -> dict[str, int]:
    """The seq at which each task ended; a mapped one ends with the last of its children."""
    ends: dict[str, int] = {}
    for event in recorded.events:
        if event.type in TASK_ENDS or (event.type == "task.mapped" and event.data["count"] == 0):
            ends[event.task or ""] = event.seq
    return ends


def check_limit(name: str, limit: int, events: list[Event]) -> None:
    running: set[str | None] = set()
    for event in events:
        if event.task == name and event.type == "task.started":
            running.add(event.task_id)
        elif event.type in TASK_ENDS:
            running.discard(event.task_id)
        assert len(running) <= limit, f"{running} ran at once, the limit of {name} is {limit}"


# --- ends -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@LAWFUL
@given(dags())
def test_every_run_ends_as_the_semantics_say(spec: Spec) -> None:
    """Statuses, reasons, totals and outputs are those of the reference model; the log is gapless and sealed once."""

    async def main(engine: Engine) -> None:
        recorded = await record(engine, build(spec))
        model = expected(spec)
        check_log(recorded.events)
        state = recorded.run.state
        assert {id: task.status for id, task in state.tasks.items()} == model.statuses
        assert recorded.run.status == model.run_status
        check_reasons(recorded, model)
        check_totals(recorded, model)
        await check_outcome(recorded, model)

    on_loop(main)


def check_log(events: list[Event]) -> None:
    """seq is 1 to N, one terminal event is the last, and each task that ends does so once, after its start."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events if event.type in TERMINAL] == [events[-1].type]
    assert events[0].type == "run.started"
    ended = Counter(event.task_id for event in events if event.type in TASK_ENDS)
    started = Counter(event.task_id for event in events if event.type == "task.started")
    assert not [id for id, times in ended.items() if times > 1]
    assert not [id for id, times in started.items() if times > 1]
    assert started.keys() <= ended.keys()


def check_reasons(recorded: Recorded, model: Expected) -> None:
    for id, event in recorded.ends().items():
        if event.type == "task.skipped":
            found = (event.data["reason"], event.data["because"])
            assert found in model.outcomes[id].origins, f"{id}: {found}"


def check_totals(recorded: Recorded, model: Expected) -> None:
    data, state = recorded.terminal.data, recorded.run.state
    assert {name: data[name] for name in model.totals} == model.totals
    assert {name: getattr(state, name) for name in model.totals} == model.totals
    assert state.running == 0
    assert state.progress == 1.0


async def check_outcome(recorded: Recorded, model: Expected) -> None:
    if model.run_status == "completed":
        assert await recorded.run == model.outputs
        assert recorded.terminal.data["outputs"] == model.outputs
        return
    with pytest.raises(RunFailed) as failure:
        await recorded.run
    assert failure.value.errors
    error = recorded.terminal.data["error"]
    assert recorded.ends()[error["task_id"]].type == "task.failed", "the error of a run names a task that failed"


@pytest.mark.slow
@LAWFUL
@given(dags(), st.integers(0, 30))
def test_a_run_cancelled_at_any_moment_ends_once(spec: Spec, turns: int) -> None:
    """Cancel after any number of loop turns: each task ends once, one terminal event, and all counts agree."""

    async def main(engine: Engine) -> None:
        run, events = await cancelled_after(engine, spec, turns)
        check_log(events)
        assert replay(run.id, events) == run.state
        assert {task.name for task in spec} <= run.state.tasks.keys()
        assert {task.status for task in run.state.tasks.values()} <= {"completed", "failed", "skipped", "cancelled"}
        if "run.cancelling" in [event.type for event in events]:
            assert events[-1].type == "run.cancelled"
        state, data = run.state, events[-1].data
        ended = ("completed", "failed", "skipped", "cancelled")
        assert {name: getattr(state, name) for name in ended} == {name: data[name] for name in ended}
        assert sum(data[name] for name in ended) == data["total_tasks"] == state.total_tasks

    on_loop(main)


@pytest.mark.slow
@LAWFUL
@given(dags(), st.integers(0, 30))
def test_nothing_starts_after_a_cancel(spec: Spec, turns: int) -> None:
    """After ``run.cancelling`` no body begins."""

    async def main(engine: Engine) -> None:
        _, events = await cancelled_after(engine, spec, turns)
        types = [event.type for event in events]
        if "run.cancelling" in types:
            assert "task.started" not in types[types.index("run.cancelling") :]

    on_loop(main)


async def cancelled_after(engine: Engine, spec: Spec, turns: int) -> tuple[Run, list[Event]]:
    run = await engine.start(build(spec))
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        await asyncio.wait_for(run.cancel(grace=1), PATIENCE)
    except RunEnded:
        pass  # it was faster
    return run, await read_all(engine.log, run.id)


# --- state and cursors ------------------------------------------------------------------------------------------


@pytest.mark.slow
@LAWFUL
@given(dags(max_tasks=15), st.data())
def test_state_and_cursors_are_functions_of_the_log(spec: Spec, data: st.DataObject) -> None:
    """Folding the log gives the state; from every cursor, under every filter, a subscriber gets exactly the suffix."""
    types = data.draw(st.sampled_from([None, "task.*", "run.*", "task.started,task.failed", "*.completed"]))
    tasks = data.draw(st.sampled_from([None, "t1*", "t?", "t2[0],t2[1]", "*"]))
    turns = data.draw(st.lists(st.integers(0, 10), max_size=3))

    async def main(engine: Engine) -> None:
        run = await engine.start(build(spec))
        live: list[list[Message]] = []
        states: list[RunState] = []
        run.events.pipe(to_state()).subscribe(states.append)
        for pause in turns:
            live.append([])
            run.events.subscribe(live[-1].append)
            for _ in range(pause):
                await asyncio.sleep(0)
        await asyncio.wait_for(run.ended(), PATIENCE)
        pulled = [event async for event in run]
        events = await read_all(engine.log, run.id)

        everybody = [*live, pulled]
        assert all([m.json for m in seen] == [e.json for e in events] for seen in everybody)
        assert replay(run.id, events) == run.state == states[-1]
        assert replay(run.id, map(Event.from_json, (e.json for e in events))) == run.state
        again = await engine.get(run.id)
        assert again.state == run.state

        for cursor in {0, 1, len(events) // 2, len(events) - 1, len(events), data.draw(st.integers(0, len(events)))}:
            assert await read_log(engine.log, run.id, cursor) == events[cursor:]
            assert await collect(run, cursor) == events[cursor:]
            assert await collect(again, cursor) == events[cursor:]
            chosen = [e for e in events[cursor:] if chosen_by(types, tasks, e)]
            assert await collect(run, cursor, types, tasks) == chosen

    on_loop(main)


async def collect(run: Run, cursor: int, types: str | None = None, tasks: str | None = None) -> list[Message]:
    """Everything a subscriber gets that comes with a cursor after the end."""
    seen: list[Message] = []
    done = asyncio.get_running_loop().create_future()
    run.events_after(cursor).pipe(select(types, tasks)).subscribe(
        seen.append, done.set_exception, lambda: done.set_result(None)
    )
    await asyncio.wait_for(done, PATIENCE)
    return seen


def chosen_by(types: str | None, tasks: str | None, event: Event) -> bool:
    """The globs of ``select`` spelled out, for those used here."""
    by_type = {
        None: True,
        "task.*": event.type.startswith("task."),
        "run.*": event.type.startswith("run."),
        "task.started,task.failed": event.type in ("task.started", "task.failed"),
        "*.completed": event.type.endswith(".completed"),
    }[types]
    id = event.task_id
    by_task = {
        None: True,
        "*": True,
        "t1*": id is not None and id.startswith("t1"),
        "t?": id is not None and len(id) == 2,
        "t2[0],t2[1]": id in ("t2[0]", "t2[1]"),
    }[tasks]
    return by_type and (id is None or by_task)


async def test_every_cursor_of_a_run_gives_its_suffix() -> None:
    """From each of a run's seqs, not only some, both the Observable and the log continue with the next."""
    flow = Workflow("cursors")

    @flow.task
    async def numbers(ctx: Context) -> list[int]:
        for i in range(20):
            await ctx.emit("number.said", {"i": i})
        return [1, 2, 3]

    @flow.task(map="numbers")
    async def each(numbers: int) -> int:
        return numbers

    async with Engine() as engine:
        recorded = await record(engine, flow)
        for cursor in range(len(recorded.events) + 1):
            assert await collect(recorded.run, cursor) == recorded.events[cursor:]
            assert await read_log(engine.log, recorded.run.id, cursor) == recorded.events[cursor:]


# --- start when ready -------------------------------------------------------------------------------------------


async def test_a_task_starts_while_a_slow_sibling_of_its_upstream_still_runs() -> None:
    """There are no layers: what depends on the fast branch only starts, and ends, before the slow one does."""
    flow = Workflow("ready")
    released = asyncio.Event()

    @flow.task
    async def slow() -> str:
        await released.wait()
        return "slow"

    @flow.task
    async def fast() -> str:
        return "fast"

    @flow.task
    async def after_fast(fast: str) -> str:
        released.set()  # the slow one cannot end before this ran
        return fast

    @flow.task
    async def both(slow: str, after_fast: str) -> list[str]:
        return [slow, after_fast]

    async with Engine() as engine:
        recorded = await record(engine, flow)
        assert await recorded.run == {"both": ["slow", "fast"]}
        assert recorded.starts()["after_fast"].seq < recorded.ends()["slow"].seq


async def test_a_child_of_a_map_over_a_map_starts_while_a_sibling_of_its_pair_still_runs() -> None:
    """Child i waits for child i upstream and for no other."""
    flow = Workflow("pairs")
    released = asyncio.Event()

    @flow.task
    async def items() -> list[int]:
        return [0, 1]

    @flow.task(map="items")
    async def first(items: int) -> int:
        if items == 0:
            await released.wait()
        return items

    @flow.task(map="first")
    async def second(first: int) -> int:
        if first == 1:
            released.set()
        return first

    async with Engine() as engine:
        recorded = await record(engine, flow)
        assert await recorded.run == {"second": [0, 1]}
        assert recorded.starts()["second[1]"].seq < recorded.ends()["first[0]"].seq


async def test_a_failed_child_lets_its_siblings_finish() -> None:
    """A failure stops nothing that does not depend on it."""
    flow = Workflow("siblings")
    failed = asyncio.Event()

    @flow.task
    async def items() -> list[int]:
        return [0, 1, 2]

    @flow.task(map="items")
    async def each(items: int) -> int:
        if items == 0:
            failed.set()
            raise Boom
        await failed.wait()
        return items

    async with Engine() as engine:
        recorded = await record(engine, flow)
        assert {id: e.type for id, e in recorded.ends().items() if e.task == "each"} == {
            "each[0]": "task.failed",
            "each[1]": "task.completed",
            "each[2]": "task.completed",
        }
        assert recorded.terminal.type == "run.failed"


async def test_a_skipped_map_is_no_output_of_a_completed_run() -> None:
    """``outputs`` hold the last tasks that completed: not what a map that was skipped has of its list."""
    flow = Workflow("partial")

    @flow.task
    async def items() -> list[int]:
        return [0, 1]

    @flow.task(map="items")
    async def first(items: int) -> int:
        if items == 0:
            raise Boom
        return items

    @flow.task(map="first")
    async def second(first: int) -> int:
        return first

    @flow.task(after="first", on_upstream_failure="run")
    async def clean() -> str:
        return "clean"

    async with Engine() as engine:
        recorded = await record(engine, flow)
        assert recorded.run.state.tasks["second"].status == "skipped"
        assert recorded.terminal.data["outputs"] == {"clean": "clean"}
        assert await recorded.run == {"clean": "clean"}


async def test_the_error_of_a_run_is_that_of_the_task_it_names() -> None:
    """``run.failed`` names one task, and type and message are those of its ``task.failed``."""
    flow = Workflow("mixed")

    @flow.task
    async def items() -> list[int]:
        return [0, 1]

    @flow.task(map="items")
    async def first(items: int) -> int:
        if items == 0:
            raise Boom("first")
        return items

    @flow.task(map="first")
    async def second(first: int) -> int:
        raise Boom("second")

    @flow.task(after="first", on_upstream_failure="run")
    async def clean() -> None: ...

    async with Engine() as engine:
        recorded = await record(engine, flow)
        error = recorded.terminal.data["error"]
        assert recorded.ends()[error["task_id"]].data["error"] == {"type": error["type"], "message": error["message"]}
        assert error["task_id"] == "second[1]"


async def test_a_condition_that_takes_the_whole_list_of_a_mapped_upstream_gets_it() -> None:
    """A parameter is its upstream's output, in ``when`` as in the body: it is there when the condition is asked."""
    flow = Workflow("whole")
    asked: list[Any] = []

    @flow.task
    async def items() -> list[int]:
        return [0, 1]

    @flow.task(map="items")
    async def first(items: int) -> int:
        await asyncio.sleep(0.001 * items)
        return items

    def is_wanted(first: list[int]) -> bool:
        asked.append(first)
        return True

    @flow.task(map={"item": "first"}, when=is_wanted)
    async def second(item: int) -> int:
        return item

    async with Engine() as engine:
        recorded = await record(engine, flow)
        assert asked == [[0, 1], [0, 1]]
        assert await recorded.run == {"second": [0, 1]}


async def test_a_message_of_the_stream_itself_has_no_number() -> None:
    """Control messages carry the envelope without seq, task or attempt."""
    message = Notice("stream.gap", "r", "2026-11-21T02:51:00.000000Z", {"from": 1, "to": 2, "reason": "trimmed"})
    assert message.seq is None
    assert orjson.loads(message.json).keys() == {"type", "run_id", "time", "data"}

"""A run whose graph is not known goes on in the last one of its workflow, if that keeps what its log relies on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reactor_web
from reactor import Budget, Context, Engine, Event, RunExists, Workflow
from reactor.definition.graph import Graph
from reactor.events.fold import evolve, replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.recovery.upgrade import Upgrade, compare, has_begun
from reactor.runs.present import PresentGraph
from tests.helpers.crash import RUN_ID, check_laws, crashed_log, read_with_blobs, record, said
from tests.helpers.dags import Spec, TaskSpec, build, dags, expected
from tests.helpers.runs import PATIENCE, open_run, result, wait_for_event

LAWFUL = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


# --- any graph, any log -------------------------------------------------------------------------------------------


@st.composite
def releases(draw: st.DrawFn) -> tuple[Spec, Spec]:
    """A graph and a later one of its name: tasks are gone, new, over more upstreams, mapped or not mapped any more."""
    before = draw(dags(max_tasks=7))
    gone = draw(st.frozensets(st.sampled_from([task.name for task in before]), max_size=2))
    later: list[TaskSpec] = []
    new = 0
    for task in before:
        if draw(st.integers(0, 4)) == 0:
            names = [other.name for other in later]
            upstreams = draw(st.lists(st.sampled_from(names), max_size=2, unique=True)) if names else []
            later.append(TaskSpec(f"new{new}", tuple(upstreams), behaviour="list", length=2))
            new += 1
        if task.name in gone:
            continue
        upstreams = [name for name in task.upstreams if name not in gone]
        task = replace(task, upstreams=tuple(upstreams), map_over=None if task.map_over in gone else task.map_over)
        if new and draw(st.integers(0, 4)) == 0:
            task = replace(task, upstreams=(*upstreams, f"new{new - 1}"))
        if draw(st.integers(0, 9)) == 0:
            task = replace(task, map_over=None)
        later.append(task)
    return before, tuple(later) or (TaskSpec("new", behaviour="list"),)


def present(graph: Graph) -> PresentGraph:
    return PresentGraph(graph.name, graph.version, graph.fingerprint, [node.describe() for node in graph.nodes])


def kept(graph: Graph, name: str, before: Graph) -> bool:
    """The rule, said once more: the task is there, of the same kind, over the same upstreams."""
    node, was = graph.by_name.get(name), before.by_name[name]
    return node is not None and node.kind == was.kind and set(node.upstreams) == set(was.upstreams)


def check_upgrade(before: Graph, graph: Graph, state: RunState) -> Upgrade | str:
    """What must hold of any two graphs and any state."""
    begun = {task.task for task in state.tasks.values() if has_begun(task)}
    answer = compare(present(before), state, graph)
    if isinstance(answer, str):
        in_the_way = [name for name in begun if not kept(graph, name, before)]
        assert any(answer.startswith(f"its task '{name}' has begun, and ") for name in in_the_way), answer
        return answer
    assert all(kept(graph, name, before) for name in begun)
    entries = {entry["id"]: entry for entry in present(before).tasks if entry["id"] not in answer.removed}
    entries |= {entry["id"]: entry for entry in answer.tasks}
    assert sorted(entries.values(), key=lambda entry: entry["place"]) == present(graph).tasks
    after = evolve(
        state.copy(), Event.from_draft(state.seq + 1, RUN_ID, b"2026-11-21T02:51:00Z", answer.draft("r", 1.5))
    )
    assert after.progress >= state.progress
    assert after.total_tasks == graph.bodies + sum(task.count or 0 for task in after.tasks.values())
    assert {task.task for task in after.tasks.values()} == set(graph.by_name)
    assert after.graph_tasks == len(graph.nodes)
    assert {name: after.tasks[name].status for name in state.tasks if state.tasks[name].task in begun} == {
        name: task.status for name, task in state.tasks.items() if task.task in begun
    }
    assert RunState.from_dict(after.to_dict()).to_dict() == after.to_dict()
    return answer


async def gone_on(log: MemoryLog, flow: Workflow) -> list[Event]:
    async with Engine(log, workflows=[flow]) as engine:
        if RUN_ID not in engine.not_recovered:
            await asyncio.wait_for((await engine.get(RUN_ID)).ended(), PATIENCE)
        return await read_with_blobs(engine.log)


async def log_of(events: list[Event]) -> MemoryLog:
    log = MemoryLog()
    await log.append(RUN_ID, events)
    return log


@LAWFUL
@given(releases(), st.floats(0, 1), st.floats(0, 1))
def test_a_run_goes_on_in_a_later_graph_or_is_left(specs: tuple[Spec, Spec], first: float, second: float) -> None:
    """Wherever the log ends: it is upgraded exactly if every task that has begun is kept, and then ends as the later
    graph says, in which it is recovered from then on; else nothing is written, and a task that was not kept is named.
    """

    async def main() -> None:
        before, later = build(specs[0]).validate(), build(specs[1])
        whole = await record(build(specs[0]))
        prefix = whole[: min(max(int(len(whole) * first), 1), len(whole) - 1)]
        answer = check_upgrade(before, later.validate(), replay(RUN_ID, prefix))
        events = await gone_on(await log_of(prefix), later)
        if isinstance(answer, str) and before.fingerprint != later.validate().fingerprint:
            assert events == prefix
            return
        length = min(len(prefix) + 1 + int((len(events) - len(prefix)) * second), len(events) - 1)
        again = await gone_on(await log_of(events[:length]), later)
        upgraded = [event for event in again if event.type == "run.upgraded"]
        assert len(upgraded) == (before.fingerprint != later.validate().fingerprint)
        state, model = check_laws(again), expected(specs[1])
        assert {id: task.status for id, task in state.tasks.items()} == model.statuses
        assert state.status == model.run_status
        assert {name: again[-1].data[name] for name in model.totals} == model.totals

    asyncio.run(main())


# --- examples -----------------------------------------------------------------------------------------------------


def asking(version: str = "1", *, after: tuple[str, ...] = (), more: int = 0) -> Workflow:
    """first -> ask, which waits for an answer; ``after``: chains of tasks behind it. ``more``: tasks beside it."""
    flow = Workflow("asking", version)

    @flow.task
    async def first() -> int:
        return 1

    @flow.task
    async def ask(first: int, ctx: Context) -> Any:
        return await ctx.receive("go on?", key="go")

    for name in after:

        @flow.task(name=name, after=[ask])
        async def behind(ctx: Context) -> str:
            return f"{ctx.task_id} of {version}"

    for number in range(more):

        @flow.task(name=f"beside-{number:0>50}")
        async def beside() -> None: ...

    return flow


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


async def leave(url: str, flow: Workflow, task: str = "ask", **options: Any) -> None:
    """A run "r" that waits; its engine ends."""
    async with Engine(url, workflows=[flow], grace=0) as engine:
        await wait_for_event(await engine.start(flow, run_id="r", **options), "task.waiting", task)


async def answer(engine: Engine) -> dict[str, Any]:
    run = await open_run(engine, "r")
    await run.send("ask", "yes", key="go")
    return await result(run)


async def shown(engine: Engine, path: str) -> dict[str, Any]:
    server = TestServer(reactor_web.create_app(engine, []), host="127.0.0.1")
    await server.start_server()
    async with (
        aiohttp.ClientSession() as session,
        session.get(server.make_url(f"/api/v1/{path}")) as answer,
    ):
        body = await answer.json()
    await server.close()
    return body


async def test_a_task_that_has_not_begun_leaves_and_others_come(url: str) -> None:
    """The graph that GET shows, the version, the state and the outputs are those of the later release."""
    later = asking("2", after=("tell", "store"))
    await leave(url, asking("1", after=("publish",)))
    async with Engine(url, workflows=[later]) as engine:
        run = await open_run(engine, "r")
        assert run.state.version == "2"
        assert list(run.state.tasks) == ["first", "ask", "tell", "store"]
        assert run.state.progress == 0.333333
        assert (await run.beginning())["version"] == "1"
        outputs = await answer(engine)
        assert outputs == {"tell": "tell of 2", "store": "store of 2"}
        check_laws(await read_with_blobs(engine.log, "r"))
        again = await engine.ensure("asking", run_id="r")
        assert again[1] is False
    async with Engine(url, workflows=[later]) as engine:
        assert await (await engine.get("r")).outputs() == outputs
    engine = Engine(url, workflows=[later])
    body = await shown(engine, "runs/r")
    assert body["graph"] == later.validate().describe()["tasks"]
    assert (body["version"], body["upgraded"]) == ("2", 6)


async def test_an_upgraded_run_is_recovered_in_its_new_graph(url: str) -> None:
    """Also where another one is registered last by then, which takes it over only where the new one is gone."""
    await leave(url, asking("1"))
    await leave_again(url, [asking("2", after=("tell",))])
    await leave_again(url, [asking("2", after=("tell",)), asking("3", after=("store",))])
    async with Engine(url, workflows=[asking("3", after=("store",))]) as engine:
        assert await answer(engine) == {"store": "store of 3"}
        events = await read_with_blobs(engine.log, "r")
    assert [event.data["version"] for event in events if event.type == "run.upgraded"] == ["2", "3"]


async def leave_again(url: str, workflows: list[Workflow]) -> None:
    async with Engine(url, workflows=workflows, grace=0) as engine:
        run = await open_run(engine, "r")
        await wait_for_event(run, "task.waiting", "ask", count=1 + run.state.recoveries)


async def test_a_graph_of_one_request_is_no_target(url: str) -> None:
    """Only what is registered under the name; a run whose name is registered nowhere is left."""
    await leave(url, asking("1"))
    async with Engine(url, grace=0) as engine:
        other = await engine.start(asking("2", after=("tell",)), run_id="other")
        await wait_for_event(other, "task.waiting")
        assert engine.not_recovered == {"r": "its workflow 'asking' is not registered here"}


async def test_a_pause_a_budget_and_downtime_are_kept(url: str) -> None:
    """The time between the engines does not count for the run, and a run that is paused stays so."""
    async with Engine(url, workflows=[asking("1")], grace=0) as engine:
        run = await engine.start("asking", run_id="r", budget=Budget(seconds=3600))
        await wait_for_event(run, "task.waiting")
        await run.pause(reason="lunch")
    await asyncio.sleep(0.3)
    async with Engine(url, workflows=[asking("2", after=("tell",))]) as engine:
        run = await open_run(engine, "r")
        assert (run.status, run.state.reason) == ("paused", "lunch")
        await run.resume()
        await answer(engine)
        assert (run.state.paused_ms or 0) >= 300
    async with Engine(url, workflows=[asking("1")], grace=0) as engine:
        await wait_for_event(await engine.start("asking", run_id="s"), "task.waiting")
    await asyncio.sleep(0.3)
    async with Engine(url, workflows=[asking("2", after=("tell",))], grace=0) as engine:
        await wait_for_event(await engine.get("s"), "run.resumed")
        assert ((await engine.get("s")).state.downtime_ms or 0) >= 300


async def test_a_budget_that_should_have_paused_the_run_pauses_it(tmp_path: Path) -> None:
    """The crash came between ``budget.exceeded`` and ``run.paused``, and what came next is the upgrade."""
    flow = Workflow("asking")

    @flow.task
    async def first(ctx: Context) -> None:
        await ctx.spend(cost=2)
        await asyncio.Event().wait()

    async with Engine("memory://") as engine:
        run = await engine.start(flow, run_id=RUN_ID, budget=Budget(cost=1, on_exceeded="pause"))
        await wait_for_event(run, "budget.exceeded")
        events = await read_with_blobs(engine.log)
        await run.cancel(grace=0)
    at = next(at for at, event in enumerate(events) if event.type == "budget.exceeded")
    later = Workflow("asking")
    later.task(lambda: 1, name="first")
    later.task(lambda: 2, name="second")
    async with Engine(await crashed_log("sqlite", events[: at + 1], tmp_path), workflows=[later], grace=0) as engine:
        run = await open_run(engine, RUN_ID)
        await wait_for_event(run, "run.paused")
        assert run.state.upgraded


async def test_what_is_cancelled_ends_in_the_later_graph(tmp_path: Path) -> None:
    """A run that was being cancelled: the tasks that came are cancelled too."""
    async with Engine("memory://", grace=0) as engine:
        await wait_for_event(await engine.start(asking("1"), run_id=RUN_ID), "task.waiting")
        events = await read_with_blobs(engine.log)
    events = [event for event in events if event.type != "run.cancelling"][:5]
    events.append(said(events, "run.cancelling", reason="requested", by=None))
    log = await crashed_log("sqlite", events, tmp_path)
    async with Engine(log, workflows=[asking("2", after=("tell",))]) as engine:
        ended = await (await engine.get(RUN_ID)).ended()
        assert (ended.status, ended.tasks["tell"].status) == ("cancelled", "cancelled")
        check_laws(await read_with_blobs(engine.log))


async def test_many_tasks_stand_beside_the_event(url: str) -> None:
    """Above 32 KiB the event refers to ``GET /runs/{id}``; what is made of it is right all the same."""
    await leave(url, asking("1"))
    later = asking("2", after=("tell",), more=600)
    async with Engine(url, workflows=[later], grace=0) as engine:
        run = await open_run(engine, "r")
        upgraded = await wait_for_event(run, "run.upgraded")
        assert "tasks" not in upgraded.data
        assert upgraded.data["tasks_ref"] == upgraded.data["graph_ref"] == "runs/r"
        await wait_for_event(run, "task.completed", f"beside-{599:0>50}")
    async with Engine(url, workflows=[asking("3")]) as engine:
        assert "its task 'beside-" in engine.not_recovered["r"]
    async with Engine(url, workflows=[later]) as engine:
        await answer(engine)
        state = check_laws(await read_with_blobs(engine.log, "r"))
        assert state.total_tasks == state.completed == 603


# --- inputs -------------------------------------------------------------------------------------------------------


def taking(version: str, last: Any) -> Workflow:
    """ask, then ``last``, whose parameters are inputs of the run."""
    flow = Workflow("taking", version)

    @flow.task
    async def ask(ctx: Context, day: date, word: str) -> Any:
        return [await ctx.receive("go on?", key="go"), word]

    flow.task(last, name="last", after=[ask])
    return flow


def same(day: date, word: str) -> list[Any]:
    return [day.isoformat(), word]


def fewer() -> list[Any]:
    return []


def more(day: date, times: int = 2) -> list[Any]:
    return [day.isoformat()] * times


def missing(times: int) -> int:
    return times


def words(word: str) -> str:
    return word


INPUT = {"day": "2026-12-01", "word": "7"}


@pytest.mark.parametrize(("later", "output"), [(fewer, []), (more, ["2026-12-01"] * 2), (same, ["2026-12-01", "7"])])
async def test_inputs_that_fit_are_what_they_were(url: str, later: Any, output: list[Any]) -> None:
    """Some may be needed no more, and others have a default."""
    await leave(url, taking("1", words), input=INPUT)
    async with Engine(url, workflows=[taking("2", later)], grace=0) as engine:
        assert await answer(engine) == {"last": output}
    async with Engine(url, workflows=[taking("2", later)], grace=0) as engine:
        await engine.retry("r", new_run_id="again")
        assert await result(await engine.get("again")) == {"last": output}


async def test_an_input_that_is_missing_or_another_leaves_the_run(url: str) -> None:
    """The sentence names it and its task; nothing is written."""
    await leave(url, taking("1", words), input=INPUT)
    other = Workflow("taking", "2")

    @other.task
    async def ask(ctx: Context, word: int) -> Any:
        return await ctx.receive("go on?", key="go")

    for flow, why in (
        (taking("2", missing), "the input 'times' of task 'last' is missing (expected int)"),
        (other, "the input 'word' of task 'ask' becomes another value when it is validated here"),
    ):
        async with Engine(url, workflows=[flow]) as engine:
            assert why in engine.not_recovered["r"]
            assert not (await engine.get("r")).state.upgraded


# --- retry, children, plans ---------------------------------------------------------------------------------------


async def test_a_run_that_is_left_is_retried_in_the_later_graph(url: str) -> None:
    """It is cancelled; the new one takes over what is the same in both graphs, and runs the rest."""
    began: list[str] = []

    def release(version: str, source: str) -> Workflow:
        flow = Workflow("release", version)

        @flow.task
        async def same() -> int:
            began.append("same")
            return 1

        @flow.task
        async def other() -> int:
            return 2

        @flow.task(after=[source])
        async def changed() -> str:
            began.append(f"changed {version}")
            return version

        @flow.task
        async def ask(same: int, changed: str, ctx: Context) -> Any:
            return changed if version == "2" else await ctx.receive("go on?")

        return flow

    await leave(url, release("1", "same"))
    async with Engine(url, workflows=[release("2", "other")]) as engine:
        assert "its task 'changed' has begun, and depends on other now, where it was same" in engine.not_recovered["r"]
        with pytest.raises(RunExists):
            await engine.retry("r", new_run_id="r")
        assert (await engine.get("r")).status == "running"
        again = await engine.retry("r", new_run_id="again", by="test")
        assert await result(again) == {"ask": "2"}
        assert began == ["same", "changed 1", "changed 2"]
        old = await engine.get("r")
        assert (old.status, old.state.reason) == ("cancelled", "retried")
        assert not engine.not_recovered


async def test_a_child_run_goes_on_in_the_graph_that_its_parent_asks_for(url: str) -> None:
    """Nobody has registered it."""

    def parent(child: Workflow) -> Workflow:
        flow = Workflow("parent")

        @flow.task
        async def ask(ctx: Context) -> Any:
            return await ctx.run(child)

        return flow

    async with Engine(url, workflows=[parent(asking("1"))], grace=0) as engine:
        await engine.start("parent", run_id="p")
        await wait_for_event(await open_run(engine, "p.ask.1"), "task.waiting")
    async with Engine(url, workflows=[parent(asking("2", after=("tell",)))]) as engine:
        child = await open_run(engine, "p.ask.1")
        await wait_for_event(child, "task.waiting", count=2)
        assert child.state.upgraded
        await child.send("ask", "yes", key="go")
        assert await result(await engine.get("p")) == {"ask": {"tell": "tell of 2"}}
        check_laws(await read_with_blobs(engine.log, "p.ask.1"))


@pytest.mark.parametrize("later", ["map", "list"])
async def test_a_map_that_has_begun_keeps_its_children(url: str, later: str) -> None:
    """Over a map it has a child for each child, or for each output. A release in which it is the other is no way on."""

    def release(takes: str) -> Workflow:
        flow = Workflow("mapping", takes)

        @flow.task
        async def items() -> list[int]:
            return [1, 2, 3]

        @flow.task(map="items", when=lambda items: items != 2)
        async def some(items: int) -> int:
            return items

        if takes == "map":

            @flow.task(map={"one": some}, name="ask")
            async def by_child(one: int, ctx: Context) -> Any:
                return await ctx.receive("go on?")
        else:

            @flow.task(map={"one": some}, name="ask")
            async def by_item(one: int, some: list[int], ctx: Context) -> Any:
                return await ctx.receive("go on?")

        return flow

    first = "list" if later == "map" else "map"
    await leave(url, release(first), "ask[0]")
    async with Engine(url, workflows=[release(later)]) as engine:
        how = "child by child" if later == "map" else "as a whole list"
        assert f"its task 'ask' has begun, and takes some {how} now, which it did not" in engine.not_recovered["r"]


async def test_a_map_stays_over_what_it_was(url: str) -> None:
    """Of several upstreams, the one whose list it takes."""

    def release(over: str) -> Workflow:
        flow = Workflow("over", over)
        flow.task(lambda: [1, 2], name="a")
        flow.task(lambda: [1, 2], name="b")

        @flow.task(map={"one": over}, after=["a", "b"])
        async def ask(one: int, ctx: Context) -> Any:
            return await ctx.receive("go on?")

        return flow

    await leave(url, release("a"), "ask[1]")
    async with Engine(url, workflows=[release("b")]) as engine:
        assert "its task 'ask' has begun, and is mapped over b, not a, now" in engine.not_recovered["r"]


async def test_runs_that_are_left_are_listed(url: str) -> None:
    """``GET /runs?recoverable=false`` has these only, with the other filters; nothing else may be asked of it."""
    await leave(url, asking("1"))
    gone = Workflow("asking", "2")
    gone.task(lambda: 1, name="other")
    async with Engine(url, workflows=[gone]) as engine:
        await result(await engine.start(gone))
        server = TestServer(reactor_web.create_app(engine, []), host="127.0.0.1")
        await server.start_server()
        runs = str(server.make_url("/api/v1/runs"))
        async with aiohttp.ClientSession() as session:

            async def listed(query: str) -> Any:
                async with session.get(f"{runs}?{query}") as response:
                    body = await response.json()
                    return [run["run_id"] for run in body["runs"]] if response.status == 200 else body["detail"]

            assert await listed("recoverable=false") == ["r"]
            assert await listed("recoverable=false&status=completed") == []
            assert await listed("recoverable=true") == "recoverable is 'true', but can only be false"
            await engine.cancel("r")
            assert await listed("recoverable=false") == []
        await server.close()

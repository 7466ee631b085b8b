"""Several graphs of one name: each run has its own, and one that was only started is forgotten with its runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import ref

import pytest

from reactor import Context, Engine, Limit, RunExists, UnknownWorkflow, Workflow
from reactor.errors import WorkflowChanged, WorkflowError
from reactor.supervision.slots import LocalSlots
from tests.helpers import bodies
from tests.helpers.runs import result
from tests.helpers.server import serving

Wait = Callable[[], Coroutine[Any, Any, Any]]


async def never_mind() -> None:
    """Waits for nothing."""


def made(
    answer: Any, *, wait: Wait = never_mind, task: str = "give", name: str = "made", version: str = "1", **options: Any
) -> Workflow:
    """As a handler makes one for a request: always the same name, and a body that closes over the request."""
    flow = Workflow(name, version, concurrency=options.pop("at_once", None))

    @flow.task(name=task, **options)
    async def give() -> Any:
        await wait()
        return answer

    return flow


# --- each run has its own -----------------------------------------------------------------------------------------


async def test_workflows_of_one_name_run_at_the_same_time(engine: Engine) -> None:
    """Two that are started with ``engine.start(flow)`` are no conflict, with the same tasks or with others."""
    met = asyncio.Barrier(3)
    given = [("give", "left"), ("give", "right"), ("other", "third")]
    runs = [await engine.start(made(answer, task=task, wait=met.wait)) for task, answer in given]
    assert [await result(run) for run in runs] == [{task: answer} for task, answer in given]


async def test_a_name_means_what_was_registered_under_it(engine: Engine) -> None:
    """A start with a workflow neither takes a name nor gives one; the routes list what is registered."""
    engine.register(made("registered"))
    open_ = await engine.start(made(0, wait=asyncio.Event().wait, task="other"))
    assert await result(await engine.start(made("per request", task="third"))) == {"third": "per request"}
    assert await result(await engine.start("made")) == {"give": "registered"}
    await engine.start(made(0, wait=asyncio.Event().wait, name="unnamed"))
    with pytest.raises(UnknownWorkflow, match="there is no workflow 'unnamed'; registered: 'made'"):
        await engine.start("unnamed")
    async with serving(engine) as server:
        _, listed = await server.get("/workflows")
        assert [(flow["name"], flow["tasks"][0]["id"]) for flow in listed["workflows"]] == [("made", "give")]
        assert (await server.get("/workflows/unnamed"))[0] == 404
        assert (await server.get(f"/runs/{open_.id}"))[1]["workflow"] == "made"


async def test_the_last_one_registered_has_the_name(engine: Engine) -> None:
    """Those before it are no conflict: their runs go on."""
    gate = asyncio.Event()
    engine.register(made("first", wait=gate.wait))
    before = await engine.start("made")
    engine.register(made("second", task="other"))
    assert await result(await engine.start("made")) == {"other": "second"}
    engine.register(made("third", version="2"))
    assert await result(await engine.start("made")) == {"give": "third"}
    gate.set()
    assert await result(before) == {"give": "first"}


async def test_a_graph_that_was_made_for_one_run_has_bodies_in_every_place(engine: Engine) -> None:
    """In threads and in processes too; a process finds the function, whichever workflow it stands in."""
    runs: list[Any] = []
    for task in ("one", "two"):
        flow = Workflow("placed")
        flow.task(bodies.add, name=task, executor="process")
        flow.task(lambda word=task: word, name=f"{task}_thread")
        runs.append(await engine.start(flow, {"left": 1, "right": 2}))
    assert [await result(run) for run in runs] == [{"one": 3, "one_thread": "one"}, {"two": 3, "two_thread": "two"}]


async def test_child_runs_have_the_workflow_they_are_given(engine: Engine) -> None:
    """Children of one name at the same time, each with bodies of its own."""
    met, parent = asyncio.Barrier(3), Workflow("parent")

    @parent.task
    async def ask(ctx: Context) -> list[Any]:
        return await asyncio.gather(*(ctx.run(made(n, wait=met.wait), key=f"k{n}") for n in range(3)))

    assert await result(await engine.start(parent)) == {"ask": [{"give": n} for n in range(3)]}


# --- forgotten ----------------------------------------------------------------------------------------------------


def count_slots() -> int:
    gc.collect()
    return sum(isinstance(thing, LocalSlots) for thing in gc.get_objects())


async def test_a_graph_is_forgotten_with_its_runs(engine: Engine) -> None:
    """A thousand different ones, with limits by name and with concurrency of their own, leave nothing behind."""
    engine.register(made(0, name="limited", limits=[Limit("shared", 1_000)]))
    slots = count_slots()

    async def run_many(n: int) -> list[ref[Any]]:
        flows = [
            made(m, task=f"task{n}_{m}", name=f"made{m % 5}", limits="shared", at_once=1 + 50 * n + m)
            for m in range(50)
        ]
        runs = [await engine.start(flow) for flow in flows]
        assert [list((await result(run)).values()) for run in runs] == [[m] for m in range(50)]
        return [ref(flow.validate()) for flow in flows]

    graphs = [graph for n in range(20) for graph in await run_many(n)]
    gc.collect()
    assert len(graphs) == 1_000
    assert not [graph for graph in graphs if graph() is not None]
    assert list(engine.workflows) == ["limited"]
    assert count_slots() <= slots + 1  # those of the limit that is shared, made at its first use


async def test_limits_outlive_the_workflow_that_defines_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first definition of a name holds, or a rate would begin anew with each run; and they cannot grow for ever."""
    await result(await engine.start(made(1, limits=[Limit("calls", 5, per=60)])))
    with pytest.raises(WorkflowError, match=r"defines the limit 'calls' as .*, the engine as"):
        await engine.start(made(2, limits=[Limit("calls", 6, per=60)]))
    monkeypatch.setattr("reactor.registry.MAX_LIMITS", 2)
    await result(await engine.start(made(3, limits=[Limit("calls", 5, per=60), Limit("second", 1)])))
    with pytest.raises(WorkflowError, match="'made' defines the limit 'third', but this engine has 2 limits"):
        await engine.start(made(4, limits=[Limit("third", 1)]))
    assert await result(await engine.start(made(5, limits=["calls", "second"]))) == {"give": 5}


async def test_a_child_workflow_may_define_a_limit(engine: Engine) -> None:
    """Also one that the engine sees for the first time when a body asks for the child."""
    parent = Workflow("parent")

    @parent.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(made("limited", limits=[Limit("new", 1)]))

    assert await result(await engine.start(parent)) == {"ask": {"give": "limited"}}


# --- commands that need the graph again ---------------------------------------------------------------------------


async def test_a_retry_has_the_graph_of_its_run(engine: Engine) -> None:
    """Not one like it that was made for another request, even where that one is registered."""
    ended = asyncio.Event()
    flows = [made(answer, wait=ended.wait) for answer in ("mine", "other", "registered")]
    engine.register(flows[2])
    runs = [await engine.start(flow, run_id=f"r{n}") for n, flow in enumerate(flows[:2])]
    for run in runs:
        await run.cancel()
        await run.ended()
    ended.set()
    assert await result(await engine.retry("r0")) == {"give": "mine"}


async def test_a_retry_after_the_graph_is_gone_begins_in_the_last_one_of_its_name(engine: Engine) -> None:
    """It is refused where none is registered; and takes over what is the same in both."""
    await result(await engine.start(made(1), run_id="r"))
    gc.collect()
    with pytest.raises(WorkflowChanged, match="run r cannot be retried: its workflow 'made' is not registered here"):
        await engine.retry("r")
    engine.register(made(2, task="other"))
    assert await result(await engine.retry("r")) == {"other": 2}
    engine.register(made(3))
    assert await result(await engine.retry("r")) == {"give": 1}  # the output of the run that is retried


async def test_outputs_are_typed_as_long_as_the_workflow_is_there(engine: Engine) -> None:
    """``engine.get`` restores the outputs of an ended run with the graph that it had."""
    flow = Workflow("typed")

    @flow.task
    async def pair() -> tuple[int, int]:
        return 1, 2

    await result(await engine.start(flow, run_id="r"))
    assert await result(await engine.get("r")) == {"pair": (1, 2)}


async def test_ensure_tells_graphs_of_one_name_apart(engine: Engine) -> None:
    """The same run id with another workflow is another start; by a name that is registered it is the same one."""
    flow = made("mine", wait=asyncio.Event().wait)
    run, is_new = await engine.ensure(flow, run_id="r")
    assert is_new
    assert (await engine.ensure(flow, run_id="r"))[0].id == run.id
    with pytest.raises(RunExists, match="there is a run 'r' already, started differently"):
        await engine.ensure(made("other", task="other"), run_id="r")
    engine.register(first := made("first"))
    await engine.ensure("made", run_id="named")
    engine.register(made("second", task="second"))
    for workflow in ("made", first):  # a release that came between must not start a run twice, or refuse it
        assert (await engine.ensure(workflow, run_id="named"))[1] is False

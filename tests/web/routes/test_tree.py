"""The runs below a run over HTTP: what they are and what they ask, and answers that are passed on to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reactor import Context, Engine, Workflow, bounds
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from reactor.testing.log_laws import started
from tests.helpers import family
from tests.helpers.events import of_type
from tests.helpers.runs import PATIENCE, open_run, wait_for_event
from tests.helpers.server import Serve, Server


@pytest.fixture
async def kin(serve: Serve) -> Server:
    """A server whose run ``r`` asks, and so do its child run and the child run of that."""
    server = await serve(Engine("memory://", grace=0.0), family.top, family.middle, family.leaf)
    await server.start("top", run_id="r")
    return server


async def asked(server: Server, run_id: str, key: str) -> None:
    """Waits until the run asks this."""
    run = await open_run(server.engine, run_id)
    while not any(asked["key"] == key for asked in run.state.tasks["ask"].waiting or ()):
        await wait_for_event(run, "task.waiting", "ask", 1 if key == "before" else 2)


async def answer(server: Server, run: str | None, key: str, value: Any, to: str = "r", **more: str) -> tuple[int, Any]:
    named = {} if run is None else {"run": run}
    return await server.post(f"/runs/{to}/input", {"task": "ask", "key": key, "value": value, **named}, **more)


async def test_a_run_lists_the_runs_below_it_and_what_they_ask(kin: Server) -> None:
    """Parents first, each with the task that started it, its status and its open questions, read from its own log."""
    for run, key in family.QUESTIONS[:2]:
        await asked(kin, run, key)
        assert (await answer(kin, run, key, 1))[0] == 202
    await asked(kin, family.RUNS[2], "before")
    _, body = await kin.get("/runs/r")
    question = {"task_id": "ask", "prompt": "before?", "schema": {"type": "integer"}, "key": "before"}
    middle, leaf = body["tree"]
    assert {name: middle[name] for name in ("run_id", "parent", "task_id", "workflow", "status", "questions")} == {
        "run_id": "r.ask.1", "parent": "r", "task_id": "ask", "workflow": "middle", "status": "running",
        "questions": [],
    }  # fmt: skip
    assert (leaf["run_id"], leaf["parent"], leaf["status"]) == (family.RUNS[2], "r.ask.1", "running")
    assert [{name: asked[name] for name in question} for asked in leaf["questions"]] == [question]
    _, body = await kin.get("/runs/r.ask.1")
    assert [run["run_id"] for run in body["tree"]] == [family.RUNS[2]]
    _, body = await kin.get(f"/runs/{family.RUNS[2]}")
    assert body["tree"] == []
    assert body["parent"] == {"run_id": "r.ask.1", "task_id": "ask"}


async def test_every_question_of_a_tree_is_answered_from_its_root(kin: Server) -> None:
    """``run`` in the body names the run that asks; the answer goes to its task alone, with who sent it."""
    for place, (run, key) in enumerate(family.QUESTIONS):
        await asked(kin, run, key)
        status, body = await answer(kin, None if run == "r" else run, key, place)
        assert (status, body["run_id"]) == (202, run)
    top = await kin.engine.get("r")
    assert await asyncio.wait_for(top, PATIENCE) == family.EXPECTED
    for run in family.RUNS:
        received = of_type(await read_all(kin.engine.log, run), "task.received")
        assert [event.data["by"] for event in received] == ["127.0.0.1"] * 2
    _, body = await kin.get("/runs/r")
    assert [(run["run_id"], run["task_id"], run["status"], run["questions"]) for run in body["tree"]] == [
        ("r.ask.1", "ask", "completed", []),
        (family.RUNS[2], "ask", "completed", []),
    ]


async def test_the_same_answer_with_the_same_key_is_passed_on_once(kin: Server) -> None:
    """The key belongs to the run that was asked in the path; another run in the body is another request."""
    await asked(kin, "r", "before")
    await answer(kin, None, "before", 1)
    await asked(kin, "r.ask.1", "before")
    headers = {"Idempotency-Key": "one"}
    first = await answer(kin, "r.ask.1", "before", 2, **headers)
    again = await answer(kin, "r.ask.1", "before", 2, **headers)
    assert first == again
    assert first[0] == 202
    await asked(kin, family.RUNS[2], "before")
    events = await read_all(kin.engine.log, "r.ask.1")
    assert len(of_type(events, "task.received")) == 1
    assert (await answer(kin, None, "before", 2, **headers))[0] == 422


async def test_a_run_that_is_not_below_is_refused(kin: Server) -> None:
    """404 with one sentence, whether there is such a run or not: above, beside, or unknown."""
    await asked(kin, "r", "before")
    await answer(kin, None, "before", 1)
    await asked(kin, "r.ask.1", "before")
    await kin.start("leaf", run_id="other")
    for to, run in (("r", "other"), ("r.ask.1", "r"), ("r", "nobody"), ("other", "r.ask.1"), ("r", "x" * 200)):
        status, problem = await answer(kin, run, "before", 1, to=to)
        assert (status, problem["detail"]) == (404, f"run {to!r} has no child run {run[:100]!r}")
    status, problem = await answer(kin, "r.ask.1", "before", 1, to="nobody")
    assert (status, problem["detail"]) == (404, "there is no run 'nobody'")
    assert (await answer(kin, "r.ask.1", "before", "no number"))[0] == 422
    assert (await answer(kin, 7, "before", 1))[0] == 422  # type: ignore[arg-type]


async def test_an_answer_to_a_run_that_has_ended_is_refused(kin: Server) -> None:
    """409 that names the run and how it ended, as for any run."""
    for place, (run, key) in enumerate(family.QUESTIONS[:4]):
        await asked(kin, run, key)
        await answer(kin, run, key, place)
    await asked(kin, "r.ask.1", "after")
    status, problem = await answer(kin, family.RUNS[2], "after", 9)
    assert (status, problem["detail"]) == (409, f"run {family.RUNS[2]} is completed already")


async def test_a_child_that_its_parent_does_not_ask_for_yet_is_refused_in_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of a paused run: 409 with what to do; once it goes on, the answer is passed on."""
    monkeypatch.setattr(bounds, "CHILD_WAIT_SECONDS", 0.01)
    log = MemoryLog()
    flows = (family.top, family.middle, family.leaf)
    engine = Engine(log, workflows=flows, grace=0)
    log.durable = True
    async with engine:
        await engine.start("top", run_id="r")
        run = await open_run(engine, "r")
        await wait_for_event(run, "task.waiting")
        await run.send("ask", 0, key="before")
        await wait_for_event(await open_run(engine, "r.ask.1"), "task.waiting")
        await run.pause()
    server = await serve(Engine(log, grace=0), *flows)
    _, body = await server.get("/runs/r")
    assert [(run["run_id"], [q["key"] for q in run["questions"]]) for run in body["tree"]] == [("r.ask.1", ["before"])]
    status, problem = await answer(server, "r.ask.1", "before", 1)
    assert status == 409
    assert problem["detail"].startswith("run r.ask.1 goes on when its parent asks for it again")
    waiting = asyncio.ensure_future(answer(server, "r.ask.1", "before", 1))
    monkeypatch.setattr(bounds, "CHILD_WAIT_SECONDS", PATIENCE)
    assert (await server.post("/runs/r/resume"))[0] == 202
    assert (await waiting)[0] == 202
    await asked(server, family.RUNS[2], "before")


async def test_open_runs_come_first_where_a_tree_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no question is left out because of runs that have ended."""
    monkeypatch.setattr(bounds, "TREE_RUNS", 3)
    gates: dict[int, asyncio.Event] = {n: asyncio.Event() for n in range(6)}
    child, flow = Workflow("child"), Workflow("parent")

    @child.task
    async def hold(n: int) -> None:
        await gates[n].wait()

    @flow.task
    async def ask(ctx: Context) -> None:
        await asyncio.gather(*(ctx.run(child, {"n": n}) for n in range(6)))

    async with Engine("memory://", grace=0) as engine:
        await engine.start(flow, run_id="r")
        children = [await open_run(engine, f"r.ask.{n}") for n in range(1, 7)]
        for n in (1, 2, 3, 4):
            gates[n].set()
            await asyncio.wait_for(children[n].ended(), PATIENCE)
        found = await engine.tree("r")
        assert {(run.run_id, run.status) for run in found if run.status == "running"} == {
            ("r.ask.1", "running"),
            ("r.ask.6", "running"),
        }
        assert len(found) == 3


async def test_a_tree_is_read_where_a_run_in_between_is_gone() -> None:
    """What is left of the tree of a root is below it; a run in the middle knows only what it can be followed to."""
    log = MemoryLog()
    for run_id, parent in (("top", None), ("a", "top"), ("a.x", "a"), ("lost.y", "lost")):
        await log.append(run_id, [started(run_id, parent=parent)])
    async with Engine(log, grace=0) as engine:
        assert [(run.run_id, run.parent) for run in await engine.tree("top")] == [("a", "top"), ("a.x", "a")]
        assert await engine.tree("lost.y") == []


async def test_an_answer_to_a_run_without_the_task_names_the_runs_below_that_ask(serve: Serve) -> None:
    """With and without an Idempotency-Key; a task that asks nowhere is answered as always."""
    shop, counter = Workflow("shop"), Workflow("counter")

    @shop.task
    async def sell(ctx: Context) -> Any:
        return await asyncio.gather(ctx.run("counter"), ctx.run("counter"))

    @counter.task
    async def approve(ctx: Context) -> Any:
        return await ctx.receive("sell?", schema=bool)

    @counter.task
    async def quiet() -> None:
        await asyncio.Event().wait()

    server = await serve(Engine("memory://", grace=0.0), shop, counter)
    await server.start("shop", run_id="r")
    for run_id in ("r.sell.1", "r.sell.2"):
        await wait_for_event(await open_run(server.engine, run_id), "task.waiting", "approve")
    for headers in ({}, {"Idempotency-Key": "one"}):
        status, body = await server.post("/runs/r/input", {"task": "approve", "value": True}, **headers)
        assert status == 404
        assert body["detail"] == (
            "there is no task 'approve' in run r, but one of this name asks in a run below: "
            "name that run as run (--run of reactor send): r.sell.1, r.sell.2"
        )
    status, body = await server.post("/runs/r/input", {"task": "quiet", "value": True})
    assert (status, body["detail"]) == (404, "there is no task 'quiet' in run r; its tasks are sell")
    status, _ = await server.post("/runs/r/input", {"task": "approve", "value": True, "run": "r.sell.2"})
    assert status == 202

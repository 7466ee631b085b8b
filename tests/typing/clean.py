"""What is right has no error, neither in pyright's strict mode nor in mypy's."""

from __future__ import annotations

from typing import Any, assert_type

import reactivex as rx
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

from reactor import Budget, Cache, Context, Engine, Event, Limit, Notice, Retry, Run, Task, Workflow, load_plan, tool
from reactor.operators import select, to_state
from reactor_web import create_app, mount, problems, stream

flow = Workflow("census", version="2", timeout=60, concurrency=4)


@flow.task
async def fetch(root: str, depth: int = 1) -> list[str]:
    return [root] * depth


@flow.task(map=fetch, retry=Retry(attempts=3, retry_on=lambda error: isinstance(error, OSError)), timeout=30)
def measure(fetch: str, ctx: Context) -> int:
    ctx.emit("page.fetched", {"url": fetch})
    ctx.progress(0.5, "half")
    ctx.log.info("measured", rows=12)
    return len(fetch)


@flow.task(after=[fetch, "measure"], when=lambda fetch: bool(fetch), meta={"team": "data"})
async def report(fetch: list[str], measure: list[int], ctx: Context) -> dict[str, int]:
    await ctx.emit("report.begun")
    async with ctx.llm_call("some-model") as call:
        call.cost = 0.01
    ctx.spend(cost=0.01, tokens=3)
    await ctx.committed()
    return dict(zip(fetch, measure, strict=True))


@flow.task(cache=Cache(key=lambda fetch: fetch, ttl=60), executor="process", on_upstream_failure="run")
def kept(fetch: list[str]) -> int:
    return len(fetch)


@flow.task
def pages(root: str) -> Observable[str]:
    return rx.of(root)


none = flow.task(lambda: 1, name="none")
one = flow.task(lambda none: none + 1, name="one", retry=2)
two = flow.task(lambda none, one: [none, one], name="two", limits=Limit("openai", 60, per=60))
defaults = flow.task(lambda none, one=3: [none, one], name="defaults")
named = flow.task(fetch.function, name="again", needs={"root": "one"})
flow.sequence(fetch, flow.parallel(measure, report))


@tool(executor="process")
def count(text: str) -> int:
    return len(text)


def test_a_body() -> None:
    """A task is called like its function."""
    assert_type(fetch.name, str)
    assert_type(count("text"), int)
    assert_type(none, Task[..., int])
    assert_type(two(1, 2), list[Any])


async def main() -> None:
    assert_type(await fetch("src", depth=2), list[str])
    async with Engine("memory://", workflows=[flow], limits=[Limit("openai", 60)], resources={"db": 1}) as engine:
        run = await engine.start(flow, {"root": "src"}, run_id="r1", meta={"by": "me"}, budget=Budget(cost=5.0))
        assert_type(run, Run)
        run.events.subscribe(lambda event: print(event.seq + 1))
        run.events.map(lambda event: (event.seq + 1, event.task_id)).subscribe(print)
        run.events.pipe(select(types="task.*")).map(lambda event: event.seq + 1).subscribe(print)
        run.live.pipe(ops.take(3)).subscribe(lambda event: print(event.type, event.data["x"]))
        run.task_events("fetch").subscribe(lambda event: print(event.seq + 1))
        engine.live.subscribe(lambda event: print(event.run_id, event.seq + 1))
        run.events.pipe(to_state()).subscribe(lambda state: print(state.progress))
        async for event in run:
            assert_type(event, Event)
            assert_type(event.seq, int)
            if event.type == "task.completed":
                print(event.data["output"])
        await run.cancel(reason="no longer needed")
        assert_type(await run, dict[str, Any])
        if run.status == "completed" and run.state.tasks["fetch"].status == "skipped":
            print(run.state.cost, await engine.list(status="failed", limit=10))
    workflow = load_plan({"tasks": []}, [count])
    assert_type(workflow, Workflow)
    assert_type(flow.run({"root": "src"}), dict[str, Any])


def is_gap(message: Event | Notice) -> bool:
    return message.seq is None


engine = Engine()
app = web.Application(middlewares=[problems])
mount(app, engine, [flow], prefix="/jobs", allowed_hosts=["example.com"])
other = create_app(Engine("sqlite:///runs.db"), flow)


async def watch(request: web.Request) -> web.StreamResponse:
    run = await engine.get(request.match_info["id"])
    return await stream(request, run, types=("task.*", "run.*"), throttle=200, on_disconnect="cancel", tail=None)


async def watch_view(request: web.Request) -> web.StreamResponse:
    run = await engine.get("r1")
    return await stream(request, run, view=lambda events: events.pipe(ops.take(3)), types="task.*")


async def watch_source(request: web.Request) -> web.StreamResponse:
    return await stream(request, rx.of(("1", "tick", {"n": 1})), heartbeat=5, after=3)

"""What is wrong is an error on its line, in pyright's strict mode and in mypy's; nothing else is one."""

from __future__ import annotations

from aiohttp import web
from reactivex import Observable

from reactor import Budget, Context, Engine, Limit, Retry, Run, Workflow
from reactor_web import create_app, mount, stream

flow = Workflow("census", retries=3)  # error
flow.task(lambda: 1, name="one", retires=3)  # error
flow.task(lambda: 1, name=5)  # error
flow.task("fetch")  # error
flow.run(root="src")  # error
flow.run("src")  # error
Retry(tries=3)  # error
Limit("openai", "60")  # error
Budget(on_exceeded="stop")  # error
Engine(workflow=flow)  # error
Engine("memory://", concurrency="4")  # error


@flow.task(on_upstream_failure="ignore")  # error
def report(fetch: str) -> int:
    return len(fetch)


@flow.task(retry=3)
def use(fetch: str) -> int:
    return len(fetch)


use(5)  # error


@flow.task
async def job(ctx: Context) -> None:
    ctx.emit(5)  # error
    ctx.progress("half")  # error
    ctx.log("loaded")  # error
    ctx.log.warn("loaded")  # error
    ctx.nope()  # error
    ctx.spend(0.01)  # error


async def main(run: Run, engine: Engine) -> None:
    await engine.start(flow, root="src")  # error
    await engine.start(flow, {"root": "src"}, run_id=5)  # error
    await engine.list(status="done")  # error
    run.events_after("12")  # error
    run.events.subscribe(lambda event: print(event.sequence))  # error
    if run.status == "done":  # error
        return
    run.state.status = "done"  # error
    await run.cancel(grace="10")  # error


async def watch(request: web.Request, run: Run, source: Observable[str]) -> web.StreamResponse:
    await stream(request, run, type="task.*")  # error
    await stream(request, run, throttle="200")  # error
    await stream(request, run, on_disconnect="stop")  # error
    await stream(request, source, types="task.*")  # error
    return await stream(request, "r1")  # error


mount(web.Application(), "memory://")  # error
create_app(Engine(), host="0.0.0.0")  # error

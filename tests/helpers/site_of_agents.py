"""A platform of agents under the paths of its clients' documents, a run in which everything happens that they are
told of, and clients that run in Node.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

import reactor_web
from reactor import Context, Engine, Retry, Workflow
from reactor_web import Problem, Start
from reactor_web.sse.parser import Frame
from tests.helpers.flows import one_task
from tests.helpers.node import PATIENCE_SECONDS, node_script
from tests.helpers.server import API, Gates, Server, Stream


def platform_app(engine: Engine, gates: Gates) -> web.Application:
    """The API of this project, and beside it the routes that these clients know."""

    async def stubborn() -> None:
        await asyncio.Event().wait()

    async def fine(topic: str = "bees") -> str:
        return f"all about {topic}"

    flows = [agents_workflow(gates), *(one_task(body, body.__name__) for body in (stubborn, fine))]
    app = reactor_web.create_app(engine, flows)
    path = "/api/v1/agents/{agent_id}/tasks/{task_id}/events/stream"
    reactor_web.add_stream(app, path, engine, dialect="domain", id_from="task_id", match=["agent_id"])
    path = "/timeline/stream/{session_id}"
    reactor_web.add_stream(app, path, engine, dialect="timeline", id_from="session_id")
    reactor_web.add_start(app, "/execute", engine, _begin, dialect="timeline", answer="batch")
    return app


def _begin(request: web.Request, body: Any) -> Start:
    if not isinstance(body.get("query"), str):
        raise Problem(422, "query must be a string")
    return Start(body["project_id"], {"topic": body["query"]}, run_id=body.get("session_id"))


def agents_workflow(gates: Gates) -> Workflow:
    """Tasks that complete, fail, are skipped, retried, mapped, and one that waits for the gate ``on``.

    It fails, because one child of ``review`` does. ``plan`` calls a model and a tool, and emits two types of its own.
    """
    flow = Workflow("agents")

    @flow.task(meta={"agent_name": "Planner"})
    async def plan(ctx: Context, topic: str = "bees") -> list[int]:
        await ctx.emit("ROUTER_THOUGHT", {"message": f"writes about {topic}", "agent_name": "router"})
        await ctx.emit("WorkflowLLMCallStarted", {"model": "large", "estimated_cost": 0.5})
        async with ctx.llm_call("small", estimated_cost=0.25) as answer:
            answer.tokens = 10
        async with ctx.tool_call("search", {"q": topic}) as found:
            found.result = ["a", "ü\u2028"]
        await ctx.progress(0.5, "half of the plan")
        await ctx.log.info("planned")
        return [1, 0, 2]

    @flow.task(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def shaky(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError("try again")
        return ctx.attempt

    @flow.task(map={"n": "plan"})
    async def review(n: int) -> float:
        await gates["on"].wait()
        return 1 / n

    @flow.task
    async def report(review: list[float]) -> float:
        return sum(review)

    @flow.task(when=lambda shaky: shaky > 5)
    async def unlikely(shaky: int) -> None: ...

    return flow


def base_of(server: Server) -> str:
    """The URL of the site, without the path of the API."""
    return server.url.removesuffix(API)


async def frames_at(server: Server, url: str, **headers: str) -> list[Frame]:
    """All frames that a client in Python is sent."""
    async with Stream(server.session.get(url, headers=headers)) as stream:
        assert stream.status == 200
        return await stream.all()


class NodeClient:
    """A script of ``tests/node`` that shows what it is told, a line of JSON each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any] | None:
        """What it shows next; None once it has ended."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_SECONDS)
        if not line:
            assert self._process.stderr is not None
            assert await self._process.wait() == 0, (await self._process.stderr.read()).decode()
            return None
        return json.loads(line)

    async def until(self, **wanted: Any) -> list[dict[str, Any]]:
        """What it shows up to and including the next that has all of this."""
        shown: list[dict[str, Any]] = []
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS  # heartbeats are shown, too
        while (one := await self.next()) is not None and asyncio.get_running_loop().time() < until:
            shown.append(one)
            if wanted.items() <= one.items():
                return shown
        raise AssertionError(f"it ended before {wanted}: {shown[-3:]}")

    async def rest(self) -> list[dict[str, Any]]:
        """What it shows until it ends by itself."""
        shown: list[dict[str, Any]] = []
        while (one := await self.next()) is not None:
            shown.append(one)
        return shown


@asynccontextmanager
async def node_client(script: str, *arguments: str, newest: bool = False) -> AsyncIterator[NodeClient]:
    """Runs a script; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *node_script(script, newest=newest), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield NodeClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()

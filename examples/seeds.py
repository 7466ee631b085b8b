"""Five systems with clients of their own, served under their own URLs by one application.

    python examples/seeds.py --port 8080 --store sqlite:///seeds.db
    python examples/seeds.py --port 8081 --store redis://127.0.0.1:6379/0     # one of several nodes

| system               | its routes here                                                                             |
|----------------------|---------------------------------------------------------------------------------------------|
| streaming executor   | POST /execute {tasks: [{id, tool, arguments, dependsOn}]}: a stream, or the whole result      |
|                      | GET /dag/{id} of a run that was started; GET /dag?plan={…} starts it                          |
| workflow progress    | GET /api/workflows/{id}/stream, GET /api/workflows/{id}                                       |
|                      | POST /api/workflows {task?, id?, budget?}                                                     |
| orchestration        | GET /stream?workflow_id=&name=, POST /execute {workflow_id, name?}, GET /custom?steps=a,b     |
|                      | GET /workflow                                                                                 |
| broker events        | GET /api/v1/agents/{agent_id}/tasks/{task_id}/events/stream                                   |
|                      | POST /api/v1/agents/{agent_id}/tasks {query?, task_id?}                                       |
| session first        | GET /timeline/stream/{session_id}, POST /execute {project_id, query, context?, session_id?}   |

Failures can be asked for. The tools of a DAG are ``echo``, ``sleep`` and ``fail``. A ``task`` with "flaky" in it gets a
second attempt; a ``task``, a ``query`` or a step with "fail" in it fails. The workflows of the orchestration are
``my-workflow``, ``parallel-demo``, ``failing-demo``, and ``mixed-demo``, which maps, retries and skips.

The routes of Reactor itself are under /api/v1, so every run can be paused, cancelled, answered and read there, and
sessions can be written from outside.
"""

import argparse
import asyncio
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from aiohttp import web

import reactor_web
from reactor import Context, Engine, Retry, RunEnded, Session, Workflow, load_plan, tool
from reactor_web import Problem, Start, add_start, add_state, add_stream


def members(body: Any) -> dict[str, Any]:
    """The members of a body; raises Problem 422 for one that is no object."""
    if not isinstance(body, dict):
        raise Problem(422, "the body must be a JSON object")
    return cast("dict[str, Any]", body)


def text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A member that is a text; raises Problem 422 for anything else, and for none where there is no default."""
    value = default if body.get(name) is None else body[name]
    if not isinstance(value, str):
        raise Problem(422, f"the body needs {name}, which must be a string")
    return value


# --- streaming executor: a DAG of tools as JSON, streamed as it runs or answered whole ----------------------------


@tool(name="echo")
async def echo(value: Any = None) -> Any:
    """What it is given."""
    return value


@tool(name="sleep")
async def sleep(seconds: float = 0.1, value: Any = None) -> Any:
    """What it is given, later."""
    await asyncio.sleep(seconds)
    return value


@tool(name="fail")
async def fail(message: str = "it failed") -> None:
    """Nothing: it fails."""
    raise RuntimeError(message)


def load_dag(document: Any, engine: Engine) -> Workflow:
    """The DAG of a request; raises PlanError, which a stream tells as ``error``."""
    return load_plan({name: document[name] for name in ("name", "tasks") if name in document}, engine.tools)


def add_executor(app: web.Application, engine: Engine) -> None:
    def plan_of(request: web.Request) -> Start:
        try:
            return Start(load_dag(json.loads(request.query.get("plan", "{}")), engine))
        except json.JSONDecodeError as error:
            raise Problem(422, f"plan= is not JSON: {error}") from error

    add_stream(app, "/dag", engine, dialect="execution", start=plan_of)
    add_stream(app, "/dag/{id}", engine, dialect="execution", await_run=30)


# --- workflow progress: agents with roles, costs and logs; a page that shows where they are -----------------------

team = Workflow("fix-a-bug")


@team.task(meta={"agentName": "planner", "agentRole": "architect", "prompt": "Plan the fix"})
async def plan(task: str, ctx: Context) -> str:
    await ctx.log.info("planning", task=task)
    await ctx.spend(cost=0.02, tokens=200)
    return f"a plan for {task}"


@team.task(meta={"agentName": "coder", "agentRole": "developer", "prompt": "Fix the bug"}, retry=Retry(attempts=2))
async def code(plan: str, task: str, ctx: Context) -> str:
    if "flaky" in task and ctx.attempt == 1:
        raise RuntimeError("the first try did not work")
    for step in range(1, 4):
        await ctx.progress(step / 3, f"file {step} of 3")
        await asyncio.sleep(0.05)
    await ctx.spend(cost=0.1, tokens=1_000)
    return f"{plan}, done"


@team.task(meta={"agentName": "reviewer", "agentRole": "reviewer", "prompt": "Review the fix"})
async def review(code: str, task: str) -> str:
    if "fail" in task:
        raise RuntimeError("the fix does not work")
    return "approved"


def add_progress(app: web.Application, engine: Engine) -> None:
    def begin(request: web.Request, body: Any) -> Start:
        given = members(body)
        inputs = {"task": text(given, "task", "a bug")}
        return Start(team, inputs, run_id=given.get("id"), budget=given.get("budget"))

    add_start(app, "/api/workflows", engine, begin, answer="created")
    add_stream(app, "/api/workflows/{id}/stream", engine, dialect="agents")
    add_state(app, "/api/workflows/{id}", engine, dialect="agents")


# --- orchestration: steps with progress, in the four patterns of its handlers -------------------------------------


def steps(name: str, agents: list[str], *, parallel: bool = False, seconds: Mapping[str, float] = {}) -> Workflow:
    """A workflow that is built when it is asked for. Two different ones may have the same name."""
    flow = Workflow(name)

    async def agent(ctx: Context) -> str:
        assert ctx.task_id is not None
        if "fail" in ctx.task_id:
            raise RuntimeError(f"{ctx.task_id} failed")
        await asyncio.sleep(seconds.get(ctx.task_id, 0.05))
        return f"{ctx.task_id} complete"

    tasks = [flow.task(agent, name=one) for one in agents]
    if len(tasks) > 1:
        (flow.parallel if parallel else flow.sequence)(*tasks)
    return flow


mixed = Workflow("mixed-demo")


@mixed.task
async def outline() -> list[str]:
    return ["beginning", "middle", "end"]


@mixed.task(map=outline)
async def write(outline: str) -> str:
    await asyncio.sleep(0.02)
    return f"the {outline}"


@mixed.task(retry=Retry(attempts=3, delay=0.02))
async def proofread(write: list[str], ctx: Context) -> str:
    if ctx.attempt == 1:
        raise RuntimeError("the first try did not work")
    return ", ".join(write)


@mixed.task(when=lambda proofread: len(proofread) > 1_000)
async def shorten(proofread: str) -> str:
    return proofread[:1_000]


@mixed.task(when=lambda proofread: bool(proofread))
async def publish(proofread: str) -> str:
    return f"published: {proofread}"


# the first is the slowest: results come as they are there, not in the order of the agents
PARALLEL = {"agent-1": 0.4, "agent-2": 0.08, "agent-3": 0.2}

CATALOG = {
    "my-workflow": steps("my-workflow", ["analyzer", "writer"]),
    "parallel-demo": steps("parallel-demo", list(PARALLEL), parallel=True, seconds=PARALLEL),
    "failing-demo": steps("failing-demo", ["analyzer", "failing", "writer"]),
    "mixed-demo": mixed,
}


def begin_steps(workflow_id: str | None, name: str) -> Start:
    """By its name, so that one that nobody knows is 404."""
    return Start(name, run_id=workflow_id, dialect="steps", answer="stream")


def add_orchestration(app: web.Application, engine: Engine) -> None:
    def simple(request: web.Request) -> Start:
        return begin_steps(request.query.get("workflow_id") or None, request.query.get("name", "my-workflow"))

    def dynamic(request: web.Request) -> Start:
        return Start(steps("dynamic-workflow", request.query.get("steps", "first,second").split(",")))

    async def direct(request: web.Request) -> web.StreamResponse:
        run = await engine.start(CATALOG["parallel-demo"])
        return await reactor_web.stream(request, run, dialect="steps")

    add_stream(app, "/stream", engine, dialect="steps", id_from="workflow_id", start=simple)
    add_stream(app, "/custom", engine, dialect="steps", id_from="workflow_id", start=dynamic)
    app.router.add_get("/workflow", direct)


# --- broker events: whoever works publishes events of a task; pages read history and then live --------------------


class Broker:
    """Agents that work outside of any workflow, and say what they do in a session."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._working: set[asyncio.Task[None]] = set()

    async def begin(self, request: web.Request, body: Any) -> Session:
        given = members(body)
        task_id, query = text(given, "task_id", uuid.uuid4().hex), text(given, "query", "")
        session = await self._engine.session(task_id, meta={"agent_id": request.match_info["agent_id"]})
        work = asyncio.create_task(self._work(session, query))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return session

    async def _work(self, session: Session, query: str) -> None:
        """Under keys, so that a task that is asked for again goes on where it is, and nothing is said twice."""
        said = [
            ("WorkflowStarted", {"query": query}, None),
            ("WorkflowStepStarted", {"step": 1}, "answer"),
            ("WorkflowLLMCallStarted", {"model": "small", "estimated_cost": 0.01}, "answer"),
            ("WorkflowLLMCallCompleted", {"model": "small", "cost": 0.008}, "answer"),
            ("WorkflowStepCompleted", {"step": 1}, "answer"),
        ]
        with suppress(RunEnded):
            for type, data, task in said:
                await session.emit(type, data, task=task, key=type)
            if "fail" in query:
                await session.close("failed", error="nobody knows")
            else:
                await session.close(outputs={"answer": 42})


def add_broker(app: web.Application, engine: Engine) -> None:
    tasks = "/api/v1/agents/{agent_id}/tasks"
    add_stream(app, tasks + "/{task_id}/events/stream", engine, dialect="domain", id_from="task_id", match=["agent_id"])
    add_start(app, tasks, engine, Broker(engine).begin, answer="created")


# --- session first: the page makes the id, opens the stream, and then starts the work -----------------------------

chat = Workflow("agent4ba")


@chat.task
async def router(query: str, ctx: Context) -> str:
    await ctx.emit("ROUTER_THOUGHT", {"message": f"an epic: {query}", "status": "SUCCESS", "agent_name": "router"})
    return "epic_agent"


@chat.task
async def epic_agent(router: str, query: str, context: list[Any] | None, ctx: Context) -> dict[str, Any]:
    if "fail" in query:
        raise RuntimeError("no epic today")
    await ctx.progress(0.5, "writing")
    return {"query": query, "context": len(context or []), "by": router}


def begin_chat(body: dict[str, Any]) -> Start:
    inputs = {"query": text(body, "query"), "context": body.get("context")}
    meta = {"project_id": text(body, "project_id")}
    return Start(chat, inputs, run_id=body.get("session_id"), meta=meta, dialect="timeline", answer="batch")


def add_timeline(app: web.Application, engine: Engine) -> None:
    add_stream(app, "/timeline/stream/{session_id}", engine, dialect="timeline", id_from="session_id", await_run=60)


# --- one application ----------------------------------------------------------------------------------------------


def create_app(store: str = "memory://") -> web.Application:
    """All five, and the routes of Reactor under ``/api/v1``."""
    engine = Engine(store, workflows=[team, chat, *CATALOG.values()])
    app = web.Application(middlewares=[reactor_web.problems])

    def execute(request: web.Request, body: Any) -> Start:
        """Three systems have a ``POST /execute``: their bodies tell them apart."""
        given = members(body)
        if "project_id" in given:
            return begin_chat(given)
        if "workflow_id" in given:
            return begin_steps(given["workflow_id"], text(given, "name", "my-workflow"))
        return Start(load_dag(body, engine), dialect="execution")

    add_start(app, "/execute", engine, execute, dialect="execution")
    for add in (add_executor, add_progress, add_orchestration, add_broker, add_timeline):
        add(app, engine)
    reactor_web.mount(app, engine)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="Five systems, each under its own URLs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--store", default="memory://", help="memory://, sqlite:///seeds.db or redis://host:6379/0")
    given = parser.parse_args()
    web.run_app(create_app(given.store), host=given.host, port=given.port, print=print, access_log=None)


if __name__ == "__main__":
    main()

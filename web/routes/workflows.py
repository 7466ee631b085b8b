"""``/workflows``: definitions, and starting runs of them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web

from reactor.engine import Engine
from reactor.run import Run
from reactor.workflow import Workflow
from web.body import guard_change, json_object, json_response
from web.keys import ENGINE
from web.problems import Problem
from web.query import names, prefer_wait, stream_options
from web.result import full, summary
from web.stream import stream

MEMBERS = {"input", "run_id", "meta"}


def routes() -> list[web.RouteDef]:
    return [
        web.get("/workflows", list_workflows),
        web.get("/workflows/{name}", get_workflow),
        web.post("/workflows/{name}/runs", start_run),
    ]


async def list_workflows(request: web.Request) -> web.Response:
    workflows = request.app[ENGINE].workflows.values()
    return json_response({"workflows": [_described(workflow) for workflow in workflows]})


async def get_workflow(request: web.Request) -> web.Response:
    return json_response(_described(request.app[ENGINE].workflow(request.match_info["name"])))


def _described(workflow: Workflow) -> dict[str, Any]:
    return workflow.validate().describe()


async def start_run(request: web.Request) -> web.StreamResponse:
    """201 and ``Location``; the stream itself for ``Accept: text/event-stream``; the result for ``Prefer: wait=N``."""
    engine = request.app[ENGINE]
    guard_change(request)
    workflow = engine.workflow(request.match_info["name"])
    wait = prefer_wait(request.headers.get("Prefer"))
    streams = names(request.headers.get("Accept"), "text/event-stream")
    # what cannot be answered must not start
    stream_options(request.query if streams else {}, request.headers.get("Last-Event-ID"))
    body = await json_object(request, MEMBERS)
    # a client that leaves now must not leave half a start behind
    run = await asyncio.shield(asyncio.ensure_future(_start(engine, workflow, body)))
    location = str(request.rel_url.with_path(_runs_path(request) + run.id))
    if streams:
        return await stream(request, run)
    if wait is None:
        return json_response(summary(run), 201, {"Location": location})
    return await _waited(run, wait, location)


async def _start(engine: Engine, workflow: Workflow, body: dict[str, Any]) -> Run:
    input, run_id = body.get("input"), body.get("run_id")
    meta: object = body.get("meta")
    if run_id is not None and not isinstance(run_id, str):
        raise Problem(422, "run_id must be a string of 1 to 64 letters, digits and . _ ~ -")
    if meta is not None and not isinstance(meta, dict):
        raise Problem(422, "meta must be an object")
    try:
        return await engine.start(workflow, {} if input is None else input, run_id=run_id, meta=cast(Any, meta))
    except ValueError as error:  # of the run's id or meta; what is wrong with the input has its own type
        raise Problem(422, str(error)) from error


async def _waited(run: Run, seconds: float, location: str) -> web.Response:
    headers = {"Location": location, "Preference-Applied": f"wait={seconds:g}"}
    try:
        await asyncio.wait_for(run.ended(), seconds)
    except TimeoutError:
        return json_response(await full(run), 202, headers)
    return json_response(await full(run), 201, headers)


def _runs_path(request: web.Request) -> str:
    return request.path.rsplit("/workflows/", 1)[0] + "/runs/"

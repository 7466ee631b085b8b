"""``/runs``: what became of a run, and starting one under an id of the client's."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from reactor.events.state import RUN_ENDED
from reactor.runs.run import Run
from reactor_web.http.body import json_response
from reactor_web.http.keys import ENGINE
from reactor_web.http.problems import Problem
from reactor_web.http.query import page
from reactor_web.http.result import full, listed
from reactor_web.routes.starting import answer_start

STATUSES = ("pending", "running", "paused", "cancelling", *sorted(RUN_ENDED))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/runs", list_runs),
        web.get("/runs/{id}", get_run, name="run"),
        web.put("/runs/{id}", put_run),
        web.get("/runs/{id}/tasks/{task}/output", get_output),
    ]


async def list_runs(request: web.Request) -> web.Response:
    """A page, newest first; ``cursor`` of the next one is null at the end."""
    query = request.query
    for name in query:
        if name not in ("status", "workflow", "limit", "cursor"):
            raise Problem(400, f"there is no parameter {name[:50]!r} here; there are status, workflow, limit, cursor")
    status = query.get("status")
    if status is not None and status not in STATUSES:
        raise Problem(400, f"status is {status[:50]!r}, but must be one of {', '.join(STATUSES)}")
    limit = page(query)
    records = await request.app[ENGINE].list(
        status=status, workflow=query.get("workflow"), before=query.get("cursor"), limit=limit
    )
    cursor = records[-1].run_id if len(records) == limit else None
    return json_response({"runs": [listed(record) for record in records], "cursor": cursor})


async def get_run(request: web.Request) -> web.Response:
    engine = request.app[ENGINE]
    run = await engine.get(request.match_info["id"])
    return json_response(await full(run, engine.not_recovered.get(run.id)))


async def put_run(request: web.Request) -> web.StreamResponse:
    """Starts under an id of the client's; the same again is the same run, another body is 409."""
    engine = request.app[ENGINE]
    run_id = request.match_info["id"]

    async def begin(body: dict[str, Any]) -> tuple[Run, bool]:
        if "workflow" not in body:
            raise Problem(422, "the body must name the workflow: {workflow, input}")
        input = body.get("input")
        return await engine.ensure(
            body["workflow"],
            {} if input is None else input,
            run_id=run_id,
            meta=body.get("meta"),
            budget=body.get("budget"),
        )

    return await answer_start(request, {"workflow", "input", "meta", "budget"}, begin)


async def get_output(request: web.Request) -> web.Response:
    run = await request.app[ENGINE].get(request.match_info["id"])
    return web.Response(body=await run.output(request.match_info["task"]), content_type="application/json")

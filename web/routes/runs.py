"""``/runs``: what became of a run, and stopping it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from reactor.run import Run
from reactor.state import RUN_ENDED
from web.body import guard_change, json_object, json_response
from web.keys import ENGINE
from web.problems import Problem
from web.query import page
from web.result import full, listed, summary
from web.starting import answer_start, location_of

STATUSES = ("pending", "running", "cancelling", *sorted(RUN_ENDED))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/runs", list_runs),
        web.get("/runs/{id}", get_run, name="run"),
        web.put("/runs/{id}", put_run),
        web.get("/runs/{id}/tasks/{task}/output", get_output),
        web.post("/runs/{id}/cancel", cancel_run),
        web.post("/runs/{id}/retry", retry_run),
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
        input, meta = body.get("input"), body.get("meta")
        return await engine.ensure(body["workflow"], {} if input is None else input, run_id=run_id, meta=meta)

    return await answer_start(request, {"workflow", "input", "meta"}, begin)


async def get_output(request: web.Request) -> web.Response:
    run = await request.app[ENGINE].get(request.match_info["id"])
    return web.Response(body=await run.output(request.match_info["task"]), content_type="application/json")


async def cancel_run(request: web.Request) -> web.Response:
    """202 once ``run.cancelling`` is in the log; again 202 while it lasts, 409 after the end."""
    guard_change(request)
    body = await json_object(request, {"grace", "reason"}) if request.can_read_body else {}
    grace, reason = body.get("grace", 10.0), body.get("reason", "requested")
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace <= 3600:
        raise Problem(422, "grace must be 0 to 3600 seconds")
    if not isinstance(reason, str):
        raise Problem(422, "reason must be a string of at most 200 characters")
    cancel = request.app[ENGINE].cancel(request.match_info["id"], float(grace), reason=reason, by=request.remote)
    try:
        run = await asyncio.shield(asyncio.ensure_future(cancel))
    except ValueError as error:
        raise Problem(422, str(error)) from error
    return json_response(summary(run), 202)


async def retry_run(request: web.Request) -> web.Response:
    """202 and the Location of a new run with the same input, which takes over what completed in this one."""
    guard_change(request)
    body = await json_object(request, {"run_id"}) if request.can_read_body else {}
    run_id = body.get("run_id")
    if not isinstance(run_id, (str, type(None))):
        raise Problem(422, "run_id must be a string")
    engine = request.app[ENGINE]
    run = await asyncio.shield(asyncio.ensure_future(engine.retry(request.match_info["id"], new_run_id=run_id)))
    return json_response(summary(run), 202, {"Location": location_of(request, run)})

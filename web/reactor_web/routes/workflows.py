"""``/workflows``: definitions, and starting runs of them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.runs.run import Run
from reactor_web.http.body import json_response
from reactor_web.http.keys import ENGINE
from reactor_web.routes.starting import answer_start

MEMBERS = {"input", "run_id", "meta", "budget"}


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
    """A run of this workflow, under an id of the body's or one of ours."""
    engine = request.app[ENGINE]
    workflow = engine.workflow(request.match_info["name"])

    async def begin(body: dict[str, Any]) -> tuple[Run, bool]:
        input, budget = body.get("input"), body.get("budget")
        run = await engine.start(
            workflow,
            {} if input is None else input,
            run_id=body.get("run_id"),
            meta=body.get("meta"),
            budget=budget,
        )
        return run, True

    return await answer_start(request, MEMBERS, begin)

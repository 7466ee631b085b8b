"""``/workflows``: definitions, and starting runs of them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor_web.guard.access import needs
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import ANYTHING, OBJECT, STRING, json_body, json_response
from reactor_web.routes.methods import chooses_form
from reactor_web.routes.starting import answer_start, check_start, starter


def routes() -> list[web.RouteDef]:
    return [
        web.get("/workflows", list_workflows),
        web.get("/workflows/{name}", get_workflow),
        web.post("/workflows/{name}/runs", start_run),
    ]


@needs(Scope.READ)
async def list_workflows(request: web.Request) -> web.Response:
    workflows = engine_of(request).workflows.values()
    return json_response({"workflows": [_describe(workflow) for workflow in workflows]})


@needs(Scope.READ)
async def get_workflow(request: web.Request) -> web.Response:
    return json_response(_describe(_workflow(request)))


@needs(Scope.RUN)
@chooses_form
async def start_run(request: web.Request) -> web.StreamResponse:
    """Starts a run of this workflow, under the ``run_id`` of the body or a new id."""
    workflow = _workflow(request)
    answer = check_start(request)
    body = await json_body(request, {"input": ANYTHING, "run_id": STRING, "meta": OBJECT, "budget": OBJECT})
    start = starter(engine_of(request), workflow, body)
    return await answer_start(request, answer, start, body.get("run_id"))


def _workflow(request: web.Request) -> Workflow:
    return engine_of(request).workflow(request.match_info["name"])


def _describe(workflow: Workflow) -> dict[str, Any]:
    return workflow.validate().describe()

"""``/workflows``: definitions, and starting runs of them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Final
from weakref import WeakKeyDictionary

import orjson
from aiohttp import web

from reactor.definition.graph import Graph
from reactor.definition.workflow import Workflow
from reactor.runs.durations import MOST_RUNS
from reactor_web.guard.access import needs
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import ANYTHING, OBJECT, STRING, json_body, json_response
from reactor_web.http.parameters import number_in
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.methods import chooses_form
from reactor_web.routes.starting import answer_start, check_start, starter

DEFAULT_RUNS: Final = 50
"""Whose durations are told without ``runs=``."""


def routes() -> list[web.RouteDef]:
    return [
        web.get("/workflows", list_workflows),
        web.get("/workflows/{name}", get_workflow),
        web.get("/workflows/{name}/durations", get_durations),
        web.post("/workflows/{name}/runs", start_run),
    ]


@needs(Scope.READ)
async def list_workflows(request: web.Request) -> web.Response:
    """All of them. Others go on between two that are described for the first time: five hundred take seconds."""
    found: list[bytes] = []
    for workflow in list(engine_of(request).workflows.values()):
        if workflow.validate() not in _described:
            await asyncio.sleep(0)
        found.append(_describe(workflow))
    return PacedResponse(body=b'{"workflows":[%b]}' % b",".join(found), content_type="application/json")


@needs(Scope.READ)
async def get_workflow(request: web.Request) -> web.Response:
    return PacedResponse(body=_describe(_workflow(request)), content_type="application/json")


@needs(Scope.READ)
async def get_durations(request: web.Request) -> web.Response:
    """How long its last completed runs have taken, and each of their tasks, in seconds."""
    workflow, runs = _workflow(request), number_in(request.query, "runs", (1, MOST_RUNS), "runs", whole=True)
    found = await engine_of(request).durations(workflow.name, runs=DEFAULT_RUNS if runs is None else int(runs))
    return json_response(
        {
            "workflow": found.workflow,
            "runs": [one._asdict() for one in found.runs],
            "run": None if found.run is None else asdict(found.run),
            "tasks": {id: asdict(taken) for id, taken in found.tasks.items()},
        }
    )


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


_described: Final[WeakKeyDictionary[Graph, bytes]] = WeakKeyDictionary()
"""Graphs never change, and their JSON Schemas take milliseconds to make."""


def _describe(workflow: Workflow) -> bytes:
    graph = workflow.validate()
    known = _described.get(graph)
    if known is None:
        known = _described[graph] = orjson.dumps(graph.describe())
    return known

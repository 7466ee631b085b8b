"""``POST /runs``: a DAG as data; and ``/tools``, which it may name."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from reactor.plans.document import PlanShape
from reactor.plans.load import load_plan, parse_plan
from reactor.runs.run import Run
from reactor_web.http.body import json_response
from reactor_web.http.keys import ENGINE
from reactor_web.routes.starting import answer_start

MEMBERS = frozenset(PlanShape.model_fields)


def routes() -> list[web.RouteDef]:
    return [web.post("/runs", start_plan), web.get("/tools", list_tools)]


async def list_tools(request: web.Request) -> web.Response:
    return json_response({"tools": [tool.describe() for tool in request.app[ENGINE].tools.values()]})


async def start_plan(request: web.Request) -> web.StreamResponse:
    """A run of the DAG in the body, under an id of the body's or one of ours."""
    engine = request.app[ENGINE]

    async def begin(body: dict[str, Any]) -> tuple[Run, bool]:
        raw = await request.read()  # again: of two members of one name, and of long integers, only the text tells
        # in a thread: a large document takes half a second, and types of tools may check as long as they like
        flow = await asyncio.to_thread(lambda: load_plan(parse_plan(raw) if raw.strip() else body, engine.tools))
        run_id, meta, budget = body.get("run_id"), body.get("meta"), body.get("budget")
        return await engine.start(flow, {}, run_id=run_id, meta=meta, budget=budget), True

    return await answer_start(request, MEMBERS, begin)

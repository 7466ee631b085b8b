"""``/tools``: the tools that a plan may use."""

from __future__ import annotations

from aiohttp import web

from reactor_web.guard.access import needs
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import json_response


def routes() -> list[web.RouteDef]:
    return [web.get("/tools", list_tools)]


@needs(Scope.READ)
async def list_tools(request: web.Request) -> web.Response:
    return json_response({"tools": [tool.describe() for tool in engine_of(request).tools.values()]})

"""``/tools``: the tools that a plan may use."""

from __future__ import annotations

from aiohttp import web

from reactor_web.http.body import json_response
from reactor_web.http.keys import ENGINE


def routes() -> list[web.RouteDef]:
    return [web.get("/tools", list_tools)]


async def list_tools(request: web.Request) -> web.Response:
    return json_response({"tools": [tool.describe() for tool in request.app[ENGINE].tools.values()]})

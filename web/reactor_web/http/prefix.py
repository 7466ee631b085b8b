"""Where the routes are mounted, and so where the page of a code is."""

from __future__ import annotations

from typing import Final

from aiohttp import web

API_PREFIX: Final = web.AppKey("reactor_api_prefix", str)
"""Of an application in which the routes are mounted: where."""

PROBLEM_ROUTE: Final = "problem"
"""The name of the route of these pages."""


def page_of(request: web.Request, code: str) -> str | None:
    """The path of the page of a code; None where the routes are not mounted."""
    routes = request.match_info.apps[-1].router  # of the mounted application, which knows its own prefix
    if PROBLEM_ROUTE in routes:
        return str(routes[PROBLEM_ROUTE].url_for(code=code))
    prefix = request.config_dict.get(API_PREFIX)
    return None if prefix is None else f"{prefix}/problems/{code}"

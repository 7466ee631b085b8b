"""``/openapi.json`` and ``/docs``: what the routes are, for programs and for people."""

from __future__ import annotations

from aiohttp import web

from reactor_web.guard.access import public
from reactor_web.http.body import json_response
from reactor_web.http.sending import PacedResponse
from reactor_web.openapi.document import document
from reactor_web.openapi.page import PAGE
from reactor_web.routes.methods import chooses_form


def routes() -> list[web.RouteDef]:
    return [web.get("/openapi.json", get_document), web.get("/docs", get_page)]


@public
async def get_document(request: web.Request) -> web.Response:
    """OpenAPI 3.1. Its server is where the routes are mounted."""
    prefix = request.path.removesuffix("/openapi.json")
    return json_response(document(prefix))


@public
@chooses_form
async def get_page(request: web.Request) -> web.Response:
    """A page that shows the document."""
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return PacedResponse(text=PAGE, content_type="text/html", headers=headers)

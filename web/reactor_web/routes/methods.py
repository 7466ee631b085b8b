"""What holds for all routes: OPTIONS says what there is, and who takes no JSON is told so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from reactor_web.guard.access import take_ticket
from reactor_web.guard.cors import answer_options
from reactor_web.http.middleware import only_looks
from reactor_web.http.negotiation import must_choose

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PROBLEM: Final = "application/problem+json"
_CHOOSING: Final[set[object]] = set()
"""Handlers that choose the form of their answer."""


def chooses_form(handler: Handler) -> Handler:
    """Says of a handler that it looks at ``Accept`` itself. All others answer with JSON."""
    _CHOOSING.add(handler)
    return handler


@only_looks
@web.middleware
async def methods(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: answers OPTIONS, and 406 where ``Accept`` refuses JSON."""
    take_ticket(request)  # before anything is answered, and logged
    refused = request.match_info.http_exception
    if request.method == "OPTIONS" and isinstance(refused, web.HTTPMethodNotAllowed):
        return answer_options(request, refused.allowed_methods)
    if refused is None and request.method != "DELETE" and request.match_info.handler not in _CHOOSING:
        accept = request.headers.get("Accept")
        if accept is not None and _PROBLEM not in accept:
            must_choose(accept, ("application/json",))
    return await handler(request)

"""Whom an application tells of what its clients ask: the listeners of all engines that are mounted in it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from reactor.listeners import Listeners

TOLD: Final = web.AppKey("reactor_told", list[Listeners])
"""The same list that its streams have."""


def tell_refused(request: web.Request, code: str) -> None:
    """A request, or a command on a WebSocket, is refused with this code."""
    for listeners in request.config_dict.get(TOLD, ()):
        listeners.request_refused(code)

"""What handlers find in their application and in their request."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from reactor.engine import Engine
from reactor_web.http.serving import Serving

ENGINE: Final = web.AppKey("reactor_engine", Engine)
HOSTS: Final = web.AppKey("reactor_hosts", frozenset[str])
"""The host names under which a server may be asked; ``*`` allows any name."""
ORIGINS: Final = web.AppKey("reactor_origins", frozenset[str])
"""The origins whose pages may ask (CORS)."""
CREDENTIALS: Final = web.AppKey("reactor_credentials", bool)
"""Whether browsers may send cookies with the requests of these origins."""
SERVING: Final = web.AppKey("reactor_serving", Serving)
"""What the mount has set for its streams."""


class Room:
    """Whether a server has room for more connections."""

    is_full = False


ROOM: Final = web.AppKey("reactor_room", Room)
"""Of an application that ``reactor serve`` serves."""

OWN_ROUTE: Final[Any] = web.RequestKey("reactor_own_route", bool) if hasattr(web, "RequestKey") else "reactor_own_route"
"""The member that a request to a route of one's own has."""

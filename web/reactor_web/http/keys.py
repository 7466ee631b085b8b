"""What handlers find in their application and in their request."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from aiohttp import web

from reactor.engine import Engine
from reactor_web.http.idempotency import Repeats
from reactor_web.http.serving import Serving

ENGINE: Final = web.AppKey("reactor_engine", Engine)
HOSTS: Final = web.AppKey("reactor_hosts", frozenset[str])
"""The host names under which a request may change something; ``*`` allows any name."""
ORIGINS: Final = web.AppKey("reactor_origins", frozenset[str])
"""The origins whose pages may ask (CORS)."""
SERVING: Final = web.AppKey("reactor_serving", Serving)
"""What the mount has set for its streams."""
API_PREFIX: Final = web.AppKey("reactor_api_prefix", str)
"""Of an application in which the routes are mounted: where."""

OWN_ENGINE: Final[Any] = web.RequestKey("reactor_engine", Engine) if hasattr(web, "RequestKey") else "reactor_engine"
"""The member of a request to a route of one's own that has the engine of this route."""

_repeats: WeakKeyDictionary[Engine, Repeats] = WeakKeyDictionary()


def engine_of(request: web.Request) -> Engine:
    """The engine that a request is for."""
    own: Engine | None = request.get(OWN_ENGINE)
    return request.app[ENGINE] if own is None else own


def repeats_of(engine: Engine) -> Repeats:
    """The ``Idempotency-Key``s of an engine, the same ones for all routes."""
    repeats = _repeats.get(engine)
    if repeats is None:
        repeats = _repeats[engine] = Repeats(engine.answers)
    return repeats

"""What handlers find in their application."""

from typing import Final

from aiohttp import web

from reactor.engine import Engine
from reactor_web.http.idempotency import Repeats

ENGINE: Final = web.AppKey("reactor_engine", Engine)
HOSTS: Final = web.AppKey("reactor_hosts", frozenset[str])
"""The host names under which a request may change something; ``*`` allows any name."""
REPEATS: Final = web.AppKey("reactor_repeats", Repeats)

"""What the handlers find in their application."""

from typing import Final

from aiohttp import web

from reactor.engine import Engine

ENGINE: Final = web.AppKey("reactor_engine", Engine)
HOSTS: Final = web.AppKey("reactor_hosts", frozenset[str])
"""Names under which this server may be asked to change something; ``*``: any."""

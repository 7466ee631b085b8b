"""A start that is refused, told in a stream: the clients of some dialects see no HTTP status, only events."""

from __future__ import annotations

from functools import partial
from typing import Final

from aiohttp import web

from reactor.clock import SystemClock
from reactor.errors import InputError, PlanError, UnknownWorkflow, WorkflowError
from reactor_web.dialects import Refuses
from reactor_web.dialects.framing import COMMENT
from reactor_web.http.problems import Problem
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.client import Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.response import respond

REFUSED: Final = (PlanError, WorkflowError, InputError, UnknownWorkflow, Problem)
"""What a request that starts a run is refused by, once it may start one."""


async def refuse(request: web.Request, options: StreamOptions, error: Exception) -> web.StreamResponse:
    """Answers a stream with the frame that says why nothing was started; raises ``error`` in other dialects."""
    dialect = options.find_dialect()
    if not isinstance(dialect, Refuses) or (isinstance(error, Problem) and error.status not in (400, 404, 422)):
        raise error
    frame = dialect.refused(str(error), SystemClock().now().decode())
    return await respond(request, Client(request, options), partial(_write, frame))


async def _write(frame: bytes, wire: Wire) -> bool:
    await wire.write(COMMENT)
    await wire.write(frame)
    return True

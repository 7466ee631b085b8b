"""schemathesis asks every operation of ``/openapi.json`` with good and bad requests: no answer is undocumented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import InvalidArgument, Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

import reactor_web
from reactor import Context, Engine, Workflow, tool
from reactor_web.openapi.operations import OPERATIONS, Operation
from tests.helpers.server import API, small_workflow

STREAM_SECONDS = 0.3
"""A session that nobody closes has a stream without an end."""
PATIENCE_SECONDS = 0.1
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@tool(name="text.upper")
def upper(text: str) -> str:
    """In capitals."""
    return text.upper()


def asking() -> Workflow:
    flow = Workflow("asking")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive("Go on?")

    return flow


@web.middleware
async def cap(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    """Ends streams that would go on."""
    async with asyncio.timeout(STREAM_SECONDS if request.path.endswith(("/events", "/ws")) else None):
        return await handler(request)


async def serve(started: Callable[[str], None], stop: asyncio.Event) -> None:
    app = web.Application(middlewares=[cap])
    engine = Engine("memory://", grace=0.0)
    reactor_web.mount(app, engine, [small_workflow(), asking()])
    server = TestServer(app)
    await server.start_server(shutdown_timeout=1.0)
    for id in ("a", "b", "0"):
        await engine.start("small", run_id=id)
    await engine.start("asking", run_id="c")
    await engine.session("d")
    started(str(server.make_url(API)))
    await stop.wait()
    await server.close()


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    """A server in a thread with runs that have ended, one that asks, and a session."""
    begun, urls = threading.Event(), list[str]()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def started(url: str) -> None:
        urls.append(url)
        begun.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(started, stop)), daemon=True)
    thread.start()
    assert begun.wait(20)
    yield schemathesis.openapi.from_url(f"{urls[0]}/openapi.json")
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_no_answer_is_undocumented(operation: Operation, mode: GenerationMode, api: Any) -> None:
    """No 5xx, no status, header, media type or body that the document does not have; 405 for other methods."""
    described = api[operation.path][operation.method.upper()]

    @given(case=described.as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    def ask(case: schemathesis.Case) -> None:
        for name in ("await_run", "wait"):
            if isinstance(case.query.get(name), int | float):
                case.query[name] = min(case.query[name], PATIENCE_SECONDS)
        case.headers.pop("Prefer", None)  # a run that asks would be waited for
        case.call_and_validate(checks=CHECKS, timeout=20)

    try:
        ask()
    except (Unsatisfiable, InvalidArgument):
        assert mode is GenerationMode.NEGATIVE  # there is nothing in it that could be wrong

"""Query parameters that are no options of a stream belong to the client, the handler or the start."""

from __future__ import annotations

from typing import Any

import reactivex as rx
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from reactor import Engine
from reactor_web import Start, add_stream, problems, stream
from tests.helpers.server import small_workflow


async def client_of(aiohttp_client: AiohttpClient) -> Any:
    """Its handlers read ``?run=``, ``?name=`` and ``?topic=`` themselves."""
    app = web.Application(middlewares=[problems])
    engine = Engine("memory://", workflows=[small_workflow()])

    async def direct(request: web.Request) -> web.StreamResponse:
        run = await engine.start("small", run_id=request.query["run"])
        return await stream(request, run)

    async def items(request: web.Request) -> web.StreamResponse:
        return await stream(request, rx.of((1, "topic", request.query["topic"])))

    add_stream(app, "/started", engine, id_from="flow", start=lambda request: Start(request.query["name"]))
    add_stream(app, "/followed", engine, id_from="flow")
    app.router.add_get("/direct", direct)
    app.router.add_get("/items", items)
    return await aiohttp_client(app)


async def test_what_is_no_option_is_read_by_whose_it_is(aiohttp_client: AiohttpClient) -> None:
    """A start reads every name, since it is what it starts from; elsewhere a slip of an option is told."""
    client = await client_of(aiohttp_client)
    for query, status, words in [
        ("/direct?run=r1&token=abc", 200, "run.completed"),
        ("/direct?run=r2&afte=1", 400, "there is no stream option 'afte', did you mean 'after'?"),
        ("/direct?run=r3&heartbeat=x", 400, "heartbeat"),
        ("/items?topic=rain", 200, "rain"),
        ("/items?topic=rain&tail=3", 400, "there is no stream option 'tail'; there are after, heartbeat, dialect"),
        ("/started?flow=f1&name=small&task=a&type=b", 200, "run.completed"),
        ("/started?flow=f1&after=x", 400, "a cursor is the seq"),
        ("/followed?flow=f1&token=abc", 200, "run.completed"),
        ("/followed?flow=f1&name=small", 400, "did you mean 'names'?"),
    ]:
        async with client.get(query) as response:
            body = await response.text()
            assert (response.status, words in body) == (status, True), (query, body)

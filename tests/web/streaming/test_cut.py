"""A stream that must not look ended breaks off: to every client its body is an error."""

from __future__ import annotations

import asyncio

import aiohttp
import httpx
import pytest
from aiohttp import web

import reactor_web
from reactor import Engine
from tests.helpers import site
from tests.helpers.flows import endless
from tests.helpers.site_of_agents import node_client


def app_of(engine: Engine) -> web.Application:
    """The routes, whose streams go on without a handler, and a handler of a host, which waits."""
    app = reactor_web.create_app(engine, [endless()])

    async def direct(request: web.Request) -> web.StreamResponse:
        run = await engine.get(request.match_info["id"])
        return await reactor_web.stream(request, run, dialect="timeline")

    app.router.add_get("/direct/{id}", direct)
    return app


@pytest.mark.parametrize("path", ["/api/v1/runs/run-1/events?dialect=timeline", "/direct/run-1"])
async def test_a_body_that_is_cut_is_whole_to_no_client(path: str) -> None:
    """With and without a handler, the last bytes begin a chunk that never comes; four clients raise an error."""
    engine = Engine("memory://", grace=0.0)
    async with engine, site.site_of(engine, app_of(engine)) as served:
        await engine.start("endless", run_id="run-1")
        url = f"http://127.0.0.1:{served.port}{path}"
        raw = await served.open(path)
        await raw.until(b"AGENT_START")
        async with node_client("timeline.mjs", url) as page:
            assert [(await page.next() or {})["id"] for _ in range(2)] == ["1", "2"]
            others = asyncio.gather(with_aiohttp(url), with_httpx(url), return_exceptions=True)
            await site.poll(lambda: len(served.streams) == 4, "not all clients have come")
            await served.streams.close("shutdown")
            assert (await raw.rest()).endswith(b"\n\n\r\n1 \r\n")
            assert await page.next() == {"lost": True}
            errors = await asyncio.wait_for(others, 10)
    assert [type(error) for error in errors] == [aiohttp.ClientPayloadError, httpx.RemoteProtocolError]


async def with_aiohttp(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


async def with_httpx(url: str) -> bytes:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).content

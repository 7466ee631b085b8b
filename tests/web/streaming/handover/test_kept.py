"""A handler that somebody waits for stays, and writes the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web as aiohttp_web

import reactor_web
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import (
    Raw,
    Site,
    events_of,
    handed_over,
    kept,
    poll,
    serving,
    site_of,
    step,
    whole,
)


async def compared(
    site: Site,
    special: Site,
    client: Raw,
    other: Raw,
    gates: Gates,
    *,
    has_returned: Callable[[], bool] = lambda: False,
) -> tuple[bytes, bytes]:
    """What two clients of one run got, of which the second one kept its handler."""
    for raw in (client, other):
        await raw.until(b'"task_id":"slow"')
    await handed_over(site)
    await kept(special)
    for number in range(1, 4):
        await step(gates, number, client, other)
    await kept(special)
    assert site.connections == 0
    assert not has_returned()
    gates.open()
    raw, kept_raw = await client.rest(), await other.rest()
    return whole(raw), whole(kept_raw) if other.is_chunked() else kept_raw


def the_same(text: bytes, other: bytes) -> bool:
    """Whether both got the same, apart from the last frame, which has another time."""
    return events_of(text) == events_of(other) and b"event: stream.end" in other


@pytest.mark.parametrize(
    ("options", "query", "version"),
    [
        ({"handler_cancellation": True}, "", "1.1"),
        ({}, "", "1.0"),
        ({}, "?on_disconnect=cancel", "1.1"),
    ],
    ids=["cancelled-with-its-client", "http-1.0", "cancels-the-run"],
)
async def test_a_handler_that_is_needed_stays_and_writes_the_same(
    options: dict[str, Any], query: str, version: str
) -> None:
    """Nothing is handed over if handlers are cancelled, if nothing is chunked, or if a disconnect cancels the run."""
    gates = Gates()
    async with (
        serving(flow := gated_workflow(gates)) as site,
        site_of(site.engine, reactor_web.create_app(site.engine), **options) as special,
    ):
        run = await site.engine.start(flow)
        client, other = await site.follow(run), await special.follow(run, query, version=version)
        assert the_same(*await compared(site, special, client, other, gates))
        assert other.is_chunked() == (version == "1.1")


async def test_a_host_applications_middleware_sees_a_stream_from_its_beginning_to_its_end() -> None:
    """A middleware of the host is left only when the stream is over."""
    gates, seen = Gates(), list[str]()

    @aiohttp_web.middleware
    async def theirs(request: aiohttp_web.Request, handler: Any) -> aiohttp_web.StreamResponse:
        seen.append("begun")
        try:
            return await handler(request)
        finally:
            seen.append("over")

    app = aiohttp_web.Application(middlewares=[theirs])
    async with serving(flow := gated_workflow(gates)) as site:
        reactor_web.mount(app, site.engine)
        async with site_of(site.engine, app) as special:
            run = await site.engine.start(flow)
            client, other = await site.follow(run), await special.follow(run)
            texts = await compared(site, special, client, other, gates, has_returned=lambda: seen != ["begun"])
            assert the_same(*texts)
            await poll(lambda: seen == ["begun", "over"], f"{seen}")


async def test_an_access_log_tells_of_a_stream_when_it_is_over() -> None:
    """An access log has one line for a stream, when the stream is over."""
    gates, lines = Gates(), list[str]()
    log = logging.Logger("access", logging.INFO)
    log.addHandler(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())
    async with serving(flow := gated_workflow(gates)) as site:
        app = reactor_web.create_app(site.engine)
        async with site_of(site.engine, app, access_log=log) as special:
            run = await site.engine.start(flow)
            client, other = await site.follow(run), await special.follow(run)
            texts = await compared(site, special, client, other, gates, has_returned=lambda: bool(lines))
            assert the_same(*texts)
            await poll(lambda: len(lines) == 1, f"{lines}")


async def test_what_follows_web_stream_in_somebodys_handler_runs_when_the_stream_is_over() -> None:
    """``await reactor_web.stream(request, run)`` returns when the stream is over, not before."""
    gates, seen = Gates(), list[str]()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)

        async def theirs(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            seen.append("begun")
            response = await reactor_web.stream(request, run)
            seen.append("over")
            return response

        app = reactor_web.create_app(site.engine)
        app.router.add_get("/mine", theirs)
        async with site_of(site.engine, app) as special:
            client, other = await site.follow(run), await special.open("/mine")
            texts = await compared(site, special, client, other, gates, has_returned=lambda: seen != ["begun"])
            assert the_same(*texts)
            await poll(lambda: seen == ["begun", "over"], f"{seen}")

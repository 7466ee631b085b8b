"""What a stream says in the log lines: when it was opened, and why it closed."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from reactivex import Subject

import reactor_web
from reactor import Engine
from tests.helpers import site as sites
from tests.helpers.log_lines import log_lines
from tests.helpers.server import Gates, Server, gated_workflow, small_workflow


def about_streams(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"].startswith("stream ")]


async def test_a_stream_is_a_line_when_it_opens_and_one_when_it_closes(server: Server) -> None:
    """At INFO, with its path; a stream that was read to its end closed because of the end."""
    run = await server.engine.start(small_workflow())
    with log_lines() as lines:
        async with server.events(run.id, "?after=2") as stream:
            await stream.all()
        await sites.poll(lambda: not server.streams, "the stream is still open")
    opened, closed = about_streams(lines)
    assert (opened["event"], opened["after"], opened["log_level"]) == ("stream opened", 2, "info")
    assert (closed["event"], closed["reason"], closed["log_level"]) == ("stream closed", "end", "info")
    assert opened["path"] == closed["path"] == f"/api/v1/runs/{run.id}/events"
    assert opened["run_id"] == closed["run_id"] == run.id
    assert closed["seconds"] >= 0


async def test_a_client_that_goes_is_gone() -> None:
    """Also one that had been handed over, and has no handler any more."""
    gates = Gates()
    flow = gated_workflow(gates)
    async with sites.serving(flow) as site:
        run = await site.engine.start(flow)
        with log_lines() as lines:
            client = await site.follow(run)
            await client.until(b"task.started")
            await sites.handed_over(site)
            client.leave("close")
            await sites.poll(lambda: not site.streams, "the stream is still open")
    assert [line.get("reason") for line in about_streams(lines)] == [None, "gone"]


async def test_the_end_of_the_server_is_a_reason(server: Server) -> None:
    """What the client is told by ``stream.closing`` is what the line says."""
    run = await server.engine.start("gated")
    with log_lines() as lines:
        async with server.events(run.id) as stream:
            await stream.until("task.started")
            await server.streams.close()
            assert (await stream.all())[-1].event == "stream.closing"
    assert [line.get("reason") for line in about_streams(lines)] == [None, "shutdown"]


async def test_a_client_that_does_not_read_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not just gone: the server has cut it off."""
    monkeypatch.setattr("reactor_web.streaming.streams.SEND_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr("reactor_web.streaming.streams.CHECK_SECONDS", 0.02)
    gates = Gates()
    flow = sites.flood_workflow(gates)
    with log_lines() as lines:
        async with sites.serving(flow) as site:
            run, _ = await sites.started(site, flow, clients=1)
            gates["go"].set()
            await sites.poll(lambda: not site.streams, "the stream is still open")
            gates["end"].set()
            gates["more"].set()
            await run.ended()
    assert [line.get("reason") for line in about_streams(lines)] == [None, "stalled"]


async def test_a_stream_whose_source_breaks_says_error(server: Server) -> None:
    """Before it stands the line with the traceback, which names the path too."""
    source: Subject[Any] = Subject()

    async def follow(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, source)

    app = web.Application()
    app.router.add_get("/broken", follow)
    async with Engine() as engine:
        reactor_web.mount(app, engine)
        async with sites.site_of(engine, app) as site:
            with log_lines() as lines:
                client = await site.open("/broken")
                await client.until(b"\r\n\r\n")
                await sites.poll(lambda: source.observers, "nobody has subscribed")
                source.on_error(ValueError("the source is broken"))
                await sites.poll(lambda: not site.streams, "the stream is still open")
    assert [line.get("reason") for line in about_streams(lines)] == [None, None, "error"]

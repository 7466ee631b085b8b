"""Listeners are told of both ends of each stream, with the reason, and take no stream its cheap connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web as aiohttp_web
from reactivex.subject import Subject

import reactor_web
from reactor import Engine, LogLost, Workflow
from reactor.listeners import Stall, StreamInfo
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog
from reactor_web.streaming import streams
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Site, flood_workflow, flooded, handed_over, poll, site_of, started


class Heard:
    """Notes the streams and the stalls."""

    def __init__(self) -> None:
        self.opened: list[StreamInfo] = []
        self.closed: list[tuple[StreamInfo, str, float]] = []
        self.stalls: list[Stall] = []

    def stream_opened(self, stream: StreamInfo) -> None:
        self.opened.append(stream)

    def stream_closed(self, stream: StreamInfo, reason: str, seconds: float) -> None:
        self.closed.append((stream, reason, seconds))

    def stalled(self, stall: Stall) -> None:
        self.stalls.append(stall)

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.closed]


@asynccontextmanager
async def serving(
    heard: Heard, *flows: Workflow, middlewares: Any = (), log: Any = "memory://"
) -> AsyncGenerator[Site]:
    async with Engine(log, grace=0.0, listeners=[heard]) as engine:
        app = aiohttp_web.Application(middlewares=middlewares)
        reactor_web.mount(app, engine, flows)
        async with site_of(engine, app) as site:
            yield site


async def test_both_ends_of_a_stream_are_told_with_its_reason() -> None:
    """One that ends, one whose client leaves, one that the server closes: each is opened once and closed once."""
    heard, gates = Heard(), Gates()
    async with serving(heard, flow := gated_workflow(gates)) as site:
        first, second = await site.engine.start(flow), await site.engine.start(flow)
        ends, leaves, stays = (
            await site.follow(first, "?heartbeat=600"),
            await site.follow(first),
            await site.follow(second),
        )
        for client in (ends, leaves, stays):
            await client.until(b"task.started")
        await handed_over(site, 3)
        assert [(info.run_id, info.peer, info.dialect) for info in heard.opened] == [
            (run.id, "127.0.0.1", "native") for run in (first, first, second)
        ]
        assert heard.opened[0].path == f"/api/v1/runs/{first.id}/events", "without the query, where secrets may be"
        leaves.leave("reset")
        await poll(lambda: heard.reasons == ["gone"], f"{heard.reasons}")
        await first.request_cancel()
        await ends.rest()
        await poll(lambda: heard.reasons == ["gone", "end"], f"{heard.reasons}")
    assert heard.reasons == ["gone", "end", "shutdown"]
    assert [info for info, *_ in heard.closed] == [heard.opened[1], heard.opened[0], heard.opened[2]]
    assert all(seconds > 0 for *_, seconds in heard.closed)


@pytest.mark.parametrize("query", ["", "?children=1"])
async def test_the_reason_is_the_one_that_the_client_is_told(query: str) -> None:
    """The end of the run, the client that leaves, a log that fails, the server that stops; of a tree as of a run."""
    heard, gates = Heard(), Gates()
    log = FaultyLog(MemoryLog(), fails={"lost"}, after=2)
    async with serving(heard, flow := gated_workflow(gates), log=log) as site:
        run, lost = await site.engine.start(flow), await site.engine.start(flow, run_id="lost")
        ends, leaves, breaks = [await site.follow(which, query) for which in (run, run, lost)]
        for client in (ends, leaves):
            await client.until(b"task.started")
        leaves.leave("reset")
        await poll(lambda: heard.reasons == ["gone"], f"{heard.reasons}")
        with pytest.raises(LogLost):
            await lost.request_cancel()
        assert b'"reason":"log"' in await breaks.rest()
        await poll(lambda: heard.reasons == ["gone", "log"], f"{heard.reasons}")
        await run.request_cancel()
        assert b"stream.end" in await ends.rest()
        await poll(lambda: heard.reasons == ["gone", "log", "end"], f"{heard.reasons}")
        stays = await site.follow(await site.engine.start(flow), query)
        await stays.until(b"task.started")
    assert heard.reasons == ["gone", "log", "end", "shutdown"]


async def test_a_stream_that_waits_for_its_run_and_one_of_an_observable_are_told() -> None:
    """The first has the id that its client waits for, the second none; what the source raises is ``error``."""
    heard, source = Heard(), Subject[Any]()
    async with serving(heard) as site:

        async def theirs(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            return await reactor_web.stream(request, source)

        app = aiohttp_web.Application()
        app.router.add_get("/numbers", theirs)
        reactor_web.mount(app, site.engine)
        async with site_of(site.engine, app) as other:
            early = await site.open("/api/v1/runs/later/events?await_run=0.05")
            assert b"not_found" in await early.rest()
            client = await other.open("/numbers")
            await poll(lambda: source.observers, "nobody has subscribed")
            source.on_error(RuntimeError("broken"))
            await client.rest()
            await poll(lambda: len(heard.closed) == 2, f"{heard.closed}")
    assert [info.run_id for info in heard.opened] == ["later", ""]
    assert heard.reasons == ["not_found", "error"]


async def test_a_client_that_does_not_read_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with its run; its stream is closed as ``stalled``, the stream beside it as what it was."""
    monkeypatch.setattr(streams, "SEND_TIMEOUT_SECONDS", 2.0)  # who reads is not to be late on a slow machine
    heard, gates = Heard(), Gates()
    async with serving(heard, flow := flood_workflow(gates)) as site:
        run, (_, other) = await started(site, flow, clients=2)
        reading = asyncio.create_task(other.rest())
        await flooded(site, run, gates)
        await poll(lambda: heard.closed, "the client is not cut off")
        gates.open()
        assert b"event: stream.end" in await reading
        await poll(lambda: len(heard.closed) == 2, f"{heard.reasons}")
    assert heard.reasons == ["stalled", "end"]
    (stall,) = heard.stalls
    assert (stall.kind, stall.run_id) == ("client", run.id)
    assert stall.seconds > 0.2


async def test_a_middleware_that_only_looks_costs_no_stream_its_cheap_connection() -> None:
    """It sees every request and may refuse one; the stream below it is handed over all the same."""
    heard, gates, seen = Heard(), Gates(), list[str]()

    @reactor_web.only_looks
    @aiohttp_web.middleware
    async def looks(request: aiohttp_web.Request, handler: Any) -> aiohttp_web.StreamResponse:
        if request.query.get("refuse"):
            raise aiohttp_web.HTTPForbidden
        seen.append("begun")
        response = await handler(request)
        seen.append(f"left {response.status}")
        return response

    async with serving(heard, flow := gated_workflow(gates), middlewares=[looks, reactor_web.problems]) as site:
        run = await site.engine.start(flow)
        client = await site.follow(run)
        await handed_over(site)
        await poll(lambda: seen == ["begun", "left 200"], f"{seen}")
        await (await site.follow(run, "?refuse=1")).until(b"HTTP/1.1 403")
        gates.open()
        assert b"event: stream.end" in await client.rest()
        await poll(lambda: heard.reasons == ["end"], f"{heard.reasons}")


def test_what_cannot_be_marked_is_refused() -> None:
    """With a sentence."""
    with pytest.raises(TypeError, match=r"only_looks\(\) takes a function, not"):
        reactor_web.only_looks(Heard().stalled)

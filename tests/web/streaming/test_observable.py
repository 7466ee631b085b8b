"""Any Observable as a stream, for one client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import reactivex as rx
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject

from reactor import Engine, Workflow
from reactor.bounds import KIB
from reactor_web import create_app, stream
from reactor_web.bounds import OBSERVABLE_ITEMS
from reactor_web.sse.parser import Frame
from tests.helpers.log_lines import log_lines
from tests.helpers.site import Site, frames_of, poll, site_of, whole

TOO_SLOW = "a client is too slow for an Observable, which has no log to read again"


@asynccontextmanager
async def offering(source: Observable[Any], *flows: Workflow, **options: Any) -> AsyncIterator[Site]:
    """A server that has the Observable under ``/items``."""
    async with Engine("memory://", grace=0.0) as engine:
        app = create_app(engine, flows)

        async def items(request: web.Request) -> web.StreamResponse:
            return await stream(request, source, **options)

        app.router.add_get("/items", items)
        async with site_of(engine, app) as site:
            yield site


def subscribable(source: Subject[Any]) -> int:
    return len(source.observers)


async def test_items_are_frames_and_completion_is_the_end() -> None:
    """Named triples, encoded bytes and plain JSON, then ``stream.end``, and the connection closes."""
    source = rx.of((7, "named", {"a": 1}), (None, "tick", 1), b"data: own\n\n", [1, 2, 3], "text")
    async with offering(source) as site:
        frames = frames_of(whole(await (await site.open("/items?heartbeat=5")).rest()))
    assert frames[:-1] == [
        Frame("7", "named", '{"a":1}'),
        Frame("", "tick", "1"),
        Frame("", "message", "own"),
        Frame("", "message", "[1,2,3]"),
        Frame("", "message", '"text"'),
    ]
    assert frames[-1].event == "stream.end"
    assert '"status":"completed"' in frames[-1].data


async def test_the_events_of_two_runs_in_one_stream() -> None:
    """Stock operators over ``run.events`` of several runs; a view may stand before it as well."""
    flow = Workflow("small")
    flow.task(lambda: 1, name="one")
    async with Engine("memory://") as engine:
        runs = [await engine.start(flow) for _ in range(2)]
        both = rx.concat(*(run.events for run in runs))
        async with offering(both, view=lambda events: events.pipe(ops.filter(lambda e: e.task_id is not None))) as site:
            frames = frames_of(whole(await (await site.open("/items")).rest()))
    assert [frame.event for frame in frames] == [*["task.started", "task.completed"] * 2, "stream.end"]
    assert runs[1].id in frames[-1].data


async def test_an_error_is_logged_and_the_connection_is_aborted() -> None:
    """What came before it has arrived; the body has no end, so no client takes it for one."""
    source = rx.concat(rx.of((1, "item", 1)), rx.throw(KeyError("lost")))
    with log_lines() as logs:
        async with offering(source) as site:
            client = await site.open("/items")
            with suppress(ConnectionError):
                await client.rest()
    assert b"stream.end" not in client.data
    assert b"0\r\n\r\n" not in client.body
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["stream broke off"]
    assert "KeyError" in str(logs)


async def test_an_item_that_is_not_json_breaks_the_stream_off() -> None:
    """As an error of the Observable would."""
    with log_lines() as logs:
        async with offering(rx.of(object())) as site:
            await (await site.open("/items")).until(b"\r\n\r\n")
            await poll(lambda: not site.streams, "the stream is open")
    assert any(log["event"] == "stream broke off" for log in logs)


async def test_a_client_that_goes_disposes_the_subscription() -> None:
    """One subscription a client, and none after it has gone."""
    source: Subject[Any] = Subject()
    async with offering(source) as site:
        one, two = await site.open("/items"), await site.open("/items")
        await poll(lambda: subscribable(source) == 2, "not subscribed")
        source.on_next((1, "item", 1))
        for client in (one, two):
            await client.until(b"event: item")
        one.leave("close")
        await poll(lambda: subscribable(source) == 1, "not disposed")
        source.on_next((2, "item", 2))
        await two.until(b"id: 2\n")


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Nothing is kept for it beyond the bound; a log line says why, and the source is let go."""
    source: Subject[Any] = Subject()
    with log_lines() as logs:
        async with offering(source) as site:
            await site.open("/items", reads=False)
            await poll(lambda: subscribable(source) == 1, "not subscribed")
            async with asyncio.timeout(10):
                while source.observers:
                    source.on_next("x" * 30 * KIB)
                    await asyncio.sleep(0)
            await poll(lambda: not site.streams, "the stream is open")
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [TOO_SLOW]


async def test_so_many_items_at_once_are_too_many() -> None:
    """Items are bounded as their bytes are: a source that gives all at once must be small."""
    with log_lines() as logs:
        async with offering(rx.from_iterable(range(OBSERVABLE_ITEMS + 1))) as site:
            await site.open("/items")
            await poll(lambda: any(log["event"] == TOO_SLOW for log in logs), "it is not cut off")
        async with offering(rx.from_iterable(range(OBSERVABLE_ITEMS))) as site:
            assert len(frames_of(whole(await (await site.open("/items")).rest()))) == OBSERVABLE_ITEMS + 1


async def test_items_may_come_from_a_thread() -> None:
    """A source with threads of its own needs no operator: the order is kept, and the loop writes."""

    def subscribe(observer: Any, scheduler: Any = None) -> Disposable:
        def work() -> None:
            for number in range(100):
                observer.on_next((number, "item", number))
            observer.on_completed()

        threading.Thread(target=work, daemon=True).start()
        return Disposable()

    async with offering(rx.create(subscribe)) as site:
        frames = frames_of(whole(await (await site.open("/items")).rest()))
    assert [frame.data for frame in frames[:-1]] == [str(number) for number in range(100)]


@pytest.mark.usefixtures("quick_beats")
async def test_silence_has_heartbeats_and_a_shutdown_says_so() -> None:
    """``heartbeat=`` is one of the options such a stream has; ``stream.closing`` tells why it ends."""
    async with offering(rx.never()) as site:
        client = await site.open("/items?heartbeat=0.05")
        await client.until(b":\n", 2)
        await site.streams.close("shutdown")
        assert frames_of(whole(await client.rest()))[-1].event == "stream.closing"


async def test_options_that_only_a_run_has_are_400() -> None:
    """``types=`` is one; a cursor is the handler's own business."""
    async with offering(rx.of(1)) as site:
        refused = await site.open("/items?types=a")
        await refused.until(b"there is no stream option 'types'; there are after, heartbeat, dialect")
        taken = await site.open("/items?after=3")
        await taken.until(b"stream.end")


async def test_an_option_that_means_nothing_for_an_observable_is_refused(aiohttp_client: Any) -> None:
    """``types=`` would have no effect: operators do that."""

    async def items(request: web.Request) -> web.StreamResponse:
        with pytest.raises(TypeError, match="of an Observable has no option 'types'; its options are after"):
            await stream(request, rx.of(1), types=("task.*",))
        return web.Response()

    app = web.Application()
    app.router.add_get("/items", items)
    assert (await (await aiohttp_client(app)).get("/items")).status == 200

"""``follow`` of the JavaScript client in Node, against the real server: each event once and in order."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reactor import Context, Engine, Workflow
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from tests.helpers.canonical import canonical
from tests.helpers.cutting import cutting
from tests.helpers.life import Life
from tests.helpers.server import API, Serve, Server
from tests.helpers.stream_clients import Script, script
from tests.helpers.tokens import FIRST, REST

FAST = {"speed": 200, "heartbeat": 100}
"""A connection counts as dead after 1.5 s: a busy machine is not that slow."""


def client(url: str, run_id: str = "r1", **options: Any) -> Any:
    return script("follow.mjs", f"{url}/runs/{run_id}", json.dumps(FAST | options))


def events_of(shown: list[Any]) -> list[dict[str, Any]]:
    return [line["event"] for line in shown if "event" in line]


def statuses_of(shown: list[Any]) -> list[str]:
    return [line["status"] for line in shown if "status" in line]


async def check(server: Server, shown: list[Any], run_id: str = "r1") -> None:
    """What was shown is the log, and the state is that of the server."""
    log = await read_all(server.engine.log, run_id)
    assert events_of(shown) == [json.loads(event.json) for event in log]
    assert shown[-1]["state"] == json.loads(json.dumps(canonical(replay(run_id, log))))
    assert shown[-1]["end"] == "ended"


def frame(seq: int, type: str, **data: Any) -> bytes:
    event = {"seq": seq, "type": type, "time": "2026-01-01T00:00:00Z", "data": data}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def standing(events: Handler) -> AsyncIterator[str]:
    """A server whose run r1 has this stream."""
    app = web.Application()
    app.router.add_get("/runs/r1/events", events)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(shutdown_timeout=0.1)
    try:
        yield str(listening.make_url("")).rstrip("/")
    finally:
        await listening.close()


def talking(words: int) -> Workflow:
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> str:
        for index in range(words):
            await ctx.chunk(f"w{index} ")
            await ctx.emit("said", {"index": index})  # chunks without an event between them are one event
        return "done"

    return flow


async def test_a_run_is_followed_to_its_end(server: Server) -> None:
    """History, live, and the end; statuses are told once each."""
    await server.start("small", run_id="r1")
    async with client(server.url) as page:
        shown = await page.rest()
    await check(server, shown)
    assert statuses_of(shown) == ["live", "ended"]


async def test_a_stream_that_is_cut_a_hundred_times_loses_and_doubles_nothing(serve: Serve) -> None:
    """Cut after one to three frames, each time; the text of the task is whole."""
    server = await serve(Engine("memory://"), talking(200))
    chance = random.Random(14)
    async with cutting(server.url.removesuffix(API)) as proxy:
        proxy.cuts = iter([*(chance.randint(1, 3) for _ in range(100)), *[None] * 50])
        await server.start("talking", run_id="r1")
        async with client(proxy.base + API) as page:
            shown = await page.rest()
        assert proxy.opened > 60
    await check(server, shown)
    assert shown[-1]["chunks"] == {"talk": "".join(f"w{index} " for index in range(200))}


async def test_five_failures_then_pages_then_a_stream_again(server: Server) -> None:
    """Where streams are refused the run is followed by pages; as soon as they work, by a stream."""
    async with cutting(server.url.removesuffix(API)) as proxy:
        proxy.refuses = True
        await server.start("gated", run_id="r1")
        async with client(proxy.base + API, pollWait=1) as page:
            await until(page, status="polling")
            assert proxy.opened == 5
            server.gates["fast"].set()
            await until_event(page, "task.completed")
            proxy.refuses = False
            await until(page, status="live")
            server.gates.open()
            shown = await page.rest()
    await check(server, shown)
    assert statuses_of(shown) == ["reconnecting", "polling", "live", "ended"]


async def until(page: Script, **wanted: Any) -> None:
    while (line := await page.next()) is not None:
        if wanted.items() <= line.items():
            return
    raise AssertionError(f"no {wanted}")


async def until_event(page: Script, type: str) -> None:
    while (line := await page.next()) is not None:
        if line.get("event", {}).get("type") == type:
            return
    raise AssertionError(f"no {type}")


@pytest.mark.slow
async def test_a_server_that_is_killed_in_the_middle_of_tokens_costs_none(tmp_path: Path) -> None:
    """kill -9, twice; the text is that of the attempt that ended, and every event was shown once."""
    life = Life(tmp_path / "runs.db")
    gate = tmp_path / "gate"
    try:
        await asyncio.to_thread(life.start_run, gate=str(gate))
        async with client(life.url, "a1", speed=20) as page:
            for _ in range(2):
                for _ in FIRST:
                    await until_event(page, "task.chunk")
                await asyncio.to_thread(life.end, "SIGKILL")
                await until(page, status="reconnecting")
                await asyncio.to_thread(life.begin_again)
            gate.touch()
            shown = await page.rest()
    finally:
        await asyncio.to_thread(life.end, "SIGKILL")
    seqs = [event["seq"] for event in events_of(shown)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert events_of(shown)[-1]["type"] == "run.completed"
    assert shown[-1]["chunks"] == {"answer": "".join(FIRST + REST)}


async def test_a_snapshot_begins_in_the_middle_and_a_filter_is_of_the_page(server: Server) -> None:
    """``snapshot`` gives the state without the events before it; ``types`` filters what is told, not what is folded."""
    await server.start("gated", run_id="r1")
    server.gates["fast"].set()
    async with server.events("r1") as stream:
        await stream.until("task.completed", task_id="after_fast")
    async with client(server.url, snapshot=True, types=["task.co*"]) as page:
        await until(page, status="live")
        server.gates.open()
        shown = await page.rest()
    log = await read_all(server.engine.log, "r1")
    assert shown[-1]["state"] == json.loads(json.dumps(canonical(replay("r1", log))))
    assert {event["type"] for event in events_of(shown)} == {"task.completed"}
    assert len(events_of(shown)) == 2


async def test_a_run_that_does_not_exist_is_an_error_or_waited_for(server: Server) -> None:
    """404 is final, with the server's sentence; ``awaitRun`` waits."""
    async with client(server.url, "nobody") as page:
        shown = await page.rest()
    assert [line.get("code") for line in shown if "error" in line] == [404]
    assert "nobody" in next(line["error"] for line in shown if "error" in line)
    assert shown[-1]["end"] == "failed"
    async with client(server.url, "r9", awaitRun=60) as page:
        await until(page, status="live")
        await server.start("small", run_id="r9")
        shown = await page.rest()
    await check(server, shown, "r9")


async def test_a_trimmed_log_is_told(serve: Serve) -> None:
    """``stream.gap`` reaches the page, the state is the snapshot that follows it, and the rest is folded on."""
    engine = Engine(MemoryLog(max_events=50))
    server = await serve(engine, talking(200))
    await server.start("talking", run_id="r1")
    await (await engine.get("r1")).ended()
    async with client(server.url) as page:
        shown = await page.rest()
    gaps = [line["gap"] for line in shown if "gap" in line]
    assert [gap["reason"] for gap in gaps] == ["trimmed"]
    log = await read_all(engine.log, "r1")
    assert [event["seq"] for event in events_of(shown)] == [event.seq for event in log if event.seq]
    assert shown[-1]["state"]["status"] == "completed"


async def test_a_handler_that_throws_stops_nothing(server: Server) -> None:
    """What it throws is reported, and the stream goes on."""
    await server.start("small", run_id="r1")
    async with client(server.url, throws=True) as page:
        shown = await page.rest()
    await check(server, shown)


async def test_a_slow_loop_holds_the_reading_back() -> None:
    """While a loop over the stream stands still, the server cannot write for ever; then the loop gets every event."""
    stalled = asyncio.Event()
    written = 0

    async def events(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while not stalled.is_set():
            written += 1
            try:
                await asyncio.wait_for(response.write(frame(written, "x", pad="-" * 4_000)), 1)
            except TimeoutError:
                stalled.set()
        await response.write(frame(written + 1, "run.completed"))
        return response

    async with standing(events) as base, client(base, slow=10) as page:
        await stalled.wait()
        await page.say("go on")
        shown = await page.rest()
    assert [event["seq"] for event in events_of(shown)] == list(range(1, written + 2))


async def test_a_token_is_asked_for_anew_after_a_401() -> None:
    """The stream begins again with the fresh token; a second refusal is final."""
    seen: list[str] = []

    async def events(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        if seen[-1] != "Bearer new":
            return web.Response(status=401)
        return web.Response(body=frame(1, "run.completed"), content_type="text/event-stream")

    async with standing(events) as base:
        async with client(base, token=["old", "new"]) as page:
            shown = await page.rest()
        assert (seen, shown[-1]["end"]) == (["Bearer old", "Bearer new"], "ended")
        async with client(base, token=["old", "older"]) as page:
            shown = await page.rest()
        assert shown[-1]["end"] == "failed"


async def test_a_cut_between_a_gap_and_its_state_is_a_gap_again() -> None:
    """The cursor stays before the gap until its state has come, so the state is never missing."""
    asked: list[str] = []
    gap = {"type": "stream.gap", "run_id": "r1", "time": "", "data": {"from": 1, "to": 5, "reason": "trimmed"}}
    state = {"type": "run.state", "run_id": "r1", "time": "", "data": RunState("r1", seq=5, status="running").to_dict()}

    async def events(request: web.Request) -> web.StreamResponse:
        asked.append(request.query.get("after", ""))
        told = [notice(gap)] if len(asked) == 1 else [notice(gap), notice(state), frame(6, "an.event")]
        end = [frame(7, "run.completed", duration_ms=1)] if len(asked) == 3 else []
        body = b"".join(end or told)
        return web.Response(body=body, content_type="text/event-stream")

    async with standing(events) as base, client(base) as page:
        shown = await page.rest()
    assert asked == ["", "", "6"]
    assert [event["seq"] for event in events_of(shown)] == [6, 7]
    assert (shown[-1]["state"]["seq"], shown[-1]["state"]["status"]) == (7, "completed")


def notice(message: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


async def test_a_ticket_opens_each_stream_and_page() -> None:
    """It is asked for anew each time, for streams that are refused and for the pages that take their place."""
    seen: list[tuple[str, str]] = []

    async def events(request: web.Request) -> web.StreamResponse:
        is_page = request.headers["Accept"] == "application/json"
        seen.append(("page" if is_page else "stream", request.query["ticket"]))
        if not is_page:
            return web.Response(status=503)
        event = json.loads(frame(1, "run.completed", duration_ms=1).removeprefix(b"data: "))
        return web.json_response({"events": [event], "cursor": 1, "ended": True, "status": "completed"})

    async with standing(events) as base, client(base, tickets=True) as page:
        shown = await page.rest()
    assert seen == [*(("stream", f"t{n}") for n in range(1, 6)), ("page", "t6")]
    assert shown[-1]["end"] == "ended"


async def test_a_token_that_never_comes_is_a_lost_attempt() -> None:
    """It is given up after three heartbeats, and asked for again."""
    seen: list[str] = []

    async def events(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        return web.Response(body=frame(1, "run.completed", duration_ms=1), content_type="text/event-stream")

    async with standing(events) as base, client(base, hangs=True) as page:
        shown = await page.rest()
    assert (seen, shown[-1]["end"]) == (["Bearer late"], "ended")


async def test_silence_is_a_lost_connection() -> None:
    """A stream that says nothing for three heartbeats is opened anew, after the last event."""
    asked: list[str] = []
    held = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        asked.append(request.query.get("after", ""))
        if len(asked) == 3:
            return web.Response(status=204)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frame(len(asked), "x"))
        await held.wait()
        return response

    async with standing(events) as base, client(base, heartbeat=60) as page:
        shown = await page.rest()
        held.set()
    assert asked == ["", "1", "2"]
    assert [event["seq"] for event in events_of(shown)] == [1, 2]


async def test_streams_that_are_swallowed_hold_no_page_up() -> None:
    """Beside a stream of which no byte comes pages go on; its first bytes end them, and nothing comes twice."""
    asked: list[tuple[str, str]] = []
    swallowed = asyncio.Event()
    came = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        after = int(request.query.get("after", "0"))
        is_page = request.headers["Accept"] == "application/json"
        asked.append(("page" if is_page else "stream", str(after)))
        if is_page:
            return await page_behind(after)
        if [kind for kind, _ in asked].count("stream") <= 5:
            return web.Response(status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)  # as a proxy that has the answer, and keeps all bytes of its body
        swallowed.set()
        await came.wait()
        await response.write(b":\n")
        for seq in range(after + 1, 7):
            await response.write(
                frame(seq, "x" if seq < 6 else "run.completed", **({} if seq < 6 else {"duration_ms": 1}))
            )
        return response

    async def page_behind(after: int) -> web.StreamResponse:
        if after == 1:
            await swallowed.wait()  # from here on a stream is open
        if after == 4:
            came.set()
            await asyncio.Event().wait()  # until the client gives it up
        event = json.loads(frame(after + 1, "x").removeprefix(b"data: "))
        return web.json_response({"events": [event], "cursor": after + 1, "ended": False, "status": "running"})

    async with standing(events) as base, client(base) as page:
        shown = await page.rest()
    assert [event["seq"] for event in events_of(shown)] == [1, 2, 3, 4, 5, 6]
    assert statuses_of(shown) == ["reconnecting", "polling", "live", "ended"]
    pages = [after for kind, after in asked if kind == "page"]
    streams = [after for kind, after in asked if kind == "stream"]
    assert pages == ["0", "1", "2", "3", "4"]
    assert streams == [*["0"] * 5, "1", "4"]  # what came first stood before pages that had gone on: asked for anew


async def test_a_stream_that_keeps_its_place_takes_over_from_the_page() -> None:
    """If no page has brought anything meanwhile, the stream that was tried is the one that goes on."""
    asked: list[str] = []
    held = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        is_page = request.headers["Accept"] == "application/json"
        asked.append("page" if is_page else "stream")
        if is_page:
            await held.wait()
        if asked.count("stream") <= 5:
            return web.Response(status=503)
        body = frame(1, "run.completed", duration_ms=1)
        return web.Response(body=body, content_type="text/event-stream")

    async with standing(events) as base, client(base) as page:
        shown = await page.rest()
        held.set()
    assert asked == [*["stream"] * 5, "page", "stream"]
    assert statuses_of(shown) == ["reconnecting", "polling", "live", "ended"]


async def test_what_refuses_for_good_is_a_sentence() -> None:
    """An answer that is no stream, and a URL of nobody's."""

    async def events(request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    async with standing(events) as base, client(base) as page:
        shown = await page.rest()
    assert "text/html" in next(line["error"] for line in shown if "error" in line)


async def test_laws_of_a_stream() -> None:
    """Each law of ``follow_laws.mjs``: how a stream is left, refused and tried again, and that loops are bounded."""
    async with script("follow_laws.mjs") as laws:
        shown = await laws.rest()
    assert [law for law, holds in shown if holds is not True] == []
    assert len(shown) == 11

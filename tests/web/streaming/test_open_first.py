"""Streams that are opened before their run starts, and streams that begin near the end of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from reactor import Context, Workflow
from tests.helpers.server import Server, event_ids


async def test_a_stream_opened_before_its_run_sees_every_event(server: Server) -> None:
    """With await_run the answer is 200 and a comment at once; all events from 1 follow when the run starts."""
    async with server.events("later", "?await_run=30") as stream:
        assert stream.status == 200
        first = await stream.response.content.readany()
        assert first == b":\n"
        status, body = await server.put("/runs/later", {"workflow": "small", "input": {"n": 2}})
        assert (status, body["run_id"]) == (201, "later")
        frames = await stream.all()
    assert event_ids(frames) == list(range(1, len(frames)))
    assert frames[-1].event == "stream.end"


async def test_a_cursor_from_before_the_run_is_ahead(server: Server) -> None:
    """A cursor is not one of a run that starts later: stream.gap {reason: ahead}, then all events from 1."""
    async with server.events("later", "?await_run=30", **{"Last-Event-ID": "1"}) as stream:
        await stream.response.content.readany()
        await server.put("/runs/later", {"workflow": "small"})
        frames = await stream.all()
    assert json.loads(frames[0].data)["data"]["reason"] == "ahead"
    assert event_ids(frames)[0] == 1


async def test_a_run_that_does_not_come_closes_the_stream_as_not_found(server: Server) -> None:
    """The stream closes after await_run seconds; without await_run the answer is 404 at once."""
    async with server.events("never", "?await_run=0.05") as stream:
        frames = await stream.all()
    assert [frame.event for frame in frames] == ["stream.closing"]
    assert json.loads(frames[0].data)["data"]["reason"] == "not_found"
    assert (await server.get("/runs/never/events"))[0] == 404
    assert (await server.get("/runs/a%20b/events?await_run=1"))[0] in (404, 422)


async def test_a_shutdown_closes_a_stream_that_waits_for_its_run(server: Server) -> None:
    """A shutdown sends stream.closing to a stream whose run has not started."""
    async with server.events("never", "?await_run=300") as stream:
        await stream.response.content.readany()
        stopping = asyncio.ensure_future(server.stop())
        frames = await stream.all()
        await stopping
    assert json.loads(frames[-1].data)["data"]["reason"] == "shutdown"


async def test_tail_begins_near_the_end_and_logs_stand_before_a_snapshot(server: Server) -> None:
    """tail=N gives the last N events, logs=N with snapshot=1 the last N log lines; a cursor turns off both."""
    flow = Workflow("talky")

    @flow.task
    async def talky(ctx: Context) -> None:
        for number in range(30):
            await ctx.log.info(f"line {number}")
            await ctx.emit("step.made", {"number": number})

    server.engine.register(flow)
    run_id = (await server.start("talky"))["run_id"]
    await (await server.engine.get(run_id)).ended()
    async with server.events(run_id) as stream:
        everything = (await stream.all())[:-1]
    async with server.events(run_id, "?tail=7") as stream:
        assert (await stream.all())[:-1] == everything[-7:]
    async with server.events(run_id, "?snapshot=1&logs=4") as stream:
        frames = await stream.all()
    assert [frame.event for frame in frames] == [*["log.created"] * 4, "run.state", "stream.end"]
    assert [json.loads(frame.data)["data"]["message"] for frame in frames[:4]] == [f"line {n}" for n in range(26, 30)]
    ids = [int(frame.id) for frame in frames]
    assert ids == sorted(ids)
    async with server.events(run_id, "?tail=1&logs=4&snapshot=1&after=60") as stream:
        assert (await stream.all())[:-1] == everything[60:]


@pytest.mark.parametrize(("lines", "size"), [(3, 10), (60, 40_000)])
async def test_logs_are_the_last_ones_however_large_the_events_are(server: Server, lines: int, size: int) -> None:
    """One read of the log ends at so many bytes: ``logs=n`` reads on, before a snapshot as before a tail."""
    flow = Workflow("talky")

    @flow.task
    async def talky(ctx: Context) -> None:
        for number in range(lines):
            await ctx.log.info(f"line {number}", text="x" * size)
            await ctx.emit("step.made", {"text": "y" * size})

    server.engine.register(flow)
    run_id = (await server.start("talky"))["run_id"]
    await (await server.engine.get(run_id)).ended()
    names = [f"line {number}" for number in range(lines)]
    for wanted in (1, 7, 50, 5_000):
        # the last five events: a step.made, the last line, its step.made, the ends of task and run
        for query, expected in (("snapshot=1", names[-wanted:]), ("tail=5", names[:-1][-wanted:] + names[-1:])):
            async with server.events(run_id, f"?{query}&logs={wanted}") as stream:
                frames = [frame for frame in await stream.all() if frame.event == "log.created"]
            assert [json.loads(frame.data)["data"]["message"] for frame in frames] == expected, (query, wanted)
            assert [int(frame.id) for frame in frames] == sorted({int(frame.id) for frame in frames})

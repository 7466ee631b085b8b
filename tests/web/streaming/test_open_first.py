"""Open first, start later; the same PUT is the same run; beginning near the end."""

from __future__ import annotations

import asyncio
import json

from reactor import Context, Workflow
from tests.helpers.server import Server
from tests.web.streaming.test_stream import seqs


async def put(server: Server, run_id: str, **body: object) -> tuple[int, dict]:
    async with server.session.put(f"{server.url}/runs/{run_id}", json=body) as response:
        return response.status, await response.json(content_type=None)


async def test_a_stream_opened_before_its_run_sees_every_event(server: Server) -> None:
    """await_run: 200 and a comment at once, the events from the first when the run starts."""
    async with server.events("later", "?await_run=30") as stream:
        assert stream.status == 200
        first = await stream.response.content.readany()
        assert first == b":\n"
        status, body = await put(server, "later", workflow="small", input={"n": 2})
        assert (status, body["run_id"]) == (201, "later")
        frames = await stream.all()
    assert seqs(frames) == list(range(1, len(frames)))
    assert frames[-1].event == "stream.end"


async def test_a_cursor_from_before_the_run_is_ahead(server: Server) -> None:
    """It is no cursor of this run: stream.gap {reason: ahead}, then everything from 1."""
    async with server.events("later", "?await_run=30", **{"Last-Event-ID": "1"}) as stream:
        await stream.response.content.readany()
        await put(server, "later", workflow="small")
        frames = await stream.all()
    assert json.loads(frames[0].data)["data"]["reason"] == "ahead"
    assert seqs(frames)[0] == 1


async def test_a_run_that_does_not_come_closes_the_stream_as_not_found(server: Server) -> None:
    """After await_run seconds; without await_run it is 404 at once."""
    async with server.events("never", "?await_run=0.05") as stream:
        frames = await stream.all()
    assert [frame.event for frame in frames] == ["stream.closing"]
    assert json.loads(frames[0].data)["data"]["reason"] == "not_found"
    assert (await server.get("/runs/never/events"))[0] == 404
    assert (await server.get("/runs/a%20b/events?await_run=1"))[0] in (404, 422)


async def test_a_shutdown_closes_a_stream_that_waits_for_its_run(server: Server) -> None:
    """It is told like every other."""
    async with server.events("never", "?await_run=300") as stream:
        await stream.response.content.readany()
        stopping = asyncio.ensure_future(server.stop())
        frames = await stream.all()
        await stopping
    assert json.loads(frames[-1].data)["data"]["reason"] == "shutdown"


async def test_the_same_put_is_the_same_run_and_another_body_is_409(server: Server) -> None:
    """201 first, 200 for each repeat, also at the same time and after the end; 409 for another input or workflow."""
    answers = await asyncio.gather(*(put(server, "mine", workflow="small", input={"n": 3}) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
    await (await server.engine.get("mine")).ended()
    assert (await put(server, "mine", workflow="small", input={"n": 3}))[0] == 200
    assert (await put(server, "mine", workflow="small", input={"n": 4}))[0] == 409
    assert (await put(server, "mine", workflow="small"))[0] == 409
    assert (await put(server, "mine", workflow="gated"))[0] == 409
    assert (await put(server, "mine", workflow="small", input={"n": 3}, meta={"a": 1}))[0] == 409
    assert len((await server.get("/runs"))[1]["runs"]) == 1


async def test_a_put_without_a_workflow_or_with_a_bad_id_starts_nothing(server: Server) -> None:
    """One sentence each."""
    status, body = await put(server, "mine", input={})
    assert (status, body["detail"]) == (422, "the body must name the workflow: {workflow, input}")
    status, body = await put(server, "a%20b", workflow="small")
    assert status == 422
    assert "'a b' is not a valid run id" in body["detail"]
    assert (await put(server, "mine", workflow="none"))[0] == 404
    assert (await server.get("/runs"))[1]["runs"] == []


async def test_tail_begins_near_the_end_and_logs_stand_before_a_snapshot(server: Server) -> None:
    """tail=N: the last N events; logs=N with snapshot=1: the last N log lines up to it; with a cursor neither."""
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

"""``Accept: application/x-ndjson``: the stream of a run as lines of JSON."""

from __future__ import annotations

import asyncio
import json

import pytest

from reactor import Engine
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from tests.helpers.flows import one_task
from tests.helpers.lines_client import NDJSON, Lines
from tests.helpers.runs import wait_for_event, wait_until
from tests.helpers.server import Serve, Server
from tests.helpers.site import handed_over, serving


async def test_each_event_is_a_line_as_it_is_in_the_log(server: Server) -> None:
    """Then ``stream.end``; a client that comes back after it is answered 204."""
    run = await server.engine.get((await server.start("small"))["run_id"])
    await run.ended()
    async with Lines(server, f"/runs/{run.id}/events") as stream:
        assert stream.response.content_type == NDJSON
        messages = await stream.all()
    log = await read_all(server.engine.log, run.id)
    *events, end = [line for line in stream.raw.split(b"\n") if line]
    assert events == [event.json for event in log]
    assert (messages[-1]["type"], messages[-1]["data"]) == ("stream.end", {"status": "completed"})
    assert "seq" not in json.loads(end)
    async with Lines(server, f"/runs/{run.id}/events?after={log[-1].seq}") as stream:
        assert stream.status == 204


async def test_a_client_that_is_cut_has_exactly_the_rest(server: Server) -> None:
    """The cursor is the ``seq`` of the last event seen, by ``after`` or by ``Last-Event-ID``."""
    run = await server.engine.get((await server.start("small"))["run_id"])
    await run.ended()
    log = await read_all(server.engine.log, run.id)
    for event in log[:-1]:
        async with Lines(server, f"/runs/{run.id}/events?after={event.seq}") as stream:
            seen = [message["seq"] for message in await stream.all() if "seq" in message]
        assert seen == list(range(event.seq + 1, log[-1].seq + 1))
    async with Lines(server, f"/runs/{run.id}/events?after=1", **{"Last-Event-ID": "3"}) as stream:
        assert (await stream.next() or {})["seq"] == 4


async def test_the_options_are_those_of_server_sent_events(server: Server) -> None:
    """Filters, the state first, the tail; and the notices of a trimmed log and of a cursor that is ahead."""
    run = await server.engine.get((await server.start("small"))["run_id"])
    await run.ended()
    path, last = f"/runs/{run.id}/events", run.feed.last_seq
    async with Lines(server, f"{path}?types=task.completed&tasks=b") as stream:
        assert [message["type"] for message in await stream.all()] == ["task.completed", "stream.end"]
    async with Lines(server, f"{path}?snapshot=1") as stream:
        state, end = await stream.all()
    assert (state["type"], state["data"]["seq"], end["type"]) == ("run.state", last, "stream.end")
    async with Lines(server, f"{path}?tail=2") as stream:
        assert [message.get("seq") for message in await stream.all()] == [last - 1, last, None]
    async with Lines(server, f"{path}?after={last + 5}") as stream:
        gap, *rest = await stream.all()
    assert (gap["type"], gap["data"]["reason"], len(rest)) == ("stream.gap", "ahead", last + 1)


async def test_of_a_trimmed_log_a_client_is_told_the_gap_and_the_state(serve: Serve) -> None:
    """``stream.gap``, ``run.state`` as of its end, then every event after it."""

    async def body(ctx) -> None:  # type: ignore[no-untyped-def]
        for n in range(300):
            await ctx.emit("n.said", {"n": n})

    server = await serve(Engine(MemoryLog(max_events=100)), one_task(body, "talk"))
    run = await server.engine.get((await server.start("talk"))["run_id"])
    await run.ended()
    async with Lines(server, f"/runs/{run.id}/events") as stream:
        gap, state, *rest = await stream.all()
    assert (gap["type"], gap["data"]["from"], gap["data"]["reason"]) == ("stream.gap", 1, "trimmed")
    assert (state["type"], state["data"]["seq"]) == ("run.state", gap["data"]["to"])
    assert rest[0]["seq"] == gap["data"]["to"] + 1


@pytest.mark.usefixtures("quick_beats")
async def test_a_heartbeat_is_an_empty_line(server: Server) -> None:
    """The first empty line opens the stream, also before the run has started; the next one comes after a silence."""
    async with Lines(server, "/runs/early/events?await_run=30&heartbeat=0.05") as stream:
        assert await stream.line() == b"\n"
        assert await stream.line() == b"\n"
        await server.start("gated", run_id="early")
        assert (await stream.next() or {})["type"] == "run.started"
        while await stream.line() != b"\n":
            pass
        server.gates.open()
        assert (await stream.all())[-1]["type"] == "stream.end"


async def test_a_server_that_stops_says_so(server: Server) -> None:
    """``stream.closing`` with its reason, as the last line."""
    await server.start("gated", run_id="r")
    async with Lines(server, "/runs/r/events") as stream:
        await stream.until("task.started")
        stopping = asyncio.ensure_future(server.stop())
        assert (await stream.until("stream.closing"))["data"]["reason"] == "shutdown"
        assert await stream.next() is None
        await stopping


async def test_clients_of_one_form_share_a_pipeline_and_its_bytes(server: Server) -> None:
    """Two clients of lines share one channel; server-sent events of the same options have another."""
    await server.start("gated", run_id="r")
    run = await server.engine.get("r")
    await wait_for_event(run, "task.started", None, 3)
    channels = server.streams.channels
    async with Lines(server, "/runs/r/events") as one, Lines(server, "/runs/r/events?after=1") as two:
        async with server.events("r") as other:
            await wait_until(lambda: sum(len(channel.clients) for channel in channels) == 3)
            assert sorted(len(channel.clients) for channel in channels) == [1, 2]
            server.gates.open()
            assert (await other.all())[-1].event == "stream.end"
        assert (await one.all())[1:-1] == (await two.all())[:-1]


async def test_a_client_that_has_caught_up_goes_on_without_its_handler() -> None:
    """As a client of server-sent events does: it costs a socket and a cursor."""
    gate = asyncio.Event()

    async def body() -> None:
        await gate.wait()

    async with serving(one_task(body, "wait")) as site:
        run = await site.engine.start("wait")
        client = await site.follow(run, headers=f"Accept: {NDJSON}\r\n")
        await client.until(b"task.started")
        await handed_over(site)
        gate.set()
        assert (await client.rest()).count(b'"type":"stream.end"') == 1


async def test_the_stream_of_a_tree_has_its_cursor_in_each_line(server: Server) -> None:
    """``cursor`` is what ``after=`` takes next: a line has no id, and the ``seq`` is of one run only."""
    run = await server.engine.get((await server.start("small"))["run_id"])
    await run.ended()
    async with Lines(server, f"/runs/{run.id}/events?children=1") as stream:
        *events, end = await stream.all()
    assert end["type"] == "stream.end"
    for at, event in enumerate(events[:-1]):
        async with Lines(server, f"/runs/{run.id}/events?children=1&after={event['cursor']}") as stream:
            assert (await stream.all())[:-1] == events[at + 1 :]


async def test_a_start_may_answer_with_lines(server: Server) -> None:
    """``POST`` starts and streams in the form that ``Accept`` names."""
    url = f"{server.url}/workflows/small/runs?types=run.*"
    async with server.session.post(url, json={"input": {"n": 3}}, headers={"Accept": NDJSON}) as response:
        assert (response.status, response.content_type) == (200, NDJSON)
        messages = [json.loads(line) for line in (await response.read()).splitlines() if line]
    assert [message["type"] for message in messages] == ["run.started", "run.completed", "stream.end"]


@pytest.mark.parametrize("query", ["dialect=agents", "names=0", "dialect=native.lines", "heartbeat=0", "limit=3"])
async def test_what_has_no_meaning_in_lines_is_refused(server: Server, query: str) -> None:
    """400 with the name of the option."""
    run_id = (await server.start("small"))["run_id"]
    status, problem = await server.get(f"/runs/{run_id}/events?{query}", Accept=NDJSON)
    assert (status, query.partition("=")[0] in problem["detail"]) == (400, True)


async def test_a_form_is_no_dialect_that_a_query_could_name(server: Server) -> None:
    """``?dialect=native.lines`` is as unknown as any other name."""
    run_id = (await server.start("small"))["run_id"]
    status, problem = await server.get(f"/runs/{run_id}/events?dialect=native.lines")
    assert (status, "there is no dialect" in problem["detail"]) == (400, True)

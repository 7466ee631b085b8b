"""``Accept: application/json``: the events of a run by pages, and the long poll."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from reactor import Context, Engine, Workflow
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from reactor_web.bounds import PAGE_BYTES
from tests.helpers.flows import one_task
from tests.helpers.runs import PATIENCE, wait_for_event, wait_until
from tests.helpers.server import API, Serve, Server

JSON = "application/json"


async def page(server: Server, query: str = "", run_id: str = "r") -> dict[str, Any]:
    status, body = await server.get(f"/runs/{run_id}/events{query}", Accept=JSON)
    assert status == 200, body
    return body


async def ended(server: Server, workflow: str = "small", run_id: str = "r") -> list[dict[str, Any]]:
    """The log of a run that has ended."""
    await server.start(workflow, run_id=run_id)
    await (await server.engine.get(run_id)).ended()
    return [event.body for event in await read_all(server.engine.log, run_id)]


def talking(count: int, size: int = 10) -> Workflow:
    async def body(ctx: Context) -> None:
        for n in range(count):
            await ctx.emit("n.said", {"n": n, "text": "x" * size})

    return one_task(body, "talk")


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
async def test_pages_one_after_the_other_are_the_log(server: Server, limit: int) -> None:
    """Each with at most ``limit`` events; the last one says ``ended``."""
    log = await ended(server)
    seen: list[dict[str, Any]] = []
    cursor, is_over = 0, False
    while not is_over:
        body = await page(server, f"?after={cursor}&limit={limit}")
        assert 1 <= len(body["events"]) <= limit
        assert body["status"] == "completed"
        seen += body["events"]
        cursor, is_over = body["cursor"], body["ended"]
    assert seen == log
    assert await page(server, f"?after={cursor}&wait=30") == {
        "events": [], "cursor": cursor, "ended": True, "status": "completed",
    }  # fmt: skip


async def test_the_link_of_a_page_leads_to_the_next(server: Server) -> None:
    """With the same filters, from behind this page; the last page has none."""
    log = await ended(server)
    path = "/runs/r/events?types=task.*&types=run.*&limit=2&tail=5"
    seen: list[int] = []
    while path:
        base = server.url.removesuffix(API) if path.startswith(API) else server.url
        async with server.session.get(base + path, headers={"Accept": JSON}) as response:
            seen += [event["seq"] for event in (await response.json())["events"]]
            path = str(response.links["next"]["url"].relative()) if "next" in response.links else ""
    assert seen == [event["seq"] for event in log][-5:]


async def test_filters_choose_and_the_cursor_passes_what_they_leave_out(server: Server) -> None:
    """A page without events may still lead on."""
    log = await ended(server)
    body = await page(server, "?types=task.completed&tasks=b")
    assert [event["type"] for event in body["events"]] == ["task.completed"]
    assert (body["cursor"], body["ended"]) == (log[-1]["seq"], True)
    body = await page(server, "?types=nothing.ever")
    assert (body["events"], body["cursor"], body["ended"]) == ([], log[-1]["seq"], True)


async def test_a_long_poll_ends_at_once_when_something_comes(server: Server) -> None:
    """Not before, and not for what a filter leaves out; it ends with the run, too."""
    await server.start("gated", run_id="r")
    run = await server.engine.get("r")
    await wait_for_event(run, "task.started", None, 3)
    poll = asyncio.ensure_future(page(server, f"?after={run.feed.last_seq}&wait=300&types=step.made"))
    await wait_until(lambda: run.feed.windows.observers)
    server.gates["fast"].set()
    await wait_for_event(run, "task.completed", "after_fast")
    assert not poll.done()
    server.gates["step"].set()
    body = await asyncio.wait_for(poll, PATIENCE)
    assert [event["type"] for event in body["events"]] == ["step.made"]
    assert (body["ended"], body["status"]) == (False, "running")
    poll = asyncio.ensure_future(page(server, f"?after={body['cursor']}&wait=300&types=nothing.ever"))
    await wait_until(lambda: run.feed.windows.observers)
    server.gates.open()
    body = await asyncio.wait_for(poll, PATIENCE)
    assert (body["events"], body["ended"], body["status"]) == ([], True, "completed")


async def test_a_long_poll_ends_when_its_time_is_over_or_the_server_stops(server: Server) -> None:
    """Then the page is empty; at a stop it says ``stream.closing``."""
    await server.start("gated", run_id="r")
    run = await server.engine.get("r")
    await wait_for_event(run, "task.started", None, 3)
    last = run.feed.last_seq
    assert await page(server, f"?after={last}&wait=0.01") == {
        "events": [], "cursor": last, "ended": False, "status": "running",
    }  # fmt: skip
    poll = asyncio.ensure_future(page(server, f"?after={last}&wait=300"))
    await wait_until(lambda: run.feed.windows.observers)
    stopping = asyncio.ensure_future(server.stop())
    body = await asyncio.wait_for(poll, PATIENCE)
    assert [event["type"] for event in body["events"]] == ["stream.closing"]
    assert body["events"][0]["data"]["reason"] == "shutdown"
    await stopping


async def test_a_poll_may_wait_for_its_run(server: Server) -> None:
    """``await_run``: the first page comes with the run; without the run it is 404 when the time is over."""
    poll = asyncio.ensure_future(page(server, "?await_run=60&wait=60", "early"))
    await asyncio.sleep(0)
    await ended(server, run_id="early")
    assert (await asyncio.wait_for(poll, PATIENCE))["events"][0]["type"] == "run.started"
    assert (await server.get("/runs/never/events?await_run=0.01", Accept=JSON))[0] == 404
    assert (await server.get("/runs/never/events", Accept=JSON))[0] == 404


async def test_a_page_has_a_bound_of_bytes(serve: Serve) -> None:
    """Whatever ``limit`` says; what does not fit is in the next page."""
    server = await serve(Engine("memory://"), talking(60, 40_000))
    log = await ended(server, "talk")
    seen: list[dict[str, Any]] = []
    while len(seen) < len(log):
        async with server.session.get(
            f"{server.url}/runs/r/events?limit=10000&after={len(seen)}", headers={"Accept": JSON}
        ) as response:
            raw = await response.read()
            seen += (await response.json())["events"]
        assert len(raw) < PAGE_BYTES + 1_000
    assert seen == log


async def test_of_a_trimmed_log_a_page_has_the_gap_and_the_state(serve: Serve) -> None:
    """As a stream does; and a cursor beyond the last event is told ``ahead``."""
    server = await serve(Engine(MemoryLog(max_events=100)), talking(300))
    await ended_without_log(server)
    body = await page(server)
    gap, state, *rest = body["events"]
    assert (gap["type"], gap["data"]["reason"]) == ("stream.gap", "trimmed")
    assert (state["type"], state["data"]["seq"]) == ("run.state", gap["data"]["to"])
    assert [event["seq"] for event in rest] == list(range(gap["data"]["to"] + 1, body["cursor"] + 1))
    ahead, gap, *_ = (await page(server, "?after=100000"))["events"]
    assert (ahead["data"]["reason"], gap["data"]["reason"]) == ("ahead", "trimmed")


async def ended_without_log(server: Server) -> None:
    await server.start("talk", run_id="r")
    await (await server.engine.get("r")).ended()


async def test_a_page_may_begin_with_the_state_or_the_tail(server: Server) -> None:
    """``snapshot=1``: only ``run.state``, and the cursor is behind all that it includes."""
    log = await ended(server)
    body = await page(server, "?snapshot=1")
    assert [event["type"] for event in body["events"]] == ["run.state"]
    assert (body["cursor"], body["ended"]) == (log[-1]["seq"], True)
    assert (await page(server, "?tail=2"))["events"] == log[-2:]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=10001", "limit=x", "wait=301", "wait=-1", "heartbeat=3", "dialect=native", "children=2",
     "logs=1", "after=x", "weight=3"],
)  # fmt: skip
async def test_a_bad_page_is_400(server: Server, query: str) -> None:
    """The sentence names the option."""
    await server.start("small", run_id="r")
    status, problem = await server.get(f"/runs/r/events?{query}", Accept=JSON)
    assert (status, query.partition("=")[0] in problem["detail"]) == (400, True)


async def test_who_takes_no_form_is_told_those_there_are(server: Server) -> None:
    """406 names them; the weights of the header decide which one is sent."""
    await ended(server)
    status, problem = await server.get("/runs/r/events", Accept="image/png, text/event-stream;q=0")
    assert status == 406
    for form in ("text/event-stream", "application/json", "application/x-ndjson"):
        assert form in problem["detail"]
    forms = {
        "application/json;q=0.5, application/x-ndjson;q=0.6": "application/x-ndjson",
        "application/*": "application/json",
        "*/*": "text/event-stream",
    }
    for accept, form in forms.items():
        async with server.session.get(f"{server.url}/runs/r/events", headers={"Accept": accept}) as response:
            assert response.content_type == form


async def test_the_head_of_a_page_has_no_body_and_does_not_wait(server: Server) -> None:
    """It has the headers that GET has."""
    await server.start("gated", run_id="r")
    url = f"{server.url}/runs/r/events?wait=300&tail=0"
    async with server.session.head(url, headers={"Accept": JSON}) as response:
        assert (response.status, response.content_type, await response.read()) == (200, JSON, b"")


async def test_pages_of_a_tree_have_positions(server: Server) -> None:
    """The same events as its stream, page by page; the cursor of a page is one of the stream, too."""

    async def twice(ctx: Context) -> int:
        return (await ctx.run("small", {}))["b"] + (await ctx.run("small", {"n": 3}))["b"]

    server.engine.register(one_task(twice, "parent"))
    await server.start("parent", run_id="r")
    await (await server.engine.get("r")).ended()
    async with server.events("r", "?children=1") as stream:
        *frames, _end = await stream.all()
    for limit in (1, 3, 1_000):
        seen: list[dict[str, Any]] = []
        cursor, is_over = "0", False
        while not is_over:
            body = await page(server, f"?children=1&limit={limit}&after={cursor}")
            seen += body["events"]
            cursor, is_over = body["cursor"], body["ended"]
        assert [json.dumps(event) for event in seen] == [json.dumps(json.loads(frame.data)) for frame in frames]
        assert (body["status"], cursor) == ("completed", frames[-1].id)
    assert (await server.get("/runs/r/events?children=1&tail=3", Accept=JSON))[0] == 400

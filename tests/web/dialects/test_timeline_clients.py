"""Clients of ``timeline`` as their own documents describe them: fetch-event-source in Node, and a reader in Python."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from reactor import Engine
from reactor_web.sse.parser import Frame
from tests.helpers.flows import one_task
from tests.helpers.server import Gates, Serve, Server
from tests.helpers.site_of_agents import agents_workflow, node_client

QUERY = "?dialect=timeline"


@pytest.fixture
async def server(serve: Serve) -> Server:
    async def stubborn() -> None:
        await asyncio.Event().wait()

    async def fine() -> str:
        return "done"

    gates = Gates()
    flows = agents_workflow(gates), one_task(stubborn, "stubborn"), one_task(fine, "fine")
    found = await serve(Engine("memory://", grace=0.0), *flows)
    found.gates = gates
    return found


def url(server: Server, run_id: str, query: str = "") -> str:
    return f"{server.url}/runs/{run_id}/events{QUERY}{query}"


async def whole(server: Server, run_id: str, query: str = "", **headers: str) -> list[Frame]:
    """All frames that a client in Python is sent."""
    async with server.events(run_id, QUERY + query, **headers) as stream:
        assert stream.status == 200
        return await stream.all()


async def ended_run(server: Server, workflow: str = "agents") -> str:
    server.gates.open()
    run_id = (await server.start(workflow))["run_id"]
    await whole(server, run_id)
    return run_id


def entries(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries among what a page has shown."""
    return [one["data"] for one in shown if "data" in one]


def bodies(frames: list[Frame]) -> list[dict[str, Any]]:
    return [orjson.loads(frame.data) for frame in frames]


@pytest.mark.parametrize("mode", ["whole", "cut"])
async def test_a_page_that_comes_after_the_end_is_told_all_of_it_once_and_stops(server: Server, mode: str) -> None:
    """In Node: each entry once, also where the connection is lost after each of them, the last one too."""
    run_id = await ended_run(server)
    frames = await whole(server, run_id)
    async with node_client("timeline.mjs", url(server, run_id), mode) as page:
        shown = await page.rest()
    assert entries(shown) == bodies(frames)
    assert "closed" in shown[-1]
    assert sum("lost" in one for one in shown) == (0 if mode == "whole" else len(frames))
    types = [entry["type"] for entry in entries(shown)]
    assert (types[0], types[-1]) == ("WORKFLOW_START", "WORKFLOW_ERROR")


async def test_a_page_knows_what_its_document_promises(server: Server) -> None:
    """The router's thought, each agent's start, progress and end, the failure; names from the meta of tasks."""
    run_id = await ended_run(server)
    async with node_client("timeline.mjs", url(server, run_id)) as page:
        shown = entries(await page.rest())
    said = {(entry["type"], entry["agent_name"], entry["status"]) for entry in shown}
    assert said >= {
        ("WORKFLOW_START", None, "IN_PROGRESS"),
        ("ROUTER_THOUGHT", "router", "IN_PROGRESS"),
        ("AGENT_START", "Planner", "IN_PROGRESS"),
        ("AGENT_PROGRESS", "Planner", "IN_PROGRESS"),
        ("AGENT_PROGRESS", "shaky", "IN_PROGRESS"),
        ("AGENT_COMPLETE", "shaky", "SUCCESS"),
        ("AGENT_ERROR", "review[1]", "ERROR"),
        ("AGENT_ERROR", "report", "ERROR"),
        ("WORKFLOW_ERROR", None, "ERROR"),
    }
    assert len({entry["event_id"] for entry in shown}) == len(shown)
    assert shown[-1]["message"] == "division by zero"


@pytest.mark.parametrize("mode", ["whole", "cut"])
async def test_a_page_opens_its_stream_first_and_sees_the_run_live(server: Server, mode: str) -> None:
    """The page makes the id; entries come while the run waits; one that comes in the middle sees all of them too."""
    async with node_client("timeline.mjs", url(server, "mine", "&await_run=60"), mode) as page:
        assert (await server.put("/runs/mine", {"workflow": "agents"}))[0] == 201
        early: list[dict[str, Any]] = []
        while sum(entry["type"] == "AGENT_START" for entry in entries(early)) < 6:
            one = await page.next()
            assert one is not None
            early.append(one)
        async with node_client("timeline.mjs", url(server, "mine"), mode) as second:
            server.gates.open()
            shown, again = early + await page.rest(), await second.rest()
    assert entries(shown) == entries(again) == bodies(await whole(server, "mine"))


async def test_pings_come_every_three_seconds_and_carry_nothing(server: Server) -> None:
    """Also before the run starts. A client sees them as messages without data."""
    async with server.events("mine", QUERY + "&await_run=60&heartbeat=1") as stream:
        while b": ping\n\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        assert (await server.put("/runs/mine", {"workflow": "stubborn"}))[0] == 201
        await stream.next()
        count = stream.raw.count(b": ping\n\n")
        while stream.raw.count(b": ping\n\n") == count:
            stream.raw += await stream.response.content.readany()


async def test_success_closes_the_stream_cleanly(server: Server) -> None:
    """``WORKFLOW_COMPLETE`` with the outputs is the last entry."""
    run_id = await ended_run(server, "fine")
    async with node_client("timeline.mjs", url(server, run_id)) as page:
        shown = await page.rest()
    assert [entry["type"] for entry in entries(shown)] == [
        "WORKFLOW_START", "AGENT_START", "AGENT_COMPLETE", "WORKFLOW_COMPLETE",
    ]  # fmt: skip
    assert entries(shown)[-1]["details"]["outputs"] == {"body": "done"}
    assert "closed" in shown[-1]


async def test_a_cancelled_run_is_an_error(server: Server) -> None:
    """So is its agent, with the reason."""
    run_id = (await server.start("stubborn"))["run_id"]
    async with node_client("timeline.mjs", url(server, run_id)) as page:
        while (one := await page.next()) is not None and one["data"]["type"] != "AGENT_START":
            pass
        assert (await server.post(f"/runs/{run_id}/cancel", {"reason": "asked"}))[0] == 202
        shown = entries(await page.rest())
    assert [(entry["type"], entry["message"]) for entry in shown] == [
        ("AGENT_ERROR", "cancelled: asked"), ("WORKFLOW_ERROR", "cancelled: asked"),
    ]  # fmt: skip


async def test_a_run_that_never_starts_is_an_error_and_the_page_stops(server: Server) -> None:
    """When ``await_run`` is over."""
    async with node_client("timeline.mjs", url(server, "never", "&await_run=0.05")) as page:
        shown = await page.rest()
    [entry] = entries(shown)
    assert (entry["type"], entry["status"], entry["message"]) == ("WORKFLOW_ERROR", "ERROR", "there is no run never")
    assert "closed" in shown[-1]


async def test_a_server_that_shuts_down_is_not_taken_for_the_end(server: Server) -> None:
    """The connection breaks off, and the page comes back instead of being satisfied."""
    run_id = (await server.start("stubborn"))["run_id"]
    async with node_client("timeline.mjs", url(server, run_id)) as page:
        await page.next()
        await page.next()
        await server.stop()
        shown = await page.next()
        assert shown == {"lost": True}


async def test_every_cut_of_a_client_in_python_loses_and_repeats_nothing(server: Server) -> None:
    """A reader that comes back with the id of any frame gets what follows it, after the last one a clean end."""
    run_id = await ended_run(server)
    frames = await whole(server, run_id)
    for place, frame in enumerate(frames, 1):
        assert await whole(server, run_id, **{"Last-Event-ID": frame.id}) == frames[place:]


async def test_a_snapshot_has_no_meaning_in_a_timeline(server: Server) -> None:
    """400: there is no entry of it."""
    status, problem = await server.get(f"/runs/x/events{QUERY}&snapshot=1")
    assert (status, problem["detail"]) == (400, "snapshot has no meaning in the dialect timeline")

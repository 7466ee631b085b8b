"""Clients of ``timeline`` as their own documents describe them: fetch-event-source in Node, and a reader in Python."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reactor_web.sse.parser import Frame
from tests.helpers.server import Server, Stream
from tests.helpers.site_of_agents import base_of, frames_at, node_client


def url(server: Server, run_id: str, query: str = "") -> str:
    """Where the document says the stream of a session is."""
    return f"{base_of(server)}/timeline/stream/{run_id}{query}"


async def whole(server: Server, run_id: str, query: str = "", **headers: str) -> list[Frame]:
    """All frames that a client in Python is sent."""
    return await frames_at(server, url(server, run_id, query), **headers)


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
async def test_a_page_that_comes_after_the_end_is_told_all_of_it_once_and_stops(platform: Server, mode: str) -> None:
    """In Node: each entry once, also where the connection is lost after each of them, the last one too."""
    run_id = await ended_run(platform)
    frames = await whole(platform, run_id)
    async with node_client("timeline.mjs", url(platform, run_id), mode) as page:
        shown = await page.rest()
    assert entries(shown) == bodies(frames)
    assert "closed" in shown[-1]
    assert sum("lost" in one for one in shown) == (0 if mode == "whole" else len(frames))
    types = [entry["type"] for entry in entries(shown)]
    assert (types[0], types[-1]) == ("WORKFLOW_START", "WORKFLOW_ERROR")


async def test_a_page_knows_what_its_document_promises(platform: Server) -> None:
    """The router's thought, each agent's start, progress and end, the failure; names from the meta of tasks."""
    run_id = await ended_run(platform)
    async with node_client("timeline.mjs", url(platform, run_id)) as page:
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
async def test_a_page_opens_its_stream_first_and_sees_the_run_live(platform: Server, mode: str) -> None:
    """The page makes the id; entries come while the run waits; one that comes in the middle sees all of them too."""
    async with node_client("timeline.mjs", url(platform, "mine", "?await_run=60"), mode) as page:
        assert (await platform.put("/runs/mine", {"workflow": "agents"}))[0] == 201
        early: list[dict[str, Any]] = []
        while sum(entry["type"] == "AGENT_START" for entry in entries(early)) < 6:
            one = await page.next()
            assert one is not None
            early.append(one)
        async with node_client("timeline.mjs", url(platform, "mine"), mode) as second:
            platform.gates.open()
            shown, again = early + await page.rest(), await second.rest()
    assert entries(shown) == entries(again) == bodies(await whole(platform, "mine"))


@pytest.mark.usefixtures("quick_beats")
async def test_pings_come_every_three_seconds_and_carry_nothing(platform: Server) -> None:
    """Also before the run starts. A client sees them as messages without data."""
    async with Stream(platform.session.get(url(platform, "mine", "?await_run=60&heartbeat=0.05"))) as stream:
        while b": ping\n\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        assert (await platform.put("/runs/mine", {"workflow": "stubborn"}))[0] == 201
        await stream.next()
        count = stream.raw.count(b": ping\n\n")
        while stream.raw.count(b": ping\n\n") == count:
            stream.raw += await stream.response.content.readany()


async def test_success_closes_the_stream_cleanly(platform: Server) -> None:
    """``WORKFLOW_COMPLETE`` with the outputs is the last entry."""
    run_id = await ended_run(platform, "fine")
    async with node_client("timeline.mjs", url(platform, run_id)) as page:
        shown = await page.rest()
    assert [entry["type"] for entry in entries(shown)] == [
        "WORKFLOW_START", "AGENT_START", "AGENT_COMPLETE", "WORKFLOW_COMPLETE",
    ]  # fmt: skip
    assert entries(shown)[-1]["details"]["outputs"] == {"body": "all about bees"}
    assert "closed" in shown[-1]


async def test_a_cancelled_run_is_an_error(platform: Server) -> None:
    """So is its agent, with the reason."""
    run_id = (await platform.start("stubborn"))["run_id"]
    async with node_client("timeline.mjs", url(platform, run_id)) as page:
        while (one := await page.next()) is not None and one["data"]["type"] != "AGENT_START":
            pass
        assert (await platform.post(f"/runs/{run_id}/cancel", {"reason": "asked"}))[0] == 202
        shown = entries(await page.rest())
    assert [(entry["type"], entry["message"]) for entry in shown] == [
        ("AGENT_ERROR", "cancelled: asked"), ("WORKFLOW_ERROR", "cancelled: asked"),
    ]  # fmt: skip


async def test_a_run_that_never_starts_is_an_error_and_the_page_stops(platform: Server) -> None:
    """When ``await_run`` is over."""
    async with node_client("timeline.mjs", url(platform, "never", "?await_run=0.05")) as page:
        shown = await page.rest()
    [entry] = entries(shown)
    assert (entry["type"], entry["status"], entry["message"]) == ("WORKFLOW_ERROR", "ERROR", "there is no run never")
    assert "closed" in shown[-1]


async def test_a_server_that_shuts_down_is_not_taken_for_the_end(platform: Server) -> None:
    """The connection breaks off, and the page comes back instead of being satisfied."""
    run_id = (await platform.start("stubborn"))["run_id"]
    async with node_client("timeline.mjs", url(platform, run_id)) as page:
        await page.next()
        await page.next()
        await platform.stop()
        shown = await page.next()
        assert shown == {"lost": True}


async def test_every_cut_of_a_client_in_python_loses_and_repeats_nothing(platform: Server) -> None:
    """A reader that comes back with the id of any frame gets what follows it, after the last one a clean end."""
    run_id = await ended_run(platform)
    frames = await whole(platform, run_id)
    for place, frame in enumerate(frames, 1):
        assert await whole(platform, run_id, **{"Last-Event-ID": frame.id}) == frames[place:]


async def test_a_snapshot_has_no_meaning_in_a_timeline(platform: Server) -> None:
    """400: there is no entry of it."""
    async with platform.session.get(url(platform, "x", "?snapshot=1")) as response:
        status, problem = response.status, await response.json(content_type=None)
    assert (status, problem["detail"]) == (400, "snapshot has no meaning in the dialect timeline")


# --- POST /execute ----------------------------------------------------------------------------------------------


async def execute(server: Server, **body: Any) -> tuple[int, dict[str, Any]]:
    async with server.session.post(base_of(server) + "/execute", json=body) as response:
        return response.status, await response.json(content_type=None)


@pytest.mark.parametrize("mode", ["whole", "cut"])
async def test_the_page_of_the_document_opens_its_stream_and_then_executes(platform: Server, mode: str) -> None:
    """Its own id, the stream first, then the request with that id: entries come before the answer, and the same end."""
    platform.gates.open()
    body = {"project_id": "fine", "query": "wasps", "context": [], "session_id": "page-1"}
    stream, target = url(platform, "page-1", "?await_run=60"), base_of(platform) + "/execute"
    async with node_client("timeline.mjs", stream, mode, target, orjson.dumps(body).decode()) as page:
        shown = await page.rest()
    [answer] = [one for one in shown if "answer" in one]
    assert answer["status"] == 200
    assert (answer["answer"]["thread_id"], answer["answer"]["result"]) == ("page-1", {"body": "all about wasps"})
    assert [entry["type"] for entry in entries(shown)] == [
        "WORKFLOW_START", "AGENT_START", "AGENT_COMPLETE", "WORKFLOW_COMPLETE",
    ]  # fmt: skip


async def test_execute_without_a_session_answers_the_same(platform: Server) -> None:
    """A new thread, and the result; its stream can be read afterwards."""
    status, answer = await execute(platform, project_id="fine", query="wasps")
    assert (status, answer["status"], answer["result"]) == (200, "completed", {"body": "all about wasps"})
    assert orjson.loads((await whole(platform, answer["thread_id"]))[-1].data)["type"] == "WORKFLOW_COMPLETE"


async def test_a_failure_is_answered_500_and_shown_in_the_stream(platform: Server) -> None:
    """The problem says what went wrong, and which thread it was; a request that cannot be is 422 and starts nothing."""
    platform.gates.open()
    status, problem = await execute(platform, project_id="agents", query="bees", session_id="bad")
    assert (status, problem["detail"], problem["thread_id"]) == (500, "division by zero", "bad")
    assert orjson.loads((await whole(platform, "bad"))[-1].data)["type"] == "WORKFLOW_ERROR"
    assert (await execute(platform, project_id="fine", query=7))[0] == 422


async def test_what_a_session_says_is_the_timeline(platform: Server) -> None:
    """Live, from a body or from outside: its types, its agents, its end, and then the stream closes cleanly."""
    async with node_client("timeline.mjs", url(platform, "s", "?await_run=60"), "cut") as page:
        session = await platform.engine.session("s")
        await session.emit("WORKFLOW_START", {"message": "go"})
        await session.emit("ROUTER_THOUGHT", {"message": "hm", "agent_name": "router", "details": {"to": "epic"}})
        shown = [await page.next()]
        while "ROUTER_THOUGHT" not in [entry["type"] for entry in entries(shown)]:  # before the session ends
            shown.append(await page.next())
        await session.emit("AGENT_ERROR", {"message": "no", "status": "ERROR"}, task="epic")
        await session.emit("WORKFLOW_COMPLETE", {"message": "done", "status": "SUCCESS"})
        await session.close()
        shown += await page.rest()
    said = [tuple(entry[name] for name in ("type", "message", "status", "agent_name")) for entry in entries(shown)]
    assert said == [
        ("WORKFLOW_START", "go", "IN_PROGRESS", None),
        ("ROUTER_THOUGHT", "hm", "IN_PROGRESS", "router"),
        ("AGENT_ERROR", "no", "ERROR", "epic"),
        ("WORKFLOW_COMPLETE", "done", "SUCCESS", None),
    ]
    assert "closed" in shown[-1]

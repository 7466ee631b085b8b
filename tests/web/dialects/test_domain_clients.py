"""Clients of ``domain`` as their own documents describe them: an EventSource in Node, and a reader in Python."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from reactor_web.sse.parser import Frame
from tests.helpers.server import Server, Stream
from tests.helpers.site_of_agents import base_of, frames_at, node_client
from tests.web.dialects.test_domain import NAMED

AGENT = "writer"


def url(server: Server, run_id: str, query: str = "", agent: str = AGENT) -> str:
    """Where the document says the stream of a task is."""
    return f"{base_of(server)}/api/v1/agents/{agent}/tasks/{run_id}/events/stream{query}"


async def whole(server: Server, run_id: str, query: str = "", **headers: str) -> list[Frame]:
    """All frames that a client in Python is sent."""
    return await frames_at(server, url(server, run_id, query), **headers)


def open_stream(server: Server, run_id: str, query: str = "", **headers: str) -> Stream:
    return Stream(server.session.get(url(server, run_id, query), headers=headers))


async def ended_run(server: Server) -> str:
    server.gates.open()
    run_id = (await server.start("agents"))["run_id"]
    await whole(server, run_id)
    return run_id


def heard(frames: list[Frame]) -> list[tuple[str, str]]:
    """(listener, id) that a page must see of these frames."""
    return [(frame.event, frame.id) for frame in frames]


def seen(shown: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The same of what a page has shown."""
    return [(one["heard"], one["id"]) for one in shown if one["heard"] != "closed"]


@pytest.mark.parametrize("mode", ["whole", "cut"])
async def test_a_page_that_comes_after_the_end_is_told_all_of_it_once_and_stops(platform: Server, mode: str) -> None:
    """In Node: each frame once, also where the connection breaks after each of them; after the last one a 204."""
    run_id = await ended_run(platform)
    frames = await whole(platform, run_id)
    async with node_client("domain.mjs", url(platform, run_id), mode) as page:
        shown = await page.until(heard="closed")
    assert seen(shown) == heard(frames)
    assert {one["heard"] for one in shown[:-1]} <= NAMED | {"message"}
    assert [one["data"] for one in shown[:-1]] == [orjson.loads(frame.data) for frame in frames]
    assert (shown[0]["heard"], shown[-2]["heard"]) == ("WorkflowStarted", "WorkflowFailed")


async def test_a_page_knows_what_its_document_promises(platform: Server) -> None:
    """The model and the estimated cost of a call, the tool, the agent, each step's end, the error of the run."""
    platform.gates.open()
    run_id = (await platform.start("agents", meta={"agent_id": "writer"}))["run_id"]
    async with node_client("domain.mjs", url(platform, run_id)) as page:
        shown = await page.until(heard="WorkflowFailed")
    of: dict[str, list[dict[str, Any]]] = {}
    for one in shown:
        of.setdefault(one["heard"], []).append(one["data"])
    assert [(data["model"], data["estimated_cost"]) for data in of["WorkflowLLMCallStarted"]] == [
        ("large", 0.5), ("small", 0.25),
    ]  # fmt: skip
    assert of["WorkflowLLMCallCompleted"][0]["tokens"] == 10
    assert of["WorkflowToolCallStarted"][0]["tool"] == "search"
    assert of["WorkflowToolCallCompleted"][0]["result"] == ["a", "ü\u2028"]
    assert {data["agent_id"] for all in of.values() for data in all} == {"writer"}
    assert [data["step_id"] for data in of["WorkflowStepStarted"]].count("shaky") == 2
    assert {data["step_id"] for data in of["WorkflowStepCompleted"]} == {"plan", "shaky", "review[0]", "review[2]"}
    assert {data["step_id"]: data["status"] for data in of["WorkflowStepFailed"]} == {
        "review[1]": "failed", "report": "skipped", "unlikely": "skipped",
    }  # fmt: skip
    assert of["WorkflowFailed"][0]["error"]["message"] == "division by zero"
    assert {data["event_type"] for data in of["message"]} >= {"ROUTER_THOUGHT", "log.created", "task.retrying"}


@pytest.mark.parametrize("mode", ["whole", "cut"])
async def test_a_page_that_is_there_before_the_run_sees_it_live(platform: Server, mode: str) -> None:
    """Opened first, it is told each step as it comes: while the run waits, all that was before is there."""
    async with node_client("domain.mjs", url(platform, "later", "?await_run=60"), mode) as page:
        assert (await platform.put("/runs/later", {"workflow": "agents"}))[0] == 201
        early: list[dict[str, Any]] = []
        while {one["data"]["step_id"] for one in early if one["heard"] == "WorkflowStepStarted"} != {
            "plan", "shaky", "review[0]", "review[1]", "review[2]",
        }:  # fmt: skip
            one = await page.next()
            assert one is not None
            early.append(one)
        late = node_client("domain.mjs", url(platform, "later"), mode)
        async with late as second:
            platform.gates.open()
            shown = early + await page.until(heard="WorkflowFailed")
            again = await second.until(heard="WorkflowFailed")
    assert seen(shown) == seen(again) == heard(await whole(platform, "later"))


async def test_without_history_a_client_sees_what_comes_next_and_after_the_end_the_end(platform: Server) -> None:
    """``include_history=false``; with ``true``, or without, all of it."""
    run_id = (await platform.start("agents"))["run_id"]
    async with open_stream(platform, run_id) as before:
        while (await before.until("WorkflowStepStarted")).data.count('"step_id":"review[2]"') == 0:
            pass
        async with open_stream(platform, run_id, "?include_history=false") as stream:
            await stream.response.content.readany()  # the comment that opens it
            platform.gates.open()
            news = await stream.all()
        rest = await before.all()
    assert [frame.data for frame in news] == [frame.data for frame in rest if int(frame.id) >= int(news[0].id)]
    assert "WorkflowStarted" not in {frame.event for frame in news}
    assert [frame.event for frame in await whole(platform, run_id, "?include_history=false")] == ["WorkflowFailed"]
    assert len(await whole(platform, run_id, "?include_history=true")) == int(news[-1].id)
    async with node_client("domain.mjs", url(platform, run_id, "?include_history=false")) as page:
        assert [one["heard"] for one in await page.until(heard="closed")] == ["WorkflowFailed", "closed"]


async def test_a_cancelled_run_ends_with_workflow_cancelled(platform: Server) -> None:
    """Its step has failed, with the reason."""
    run_id = (await platform.start("stubborn"))["run_id"]
    async with node_client("domain.mjs", url(platform, run_id)) as page:
        await page.until(heard="WorkflowStepStarted")
        assert (await platform.post(f"/runs/{run_id}/pause", {"reason": "lunch"}))[0] == 202
        assert (await platform.post(f"/runs/{run_id}/resume"))[0] == 202
        assert (await platform.post(f"/runs/{run_id}/cancel", {"reason": "asked"}))[0] == 202
        shown = await page.until(heard="WorkflowCancelled")
    assert [one["heard"] for one in shown] == [
        "WorkflowPaused", "WorkflowResumed", "message", "WorkflowStepFailed", "WorkflowCancelled",
    ]  # fmt: skip
    assert shown[3]["data"]["error"]["message"] == "cancelled: asked"
    assert shown[-1]["data"]["reason"] == "asked"


async def test_every_cut_of_a_client_in_python_loses_and_repeats_nothing(platform: Server) -> None:
    """A reader that comes back with the id of any frame gets what follows it."""
    run_id = await ended_run(platform)
    frames = await whole(platform, run_id)
    for place, frame in enumerate(frames[:-1], 1):
        rest = await whole(platform, run_id, **{"Last-Event-ID": frame.id})
        assert rest == frames[place:]
    async with open_stream(platform, run_id, **{"Last-Event-ID": frames[-1].id}) as stream:
        assert stream.status == 204


async def test_without_names_a_page_gets_all_as_message(platform: Server) -> None:
    """``names=0``: nothing of the data changes."""
    run_id = await ended_run(platform)
    frames = await whole(platform, run_id, "?names=0")
    assert {frame.event for frame in frames} == {"message"}
    assert [frame.data for frame in frames] == [frame.data for frame in await whole(platform, run_id)]


@pytest.mark.usefixtures("quick_beats")
async def test_heartbeats_are_events_also_before_the_run_starts(platform: Server) -> None:
    """A page that listens for ``Heartbeat`` knows that the connection lives."""
    async with node_client("domain.mjs", url(platform, "later", "?await_run=60&heartbeat=0.05")) as page:
        waiting = (await page.until(heard="Heartbeat"))[-1]["data"]
        assert (waiting["count"], waiting["task_id"]) == (1, "later")
        assert waiting["event_id"].startswith("later/Heartbeat/")
        assert (await platform.put("/runs/later", {"workflow": "stubborn"}))[0] == 201
        beat = (await page.until(heard="WorkflowStepStarted") + await page.until(heard="Heartbeat"))[-1]
    assert beat["data"]["task_id"] == "later"


async def test_a_run_that_never_starts_closes_the_stream_and_is_no_end(platform: Server) -> None:
    """``stream.closing`` with the reason, when ``await_run`` is over."""
    [frame] = await whole(platform, "never", "?await_run=0.05")
    assert (frame.event, frame.id) == ("stream.closing", "")
    assert orjson.loads(frame.data)["reason"] == "not_found"


async def test_a_page_of_a_session_that_said_its_own_end_stops_asking(platform: Server) -> None:
    """The frame of the end is not of the last event; who comes back from it is told the last id, then gets a 204."""
    session = await platform.engine.session("s")
    await session.emit("WorkflowCompleted", {"result": 1})
    await session.close()
    frames = await whole(platform, "s")
    assert heard(frames) == [("WorkflowCompleted", "2")]
    assert heard(await whole(platform, "s", **{"Last-Event-ID": "2"})) == [("stream.end", "3")]
    async with node_client("domain.mjs", url(platform, "s")) as page:
        assert seen(await page.until(heard="closed")) == heard(frames)


async def test_the_agent_of_the_path_is_shown_and_another_one_than_the_runs_is_not_found(platform: Server) -> None:
    """A run without an agent takes that of the path, whatever it is; one with an agent is only under its own."""
    platform.gates.open()
    run_id = (await platform.start("fine"))["run_id"]
    for agent in ("writer", "\u00fc%0A%22", "x" * 3_000):
        frames = await frames_at(platform, url(platform, run_id, agent=agent))
        assert {orjson.loads(frame.data)["agent_id"] for frame in frames} == {unquote(agent)}
    run_id = (await platform.start("fine", meta={"agent_id": "writer"}))["run_id"]
    assert (await whole(platform, run_id))[-1].event == "WorkflowCompleted"
    async with platform.session.get(url(platform, run_id, agent="another")) as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_what_a_session_and_others_emit_reaches_the_page_as_it_is(platform: Server) -> None:
    """A page that is there before, one that comes in the middle and one after the end see what was published, once."""
    async with node_client("domain.mjs", url(platform, "s", "?await_run=60")) as early:
        session = await platform.engine.session("s", meta={"agent_id": AGENT})
        await session.emit("WorkflowStarted", {"goal": "write"})
        await session.emit("WorkflowStepStarted", {"step": "draft"}, task="draft")
        assert [one["data"]["step_id"] for one in await early.until(heard="WorkflowStepStarted")] == [None, "draft"]
        async with node_client("domain.mjs", url(platform, "s"), "cut") as late:
            await session.emit("WorkflowLLMCallStarted", {"model": "m", "estimated_cost": 0.1, "task_id": "other"})
            await session.emit("draft.saved", {"words": 3})
            await session.emit("WorkflowCompleted", {"result": "done"})
            await session.close(outputs={"text": "Dear"})
            shown, again = await late.until(heard="closed"), await early.until(heard="WorkflowCompleted")
    frames = await whole(platform, "s")
    assert [frame.event for frame in frames] == [
        "WorkflowStarted", "WorkflowStepStarted", "WorkflowLLMCallStarted", "message", "WorkflowCompleted",
    ]  # fmt: skip
    assert seen(shown) == heard(frames)
    assert seen(again) == heard(frames)[2:]
    assert orjson.loads(frames[2].data)["task_id"] == "s"
    assert orjson.loads(frames[-1].data)["result"] == "done"


async def test_a_run_of_tasks_may_be_told_of_from_outside(platform: Server) -> None:
    """``run.emit`` beside its tasks; the start and the end are the engine's."""
    run_id = (await platform.start("stubborn"))["run_id"]
    run = await platform.engine.get(run_id)
    async with node_client("domain.mjs", url(platform, run_id)) as page:
        await page.until(heard="WorkflowStepStarted")
        await run.emit("WorkflowToolCallStarted", {"tool": "search"}, task="body")
        [call] = await page.until(heard="WorkflowToolCallStarted")
        assert (call["data"]["step_id"], call["data"]["tool"]) == ("body", "search")
        await run.cancel()
        assert (await page.until(heard="WorkflowCancelled"))[-1]["data"]["task_id"] == run_id

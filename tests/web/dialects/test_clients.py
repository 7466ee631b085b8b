"""Clients written from the descriptions of the dialects alone, in JavaScript and Python, follow runs of every kind.

They open early, late or after the end, and are cut off after every frame: what they show is always the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from reactor import Engine, Run
from tests.helpers.cut_bytes import cut_every
from tests.helpers.mixed import Gate, finish, mixed_workflow, outcomes
from tests.helpers.runs import wait_until
from tests.helpers.server import Server, serving
from tests.helpers.stream_clients import PATIENCE, Shown, javascript, port_of, read_events, script, through

# --- the runs ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[Server, Gate]]:
    """A server with the workflow of ``tests.helpers.mixed``."""
    gate = Gate()
    async with serving(Engine("memory://", grace=0.0), mixed_workflow(gate)) as server:
        yield server, gate


def stream_of(server: Server, run_id: str, query: str) -> str:
    return f"{server.url}/runs/{run_id}/events?{query}"


async def ended_run(server: Server, gate: Gate) -> Run:
    run = await server.engine.start("mixed", run_id="r-1")
    await finish(server.engine, run, gate)
    return run


# --- execution --------------------------------------------------------------------------------------------------

EXECUTION = "dialect=execution"


def is_over(event: str, data: Any) -> bool:
    return event in ("execution_complete", "error")


def check_execution(shown: Shown, run: Run) -> None:
    """What the client shows is what became of each task, by the state of the run."""
    ends = {one["data"]["taskId"]: one["data"] for one in shown if one["event"] == "task_complete"}
    assert {id: end["status"] for id, end in ends.items()} == {
        id: "success" if status == "completed" else "error" for id, status in outcomes(run).items()
    }
    assert ends["shaky"]["output"] == "at last"
    assert ends["divide[1]"]["error"] == "division by zero"
    assert ends["total"]["error"] == "skipped: upstream_failed (divide[1])"
    assert ends["unwanted"]["error"] == "skipped: condition (unwanted)"
    assert ends["endless"]["error"] == "cancelled: not needed"
    assert ends["large"]["outputRef"].endswith("/tasks/large/output")
    starts = [one["data"]["taskId"] for one in shown if one["event"] == "task_start"]
    assert sorted(starts) == [
        "divide[0]", "divide[1]", "divide[2]", "empty", "endless", "first", "large", "shaky",
    ]  # fmt: skip
    last = shown[-1]
    assert last["event"] == "execution_complete"
    assert last["data"]["totalTasks"] == len(ends) == 11
    assert (last["data"]["successCount"], last["data"]["errorCount"]) == (7, 4)


async def test_execution_clients_live_and_before_the_run() -> None:
    """Both show the first task while it runs, and close at the end."""
    async with served() as (server, gate):
        early_url = stream_of(server, "r-1", EXECUTION + "&await_run=30")
        async with script("execution.mjs", early_url) as early:
            python = asyncio.ensure_future(read_events(early_url, is_over))
            await wait_until(lambda: len(server.streams) == 2)
            run = await server.engine.start("mixed", run_id="r-1")
            assert (await early.next())["event"] == "task_start"
            async with script("execution.mjs", stream_of(server, "r-1", EXECUTION)) as live:
                assert (await live.next())["data"]["taskId"] == "first"
                await finish(server.engine, run, gate)
                shown = await live.rest()
            check_execution(shown, run)
            assert await early.rest() == await asyncio.wait_for(python, PATIENCE) == shown


async def test_execution_clients_after_the_end_and_cut_at_every_frame() -> None:
    """However often the connection breaks, each frame comes once."""
    async with served() as (server, gate):
        run = await ended_run(server, gate)
        url = stream_of(server, run.id, EXECUTION)
        shown = await read_events(url, is_over)
        check_execution(shown, run)
        assert await javascript("execution.mjs", url) == shown
        for client in (partial(read_events, is_end=is_over), partial(javascript, "execution.mjs")):
            async with cut_every(1, port_of(url)) as proxy:
                assert await asyncio.wait_for(client(through(url, proxy.port)), PATIENCE) == shown
                assert proxy.connections >= len(shown)


async def test_execution_clients_are_told_of_a_cancel_and_of_a_shutdown() -> None:
    """In an error event, after which they close; the one of the shutdown is not the end of the run."""
    async with served() as (server, _):
        run = await server.engine.start("mixed", run_id="r-1")
        async with script("execution.mjs", stream_of(server, run.id, EXECUTION)) as client:
            await client.next()
            await run.cancel(reason="asked")
            shown = await client.rest()
        assert shown[-1]["event"] == "error"
        assert shown[-1]["data"]["error"] == "cancelled: asked"
        other = await server.engine.start("mixed", run_id="r-2")
        async with script("execution.mjs", stream_of(server, other.id, EXECUTION)) as client:
            await client.next()
            await server.stop()
            shown = await client.rest()
        assert shown[-1]["data"]["error"] == "the server is shutting down before the end of the run"
        assert shown[-1]["id"] == ""


async def test_an_execution_client_is_told_that_its_run_does_not_start() -> None:
    """The time it was to wait for it is over."""
    async with served() as (server, _):
        (shown,) = await javascript("execution.mjs", stream_of(server, "r-1", EXECUTION + "&await_run=0.05"))
    assert (shown["event"], shown["data"]["error"]) == ("error", "there is no run 'r-1'")


# --- steps ------------------------------------------------------------------------------------------------------

STEPS = "dialect=steps"


def updates_of(shown: Shown) -> Shown:
    """(id, update) of what the Python client was given under no name."""
    return [{"id": one["id"], "update": one["data"]} for one in shown if one["event"] == "message"]


def check_steps(updates: Shown, run: Run) -> None:
    """What the client shows is what became of each step, by the state of the run."""
    all_of_them = [one["update"] for one in updates]
    ends = {update["step_name"]: update for update in all_of_them if update["status"] != "started"}
    words = {"completed": "completed", "failed": "failed", "skipped": "cancelled", "cancelled": "cancelled"}
    assert {id: end["status"] for id, end in ends.items()} == {id: words[how] for id, how in outcomes(run).items()}
    assert [update["step_type"] for update in all_of_them if update["step_name"] == "shaky"] == [
        "sequential", "retry", "retry", "retry",
    ]  # fmt: skip
    assert ends["unwanted"]["step_type"] == "conditional"
    assert [ends[f"divide[{i}]"]["parallel_index"] for i in range(3)] == [0, 1, 2]
    assert {update["parallel_total"] for update in all_of_them if update["step_name"].startswith("divide")} == {3}
    progress = [update["progress"] for update in all_of_them]
    assert progress == sorted(progress)
    assert progress[-1] == 1


async def test_step_clients_live_and_before_the_run() -> None:
    """They show the first step while it runs; the bar is full in the end, and the close comes after it."""
    async with served() as (server, gate):
        early_url = stream_of(server, "r-1", STEPS + "&await_run=30")
        async with script("steps.mjs", early_url) as early:
            python = asyncio.ensure_future(read_events(early_url))
            await wait_until(lambda: len(server.streams) == 2)
            run = await server.engine.start("mixed", run_id="r-1")
            assert (await early.next())["update"]["step_name"] == "first"
            async with script("steps.mjs", stream_of(server, "r-1", STEPS), "stays") as live:
                assert (await live.next())["update"]["status"] == "started"
                await finish(server.engine, run, gate)
                *updates, page = await live.rest()
            check_steps(updates, run)
            assert page["bar"]["value"] == 100
            assert page["closing"] == ["failed"]
            assert set(page["agentCards"]) == {"agent-0", "agent-1", "agent-2", "agent-undefined"}
            assert (await early.rest())[:-1] == updates == updates_of(await asyncio.wait_for(python, PATIENCE))


async def test_step_clients_after_the_end_and_cut_at_every_update() -> None:
    """However often the connection breaks, each update comes once; in the end 204 tells them not to come back."""
    async with served() as (server, gate):
        run = await ended_run(server, gate)
        for query in (STEPS, STEPS + "&logs=1", STEPS + "&started=0"):
            url = stream_of(server, run.id, query)
            shown = await asyncio.wait_for(read_events(url), PATIENCE)
            async with cut_every(1, port_of(url)) as proxy:
                cut = await asyncio.wait_for(read_events(through(url, proxy.port)), PATIENCE)
                assert updates_of(cut) == updates_of(shown)
                if query == STEPS:
                    *updates, page = await javascript("steps.mjs", through(url, proxy.port), "stays")
                    assert updates == updates_of(shown)
                    assert page["closing"] == ["failed"]
                    check_steps(updates, run)
        assert (await javascript("steps.mjs", stream_of(server, run.id, STEPS)))[-1]["closing"] == ["failed"]


async def test_a_shutdown_is_no_end_for_a_step_client() -> None:
    """It comes under another name than the end, and no update looks like it."""
    async with served() as (server, _):
        run = await server.engine.start("mixed", run_id="r-1")
        async with script("steps.mjs", stream_of(server, run.id, STEPS)) as client:
            await client.next()
            await server.stop()
            *updates, page = await client.rest()
    assert [one["update"]["status"] for one in updates] == ["started"]
    assert page["closing"] == ["shutdown"]


# --- sessions ---------------------------------------------------------------------------------------------------


async def test_what_a_session_says_in_their_words_reaches_both_clients() -> None:
    """As it is, and its own end is the end; what is said in other words reaches neither."""
    async with served() as (server, _):
        session = await server.engine.session("s-1")
        async with (
            script("execution.mjs", stream_of(server, "s-1", EXECUTION)) as plan,
            script("steps.mjs", stream_of(server, "s-1", STEPS), "stays") as page,
        ):
            await wait_until(lambda: len(server.streams) == 2)
            await session.emit("task_start", {"taskId": "a", "tool": "search"})
            await session.emit("ROUTER_THOUGHT", {"message": "hm"})
            await session.emit("step", {"step_name": "a", "status": "completed", "progress": 1.0})
            await session.emit("task_complete", {"taskId": "a", "tool": "search", "status": "success", "output": 1})
            await session.emit("execution_complete", {"totalTasks": 1, "speedup": 1.5})
            await session.close()
            assert [(one["event"], one["data"].get("taskId")) for one in await plan.rest()] == [
                ("task_start", "a"), ("task_complete", "a"), ("execution_complete", None),
            ]  # fmt: skip
            update, shown = await page.rest()
        assert (update["update"]["workflow_id"], update["update"]["progress"]) == ("s-1", 1.0)
        assert (shown["bar"]["value"], shown["closing"]) == (100, ["completed"])


# --- every id ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [EXECUTION, STEPS, STEPS + "&logs=1"])
async def test_a_client_may_come_back_after_any_frame(query: str) -> None:
    """With the id of that frame it is sent exactly what comes behind it."""
    async with served() as (server, gate):
        run = await ended_run(server, gate)

        async def frames(last_id: str | None) -> list[tuple[str, str, str]]:
            headers = {} if last_id is None else {"Last-Event-ID": last_id}
            async with server.events(run.id, f"?{query}", **headers) as stream:
                return [(frame.id, frame.event, frame.data) for frame in await stream.all()]

        def without_time(shown: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
            return [one for one in shown if one[1] != "stream.end"]  # it has the time of its response

        whole = await frames(None)
        for place, (id, _, _) in enumerate(whole[:-1], 1):
            assert without_time(await frames(id)) == without_time(whole[place:]), f"after {id}"

"""A page in React, written for the stream of workflows alone, follows a run by the dialect ``agents``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pytest_aiohttp import AiohttpClient, AiohttpServer

import reactor_web
from reactor import Engine
from reactor_web import add_state, add_stream
from tests.examples.test_seeds import Seeds
from tests.helpers.cutting import CuttingProxy, cutting
from tests.helpers.newsroom import newsroom
from tests.helpers.node import node_script
from tests.helpers.server import API, CLOSE_SECONDS, Gates, Server

PATIENCE = 60.0

Shown = dict[str, Any]


@pytest.fixture
async def desk(aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Server:
    """A server with the newsroom under the paths of the page; its gates are ``desk.gates``."""
    gates, engine = Gates(), Engine("memory://", grace=0.0)
    app = reactor_web.create_app(engine, [newsroom(gates)])
    add_stream(app, "/api/workflows/{id}/stream", engine, dialect="agents", await_run=60)
    add_state(app, "/api/workflows/{id}", engine, dialect="agents")
    listening = await aiohttp_server(app, shutdown_timeout=CLOSE_SECONDS)
    found = Server.of(await aiohttp_client(listening), engine, app)
    found.gates = gates
    return found


class Page:
    """The page in a process of its own; ``until`` waits for what it shows."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.shown: list[Shown] = []

    async def until(self, condition: Callable[[Shown], object]) -> Shown:
        """The first state that React renders from now on and that meets the condition."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self._process.stdout.readline():
                self.shown.append(json.loads(line))
                if condition(self.shown[-1]):
                    return self.shown[-1]
        raise AssertionError(f"the page has ended, it showed {self.shown[-1:]}")

    async def press_reconnect(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"reconnect\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def page_of(base: str, workflow_id: str, backoff_ms: int = 20) -> AsyncGenerator[Page]:
    """A page that follows this workflow."""
    command = [*node_script("agents.mjs"), base, workflow_id, str(backoff_ms)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**20)
    try:
        yield Page(process)
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def proxy(desk: Server) -> AsyncIterator[CuttingProxy]:
    """A proxy before the server, which does nothing until it is told to."""
    async with cutting(desk.url.removesuffix(API)) as proxy:
        yield proxy


async def start(desk: Server) -> None:
    await desk.put("/runs/news-1", {"workflow": "newsroom", "input": {}})


def is_over(shown: Shown) -> bool:
    return not shown["isStreaming"] and (shown["workflow"] or {}).get("status") in ("completed", "failed", "cancelled")


def summary(shown: Shown) -> dict[str, Any]:
    """What is the same on all pages that show an ended workflow."""
    return {
        "workflow": {
            key: shown["workflow"][key] for key in ("name", "status", "totalSteps", "iterations", "totalCost")
        },
        "agents": {name: (agent["status"], agent.get("error")) for name, agent in shown["agents"].items()},
        "logs": shown["logs"],
    }


AGENTS_AT_THE_END = {
    "editor": ("completed", None), "write[0]": ("completed", None), "write[1]": ("completed", None),
    "write[2]": ("failed", "no topic"), "tidy": ("completed", None), "check": ("completed", None),
    "publish": ("failed", "skipped: condition (publish)"), "idle": ("completed", None),
}  # fmt: skip


async def test_pages_opened_before_live_and_after_show_the_same(desk: Server, proxy: CuttingProxy) -> None:
    """All agents with their ends, the log lines, the totals; connected while it runs, and not one failure."""
    async with page_of(proxy.base, "news-1") as before:
        waiting = await before.until(lambda shown: shown["workflow"])
        assert (waiting["isConnected"], waiting["workflow"]["status"]) == (True, "pending")
        await start(desk)
        await before.until(lambda shown: shown["agents"].get("editor", {}).get("status") == "running")
        desk.gates["begin"].set()
        await before.until(lambda shown: shown["agents"].get("idle", {}).get("status") == "running")
        async with page_of(proxy.base, "news-1") as live:
            opened = await live.until(lambda shown: len(shown["agents"]) > 7)
            assert opened["workflow"]["status"] == "running"
            assert [line["message"] for line in opened["logs"]] == ["looking around", "checked twice"]
            desk.gates.open()
            shown = [await page.until(is_over) for page in (before, live)]
    async with page_of(proxy.base, "news-1") as after:
        shown.append(await after.until(is_over))
    assert [summary(page) for page in shown] == [summary(shown[0])] * 3
    assert summary(shown[0])["agents"] == AGENTS_AT_THE_END
    assert (shown[0]["workflow"]["status"], shown[0]["workflow"]["totalSteps"]) == ("completed", 6)
    assert [page["failures"] for page in shown] == [0, 0, 0]
    assert [page["heard"].count("workflow:completed") for page in shown] == [1, 1, 1]
    assert {"workflow:running", "agent:progress"} <= set(shown[0]["heard"])


async def test_a_page_that_is_cut_at_every_frame_shows_the_same(desk: Server, proxy: CuttingProxy) -> None:
    """The k-th connection is cut after k frames, in openings too; the page comes back and misses nothing."""
    await start(desk)
    proxy.cuts = count(1)
    desk.gates["begin"].set()
    async with page_of(proxy.base, "news-1", backoff_ms=1) as page:
        await page.until(lambda shown: proxy.opened > 11)
        desk.gates.open()
        shown = await page.until(lambda shown: is_over(shown) and "workflow:completed" in shown["heard"])
    assert summary(shown)["agents"] == AGENTS_AT_THE_END
    assert [line["message"] for line in shown["logs"]] == ["looking around", "checked twice"]
    assert shown["failures"] >= 11


async def test_after_five_refusals_the_page_polls_and_the_button_streams_again(
    desk: Server, proxy: CuttingProxy
) -> None:
    """What it polls is what a stream shows, in the form the page keeps."""
    await start(desk)
    proxy.refuses = True
    desk.gates["begin"].set()
    async with page_of(proxy.base, "news-1", backoff_ms=5) as page:
        polled = await page.until(lambda shown: shown["agents"].get("idle", {}).get("status") == "running")
        assert (polled["isPolling"], polled["isConnected"]) == (True, False)
        assert proxy.opened == 1 + 5
        assert [line["message"] for line in polled["logs"]] == ["looking around", "checked twice"]
        proxy.refuses = False
        await page.press_reconnect()
        live = await page.until(lambda shown: shown["isConnected"] and len(shown["agents"]) > 7)
        assert not live["isPolling"]
        desk.gates.open()
        streamed = await page.until(is_over)
        assert summary(streamed)["agents"] == AGENTS_AT_THE_END
    proxy.refuses = True
    async with page_of(proxy.base, "news-1", backoff_ms=1) as late:
        assert summary(await late.until(is_over)) == summary(streamed)


async def test_a_cancelled_workflow_has_failed_on_the_page(desk: Server, proxy: CuttingProxy) -> None:
    """With the reason, and so have its agents."""
    await start(desk)
    async with page_of(proxy.base, "news-1") as page:
        await page.until(lambda shown: shown["isStreaming"] and shown["workflow"])
        await desk.post("/runs/news-1/cancel", {"reason": "no news"})
        shown = await page.until(is_over)
    assert (shown["workflow"]["status"], shown["workflow"]["error"]) == ("failed", "cancelled: no news")
    assert {agent["status"] for agent in shown["agents"].values()} == {"failed"}


async def test_a_page_outlives_a_stop_of_the_server_as_a_lost_connection(desk: Server, proxy: CuttingProxy) -> None:
    """A stream that closes because the server stops is no end: the page says that it is not connected."""
    await start(desk)
    async with page_of(proxy.base, "news-1") as page:
        await page.until(lambda shown: shown["isStreaming"] and shown["workflow"])
        await desk.stop()
        lost = await page.until(lambda shown: not shown["isConnected"])
    assert lost["workflow"]["status"] == "running"
    assert lost["error"]


@pytest.mark.slow
async def test_a_page_goes_on_after_a_kill_of_the_server(tmp_path: Path) -> None:
    """``kill -9`` in the middle of a workflow: the page comes back to the new process, and sees the workflow end."""
    seeds = Seeds(f"sqlite:///{tmp_path / 'seeds.db'}")
    try:
        await seeds.start()
        async with aiohttp.ClientSession() as session:

            async def post(path: str, body: Any) -> None:
                async with session.post(seeds.url + path, json=body) as answer:
                    assert answer.status in (201, 202)

            await post("/api/workflows", {"task": "a flaky test", "id": "wf-1", "budget": {"cost": 1}})
            await post("/api/v1/runs/wf-1/pause", {})
            async with page_of(seeds.url, "wf-1", backoff_ms=400) as page:
                await page.until(lambda shown: (shown["workflow"] or {}).get("status") == "paused")
                seeds.kill()
                await page.until(lambda shown: not shown["isConnected"])
                await seeds.start()
                await page.until(lambda shown: shown["isConnected"] or shown["isPolling"])
                await post("/api/v1/runs/wf-1/resume", {})
                shown = await page.until(is_over)
    finally:
        seeds.close()
    assert shown["workflow"]["status"] == "completed"
    assert shown["workflow"]["totalCost"] >= 0.12
    assert {agent["status"] for agent in shown["agents"].values()} == {"completed"}
    assert shown["agents"]["reviewer"]["agentRole"] == "reviewer"

"""A server whose log file is moved away: what clients, load balancers and followers are told, until it is back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Context, Engine, Workflow
from reactor.logs.sqlite import log
from tests.helpers.runs import PATIENCE, result, wait_until

flow = Workflow("asks")


@flow.task
async def ask(ctx: Context) -> str:
    return await ctx.receive("?")


async def test_a_server_whose_log_is_gone_says_so_and_takes_no_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/readyz is 503 with a reason, a start 503 with a code that has a page, and a stream closes with reason ``log``;
    no answer has the path. Once the file is back all is as before, and the run goes on."""
    monkeypatch.setattr(log, "LOG_LOOK_SECONDS", 0.05)
    path = tmp_path / "runs.db"
    async with Engine(f"sqlite:///{path}", workflows=[flow], grace=0.0) as engine:
        server = TestServer(reactor_web.create_app(engine), host="127.0.0.1")
        async with server, aiohttp.ClientSession(base_url=server.make_url("/api/v1/")) as session:
            assert (await session.put("runs/a", json={"workflow": "asks"})).status == 201
            stream = await session.get("runs/a/events", headers={"Accept": "text/event-stream"})
            path.rename(tmp_path / "moved.db")
            frames = await asyncio.wait_for(stream.text(), PATIENCE)
            assert frames.rstrip().rpartition("\n\n")[2].count('"reason":"log"') == 1, frames
            ready = await session.get("readyz")
            document = await ready.json()
            assert (ready.status, document["code"], document["reason"]) == (503, "log-unavailable", "moved")
            start = await session.put("runs/b", json={"workflow": "asks"})
            document = await start.json()
            assert (start.status, document["code"], "Retry-After" in start.headers) == (503, "log-unavailable", True)
            page = await session.get(document["type"]) if document["type"] != "about:blank" else None
            assert page is not None
            assert page.status == 200
            assert "reactor recover" in await page.text()
            assert str(tmp_path) not in await ready.text() + await start.text() + frames
            (tmp_path / "moved.db").rename(path)
            await wait_until(lambda: engine.open_runs == 1)
            assert (await session.get("readyz")).status == 200
            assert (await session.get("runs/b")).status == 404
            assert (await session.post("runs/a/input", json={"task": "ask", "value": "yes"})).status == 202
            assert await result(await engine.get("a")) == {"ask": "yes"}

"""``examples/seeds.py``: each of its five systems is followed through a ``kill -9`` of the server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest

from reactor_web.sse.parser import Frame, Parser
from tests.helpers.paths import ROOT
from tests.helpers.warm import Started, start_python

DAG = {
    "tasks": [
        {"id": "first", "tool": "echo", "arguments": {"value": 1}},
        *[
            {
                "id": f"slow-{n}",
                "tool": "sleep",
                "arguments": {"seconds": 0.2, "value": "$first"},
                "dependsOn": ["first"],
            }
            for n in range(3)
        ],
        {"id": "broken", "tool": "fail", "dependsOn": ["slow-0"]},
        {"id": "never", "tool": "echo", "dependsOn": ["broken"]},
    ]
}


class Seeds:
    """The example as a process, which can be killed and started again under the same address."""

    def __init__(self, store: str) -> None:
        self._address = socket.socket()
        """Has the port as long as this is there, so that nobody else gets it before the process or between two."""
        self._address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._address.bind(("127.0.0.1", 0))
        self._port: int = self._address.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._store = store
        self._process: Started | None = None
        self._said = deque[str](maxlen=100)
        """The end of its standard error."""
        self._listening: Thread | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        command = [ROOT / "examples/seeds.py", "--port", self._port, "--store", self._store]
        self._process = start_python(*command, new_session=True)
        self._said.clear()
        self._listening = Thread(target=self._said.extend, args=(self._process.stderr,), daemon=True)
        self._listening.start()
        line = self._process.stdout.readline()
        if "Running on" not in line:
            self.kill()
            raise AssertionError(f"examples/seeds.py does not start, it says {line!r} and {''.join(self._said)}")

    def kill(self) -> None:
        if self._process is not None and self._listening is not None:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._listening.join()
            self._process.close_pipes()
            self._process = None

    def close(self) -> None:
        """Kills it, and gives the port up."""
        self.kill()
        self._address.close()


@pytest.fixture
async def seeds(tmp_path: Path) -> AsyncIterator[Seeds]:
    seeds = Seeds(f"sqlite:///{tmp_path / 'seeds.db'}")
    try:
        await seeds.start()
        yield seeds
    finally:
        seeds.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def post(session: aiohttp.ClientSession, url: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with session.post(url, json=body, headers=headers) as response:
        return response.status, await response.json()


async def frames(session: aiohttp.ClientSession, url: str, after: str | None = None, most: int = 10_000) -> list[Frame]:
    """The frames of a stream, at most so many; what a cut has not sent whole is not there."""
    parser, found = Parser(sticky_id=False), list[Frame]()
    async with session.get(url, headers={} if after is None else {"Last-Event-ID": after}) as response:
        assert response.status in (200, 204), await response.text()
        while len(found) < most and (chunk := await response.content.readany()):
            found += parser.feed(chunk)
    return found[:most]


async def dag(session: aiohttp.ClientSession, seeds: Seeds) -> str:
    async with session.post(f"{seeds.url}/execute", json=DAG, headers={"Accept": "text/event-stream"}) as response:
        return f"/dag/{response.headers['Location'].rpartition('/')[2]}"


async def agents(session: aiohttp.ClientSession, seeds: Seeds) -> str:
    status, _ = await post(session, f"{seeds.url}/api/workflows", {"task": "a flaky test", "id": "wf"})
    assert status == 201
    return "/api/workflows/wf/stream?after=0"


async def steps(session: aiohttp.ClientSession, seeds: Seeds) -> str:
    return "/stream?workflow_id=w1"


async def domain(session: aiohttp.ClientSession, seeds: Seeds) -> str:
    api = f"{seeds.url}/api/v1"
    async with session.put(f"{api}/runs/t1", json={"session": True, "meta": {"agent_id": "ann"}}) as response:
        assert response.status == 201
    for n in range(3):
        status, _ = await post(session, f"{api}/runs/t1/events", {"type": "WorkflowStepStarted", "data": {"step": n}})
        assert status == 202
    return "/api/v1/agents/ann/tasks/t1/events/stream"


async def timeline(session: aiohttp.ClientSession, seeds: Seeds) -> str:
    body = {"project_id": "p", "query": "an epic", "session_id": "s1"}
    asking = asyncio.ensure_future(session.post(f"{seeds.url}/execute", json=body))
    asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # the server is killed under it
    return "/timeline/stream/s1"


SYSTEMS = {"dag": dag, "agents": agents, "steps": steps, "domain": domain, "timeline": timeline}


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("seen", [1, 3])
async def test_a_client_goes_on_after_a_kill(
    system: str, seen: int, seeds: Seeds, session: aiohttp.ClientSession
) -> None:
    """What it saw before and after is the whole stream: nothing lost, doubled or out of order."""
    path = await SYSTEMS[system](session, seeds)
    before = await frames(session, seeds.url + path, most=seen)
    seeds.kill()
    await seeds.start()
    if system == "domain":  # its writer comes back, too
        status, _ = await post(session, f"{seeds.url}/api/v1/runs/t1/close", {"status": "completed"})
        assert status == 202
    after = await frames(session, seeds.url + path.partition("?after")[0], after=before[-1].id)
    whole = await frames(session, seeds.url + path)
    notices = ("stream.end", "stream.closing")
    assert [frame for frame in before + after if frame.event not in notices] == [
        frame for frame in whole if frame.event not in notices
    ]
    assert len(whole) > len(before)


async def test_the_batch_has_all_tasks_whatever_became_of_them(seeds: Seeds, session: aiohttp.ClientSession) -> None:
    """A client that takes no stream waits for the result: those that failed and were skipped are in it."""
    status, batch = await post(session, f"{seeds.url}/execute", DAG)
    assert status == 200
    assert [result["taskId"] for result in batch["results"]] == [task["id"] for task in DAG["tasks"]]
    assert {result["taskId"]: result["status"] for result in batch["results"]}["never"] == "error"
    assert [error["taskId"] for error in batch["errors"]] == ["broken", "never"]
    assert batch["parallelizationLayers"] == 4


async def test_a_path_of_another_agent_and_a_workflow_that_nobody_knows(
    seeds: Seeds, session: aiohttp.ClientSession
) -> None:
    """404 with a sentence."""
    path = await domain(session, seeds)
    for url in (path.replace("ann", "bob"), "/api/workflows/nobody/stream", "/api/workflows/nobody"):
        async with session.get(seeds.url + url) as response:
            assert response.status == 404
            assert "there is no run" in (await response.json())["detail"]
    async with session.post(f"{seeds.url}/execute", json={"workflow_id": "x", "name": "nobody"}) as response:
        assert response.status == 404

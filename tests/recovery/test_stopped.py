"""A server that was stopped (SIGSTOP) for longer than all of its time limits, and goes on: it blames nobody."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reactor_web.sse.parser import Frame, Parser
from tests.helpers.crash import check_laws, in_log
from tests.helpers.events import of_type
from tests.helpers.impatient import SECONDS
from tests.helpers.runs import PATIENCE
from tests.helpers.warm import Started, start_python

API = "/api/v1"


class Server:
    def __init__(self, process: Started, session: aiohttp.ClientSession, path: Path) -> None:
        self.process, self.session, self.path = process, session, path
        self.port = int(process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}{API}"

    async def stop_while(self, *begun: Any) -> None:
        """Stops the process, lets the others go on, and waits for longer than it has patience."""
        self.process.send_signal(signal.SIGSTOP)
        for said in begun:
            said()
        await asyncio.sleep(1.5 * SECONDS)
        self.process.send_signal(signal.SIGCONT)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, json=body) as response:
            return response.status, await response.json()

    async def frames(self, path: str) -> list[Frame]:
        async with self.session.get(self.url + path) as response:
            return Parser(sticky_id=False).feed(await response.read())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    path = tmp_path / "runs.db"
    with start_python("-m", "tests.helpers.impatient", path, quiet=True) as process:
        try:
            async with aiohttp.ClientSession(read_bufsize=1024) as session, asyncio.timeout(PATIENCE):
                yield Server(process, session, path)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest.mark.slow
async def test_no_run_no_stream_and_no_request_is_given_up(server: Server) -> None:
    """A run that commits all the time, a session that must not be silent, a stream that waits for its run, a client
    in the middle of a large write, and a request in the middle of its body: all go on as if nothing had been."""
    assert (await server.ask("PUT", "/runs/talk", {"workflow": "talk"}))[0] == 201
    assert (await server.ask("PUT", "/runs/flood", {"workflow": "flood"}))[0] == 201
    following = asyncio.ensure_future(server.frames("/runs/talk/events"))
    assert (await server.ask("PUT", "/runs/quiet", {"session": True, "idle": SECONDS}))[0] == 201
    waiting = asyncio.ensure_future(server.frames(f"/runs/later/events?await_run={SECONDS}"))
    flooded = await server.session.get(f"{server.url}/runs/flood/events")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = b'{"workflow": "later"}'
    writer.write(
        b"PUT /api/v1/runs/halved HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (server.port, len(body), body[:5])
    )
    asked: list[asyncio.Future[Any]] = []

    def say_much() -> None:
        writer.write(body[5:])
        said = {"type": "word.said", "data": {}}
        asked.append(asyncio.ensure_future(server.ask("POST", "/runs/quiet/events", said)))
        asked.append(asyncio.ensure_future(server.ask("PUT", "/runs/later", {"workflow": "later"})))

    await asyncio.sleep(SECONDS / 8)
    await server.stop_while(say_much)
    poured = Parser(sticky_id=False).feed(await flooded.read())

    assert [(await request)[0] for request in asked] == [202, 201]
    assert b"201 Created" in await reader.readline()
    writer.close()
    assert (await waiting)[-1].event == "stream.end"
    assert poured[-1].event == "stream.end"
    assert len([frame for frame in poured if frame.event == "much.said"]) == 600
    frames = await following
    assert frames[-1].event == "stream.end"
    assert [json.loads(frame.data)["seq"] for frame in frames[:-1]] == list(range(1, len(frames)))
    assert (await server.ask("GET", "/readyz"))[0] == 200
    for run_id in ("talk", "flood", "later", "halved"):
        events = in_log(server.path, run_id)
        assert of_type(events, "run.resumed") == [], run_id
        check_laws(events)
        assert events[-1].type == "run.completed"

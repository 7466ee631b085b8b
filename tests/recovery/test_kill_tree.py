"""A tree of runs that ask on three levels, watched and answered from its root over HTTP, while the server is killed."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reactor import Event
from reactor.events.vocabulary import TERMINAL
from reactor_web.client.follow import follow_url
from reactor_web.sse.parser import Frame
from tests.helpers import family
from tests.helpers.crash import check_laws, in_log
from tests.helpers.runs import PATIENCE
from tests.helpers.sse import parse
from tests.helpers.warm import start_python


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Killed:
    """A server in a process of its own, which is killed and started again on the same file and port."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/v1"

    async def start(self) -> None:
        self.process = start_python(
            "-m", "reactor_web", "serve", "tests/helpers/family.py", "--port", self.port,
            "--store", f"sqlite:///{self.path}", quiet=True,
        )  # fmt: skip
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), PATIENCE)
        assert "serving on" in line, line

    async def kill(self) -> None:
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self.process.close_pipes()


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[Killed]:
    server = Killed(path)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


async def ask(session: aiohttp.ClientSession, url: str, body: Any = None) -> tuple[int, Any]:
    async with session.request("GET" if body is None else "POST", url, json=body) as response:
        return response.status, await response.json()


async def open_question(session: aiohttp.ClientSession, server: Killed) -> tuple[str, str]:
    """(run, key) of the one question that is open in the tree, as its root shows it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            _, body = await ask(session, f"{server.url}/runs/r")
            own = [("r", asked["key"]) for task in body["tasks"].values() for asked in task.get("waiting", ())]
            below = [(run["run_id"], asked["key"]) for run in body["tree"] for asked in run["questions"]]
            if own or below:
                (found,) = own + below
                return found
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_tree_is_watched_and_answered_from_its_root_while_the_server_is_killed(tmp_path: Path) -> None:
    """Nothing is asked twice that was answered; the stream, across the kills, is the one that a new client has."""
    async with served(tmp_path / "runs.db") as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/runs/r/events?children=1"

        async def watch() -> list[Frame]:
            frames = follow_url(url, session=session, sleep=lambda _: asyncio.sleep(0.05), max_failures=500)
            return [frame async for frame in frames]

        assert (await ask(session, f"{server.url}/workflows/top/runs", {"run_id": "r"}))[0] == 201
        watching = asyncio.ensure_future(watch())
        for place, question in enumerate(family.QUESTIONS):
            assert await open_question(session, server) == question
            if place % 2:  # the question is open: it is still that after the restart
                await server.kill()
                await server.start()
                assert await open_question(session, server) == question
            run, key = question
            body = {"run": run, "task": "ask", "key": key, "value": place}
            status, answer = await ask(session, f"{server.url}/runs/r/input", body)
            assert status == 202, answer
            if not place % 2:  # the answer is in the log: nobody is asked again
                await server.kill()
                await server.start()
        watched = await asyncio.wait_for(watching, PATIENCE)
        _, body = await ask(session, f"{server.url}/runs/r")
        assert body["outputs"] == family.EXPECTED
        await check_stream(session, url, watched)
    for run in family.RUNS:
        check_answered_once(in_log(server.path, run))


async def check_stream(session: aiohttp.ClientSession, url: str, watched: list[Frame]) -> None:
    """What was watched is the whole stream, and from each of its ids on the rest is the same."""
    async with session.get(url) as response:
        *whole, end = parse(await response.read())
    assert watched[:-1] == whole
    assert (watched[-1].event, watched[-1].id) == (end.event, end.id) == ("stream.end", whole[-1].id)
    for at, frame in enumerate(whole[:-1]):
        async with session.get(url, headers={"Last-Event-ID": frame.id}) as response:
            assert parse(await response.read())[:-1] == whole[at + 1 :], f"after {frame.id}"
    events = [Event.from_json(frame.data.encode()) for frame in whole]
    assert {event.run_id for event in events} == set(family.RUNS)
    assert [event.run_id for event in events if event.type in TERMINAL] == list(reversed(family.RUNS))


def check_answered_once(events: list[Event]) -> None:
    """Each question has one answer, and after that is asked no more; the body goes on once with each."""
    check_laws(events)
    answered: list[str] = []
    for event in events:
        if event.type == "task.waiting":
            assert event.data["key"] not in answered, f"{json.dumps(event.data)} is asked again"
        elif event.type == "task.received":
            answered.append(event.data["key"])
    assert answered == ["before", "after"]
    assert sum(event.type == "run.started" for event in events) == 1

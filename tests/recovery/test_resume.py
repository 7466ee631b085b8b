"""A client that keeps losing its connection, to a server that keeps dying, sees the log and nothing else."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web as aiohttp_web

import reactor_web
from reactor import Engine, Event
from reactor.events.vocabulary import NOTICES
from reactor_web.client.follow import follow_url
from tests.helpers.crash import check_laws, in_log
from tests.helpers.runs import PATIENCE
from tests.helpers.warm import start_python
from tests.helpers.workflows import followed

SEED = int(os.environ.get("RESUME_SEED", "20261121"))
DROPS = 200
RUN_ID = "followed"


class Client:
    """Follows a run and is interrupted: ``drop`` is its own doing, ``lose`` the server's, under an open connection."""

    def __init__(self, url: str, session: aiohttp.ClientSession, chance: random.Random) -> None:
        self.url = f"{url}/runs/{RUN_ID}/events"
        self.session = session
        self.chance = chance
        self.seen: list[tuple[int, bytes]] = []
        self.ended = False
        self.reconnected = 0

    async def follow(self, frames: int | None, interrupt: Callable[[], Awaitable[object]] | None = None) -> None:
        """Takes so many frames (None: to the end), interrupted somewhere on the way; then goes without a word."""
        after = self.seen[-1][0] if self.seen else 0
        interrupted_at = self.chance.randint(1, frames) if frames and interrupt else None
        taken = 0
        async with aclosing(
            follow_url(
                self.url,
                after=after,
                session=self.session,
                sleep=lambda _: asyncio.sleep(0.005),
                max_failures=1000,
                on_connection=self._count,
            )
        ) as stream:
            async for frame in stream:
                if frame.event == "stream.end":
                    self.ended = True
                elif frame.event not in NOTICES:
                    self.seen.append((int(frame.id), frame.data.encode()))
                    taken += 1
                if taken == interrupted_at and interrupt is not None:
                    await interrupt()
                    interrupted_at = None
                if taken == frames:
                    return

    def _count(self, sentence: str) -> None:
        self.reconnected += sentence.startswith("connected")

    def check(self, log: list[Event]) -> None:
        assert [seq for seq, _ in self.seen] == list(range(1, len(log) + 1))
        assert b"\n".join(data for _, data in self.seen) == b"\n".join(event.json for event in log)


class Server:
    """A server in this process: it stops as on SIGTERM, and starts again on the same port and file."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.port = 0

    async def start(self) -> None:
        self.engine = Engine(self.store, workflows=[followed], grace=0.0)
        self.runner = aiohttp_web.AppRunner(
            reactor_web.create_app(self.engine, [followed]), access_log=None, shutdown_timeout=1.0
        )
        await self.runner.setup()
        await aiohttp_web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def restart(self) -> None:
        await self.runner.cleanup()
        await self.start()

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"


async def begin(session: aiohttp.ClientSession, url: str, pause: float) -> None:
    body = {"input": {"pause": pause}, "run_id": RUN_ID}
    async with session.post(f"{url}/workflows/followed/runs", json=body) as response:
        assert response.status == 201, await response.text()


@pytest.mark.slow
async def test_200_drops_and_100_restarts_later_a_client_has_the_log_byte_for_byte(tmp_path: Path) -> None:
    """Ids are 1..N and the data is the log's, whether the client went, or the server under its open connection."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    file = tmp_path / "runs.db"
    drops = restarts = while_open = 0
    served = Server(f"sqlite:///{file}")
    async with served as server, aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        await begin(session, server.url, 0.01)
        client = Client(server.url, session, chance)
        while drops < DROPS:
            drops += 1
            is_restart = drops % 2 == 0
            restarts += is_restart
            await client.follow(chance.randint(1, 40), server.restart if is_restart else None)
            while_open += server.engine.open_runs
            if client.ended:
                break
        await client.follow(None)
    log = in_log(file, RUN_ID)
    print(f"{drops} drops, {restarts} restarts, {while_open} while the run was open, {len(log)} events")
    client.check(log)
    check_laws(log)
    assert client.ended
    assert (drops, restarts) == (DROPS, DROPS // 2)
    assert client.reconnected >= restarts
    assert while_open > DROPS // 2
    assert len(log) >= 5000
    assert sum(event.type == "run.resumed" for event in log) > DROPS // 4


# --- processes --------------------------------------------------------------------------------------------------


class Process:
    """``reactor serve`` as a process, killed or asked to end."""

    def __init__(self, store: str, chance: random.Random) -> None:
        self.store = store
        self.chance = chance
        self.port = 0
        self.restarts = 0

    async def start(self) -> None:
        self.process = start_python(
            "-m", "reactor_web", "serve", "tests/helpers/workflows.py:followed",
            "--store", self.store, "--port", self.port, "--grace", "0", quiet=True,
        )  # fmt: skip
        line = await asyncio.to_thread(self.process.stdout.readline)
        found = re.search(r"serving on http://127.0.0.1:(\d+)", line)
        assert found is not None, line
        self.port = int(found[1])

    async def stop(self, number: int) -> None:
        self.process.send_signal(number)
        code = await asyncio.to_thread(self.process.wait)
        self.process.close_pipes()
        assert code == (0 if number == signal.SIGTERM else -number)

    async def restart(self) -> None:
        self.restarts += 1
        await self.stop(signal.SIGKILL if self.restarts % 2 else signal.SIGTERM)
        await self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"


@pytest.mark.slow
async def test_a_server_that_is_killed_under_its_clients_goes_on_where_they_were(tmp_path: Path) -> None:
    """Ten processes die, every second one by kill -9; the client's one stream is the log byte for byte."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    file = tmp_path / "runs.db"
    server = Process(f"sqlite:///{file}", chance)
    await server.start()
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        await begin(session, server.url, 0.02)
        client = Client(server.url, session, chance)
        for _ in range(10):
            await client.follow(chance.randint(40, 300), server.restart)
        await client.follow(None)
        await server.stop(signal.SIGTERM)
    log = in_log(file, RUN_ID)
    print(f"{len(log)} events, {sum(event.type == 'run.resumed' for event in log)} of them run.resumed")
    client.check(log)
    check_laws(log)
    assert client.ended
    assert len(log) >= 4500
    assert sum(event.type == "run.resumed" for event in log) >= 5

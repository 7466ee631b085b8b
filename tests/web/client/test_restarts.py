"""A client of a server that is killed again and again sees the log and nothing else."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from reactor.events.event import Message
from reactor.events.fold import replay
from reactor_web.client import Client
from tests.helpers.crash import check_laws, in_log
from tests.helpers.life import Life
from tests.helpers.paths import ROOT
from tests.helpers.runs import PATIENCE

SEED = 20261130
KILLS = 20


@pytest.mark.slow
async def test_20_kills_later_an_iterator_a_subscriber_and_who_waits_have_the_whole_run(tmp_path: Path) -> None:
    """By SIGKILL under open connections, with SQLite: each event once, in order, byte for byte, and the outputs."""
    chance = random.Random(SEED)
    file = tmp_path / "runs.db"
    pulled: list[Message] = []
    pushed: list[Message] = []
    kills = 0
    life = await asyncio.to_thread(Life, file, flow=f"{ROOT}/tests/helpers/workflows.py:followed")
    options = {"sleep": lambda _: asyncio.sleep(0.01), "tries": 100, "max_failures": 1_000}
    try:
        async with Client(life.base, **options) as client, asyncio.timeout(PATIENCE):
            run = await client.start("followed", {"pause": 0.02})  # 5 s: a client that is late still kills an open run
            completed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            run.events.subscribe(pushed.append, completed.set_exception, lambda: completed.set_result(None))
            waiting = asyncio.ensure_future(client.run(run.id).ended())
            next_kill = chance.randint(20, 150)
            async for message in run:
                pulled.append(message)
                if len(pulled) >= next_kill and kills < KILLS:
                    kills += 1
                    await asyncio.to_thread(life.end, "SIGKILL")
                    await asyncio.to_thread(life.begin_again)
                    next_kill = len(pulled) + chance.randint(20, 150)
            state = await waiting
            await completed
            outputs = await run
            assert outputs == await run.outputs()
    finally:
        await asyncio.to_thread(life.end, "SIGKILL")
    log = in_log(file, run.id)
    check_laws(log)
    assert [message.json for message in pulled] == [event.json for event in log]
    assert pushed == pulled
    assert kills == KILLS
    assert sum(event.type == "run.resumed" for event in log) >= KILLS // 2
    assert run.state == state == replay(run.id, log)

"""A Redis that is killed and comes back: with everything, or without the end of what it has acknowledged."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reactor import Context, Engine, LogLost, Run, Session, Workflow
from reactor.errors import LogUnavailable
from reactor.logs.redis import ring
from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.testing import read_all
from reactor.testing.log_laws import completed, event, started
from tests.helpers.log_lines import log_lines
from tests.helpers.redis import SURE, RedisServer, redis_server
from tests.helpers.runs import PATIENCE, full_log, wait_until


@pytest.fixture
def sure(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that has everything on its disk before it acknowledges it."""
    folder = tmp_path / "data"
    folder.mkdir()
    with redis_server(folder, *SURE) as server:
        yield server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisLog]:
    log = open_redis(url)
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def restart(server: RedisServer, *, data: Path | None = None) -> None:
    """Kills it and starts it again, on the data that it has left or on these."""
    await asyncio.to_thread(server.kill)
    if data is not None:
        shutil.rmtree(server.folder)
        shutil.copytree(data, server.folder)
    await asyncio.to_thread(server.start)


async def test_a_kill_in_the_middle_of_windows(sure: RedisServer) -> None:
    """Whatever was acknowledged is there, each run is 1..N without a hole or a double, and nobody sees an error."""
    ids = [f"r{i}" for i in range(5)]
    acknowledged = dict.fromkeys(ids, 0)
    goes_on = True

    async def write(log: RedisLog, run_id: str) -> None:
        seq = 1
        assert await log.acquire(run_id)
        while goes_on:
            window = [started(run_id), event(2, run_id)] if seq == 1 else [event(seq, run_id), event(seq + 1, run_id)]
            await log.append(run_id, window)
            seq = window[-1].seq + 1
            acknowledged[run_id] = window[-1].seq

    async with opened(sure.url()) as log:
        writers = [asyncio.ensure_future(write(log, run_id)) for run_id in ids]
        for _ in range(3):
            before = dict(acknowledged)
            await wait_until(lambda before=before: all(acknowledged[id] >= before[id] + 20 for id in ids))
            await restart(sure)
        goes_on = False
        await asyncio.wait_for(asyncio.gather(*writers), PATIENCE)
        for run_id in ids:
            seqs = [e.seq for e in await read_all(log, run_id)]
            assert seqs == list(range(1, acknowledged[run_id] + 1))
        entries = await log.whole(0, 100_000)
        assert [entry.position for entry in entries] == sorted({entry.position for entry in entries})


def counting(done: list[int]) -> Workflow:
    """A chain of tasks, each of which notes that its body has run."""
    flow = Workflow("counting")

    async def work(ctx: Context) -> int:
        done.append(int(ctx.task_id[1:]))
        for i in range(20):
            await ctx.emit("thing.said", {"i": i})
        await asyncio.sleep(0.01)
        return done[-1]

    for i in range(30):
        flow.task(work, name=f"t{i}", after=[f"t{i - 1}"] if i else [])
    return flow


async def test_an_engine_goes_on_over_a_kill_of_its_redis(sure: RedisServer) -> None:
    """Its run waits for its log and ends; no body has run twice, and a follower has seen each event once."""
    done: list[int] = []
    async with Engine(sure.url(), workflows=[counting(done)]) as engine:
        run = await engine.start("counting")
        following = asyncio.ensure_future(_follow(run))
        for task in (5, 15):
            await wait_until(lambda task=task: len(done) > task)
            await restart(sure)
        events = await full_log(engine, run)
        seen = await asyncio.wait_for(following, PATIENCE)
    assert done == list(range(30))
    assert seen == [e.seq for e in events] == list(range(1, len(events) + 1))


async def _say(session: Session, text: str) -> None:
    await session.emit("thing.said", {"text": text})
    await session.committed()


async def _follow(run: Run) -> list[int | None]:
    return [one.seq async for one in run]


async def test_a_redis_that_hangs_is_left_for_a_new_connection(sure: RedisServer) -> None:
    """Nothing is answered for longer than the patience: it is told as trouble, and everything is there afterwards."""
    log = open_redis(sure.url())
    told: list[LogUnavailable | None] = []
    log.when_troubled(told.append)
    log.keep_time(None, 0.6)  # type: ignore[arg-type]
    await log.open()
    await log.append("r", [started()])
    sure.send(signal.SIGSTOP)
    try:
        waiting = log.append("r", [event(2)])
        await wait_until(lambda: bool(told))
        assert not waiting.done()  # it was sent: nobody knows what becomes of it
        with pytest.raises(LogUnavailable, match="does not answer"):
            await log.append("r", [event(3)])
    finally:
        sure.send(signal.SIGCONT)
    await asyncio.wait_for(waiting, PATIENCE)
    await wait_until(lambda: told[-1] is None)
    await log.append("r", [event(3)])
    assert [e.seq for e in await log.read("r", 0, 10)] == [1, 2, 3]
    assert [kind is None for kind in told] == [False, True]
    await log.close()


async def test_functions_that_are_gone_are_loaded_again(sure: RedisServer) -> None:
    """``FUNCTION FLUSH`` by somebody else: nobody sees an error, and nothing is written twice."""
    async with opened(sure.url()) as log:
        await log.append("r", [started()])
        assert sure.say("FUNCTION", "FLUSH").startswith("+OK")
        await asyncio.gather(*(log.append("r", [event(seq)]) for seq in range(2, 30)))
        assert sure.say("FUNCTION", "FLUSH").startswith("+OK")
        assert [e.seq for e in await log.read("r", 0, 100)] == list(range(1, 30))


# --- a Redis that has lost its end ---


async def test_what_was_acknowledged_is_written_again(sure: RedisServer, tmp_path: Path) -> None:
    """Of all runs, also of those that have ended: whoever had seen it finds the same events under the same numbers."""
    async with opened(sure.url()) as log:
        for run_id in ("open", "ended"):
            assert await log.acquire(run_id)
            await log.append(run_id, [started(run_id), event(2, run_id)])
        shutil.copytree(sure.folder, tmp_path / "before")
        assert await log.acquire("new")
        await log.append("open", [event(3, "open", blob=b"large"), event(4, "open")])
        await log.append("ended", [completed(3, "ended")])
        await log.append("new", [started("new"), completed(2, "new")])
        whole = {run_id: await read_all(log, run_id) for run_id in ("open", "ended", "new")}
        epochs = [await log.epoch(run_id) for run_id in whole]
        with log_lines() as lines:
            await restart(sure, data=tmp_path / "before")
            await log.append("open", [event(5, "open")])
        await wait_until_written(log, "new")
        assert await read_all(log, "open") == [*whole["open"], event(5, "open")]
        assert await log.blob("open", 3) == b"large"
        assert [await read_all(log, run_id) for run_id in ("ended", "new")] == [whole["ended"], whole["new"]]
        assert [await log.epoch(run_id) for run_id in ("open", "ended")] == epochs[:2]
        assert log.parts.appends.rewound_runs == 0
        assert [record.status for record in await log.records(status=None, workflow=None, before=None, limit=9)] == [
            "completed", "completed", "running",
        ]  # fmt: skip
        assert "the log had lost its end and is written again" in [line["event"] for line in lines]
    async with opened(sure.url(log.prefix)) as other:  # and nobody holds what has ended
        assert await other.acquire("ended")
        assert await other.acquire("new")


async def wait_until_written(log: RedisLog, run_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while run_id not in [
            r.run_id for r in await log.records(status="completed", workflow=None, before=None, limit=9)
        ]:
            await asyncio.sleep(0.01)


async def test_what_nobody_can_write_again_is_told(
    sure: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next window is refused, and nothing is given the numbers of what was shown as if nothing had happened: the
    run has another epoch, an error stands in the logs, and it is counted."""
    monkeypatch.setattr(ring, "RING_SECONDS", -1.0)
    async with opened(sure.url()) as log:
        assert await log.acquire("r")
        await log.append("r", [started()])
        shutil.copytree(sure.folder, tmp_path / "before")
        await log.append("r", [event(2), event(3)])
        epoch = await log.epoch("r")
        with log_lines() as lines:
            await restart(sure, data=tmp_path / "before")
            with pytest.raises(ValueError, match="window 4 of run r leaves a gap after 1"):
                await log.append("r", [event(4)])
        assert [e.seq for e in await read_all(log, "r")] == [1]
        assert await log.epoch("r") != epoch
        assert log.parts.appends.rewound_runs == 1
        (line,) = [line for line in lines if line["log_level"] == "error"]
        assert (line["event"], line["first"], line["last"]) == ("the log has lost events that were shown", 2, 3)
        await log.append("r", [event(2, said="anew")])
        assert await log.epoch("r") != epoch


async def test_a_follower_on_another_node_is_not_shown_other_events_under_the_same_numbers(
    sure: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream ends with an error, and who asks again gets what the log has from the first event on."""
    monkeypatch.setattr(ring, "RING_SECONDS", -1.0)
    monkeypatch.setattr("reactor.recovery.retaking.RETAKE_FIRST_SECONDS", 0.05)
    url = sure.url()
    async with Engine(url) as one, Engine(url) as other:
        session = await one.session("r")
        await session.emit("thing.said", {"text": "kept"})
        await session.committed()
        shutil.copytree(sure.folder, tmp_path / "before")
        seen = await other.get("r")
        following = asyncio.ensure_future(_follow(seen))
        for text in ("lost", "lost too"):
            await session.emit("thing.said", {"text": text})
        await session.committed()
        await wait_until(lambda: seen.state.seq == 4)
        await restart(sure, data=tmp_path / "before")
        with pytest.raises(LogLost):
            await _say(session, "refused")
        with pytest.raises(LogLost):
            await asyncio.wait_for(following, PATIENCE)
        await wait_until(lambda: one.open_runs == 1)
        again = await one.session("r")
        await again.emit("thing.said", {"text": "anew"})
        await again.close()
        run = await other.get("r")
        assert run.feed is not seen.feed
        texts = [e.data["text"] async for e in run if e.type == "thing.said"]
        assert texts == ["kept", "anew"]


async def test_a_run_that_was_acquired_behind_the_last_window_is_still_held(sure: RedisServer, tmp_path: Path) -> None:
    """Redis loses that, and no window: no loss is seen, and nothing of it either. The other node cannot take it."""
    url = sure.url()
    async with opened(url) as log, opened(url) as other:
        assert await log.acquire("a")
        await log.append("a", [started("a")])
        shutil.copytree(sure.folder, tmp_path / "before")
        assert await log.acquire("b")
        await restart(sure, data=tmp_path / "before")
        assert not await other.acquire("a")
        await log.append("b", [started("b")])
        assert not await other.acquire("b")
        assert [e.seq for e in await read_all(other, "b")] == [1]
        assert log.parts.appends.rewound_runs == 0


async def test_a_log_that_is_closed_as_it_leaves_its_connection_closes_that_too(sure: RedisServer) -> None:
    """It leaves a connection also where that is whole, and Redis has lost the functions."""

    def clients() -> int:
        return sure.say("CLIENT", "LIST", "TYPE", "normal").count("addr=")

    before = clients()
    async with opened(sure.url()) as log:
        reads = log.calls.reads
        sure.say("FUNCTION", "FLUSH")
        asked = log.calls.read("recall", "key", "0.0")
        while reads.is_connected:
            await asyncio.sleep(0)
        await reads.close()
        with pytest.raises(LogUnavailable, match="is closed"):
            await asked
    await wait_until(lambda: clients() == before)

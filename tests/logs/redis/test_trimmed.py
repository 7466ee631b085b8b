"""Runs whose oldest events are gone, and runs that are gone."""

from __future__ import annotations

from reactor import Engine, Notice, Workflow
from reactor.events.fold import replay
from reactor.logs.redis.log import RedisLog
from reactor.ports.order import Committed
from reactor.testing import read_all
from reactor.testing.log_laws import completed, event, started
from tests.helpers.redis import RedisServer
from tests.helpers.runs import full_log

flow = Workflow("many")
flow.task(lambda: list(range(30)), name="numbers")
flow.task(lambda numbers: numbers, name="use", map="numbers")


async def test_a_run_that_was_trimmed_tells_what_is_gone_and_keeps_its_state(server: RedisServer) -> None:
    """``stream.gap`` in place of the first events, then the rest; the state and the outputs are what they were."""
    url = server.url()
    async with Engine(url, workflows=[flow]) as engine:
        run = await engine.start("many", run_id="r")
        events = await full_log(engine, run)
    async with Engine(url, workflows=[flow]) as engine:
        log = engine.log
        assert isinstance(log, RedisLog)
        cut = await log.trim("r", 10)
        assert 0 < cut <= len(events) - 10
        run = await engine.get("r")
        assert run.state.to_dict() == replay("r", events).to_dict()
        gap, *rest = [message async for message in run]
        assert isinstance(gap, Notice)
        assert (gap.type, gap.data) == ("stream.gap", {"from": 1, "to": cut, "reason": "trimmed"})
        assert rest == events[cut:]
        assert (await log.record("r")).first_seq == cut + 1
        assert [e.json for e in await read_all(log, "r")] == [e.json for e in events[cut:]]
        windows = [at for at in await log.whole(0, 1_000) if isinstance(at, Committed)]
        assert windows[0].first_seq == cut + 1
        assert await log.trim("r", 10) == cut


async def test_a_run_that_was_deleted_leaves_nothing(server: RedisServer, log: RedisLog) -> None:
    """No key has its id, and no window of it stands in the order of all; however many there were."""
    before = server.keys(log.prefix)
    assert await log.acquire("gone")
    await log.append("gone", [started("gone"), event(2, "gone", blob=b"large")])
    for seq in range(3, 1_500):
        await log.append("gone", [event(seq, "gone")])
    await log.keep_checkpoint("gone", 10, b"state")
    await log.keep_answer("key", b"answer", run_id="gone")
    await log.append("gone", [completed(1_500, "gone")])
    await log.delete("gone")
    left = server.keys(log.prefix) - before - {f"{log.prefix}:{name}" for name in ("meta", "removed", "windows")}
    assert left == set()
    assert server.say("XLEN", f"{log.prefix}:windows") == ":0\r\n"

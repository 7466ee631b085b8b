"""``GET /runs/{id}?at=seq``: the state of a run as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Engine, UnknownSeq, Workflow
from reactor.events.fold import replay
from reactor.logs.memory import MemoryLog
from reactor.stream.moment import described
from reactor_web import Client
from tests.events.golden.record import FOLDER, read
from tests.helpers.server import Serve, Server

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_the_fold_of_the_log_at_every_seq(name: str, serve: Serve) -> None:
    """Of each golden log, over HTTP; the client makes the same state of it."""
    events = read(name)[0]
    run_id = events[0].run_id
    log = MemoryLog()
    await log.append(run_id, tuple(events))
    server = await serve(Engine(log, grace=0.0))
    async with Client(server.url) as client:
        remote = client.run(run_id)
        for at in range(1, len(events) + 1):
            status, body = await server.get(f"/runs/{run_id}?at={at}")
            expected = replay(run_id, events[:at])
            assert (status, body) == (200, expected.to_dict()), at
            if at % 7 == 1:
                assert (await remote.state_at(at)).to_dict() == expected.to_dict()


def wide(width: int) -> Workflow:
    flow = Workflow("wide")
    flow.task(lambda: list(range(width)), name="numbers")

    @flow.task(map={"n": "numbers"})
    async def each(n: int) -> int:
        return n

    return flow


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.sampled_from([0, 3, 520]), part=st.floats(0.0, 1.0))
async def test_a_state_that_is_shown_in_pieces_is_the_same(width: int, part: float) -> None:
    """Also with more tasks than are described at once."""
    async with Engine() as engine:
        run = await engine.start(wide(width))
        await run
        events = [event async for event in run]
        at = max(1, int(part * len(events)))
        state = await run.state_at(at)
        assert await described(state.copy()) == replay(run.id, events[:at]).to_dict()


async def test_what_a_browser_has_is_not_folded_again(server: Server) -> None:
    """304 by its ETag, which another seq and another run of this id do not have."""
    await server.start("small", run_id="a")
    run = await server.engine.get("a")
    await run
    url = f"{server.url}/runs/a?at="

    async def ask(at: int, tag: str = "") -> tuple[int, str]:
        async with server.session.get(f"{url}{at}", headers={"If-None-Match": tag} if tag else {}) as response:
            assert "no-store" not in response.headers["Cache-Control"] or response.status >= 400
            return response.status, response.headers.get("ETag", "")

    status, first = await ask(1)
    assert status == 200
    assert await ask(1, first) == (304, first)
    status, second = await ask(2, first)
    assert status == 200
    assert second != first
    await server.engine.delete("a")
    assert (await ask(1, first))[0] == 404
    await server.start("small", run_id="a")
    status, anew = await ask(1, first)
    assert status == 200
    assert anew != first


async def test_a_seq_that_is_not_there_is_told_why(server: Server) -> None:
    """404 beyond the last event, 400 for what is none; in process and in the client UnknownSeq."""
    await server.start("small", run_id="a")
    run = await server.engine.get("a")
    await run
    last = run.feed.last_seq
    status, body = await server.get(f"/runs/a?at={last + 1}")
    assert (status, body["error"]) == (404, "UnknownSeq")
    assert body["detail"] == f"run a has {last} events so far: there is no state at {last + 1} yet"
    for bad in ("0", "-1", "x", "1.5", ""):
        assert (await server.get(f"/runs/a?at={bad}"))[0] == 400, bad
    assert (await server.get("/runs/a?at=1&dialect=agents"))[0] == 400
    async with Client(server.url) as client:
        for handle in (run, client.run("a")):
            with pytest.raises(UnknownSeq) as raised:
                await handle.state_at(last + 1)
            assert raised.value.seq == last + 1
            with pytest.raises(ValueError, match="the seq of a state"):
                await handle.state_at(0)


async def test_what_was_trimmed_is_gone(serve: Serve) -> None:
    """410 with the first seq that has a state; that one is shown."""
    log = MemoryLog(max_events=100)
    server = await serve(Engine(log, grace=0.0))
    session = await server.engine.session("s")
    for n in range(150):
        await session.emit("said", {"n": n})
    await session.close()
    first = (await log.base("s")).seq
    assert first > 1
    status, body = await server.get("/runs/s?at=1")
    assert (status, body["error"], body["first"]) == (410, "UnknownSeq", first)
    shown: Any = await server.get(f"/runs/s?at={first}")
    assert (shown[0], shown[1]["seq"]) == (200, first)
    async with Client(server.url) as client:
        with pytest.raises(UnknownSeq) as raised:
            await client.run("s").state_at(1)
        assert raised.value.first == first

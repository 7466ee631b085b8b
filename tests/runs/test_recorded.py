"""Each command returns the seq of the event that records it, where the run is executed here and where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from reactor import Context, Engine, Run, Workflow
from reactor.runs.session import Session
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.runs import wait_for_event


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def talking() -> Workflow:
    """Two tasks that wait for a word."""
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> Any:
        return await ctx.receive("a word?")

    @flow.task
    async def idle(ctx: Context) -> Any:
        return await ctx.receive("another?")

    return flow


Engines = tuple[Engine, Engine]


@pytest.fixture(params=["here", "on another node"])
async def engines(request: pytest.FixtureRequest, redis: RedisServer) -> AsyncIterator[Engines]:
    """Who executes, and who is asked."""
    async with AsyncExitStack() as stack:
        if request.param == "here":
            engine = Engine(grace=0.0)
            engine.register(talking())
            await stack.enter_async_context(engine)
            yield engine, engine
            return
        nodes = [Engine(redis.url("seqs"), grace=0.0) for _ in range(2)]
        for node in nodes:
            node.register(talking())
            await stack.enter_async_context(node)
        yield nodes[0], nodes[1]


async def opened(engines: Engines, run_id: str) -> Run:
    """The handle of who is asked on a run whose tasks both wait."""
    there, here = engines
    run = await there.start("talking", run_id=run_id)
    await wait_for_event(run, "task.waiting", None, 2)
    return await here.get(run_id)


async def recorded(run: Run, seq: int | None) -> tuple[str, str | None]:
    assert seq is not None
    event = await run.feed.event(seq)
    assert event is not None
    return event.type, event.task_id


async def test_a_command_returns_the_seq_of_its_event(engines: Engines, request: pytest.FixtureRequest) -> None:
    run = await opened(engines, f"commands-{request.node.callspec.id.replace(' ', '-')}")
    assert await recorded(run, await run.pause()) == ("run.paused", None)
    assert await run.pause() is None, "there was nothing to do"
    assert await recorded(run, await run.resume()) == ("run.resumed", None)
    assert await run.resume() is None, "there was nothing to do"
    seq = await run.send("talk", "hello", by="ann")
    assert await recorded(run, seq) == ("task.received", "talk")
    assert seq is not None
    event = await run.feed.event(seq)
    assert event is not None
    assert event.data["value"] == "hello"
    assert await recorded(run, await run.request_cancel(task="idle")) == ("task.cancelling", "idle")


async def test_a_cancel_returns_the_seq_of_run_cancelling(engines: Engines, request: pytest.FixtureRequest) -> None:
    run = await opened(engines, f"cancel-{request.node.callspec.id.replace(' ', '-')}")
    assert await recorded(run, await run.request_cancel(0.0)) == ("run.cancelling", None)


async def test_a_close_returns_the_seq_of_the_terminal_event(engines: Engines, request: pytest.FixtureRequest) -> None:
    there, here = engines
    run_id = f"session-{request.node.callspec.id.replace(' ', '-')}"
    await (await there.session(run_id)).emit("note", {"n": 1})
    session = await here.get(run_id)
    assert isinstance(session, Session)
    seq = await session.close(outputs={"answer": 42})
    assert await recorded(session, seq) == ("run.completed", None)
    assert seq == session.feed.last_seq

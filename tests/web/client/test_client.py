"""The Python client over a real socket: the laws of following a run hold as in the process of the run."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import operators as ops

from reactor import Context, Engine, Run, RunCancelled, RunFailed, Workflow
from reactor.errors import UnknownRun, UnknownTask
from reactor.events.event import Event
from reactor.events.fold import replay
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from reactor_web.client import Client, RemoteRun, RequestRefused, ServerUnavailable, SyncClient
from tests.helpers.cutting import CuttingProxy, cutting
from tests.helpers.life import Life
from tests.helpers.server import API, Serve, Server
from tests.helpers.tokens import FIRST, REST


def talking(words: int) -> Workflow:
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> str:
        for index in range(words):
            await ctx.emit("said", {"index": index})
            if index % 10 == 0:
                await asyncio.sleep(0.001)
        return "done"

    return flow


def asking() -> Workflow:
    flow = Workflow("asking")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive("what?", key="k")

    return flow


def failing() -> Workflow:
    flow = Workflow("failing")

    @flow.task
    async def breaks() -> None:
        raise ValueError("as it happens")

    return flow


@pytest.fixture
async def many(serve: Serve) -> Server:
    return await serve(Engine("memory://", grace=0.0), talking(150), asking(), failing())


async def seqs_of(run: RemoteRun) -> list[int]:
    return [event.seq async for event in run]


# --- following ------------------------------------------------------------------------------------------------------


async def test_a_run_is_started_followed_and_awaited(many: Server) -> None:
    """The events are those of the log, the state is the server's, and awaiting gives the outputs."""
    async with Client(many.url) as client:
        run = await client.start("talking", meta={"who": "me"}, budget={"seconds": 60})
        events = [event async for event in run]
        assert await run == {"talk": "done"}
    log = await read_all(many.engine.log, run.id)
    assert [event.json for event in events] == [event.json for event in log]
    assert run.state.to_dict() == replay(run.id, log).to_dict()


async def test_a_hundred_cuts_lose_and_double_nothing(many: Server) -> None:
    """Cut after one to three frames each time: every follower gets every event once and in order."""
    chance = random.Random(14)
    async with cutting(many.url.removesuffix(API)) as proxy, Client(many.url) as direct:
        proxy.cuts = iter([*(chance.randint(1, 3) for _ in range(100)), *[None] * 100])
        run = await direct.start("talking")
        async with fast(proxy) as client:
            followed = client.run(run.id)
            pulled = [event.seq async for event in followed]
            assert proxy.opened > 60
            proxy.cuts = iter([5, 5, 5, *[None] * 100])
            observed = await collected(client.run(run.id).events_after(100))
    log = await read_all(many.engine.log, run.id)
    assert pulled == [event.seq for event in log]
    assert observed == [event.seq for event in log if event.seq > 100]


@asynccontextmanager
async def fast(proxy: CuttingProxy) -> AsyncIterator[Client]:
    """A client by way of a proxy, for which waiting takes no time."""
    async with Client(proxy.base + API) as client:
        yield client


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between two connections take no time; how long they are is tested with ``follow_url``."""
    monkeypatch.setattr("reactor_web.client.follow.SHORTEST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr("reactor_web.client.follow._Cursor.wait", lambda cursor, least: 0.001)


async def collected(events: Any) -> list[int]:
    """The seqs of an Observable, until it completes."""
    seqs = events.pipe(ops.map(lambda event: event.seq), ops.to_list())
    return await asyncio.wait_for(_first(seqs), 30)


async def _first(observable: Any) -> Any:
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    observable.subscribe(found.set_result, found.set_exception)
    return await found


@pytest.mark.slow
async def test_twenty_restarts_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the middle of tokens, twenty times: one loop over the run gets every event once and in order."""
    monkeypatch.setattr("reactor_web.client.follow._Cursor.wait", lambda cursor, least: 0.05)
    monkeypatch.setattr("reactor_web.client.follow.MAX_FAILURES", 1_000)
    life = Life(tmp_path / "runs.db")
    gate = tmp_path / "gate"
    events: list[Event] = []
    try:
        await asyncio.to_thread(life.start_run, gate=str(gate))
        async with Client(life.base) as client:
            run, restarts = client.run("a1"), 0
            async for event in run:
                events.append(event)
                if event.type == "task.chunk" and event.data["text"] == FIRST[-1] and restarts < 20:
                    restarts += 1
                    await asyncio.to_thread(life.end, "SIGKILL")
                    await asyncio.to_thread(life.begin_again)
                    if restarts == 20:
                        gate.touch()
            assert await run == {"answer": "".join(FIRST + REST)}
    finally:
        await asyncio.to_thread(life.end, "SIGKILL")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert sum(event.type == "task.started" for event in events) == 21


async def test_observables_are_cold_and_leave_nothing(server: Server) -> None:
    """Two subscribers get all of it; one that leaves early closes its stream; a task is an Observable of its own."""
    async with Client(server.url) as client:
        run = await client.start("gated")
        early = run.events.subscribe(lambda event: None)
        both = asyncio.gather(collected(run.events), collected(run.task_events("fast")))
        server.gates["fast"].set()
        await seen(run, "after_fast")
        heard: list[int] = []
        done = asyncio.Event()
        run.live.subscribe(lambda event: heard.append(event.seq), on_completed=done.set)
        async with asyncio.timeout(10):
            while not heard:  # what is live begins some time after the subscription
                server.gates["step"].set()
                await asyncio.sleep(0.01)
        early.dispose()
        server.gates.open()
        everything, of_fast = await both
        with pytest.raises(UnknownTask):
            await collected(run.task_events("nobody"))
    log = await read_all(server.engine.log, run.id)
    assert everything == [event.seq for event in log]
    assert of_fast == [event.seq for event in log if event.task_id == "fast"]
    await asyncio.wait_for(done.wait(), 10)
    assert heard == [event.seq for event in log if event.seq >= heard[0]]
    assert heard[0] > 1
    await until_no_streams(server)


async def seen(run: RemoteRun, task: str) -> None:
    """Until this task has completed. Leaves the loop in the middle."""
    async for event in run:
        if event.type == "task.completed" and event.task_id == task:
            return


async def until_no_streams(server: Server) -> None:
    async with asyncio.timeout(10):
        while len(server.streams):
            await asyncio.sleep(0.01)


async def test_a_gap_is_told_and_the_state_goes_on(serve: Serve) -> None:
    """Of a log that was trimmed: a Notice first, then the rest, and the state of all of it."""
    server = await serve(Engine(MemoryLog(max_events=50)), talking(150))
    async with Client(server.url) as client:
        run = await client.start("talking")
        await run.ended()
        again = client.run(run.id)
        messages = [message async for message in again.messages()]
    log = await read_all(server.engine.log, run.id)
    events = [event.seq for event in log if event.seq is not None]
    assert len(events) < 150, "it was trimmed"
    assert messages[0].type == "stream.gap"
    assert [message.seq for message in messages if message.seq is not None] == events
    assert again.state.status == "completed"


async def test_many_streams_hold_up_no_command(server: Server) -> None:
    """More streams than a session of aiohttp has connections by default, and a command beside them."""
    async with Client(server.url) as client:
        run = await client.start("gated")
        following = [asyncio.ensure_future(seqs_of(client.run(run.id))) for _ in range(120)]
        async with asyncio.timeout(30):
            while len(server.streams) < 120:
                await asyncio.sleep(0.01)
            await run.pause()
            await run.resume()
            server.gates.open()
            everything = await asyncio.gather(*following)
    log = [event.seq for event in await read_all(server.engine.log, run.id)]
    assert all(seqs == log for seqs in everything)


async def test_what_awaiting_raises(many: Server) -> None:
    """RunFailed with the errors of the tasks, RunCancelled with the reason, UnknownRun."""
    async with Client(many.url) as client:
        with pytest.raises(RunFailed) as failed:
            await (await client.start("failing"))
        assert failed.value.errors["breaks"]["message"] == "as it happens"
        run = await client.start("asking")
        await run.cancel(reason="enough")
        with pytest.raises(RunCancelled) as cancelled:
            await run
        assert cancelled.value.reason == "enough"
        with pytest.raises(UnknownRun):
            await client.get("nobody")


# --- commands -------------------------------------------------------------------------------------------------------


async def test_each_command(many: Server) -> None:
    """Pause, resume, send, retry, outputs, delete, list, workflows, sessions."""
    async with Client(many.url) as client:
        run = await client.start("asking", run_id="q1")
        await run.pause(reason="wait")
        assert (await run.refresh()).status == "paused"
        await run.resume()
        await run.send("ask", None, key="k")
        assert await run == {"ask": None}
        assert json.loads(await run.output("ask")) is None
        with pytest.raises(UnknownTask):
            await run.output("nobody")
        failed = await client.start("failing", run_id="f1")
        await failed.ended()
        retried = await failed.retry(run_id="f2")
        assert (await retried.ended()).status == "failed"
        assert {shown["run_id"] for shown in (await client.list(workflow="failing"))["runs"]} == {"f1", "f2"}
        await retried.delete()
        assert len((await client.list(workflow="failing"))["runs"]) == 1
        session = await client.session("s1", meta={"a": 1})
        assert await session.emit_all([{"type": "a.b", "data": {"n": n}} for n in range(3)], key="once") == [2, 3, 4]
        assert await session.emit_all([{"type": "a.b", "data": {"n": n}} for n in range(3)], key="once") == [2, 3, 4]
        await session.close()
        assert (await session.ended()).status == "completed"
        assert "talking" in json.dumps(await client.workflows())


async def test_refusals_are_sentences(many: Server) -> None:
    """A refused command has the sentence and status of the server; nobody there is said after some attempts."""
    async with Client(many.url) as client:
        with pytest.raises(RequestRefused, match=r"404: .*no workflow") as refused:
            await client.start("nothing")
        assert refused.value.status == 404
        run = await client.start("failing")
        await run.ended()
        with pytest.raises(RequestRefused, match="409"):
            await run.pause()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Client(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(ServerUnavailable, match="no server answers"):
            await client.start("nothing")
    with pytest.raises(RuntimeError, match="not open"):
        Client(many.url).run("r1")


async def test_a_start_whose_answer_was_lost_starts_once(many: Server) -> None:
    """The connection breaks after the server has done it: the same request again finds the same run."""
    lost = [True, True]

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {
            name: request.headers[name] for name in ("Content-Type", "Idempotency-Key") if name in request.headers
        }
        url = many.url.removesuffix(API) + request.path_qs
        async with many.session.request(request.method, url, data=body or None, headers=headers) as answer:
            text = await answer.read()
        if lost:
            lost.pop()
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, body=text, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server()
    async with Client(str(listening.make_url(""))) as client:
        await client.start("failing")
        assert len((await client.list(workflow="failing"))["runs"]) == 1
    await listening.close()


async def test_a_token_is_asked_for_anew_after_a_401() -> None:
    """For commands and for streams; a token that is a string is final."""
    seen: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        if seen[-1] != "Bearer 2":
            return web.json_response({"detail": "who are you?"}, status=401)
        if request.path.endswith("/events"):
            event = {"seq": 1, "run_id": "r", "type": "an.event", "time": "2026-01-01T00:00:00Z", "data": {}}
            text = f"id: 1\nevent: an.event\ndata: {json.dumps(event)}\n\nevent: stream.end\ndata: {{}}\n\n"
            return web.Response(text=text, content_type="text/event-stream")
        return web.json_response({"workflows": []})

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server()
    url = str(listening.make_url("/api/v1"))
    tokens = iter("123456789")

    async def fresh() -> str:
        return next(tokens)

    async with Client(url, token=fresh) as client:
        assert await client.workflows() == {"workflows": []}
        tokens = iter("12345")
        assert [message.seq async for message in client.run("r").messages()] == [1]
    async with Client(url, token="wrong") as client:
        with pytest.raises(RequestRefused, match="401: who are you"):
            await client.workflows()
    assert seen == ["Bearer 1", "Bearer 2", "Bearer 1", "Bearer 2", "Bearer wrong"]
    await listening.close()


# --- without await --------------------------------------------------------------------------------------------------


async def test_the_client_without_await(many: Server) -> None:
    """In a thread and in one in which a loop runs: start, follow, leave early, answer, results, errors."""

    def work() -> list[str]:
        with SyncClient(many.url) as client:
            run = client.start("asking")
            for event in run:
                if event.type == "task.waiting":
                    run.send("ask", {"n": 1})
            assert run.result() == {"ask": {"n": 1}}
            for _ in client.start("talking"):
                break
            with pytest.raises(RunFailed):
                client.start("failing").result()
            with pytest.raises(UnknownRun):
                client.get("nobody")
            return [event.type for event in client.get(run.id)]

    async def with_a_loop() -> list[str]:
        return work()

    types = await asyncio.to_thread(work)
    assert types[0] == "run.started"
    assert types[-1] == "run.completed"
    assert await asyncio.to_thread(lambda: asyncio.run(with_a_loop())) == types
    assert [thread.name for thread in threading.enumerate() if thread.name == "reactor-client"] == []
    await until_no_streams(many)


# --- the same surface -----------------------------------------------------------------------------------------------

ONLY_HERE = {
    "committed": "every command returns once its event is in the log",
    "beginning": "the input and the graph are in shown()",
    "shown_outputs": "outputs() are plain JSON here",
    "log": "log lines of another process: emit",
    "spend": "spending of another process: emit",
    "feed": "the engine's own",
}


def test_a_remote_run_has_the_surface_of_a_run() -> None:
    """Code moves from one to the other by changing one line; what only a Run has is listed with the reason."""
    names = {name for name in dir(Run) if not name.startswith("_")}
    assert names - {name for name in dir(RemoteRun) if not name.startswith("_")} - {"id"} == set(ONLY_HERE) & names
    for name in ("cancel", "request_cancel", "pause", "resume", "send"):
        ours = list(inspect.signature(getattr(RemoteRun, name)).parameters)
        theirs = [p for p in inspect.signature(getattr(Run, name)).parameters if p != "by"]  # the server knows who asks
        assert [p for p in ours if p in theirs] == theirs, name

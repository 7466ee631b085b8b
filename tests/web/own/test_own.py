"""Routes of one's own: the paths, bodies and dialects of clients that exist already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

import reactor_web
from reactor import Context, Engine, Run, Workflow, load_plan
from reactor_web import Problem, Start, add_start, add_state, add_stream, dialects
from reactor_web.dialects import table
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.streams import STREAMS
from tests.helpers.board import Board, Counting
from tests.helpers.server import Gates, gated_workflow, small_workflow

Client = TestClient[Any, Any]
JSON = {"Content-Type": "application/json"}
SSE = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dialects ``board`` and ``counting``, for one test."""
    monkeypatch.setattr(table, "_by_name", dict(table._by_name))  # pyright: ignore[reportPrivateUsage]
    dialects.register(Board())
    dialects.register(Counting())


def frames_of(body: bytes) -> list[Frame]:
    return Parser(sticky_id=False).feed(body)


async def read(response: ClientResponse) -> list[Frame]:
    return frames_of(await response.read())


Build = Callable[[Callable[[web.Application, Engine], None]], Awaitable[Client]]


@pytest.fixture
def build(aiohttp_client: AiohttpClient) -> Build:
    """An application with routes of its own and nothing else."""

    async def build(add: Callable[[web.Application, Engine], None]) -> Client:
        app, engine = web.Application(), Engine("memory://", workflows=[small_workflow()], grace=0.0)
        add(app, engine)
        return await aiohttp_client(app)

    return build


async def test_a_stream_under_any_path_and_its_errors(build: Build) -> None:
    """The id may stand in the path or the query, the client's own parameters are ignored, slips of ours are told."""

    def add(app: web.Application, engine: Engine) -> None:
        add_stream(app, "/flows/{flow_id}/stream", engine, id_from="flow_id", dialect="board")
        add_stream(app, "/stream", engine, id_from="flow_id")
        add_start(app, "/flows", engine, lambda request, body: Start("small", run_id=body["id"]), answer="created")

    client = await build(add)
    async with client.post("/flows", json={"id": "r1"}) as response:
        assert (response.status, (await response.json())["run_id"]) == (201, "r1")
    async with client.get("/flows/r1/stream?after=0&tenant=x&theme=dark") as response:
        named = await read(response)
    assert {"one", "ended", "run.completed", "stream.end"} <= {frame.event for frame in named}
    async with client.get("/stream?flow_id=r1") as response:
        assert (await read(response))[0].event == "run.started"
    for path, status, words in [
        ("/flows/nobody/stream", 404, "nobody"),
        ("/stream", 400, "the request does not say which run: ?flow_id="),
        ("/stream?flow_id=r1&afte=1", 400, "there is no stream option 'afte', did you mean 'after'?"),
        ("/stream?flow_id=r1&after=x", 400, "a cursor is the seq"),
    ]:
        async with client.get(path) as response:
            problem = await response.json()
            assert (response.status, response.content_type) == (status, "application/problem+json")
            assert words in problem["detail"], path
    async with client.head("/flows/r1/stream") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with client.get("/flows/r1/stream", headers={"Accept": "text/html"}) as response:
        assert response.status == 406


async def test_a_stream_may_be_opened_before_its_run(build: Build) -> None:
    """And is told when there is none in time."""

    def add(app: web.Application, engine: Engine) -> None:
        add_stream(app, "/s/{id}", engine, await_run=20, dialect="board")
        add_stream(app, "/short/{id}", engine, await_run=0.05, dialect="board")
        add_start(app, "/execute", engine, lambda request, body: Start("small", run_id=body["id"]))

    client = await build(add)
    async with client.get("/s/r1") as stream:
        async with client.post("/execute", json={"id": "r1"}) as response:
            assert response.status == 200
            assert (await response.json())["outputs"] == {"b": 2}
        assert [frame.event for frame in await read(stream)][-2:] == ["run.completed", "stream.end"]
    async with client.get("/short/r2") as stream:
        assert [frame.event for frame in await read(stream)] == ["board", "so far", "stream.closing"]


async def test_a_get_may_start_its_run_once(build: Build) -> None:
    """However many ask at once; not for a page of another site, and not for who comes back to a run that is gone."""
    begun: list[str] = []

    def start(request: web.Request) -> Start:
        begun.append(request.query["workflow_id"])
        return Start("small", {"n": 3})

    client = await build(lambda app, engine: add_stream(app, "/stream", engine, id_from="workflow_id", start=start))
    bodies = await asyncio.gather(*[_get(client, "/stream?workflow_id=w1") for _ in range(20)])
    assert {len(body) for body in bodies} == {len(bodies[0])}
    async with client.get("/stream?workflow_id=w1&after=99") as response:
        assert (await read(response))[0].event == "stream.gap"
    last = bodies[0][-1].id
    async with client.get("/stream?workflow_id=w1", headers={"Last-Event-ID": last}) as response:
        assert response.status == 204
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        async with client.get("/stream?workflow_id=w2", headers=headers) as response:
            assert response.status == 403
    async with client.get("/stream?workflow_id=w3", headers={"Last-Event-ID": "3"}) as response:
        assert response.status == 404
    assert set(begun) == {"w1"}


async def _get(client: Client, path: str) -> list[Frame]:
    async with client.get(path) as response:
        return await read(response)


async def test_a_start_is_answered_as_the_request_asks(build: Build) -> None:
    """With the stream, the result in the words of the dialect, or the id; a Start may override both."""

    def begin(request: web.Request, body: Any) -> Start:
        return Start("small", body.get("input"), answer=body.get("answer"), dialect=body.get("dialect"))

    client = await build(lambda app, engine: add_start(app, "/execute", engine, begin, dialect="board"))
    async with client.post("/execute", json={}) as response:
        assert (await response.json())["types"][0] == "run.started"
    async with client.post("/execute", json={}, headers=SSE) as response:
        assert [frame.event for frame in await read(response)][-1] == "stream.end"
    async with client.post("/execute", json={"dialect": "counting", "answer": "stream"}) as response:
        assert response.headers["X-Run"]
        assert {frame.event for frame in await read(response)} == {"message"}
    async with client.post("/execute", json={"answer": "created"}) as response:
        assert response.status == 201


async def test_a_start_that_is_refused_starts_nothing(build: Build) -> None:
    """It is a problem document; in a stream whose clients see no status it is a frame."""

    async def begin(request: web.Request, body: Any) -> Start:
        if body.get("refuse"):
            raise Problem(422, "not today")
        return Start(await asyncio.to_thread(load_plan, body, []), body.get("input"))

    client = await build(lambda app, engine: add_start(app, "/execute", engine, begin, dialect="board"))
    async with client.post("/execute", json={"tasks": []}, headers=SSE) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert [frame.event for frame in await read(response)] == ["refused"]
    for body, words in (({"tasks": []}, "tasks"), ({"refuse": 1}, "not today")):
        async with client.post("/execute", json=body) as response:
            assert (response.status, response.content_type) == (422, "application/problem+json")
            assert words in (await response.json())["detail"]
    for data, headers, status in [
        (b"{", JSON, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {**JSON, "Host": "evil.example"}, 403),
    ]:
        async with client.post("/execute", data=data, headers=headers) as response:
            assert response.status == status


async def test_a_result_has_large_outputs_in_full_and_a_failure_its_status(aiohttp_client: AiohttpClient) -> None:
    """Whatever the size: nobody who waits for a result wants a reference."""
    flow = Workflow("big")

    @flow.task
    def text(size: int) -> str:
        if size < 0:
            raise ValueError("less than nothing")
        return "x" * size

    app, engine = web.Application(), Engine("memory://")
    add_start(app, "/big", engine, lambda request, body: Start(flow, body), dialect="board")
    client = await aiohttp_client(app)
    async with client.post("/big", json={"size": 100_000}) as response:
        assert len((await response.json())["large"]["text"]) == 100_000
    async with client.post("/big", json={"size": -1}) as response:
        assert (response.status, response.content_type) == (500, "application/problem+json")
        assert (await response.json())["detail"] == "it has failed"


async def test_an_idempotency_key_starts_one_run(build: Build) -> None:
    """The same request again has the result of the same run."""
    runs: list[str] = []

    async def begin(request: web.Request, body: Any) -> Start:
        runs.append("asked")
        return Start("small")

    client = await build(lambda app, engine: add_start(app, "/execute", engine, begin))
    ids: set[str] = set()
    for _ in range(3):
        async with client.post("/execute", json={"a": 1}, headers={"Idempotency-Key": "k"}) as response:
            ids.add((await response.json())["run_id"])
    assert len(ids) == 1
    async with client.post("/execute", json={"a": 2}, headers={"Idempotency-Key": "k"}) as response:
        assert response.status == 422


async def test_what_pollers_read(aiohttp_client: AiohttpClient) -> None:
    """The state in the words of the dialect, as far as the run is; 404 for a run that there is not."""
    gates, app = Gates(), web.Application()
    engine = Engine("memory://", workflows=[gated_workflow(gates)], grace=0.0)
    add_state(app, "/state/{id}", engine, dialect="board")
    add_state(app, "/native/{id}", engine)
    client = await aiohttp_client(app)
    run = await engine.start("gated", run_id="r1")
    assert await _json(client, "/state/r1") == {"ended": 0}
    gates["fast"].set()
    await _until(run, "after_fast")
    assert await _json(client, "/state/r1") == {"ended": 2}
    gates.open()
    await run
    assert await _json(client, "/state/r1") == {"ended": 4}
    assert (await _json(client, "/native/r1"))["status"] == "completed"
    async with client.get("/state/nobody") as response:
        assert response.status == 404


async def _json(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        return await response.json()


async def _until(run: Run, task: str) -> None:
    async for event in run:
        if event.type == "task.completed" and event.task_id == task:
            return


async def test_a_path_may_have_to_agree_with_the_meta_of_its_run(build: Build) -> None:
    """Another path of the same run is 404, also for a stream that waits for it."""

    def add(app: web.Application, engine: Engine) -> None:
        add_stream(app, "/agents/{agent}/runs/{id}", engine, match=["agent"], await_run=20)
        add_start(app, "/r", engine, lambda r, body: Start("small", run_id=body["id"], meta={"agent": "ann"}))

    client = await build(add)
    async with client.get("/agents/bob/runs/r1") as early, client.get("/agents/ann/runs/r1") as right:
        async with client.post("/r", json={"id": "r1"}) as response:
            assert response.status == 200
        assert [frame.event for frame in await read(early)] == ["stream.closing"]
        assert [frame.event for frame in await read(right)][-1] == "stream.end"


async def test_two_workflows_of_one_name_are_no_conflict(build: Build) -> None:
    """Handlers build workflows from requests."""

    def begin(request: web.Request, body: Any) -> Start:
        flow = Workflow("built")
        for name in body["tasks"]:
            flow.task(_returns(name), name=name)
        return Start(flow)

    client = await build(lambda app, engine: add_start(app, "/execute", engine, begin))
    for tasks in (["a"], ["b", "c"]):
        async with client.post("/execute", json={"tasks": tasks}) as response:
            assert (await response.json())["outputs"] == {name: name for name in tasks}


def _returns(value: str) -> Callable[[], str]:
    return lambda: value


async def test_an_engine_may_have_routes_of_both_kinds(aiohttp_client: AiohttpClient) -> None:
    """It is entered and drained once; ``Location`` names the run under the mounted routes."""
    app, engine = web.Application(), Engine("memory://")
    add_start(app, "/execute", engine, lambda request, body: Start("small"), answer="created")
    reactor_web.mount(app, engine, small_workflow())
    client = await aiohttp_client(app)
    async with client.post("/execute", json={}) as response:
        location = response.headers["Location"]
    async with client.get(location) as response:
        assert (await response.json())["workflow"] == "small"
    await client.close()
    assert not engine.is_accepting


def test_what_a_route_cannot_be_is_told_when_it_is_added() -> None:
    """Not when the first client asks."""
    app, engine = web.Application(), Engine("memory://")
    attempts: list[tuple[Callable[[], None], type[Exception], str]] = [
        (lambda: add_stream(app, "/a", engine, dialect="bord"), ValueError, "there is no dialect 'bord'"),
        (lambda: add_stream(app, "/a", engine, hartbeat=1), TypeError, "did you mean 'heartbeat'"),  # type: ignore[call-arg]  # the error is the test
        (lambda: add_stream(app, "/a", engine, heartbeat=-1), ValueError, "heartbeat"),
        (lambda: add_stream(app, "/a", engine, match=["x"]), ValueError, "match= names x"),
        (lambda: add_stream(app, "/a", "memory://"), TypeError, "the engine must be an Engine"),  # type: ignore[arg-type]  # the error is the test
        (lambda: add_start(app, "/a", engine, "begin"), TypeError, "begin must be a function"),  # type: ignore[arg-type]  # the error is the test
        (lambda: add_start(app, "/a", engine, lambda r, b: Start("x"), answer="no"), ValueError, "answer="),  # type: ignore[arg-type]  # the error is the test
        (lambda: add_state(app, "/a", engine, dialect="counting"), ValueError, "has no form"),
    ]
    for add, error, words in attempts:
        with pytest.raises(error, match=words):
            add()
    assert not app.router.resources()


async def test_a_result_is_waited_for_until_the_server_closes(aiohttp_client: AiohttpClient) -> None:
    """The client is told which run goes on."""
    flow, began, app = Workflow("endless"), asyncio.Event(), web.Application()

    @flow.task
    async def wait(ctx: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    engine = Engine("memory://", grace=0.0)
    add_start(app, "/execute", engine, lambda request, body: Start(flow, run_id="r1"))
    client = await aiohttp_client(app)

    async def ask() -> tuple[int, Any]:
        async with client.post("/execute", json={}) as response:
            return response.status, await response.json()

    asked = asyncio.ensure_future(ask())
    await began.wait()
    await app[STREAMS].close()
    status, problem = await asked
    assert (status, problem["run_id"]) == (503, "r1")

"""Commands over HTTP: 202 once the event is in the log, one clear problem for everything else; opt-in disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import reactor_web
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestServer
from reactor_web.streaming.streams import STREAMS

from reactor import Context, Engine, Event, Run, Workflow
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, read_all
from tests.helpers.runs import full_log, wait_for_event, wait_until
from tests.helpers.server import Gates, Server, Stream, gated_workflow

COMMANDS = ("pause", "resume", "cancel", "input")


def asking_workflow() -> Workflow:
    """approve asks for a bool, then for a value under a key; bill waits for it."""
    flow = Workflow("asking")

    @flow.task
    async def approve(ctx: Context) -> Any:
        is_good = await ctx.receive("approve?", schema=bool)
        return [is_good, await ctx.receive("why?", key="why")]

    @flow.task
    async def bill(approve: list[Any]) -> int:
        return len(approve)

    return flow


@pytest.fixture
async def asking(server: Server) -> Server:
    server.engine.register(asking_workflow())
    return server


async def command(server: Server, run_id: str, name: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    url = f"{server.url}/runs/{run_id}/{name}"
    async with server.session.post(url, json={} if body is None else body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def open_run(server: Server, workflow: str = "gated") -> Run:
    """A run whose bodies run, or wait."""
    started = await server.start(workflow)
    run = await server.engine.get(started["run_id"])
    if workflow == "asking":
        await wait_for_event(run, "task.waiting")
    else:
        await wait_for_event(run, "task.started", count=3)
    return run


async def types(server: Server, run: Run, *of: str) -> list[str]:
    return [event.type for event in await read_all(server.engine.log, run.id) if event.type.startswith(of)]


# --- pause and resume -------------------------------------------------------------------------------------------


async def test_a_run_is_paused_and_resumed(server: Server) -> None:
    """202 with the state; the event is in the log, with the reason and who asked; again is 202 and writes nothing."""
    run = await open_run(server)
    for _ in range(2):
        status, body = await command(server, run.id, "pause", {"reason": "lunch"})
        assert (status, body["run_id"], body["status"]) == (202, run.id, "paused")
    paused = (await read_all(server.engine.log, run.id))[-1]
    assert (paused.type, paused.data) == ("run.paused", {"reason": "lunch", "by": "127.0.0.1"})
    assert (await server.get(f"/runs/{run.id}"))[1]["status"] == "paused"
    assert [listed["run_id"] for listed in (await server.get("/runs?status=paused"))[1]["runs"]] == [run.id]
    for _ in range(2):
        status, body = await command(server, run.id, "resume")
        assert (status, body["status"]) == (202, "running")
    for name in ("fast", "middle", "step", "slow"):
        server.gates[name].set()
    await full_log(server.engine, run)
    assert await types(server, run, "run.") == ["run.started", "run.paused", "run.resumed", "run.completed"]


async def test_a_command_is_answered_only_once_its_event_is_in_the_log() -> None:
    """While the log hangs there is no answer; whoever has one can rely on it."""
    gates = Gates()
    log = FaultyLog(MemoryLog(), hangs=["r"], after=4)
    engine = Engine(log, grace=0)
    test_server = TestServer(reactor_web.create_app(engine, [gated_workflow(gates)]), host="127.0.0.1")
    await test_server.start_server()
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{test_server.port}/api/v1"
        async with session.post(f"{url}/workflows/gated/runs", json={"run_id": "r"}) as response:
            assert response.status == 201
        run = await engine.get("r")
        await wait_for_event(run, "task.started", None, 3)
        asked = asyncio.ensure_future(session.post(f"{url}/runs/r/pause", json={}))
        await wait_until(lambda: run._execution.is_paused)  # type: ignore[union-attr]
        async with session.get(f"{url}/runs/r") as response:  # behind it, and answered before it
            assert (await response.json())["status"] == "running"
        assert not asked.done()
        log.release()
        async with await asyncio.wait_for(asked, 10) as response:
            assert (response.status, (await response.json())["status"]) == (202, "paused")
        assert (await read_all(log, "r"))[-1].type == "run.paused"
    await test_server.close()


# --- input ------------------------------------------------------------------------------------------------------


async def test_a_task_that_waits_is_shown_and_fed(asking: Server) -> None:
    """GET /runs/{id} says what each task waits for; values go to it in order, or by key; a value may be null."""
    run = await open_run(asking, "asking")
    _, body = await asking.get(f"/runs/{run.id}")
    assert body["tasks"]["approve"]["status"] == "waiting"
    assert body["tasks"]["approve"]["waiting"] == [{"prompt": "approve?", "schema": {"type": "boolean"}, "key": None}]
    status, body = await command(asking, run.id, "input", {"task": "approve", "value": True})
    assert (status, body["run_id"]) == (202, run.id)
    await wait_for_event(run, "task.waiting", "approve", 2)
    _, body = await asking.get(f"/runs/{run.id}")
    assert body["tasks"]["approve"]["waiting"] == [{"prompt": "why?", "schema": None, "key": "why"}]
    assert (await command(asking, run.id, "input", {"task": "approve", "value": None, "key": "why"}))[0] == 202
    events = await full_log(asking.engine, run)
    received = [event.data for event in events if event.type == "task.received"]
    assert received == [{"value": True, "key": None}, {"value": None, "key": "why"}]
    _, body = await asking.get(f"/runs/{run.id}")
    assert body["outputs"] == {"bill": 2}
    assert "waiting" not in body["tasks"]["approve"]


async def test_input_that_does_not_fit_is_refused_and_asked_for_still(asking: Server) -> None:
    """422 names the task and the problem; the task waits on."""
    run = await open_run(asking, "asking")
    status, body = await command(asking, run.id, "input", {"task": "approve", "value": "yes"})
    assert (status, body["task_id"]) == (422, "approve")
    assert "approve" in body["detail"]
    assert await types(asking, run, "task.received") == []
    assert run.state.tasks["approve"].status == "waiting"


async def test_input_for_a_full_mailbox_is_409(asking: Server) -> None:
    """100 values wait for nobody; the next one is refused, and one for whoever waits is not."""
    run = await open_run(asking, "asking")
    body = {"task": "approve", "value": 1, "key": "other"}
    for _ in range(100):
        assert (await command(asking, run.id, "input", body))[0] == 202
    assert (await command(asking, run.id, "input", body))[0] == 409
    assert (await command(asking, run.id, "input", {"task": "approve", "value": False}))[0] == 202


async def test_input_above_the_size_of_an_event_is_413(asking: Server) -> None:
    """And nothing of it is in the log."""
    run = await open_run(asking, "asking")
    body = {"task": "approve", "value": "x" * 40_000, "key": "large"}
    assert (await command(asking, run.id, "input", body))[0] == 413
    assert await types(asking, run, "task.received") == []


# --- cancel -----------------------------------------------------------------------------------------------------


async def test_one_task_is_cancelled(server: Server) -> None:
    """``task`` in the body: that one ends, the rest goes on; its end makes the same command a 409."""
    run = await open_run(server)
    status, body = await command(server, run.id, "cancel", {"task": "fast", "reason": "not needed", "grace": 5})
    assert (status, body["status"]) == (202, "running")
    await wait_for_event(run, "task.cancelled", "fast")
    assert (await command(server, run.id, "cancel", {"task": "fast"}))[0] == 409
    for name in ("middle", "step", "slow"):
        server.gates[name].set()
    events = await full_log(server.engine, run)
    cancelling = next(event for event in events if event.type == "task.cancelling")
    assert (cancelling.task_id, cancelling.data) == ("fast", {"reason": "not needed", "by": "127.0.0.1"})
    assert (run.status, run.state.tasks["after_fast"].status) == ("completed", "skipped")


async def test_a_run_is_cancelled_and_a_second_cancel_is_harmless(server: Server) -> None:
    """202, and 202 again until it has ended; then 409 with the run's status."""
    flow = Workflow("slow-to-stop")
    go = asyncio.Event()

    @flow.task
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go.wait()

    server.engine.register(flow)
    run = await server.engine.start(flow)
    await wait_for_event(run, "task.started")
    for _ in range(2):
        status, answer = await command(server, run.id, "cancel", {"reason": "enough"})
        assert (status, answer["status"]) == (202, "cancelling")
    for name, body in (
        ("pause", {}),
        ("resume", {}),
        ("input", {"task": "body", "value": 1}),
        ("cancel", {"task": "body"}),
    ):
        assert (await command(server, run.id, name, body))[0] == 409, name
    go.set()
    events = await full_log(server.engine, run)
    assert [e.type for e in events if e.type.startswith("run.")] == ["run.started", "run.cancelling", "run.cancelled"]
    status, answer = await command(server, run.id, "cancel")
    assert (status, answer["run_status"]) == (409, "cancelled")


# --- what is refused --------------------------------------------------------------------------------------------


async def test_after_the_end_every_command_is_409(server: Server) -> None:
    """The problem names the run and how it ended; the log does not change."""
    started = await server.start("small")
    run = await server.engine.get(started["run_id"])
    events = await full_log(server.engine, run)
    for name in COMMANDS:
        body = {"task": "a", "value": 1} if name == "input" else {}
        status, answer = await command(server, run.id, name, body)
        assert (status, answer["run_id"], answer["run_status"]) == (409, run.id, "completed"), name
        assert "completed" in answer["detail"]
    assert await read_all(server.engine.log, run.id) == events


async def test_an_unknown_run_or_task_is_404(server: Server) -> None:
    """The problem names what there is not."""
    run = await open_run(server)
    for name in (*COMMANDS, "retry"):
        status, body = await command(server, "nope", name, {"task": "a", "value": 1} if name == "input" else {})
        assert (status, body["run_id"]) == (404, "nope"), name
    for name, body in (("cancel", {"task": "nope"}), ("input", {"task": "fast[0]", "value": 1})):
        status, answer = await command(server, run.id, name, body)
        assert (status, answer["task_id"]) == (404, body["task"])
    assert run.status == "running"


BAD_BODIES: list[tuple[str, Any, int, str]] = [
    ("pause", {"reason": 7}, 422, "reason"),
    ("pause", {"reason": "x" * 201}, 422, "reason"),
    ("pause", {"task": "fast"}, 422, "'task'"),
    ("pause", [], 422, "object"),
    ("resume", {"reason": ["x"]}, 422, "reason"),
    ("resume", {"grace": 1}, 422, "'grace'"),
    ("cancel", {"grace": "1"}, 422, "grace"),
    ("cancel", {"grace": True}, 422, "grace"),
    ("cancel", {"grace": -1}, 422, "grace"),
    ("cancel", {"grace": 1e9}, 422, "grace"),
    ("cancel", {"task": 1}, 422, "task"),
    ("cancel", {"task": ["fast"]}, 422, "task"),
    ("cancel", {"reason": {}}, 422, "reason"),
    ("cancel", {"tasks": "fast"}, 422, "'tasks'"),
    ("input", {}, 422, "task"),
    ("input", {"task": "fast"}, 422, "value"),
    ("input", {"value": 1}, 422, "task"),
    ("input", {"task": 1, "value": 1}, 422, "task"),
    ("input", {"task": None, "value": 1}, 422, "task"),
    ("input", {"task": "fast", "value": 1, "key": 1}, 422, "key"),
    ("input", {"task": "fast", "value": 1, "key": ""}, 422, "key"),
    ("input", {"task": "fast", "value": 1, "key": "x" * 201}, 422, "key"),
    ("input", {"task": "fast", "value": 1, "schema": {}}, 422, "'schema'"),
    ("retry", {"run_id": 1}, 422, "run_id"),
]


async def test_a_bad_body_is_refused_with_the_place_and_nothing_happens(server: Server) -> None:
    """422 whose sentence names the member."""
    run = await open_run(server)
    before = await read_all(server.engine.log, run.id)
    for name, body, expected, place in BAD_BODIES:
        status, answer = await command(server, run.id, name, body)
        assert (status, answer["status"]) == (expected, expected), (name, body, answer)
        assert place in answer["detail"], (name, body, answer)
    assert await read_all(server.engine.log, run.id) == before


@pytest.mark.parametrize("raw", [b"{", b'{"reason": "\xff"}', b"NaN"])
async def test_a_body_that_is_no_json_is_400(server: Server, raw: bytes) -> None:
    """For every command."""
    run = await open_run(server)
    for name in COMMANDS:
        url, headers = f"{server.url}/runs/{run.id}/{name}", {"Content-Type": "application/json"}
        async with server.session.post(url, data=raw, headers=headers) as response:
            assert response.status == 400, name
            assert response.content_type == "application/problem+json"


async def test_a_command_of_another_page_is_refused(server: Server) -> None:
    """415 without a JSON content type, also for an empty body; 403 under a foreign name; nothing happens to the run."""
    run = await open_run(server)
    before = await read_all(server.engine.log, run.id)
    for name in (*COMMANDS, "retry"):
        url = f"{server.url}/runs/{run.id}/{name}"
        for options in ({}, {"data": b"{}"}, {"data": {"task": "fast"}}, {"data": "{}"}):
            async with server.session.post(url, **options) as response:  # type: ignore[arg-type]
                assert response.status == 415, (name, options)
        status, _ = await command(
            server, run.id, name, {"task": "fast", "value": 1} if name == "input" else {}, Host="evil.example"
        )
        assert status == 403, name
        async with server.session.get(url) as response:
            assert response.status == 405, name
    assert await read_all(server.engine.log, run.id) == before


# --- budgets in a body ------------------------------------------------------------------------------------------

BAD_BUDGETS: list[tuple[Any, str]] = [
    ({"cost": -1}, "cost"),
    ({"cost": "much"}, "cost"),
    ({"cost": True}, "cost"),
    ({"cost": [1]}, "cost"),
    ({"tokens": 1.5}, "tokens"),
    ({"tokens": -1}, "tokens"),
    ({"seconds": 0}, "seconds"),
    ({"seconds": "1"}, "seconds"),
    ({"tasks": "two"}, "tasks"),
    ({"on_exceeded": "explode"}, "on_exceeded"),
    ({"on_exceeded": ["fail"]}, "on_exceeded"),
    ({"money": 1}, "money"),
    (5, "budget"),
    ([], "budget"),
    ("5", "budget"),
]


@pytest.mark.parametrize("route", ["post", "put"])
async def test_a_bad_budget_is_refused_with_the_place_and_starts_nothing(server: Server, route: str) -> None:
    """422 names the member of the budget."""
    for n, (budget, place) in enumerate(BAD_BUDGETS):
        status, answer = await _start(server, route, f"run-{n}", budget)
        assert status == 422, (budget, answer)
        assert place in answer["detail"], (budget, answer)
    assert (await server.get("/runs"))[1]["runs"] == []


@pytest.mark.parametrize("route", ["post", "put"])
async def test_a_budget_is_part_of_the_run(server: Server, route: str) -> None:
    """It is in run.started and in the state, and it holds: one body may start, the second one fails the run."""
    status, answer = await _start(server, route, "r", {"tasks": 1, "cost": "0.5"})
    assert status == 201, answer
    events = await full_log(server.engine, await server.engine.get("r"))
    budget = {"cost": 0.5, "tasks": 1, "on_exceeded": "fail"}
    assert events[0].data["budget"] == budget
    assert events[-1].type == "run.failed"
    assert (await server.get("/runs/r"))[1]["budget"] == budget
    status, answer = await _start(server, "put", "r", {"on_exceeded": "fail", "cost": 0.5, "tasks": 1})
    assert status == 200, "the same budget, however it is written"
    for other in ({"tasks": 2, "cost": 0.5}, None):
        status, answer = await _start(server, "put", "r", other)
        assert status == 409, other


async def _start(server: Server, route: str, run_id: str, budget: Any) -> tuple[int, Any]:
    if route == "put":
        body = {"workflow": "small", "budget": budget}
        request = server.session.put(f"{server.url}/runs/{run_id}", json=body)
    else:
        body = {"run_id": run_id, "budget": budget}
        request = server.session.post(f"{server.url}/workflows/small/runs", json=body)
    async with request as response:
        return response.status, await response.json(content_type=None)


# --- on_disconnect ----------------------------------------------------------------------------------------------


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """One that goes while the others stay."""
    async with aiohttp.ClientSession() as session:
        yield session


def following(server: Server, client: aiohttp.ClientSession, how: str, query: str, **headers: str) -> Stream:
    """A stream of the run ``r``: of GET /events, or of the POST that starts it."""
    if how == "get":
        return Stream(client.get(f"{server.url}/runs/r/events{query}", headers=headers))
    headers = {"Accept": "text/event-stream", **headers}
    return Stream(client.post(f"{server.url}/workflows/gated/runs{query}", json={"run_id": "r"}, headers=headers))


async def begin(server: Server, how: str) -> None:
    if how == "get":
        await server.start("gated", run_id="r")


@pytest.mark.parametrize("how", ["get", "post"])
@pytest.mark.parametrize("are_told", [True, False], ids=["handlers cancelled", "handlers left"])
async def test_a_client_that_goes_cancels_the_run_where_it_asked_for_that(
    server: Server, client: aiohttp.ClientSession, how: str, are_told: bool
) -> None:
    """``on_disconnect=cancel``: reason disconnected, by the client's address; whatever the host does to handlers."""
    runner = aiohttp_web.AppRunner(reactor_web.create_app(server.engine), handler_cancellation=are_told)
    await runner.setup()
    site = aiohttp_web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1"
    await begin(server, how)
    async with following(server, client, how, "?on_disconnect=cancel") as stream:
        await stream.until("task.started")
        run = await server.engine.get("r")
        assert run.status == "running"
    await client.close()
    events = await full_log(server.engine, run)
    cancelling = next(event for event in events if event.type == "run.cancelling")
    assert cancelling.data == {"reason": "disconnected", "by": "127.0.0.1"}
    assert events[-1].data["reason"] == "disconnected"
    await runner.cleanup()


@pytest.mark.parametrize("how", ["get", "post"])
@pytest.mark.parametrize("query", ["", "?on_disconnect=continue"])
async def test_a_client_that_goes_cancels_nothing_by_default(
    server: Server, client: aiohttp.ClientSession, how: str, query: str
) -> None:
    """The server has seen it go, and the run goes on to its end."""
    await begin(server, how)
    async with following(server, client, how, query) as stream:
        await stream.until("task.started")
    await client.close()
    await wait_until(lambda: not len(server.app[STREAMS]))
    run = await server.engine.get("r")
    for name in ("fast", "middle", "step", "slow"):
        server.gates[name].set()
    assert "run.cancelling" not in [event.type for event in await full_log(server.engine, run)]
    assert run.status == "completed"


async def test_a_client_that_saw_the_end_cancels_nothing(server: Server, client: aiohttp.ClientSession) -> None:
    """A stream that has ended is no disconnect."""
    for name in ("fast", "middle", "step", "slow"):
        server.gates[name].set()
    async with following(server, client, "post", "?on_disconnect=cancel") as stream:
        assert (await stream.all())[-1].event == "stream.end"
    assert (await server.engine.get("r")).status == "completed"


async def test_one_of_two_clients_that_goes_cancels_for_both(server: Server, client: aiohttp.ClientSession) -> None:
    """Who follows without the wish is told the end like anybody."""
    await begin(server, "get")
    async with server.events("r") as other:
        async with following(server, client, "get", "?on_disconnect=cancel") as stream:
            await stream.until("task.started")
        await client.close()
        await other.until("run.cancelled")
        frame = await other.until("stream.end")
    assert '"status":"cancelled"' in frame.data


async def test_on_disconnect_that_is_neither_is_400(server: Server, client: aiohttp.ClientSession) -> None:
    """On the GET, and on the POST before anything starts."""
    await begin(server, "get")
    for stream in (
        following(server, client, "get", "?on_disconnect=pause"),
        following(server, client, "get", "?on_disconnect=cancel&on_disconnect=cancel"),
        Stream(
            client.post(
                f"{server.url}/workflows/gated/runs?on_disconnect=pause",
                json={"run_id": "other"},
                headers={"Accept": "text/event-stream"},
            )
        ),
    ):
        async with stream:
            assert stream.status == 400
            assert "on_disconnect" in (await stream.response.json())["detail"]
    assert [listed["run_id"] for listed in (await server.get("/runs"))[1]["runs"]] == ["r"]


FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_page_of_another_site_cannot_cancel_by_going(
    server: Server, client: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    """A GET that may change something is 403 for it; following alone is not."""
    await begin(server, "get")
    async with following(server, client, "get", "?on_disconnect=cancel", **headers) as stream:
        assert stream.status == 403
    async with following(server, client, "get", "", **headers) as stream:
        assert stream.status == 200
    await client.close()
    await wait_until(lambda: not len(server.app[STREAMS]))
    run = await server.engine.get("r")
    assert run.status == "running"
    assert await types(server, run, "run.") == ["run.started"]


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost:3000"}],
    ids=str,
)
async def test_a_page_of_our_own_can(server: Server, client: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    """Same origin, typed by hand, or from another port of this machine."""
    await begin(server, "get")
    async with following(server, client, "get", "?on_disconnect=cancel", **headers) as stream:
        assert stream.status == 200
        await stream.until("task.started")


async def test_the_end_of_the_server_is_no_disconnect(tmp_path: Path) -> None:
    """The client is told (stream.closing); on a durable log the run stays open, as its log has it."""
    gates = Gates()
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    engine = Engine(store, grace=0)
    test_server = TestServer(reactor_web.create_app(engine, [gated_workflow(gates)]), host="127.0.0.1")
    await test_server.start_server(shutdown_timeout=2.0)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{test_server.port}/api/v1"
        async with session.post(f"{url}/workflows/gated/runs", json={"run_id": "r"}) as response:
            assert response.status == 201
        async with Stream(session.get(f"{url}/runs/r/events?on_disconnect=cancel")) as stream:
            await stream.until("task.started")
            closing = asyncio.ensure_future(test_server.close())
            await stream.until("stream.closing", reason="shutdown")
        await closing
    async with Engine(store) as engine:
        events: list[Event] = await read_all(engine.log, "r")
    assert [event.type for event in events] == ["run.started", *["task.started"] * 3]

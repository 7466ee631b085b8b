"""Each verb of the client against a real server: what it does, and that it raises what it raises in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import (
    Budget,
    Context,
    Engine,
    InputError,
    InvalidEvent,
    InvalidValue,
    IsSession,
    KeyReused,
    NotAwaited,
    PlanError,
    ReactorError,
    RunCancelled,
    RunEnded,
    RunExists,
    RunFailed,
    TaskEnded,
    UnknownRun,
    UnknownTask,
    UnknownWorkflow,
    Workflow,
    WrongQuestion,
    load_plan,
    tool,
)
from reactor.errors import InvalidRunId, RunOpen
from reactor.runs.positions import TreeEvent
from reactor.testing import read_all
from reactor_web.client import Client, RemoteRun, RemoteSession, RequestRefused, ServerUnavailable
from reactor_web.client.errors import OF_THE_ENGINE, error_of
from reactor_web.http.problems import STATUS
from tests.helpers import family
from tests.helpers.remote import Remote, remote
from tests.helpers.runs import PATIENCE

add = Workflow("add")
asks = Workflow("asks")
fails = Workflow("fails")
twice = Workflow("twice")


@tool(name="client.double")
def double(n: int) -> int:
    return 2 * n


@add.task
async def one(n: int = 1) -> int:
    return n


@add.task
async def two(one: int) -> int:
    return one + 1


@asks.task
async def approve(ctx: Context) -> bool:
    return await ctx.receive("publish?", schema=bool, key="publish")


@asks.task
async def beside(ctx: Context) -> str:
    return str(await ctx.receive("name?", key="name"))


@twice.task
async def both(ctx: Context) -> list[str]:
    return await asyncio.gather(*(ctx.receive(f"{key}?", key=key) for key in ("a", "b")))


@fails.task
async def breaks() -> None:
    raise ValueError("as it must")


@pytest.fixture
async def at() -> AsyncIterator[Remote]:
    flows = (add, asks, fails, twice, family.top, family.middle, family.leaf)
    async with remote(Engine("memory://", grace=0), *flows) as at:
        yield at


async def result(run: RemoteRun) -> dict[str, Any]:
    return await asyncio.wait_for(run, PATIENCE)


async def asked(run: RemoteRun, *tasks: str) -> None:
    """Returns when these tasks wait for an answer."""
    async for _ in run:
        if all(name in run.state.tasks and run.state.tasks[name].waiting for name in tasks):
            return


# --- start ------------------------------------------------------------------------------------------------------


async def test_start_and_await_are_those_of_in_process(at: Remote) -> None:
    """Outputs, status, meta, budget and what the run began with."""
    run = await at.client.start(add, {"n": 4}, meta={"team": "a"}, budget=Budget(cost=5))
    assert run.status in ("running", "completed")  # as of its answer
    assert run.state.workflow == "add"
    assert await result(run) == {"two": 5}
    there = await at.engine.get(run.id)
    assert (run.status, run.state.meta, run.state.budget) == ("completed", {"team": "a"}, there.state.budget)
    assert await run.outputs() == await run.shown_outputs() == await there.outputs()
    assert await run.beginning() == await there.beginning()
    assert await run.output("one") == await there.output("one") == b"4"
    assert await run.ended() == there.state


async def test_failure_and_cancel_are_raised_as_in_process(at: Remote) -> None:
    """RunFailed with the errors of its tasks, RunCancelled with the reason, and the sentences of in process."""
    run = await at.client.start("fails")
    with pytest.raises(RunFailed) as far:
        await result(run)
    with pytest.raises(RunFailed) as here:
        await (await at.engine.get(run.id))
    assert (str(far.value), far.value.errors) == (str(here.value), here.value.errors)
    waits = await at.client.start("asks")
    await asyncio.wait_for(waits.cancel(reason="enough"), PATIENCE)
    assert waits.status == "cancelled"
    with pytest.raises(RunCancelled, match="enough") as caught:
        await result(waits)
    assert caught.value.reason == "enough"


async def test_a_start_that_cannot_be_says_why(at: Remote) -> None:
    """Nothing was started, and the attributes of the errors came along."""
    with pytest.raises(UnknownWorkflow, match="nope") as unknown:
        await at.client.start("nope")
    assert unknown.value.workflow == "nope"
    with pytest.raises(InputError) as wrong:
        await at.client.start("add", {"n": "x"})
    assert [problem["input"] for problem in wrong.value.problems] == ["n"]
    with pytest.raises(InputError, match="not JSON"):
        await at.client.start("add", {"n": object()})
    with pytest.raises(InvalidRunId):
        await at.client.start("add", run_id="a/b")
    for given in ({"meta": {"x": object()}}, {"budget": {"coins": 1}}):
        with pytest.raises(ValueError):
            await at.client.start("add", **given)
    assert await at.client.list() == []


async def test_an_id_is_taken_once_and_ensure_finds_it(at: Remote) -> None:
    """``start`` raises RunExists as in process, also for the same start; ``ensure`` does not for the same one."""
    run, is_new = await at.client.ensure("add", {"n": 1}, run_id="r1")
    again, is_new_again = await at.client.ensure("add", {"n": 1}, run_id="r1")
    assert (run.id, is_new, again.id, is_new_again) == ("r1", True, "r1", False)
    for start in (
        at.client.start("add", {"n": 1}, run_id="r1"),
        at.client.ensure("add", {"n": 2}, run_id="r1"),
        at.client.session("r1"),
    ):
        with pytest.raises(RunExists):
            await start


async def test_a_plan_is_started_as_a_document_and_as_a_workflow(at: Remote) -> None:
    """By the tools of the server; a wrong one is PlanError with its place."""
    plan = {"name": "doubled", "tasks": [{"id": "d", "tool": "client.double", "input": {"n": 21}}]}
    run = await at.client.start_plan(plan, run_id="p1", meta={"a": 1})
    assert (run.id, await result(run)) == ("p1", {"d": 42})
    assert await result(await at.client.start(load_plan(plan))) == {"d": 42}
    with pytest.raises(PlanError) as wrong:
        await at.client.start_plan({"tasks": [{"id": "d", "tool": "client.nope", "input": {}}]})
    assert wrong.value.place.startswith("tasks[0]")


@pytest.mark.parametrize("run_id", [None, "chosen"])
async def test_a_start_whose_answer_was_lost_starts_one_run(at: Remote, run_id: str | None) -> None:
    """The request comes again with the same id and key; also with an id of one's own it is not RunExists."""
    at.proxy.lost = 2  # one of them aiohttp repeats by itself where it may
    run = await at.client.start("add", run_id=run_id)
    assert at.proxy.lost == 0
    assert await result(run) == {"two": 2}
    assert [record.run_id for record in await at.client.list()] == [run.id]


# --- commands ---------------------------------------------------------------------------------------------------


async def test_pause_resume_and_send(at: Remote) -> None:
    """Each returns once its event is in the log, and the status is that of its answer, as in process."""
    run = await at.client.start("asks")
    await asked(run, "approve", "beside")
    await run.pause(reason="lunch")
    assert run.status == (await at.engine.get(run.id)).status == "paused"
    await run.resume()
    assert run.status == "running"
    with pytest.raises(InvalidValue):
        await run.send("approve", "perhaps")
    with pytest.raises(UnknownTask):
        await run.send("nobody", 1)
    with pytest.raises(ValueError):
        await run.send("approve", object())
    await run.send(approve, True, key="publish")
    await run.send("beside", "Ada")
    assert await result(run) == {"approve": True, "beside": "Ada"}
    for command in (run.pause(), run.resume(), run.cancel(), run.send("approve", 1), run.emit("a.b")):
        with pytest.raises(RunEnded) as ended:
            await command
        assert ended.value.status == "completed"


async def test_of_several_questions_one_is_named(at: Remote) -> None:
    """Without ``key`` it is WrongQuestion, which has the keys of those that are open."""
    run = await at.client.start("twice")
    async for event in run:
        if event.type == "task.waiting" and len(run.state.tasks["both"].waiting or []) == 2:
            break
    with pytest.raises(WrongQuestion) as wrong:
        await run.send("both", "x")
    assert sorted(wrong.value.keys) == ["a", "b"]
    await run.send("both", "y", key="b")
    await run.send("both", "x", key="a")
    assert await result(run) == {"both": ["x", "y"]}


async def test_one_task_is_cancelled(at: Remote) -> None:
    """The rest goes on; then it has ended."""
    run = await at.client.start("asks")
    await asked(run, "approve", "beside")
    await asyncio.wait_for(run.cancel(task="beside"), PATIENCE)
    assert run.state.tasks["beside"].status == "cancelled"
    with pytest.raises(TaskEnded):
        await run.cancel(task="beside")
    with pytest.raises(UnknownTask):
        await run.request_cancel(task="nobody")
    await run.send("approve", False)
    assert (await asyncio.wait_for(run.ended(), PATIENCE)).has_ended


async def test_a_question_of_a_run_below_is_answered(at: Remote) -> None:
    """By ``run=``; a run that is not below is UnknownRun."""
    run = await at.client.start("top", run_id="r")
    await asked(run, "ask")
    with pytest.raises(UnknownRun):
        await run.send("ask", 1, run="elsewhere")
    for number, (below, key) in enumerate(family.QUESTIONS):
        child = at.client.run(below, await_run=60)
        await asyncio.wait_for(asked(child, "ask"), PATIENCE)
        await run.send("ask", number, key=key, run=below)
    assert await result(run) == family.EXPECTED
    records = await at.client.list(root="r")
    assert sorted(record.run_id for record in records) == sorted(family.RUNS)


async def test_retry_and_delete(at: Remote) -> None:
    """A new run that takes over what completed; an open run is neither retried nor removed; gone is UnknownRun."""
    run = await at.client.start("fails")
    with pytest.raises(RunFailed):
        await result(run)
    again = await run.retry(new_run_id="again")
    assert again.id == "again"
    with pytest.raises(RunExists):
        await run.retry(new_run_id="again")
    with pytest.raises(RunFailed):
        await result(again)
    waits = await at.client.start("asks")
    for command in (waits.retry(), waits.delete()):
        with pytest.raises(RunOpen):
            await command
    await run.delete()
    for command in (
        run.delete(),
        run.refresh(),
        at.client.get(run.id),
        at.client.retry(run.id),
        at.client.run(run.id).ended(),
    ):
        with pytest.raises(UnknownRun):
            await command


async def test_emit_is_said_once_whatever_is_lost(at: Remote) -> None:
    """With a key and without one: an answer that is lost makes no second event; a key of another event is KeyReused."""
    run = await at.client.start("asks")
    at.proxy.lost = 1
    await run.emit("page.fetched", {"url": "a"})
    at.proxy.lost = 1
    seqs = await run.emit_all([{"type": "page.fetched", "data": {"n": n}} for n in range(3)], key="pages")
    assert seqs == await run.emit_all([{"type": "page.fetched", "data": {"n": n}} for n in range(3)], key="pages")
    events = await read_all(at.engine.log, run.id)
    said = [event for event in events if event.type == "page.fetched"]
    assert [event.data for event in said] == [{"url": "a"}, {"n": 0}, {"n": 1}, {"n": 2}]
    assert [event.seq for event in said[1:]] == seqs
    with pytest.raises(KeyReused):
        await run.emit("page.fetched", {"url": "b"}, key="pages")
    for wrong in (run.emit("task.started"), run.emit("a b"), run.emit("a.b", object())):
        with pytest.raises(InvalidEvent):
            await wrong
    with pytest.raises(UnknownTask):
        await run.emit("a.b", task="nobody")


async def test_commands_whose_answers_are_lost_are_carried_out_once(at: Remote) -> None:
    """``send``, ``cancel``, ``retry``, ``delete``: each is repeated, and its second answer is its first."""
    run = await at.client.start("asks")
    await asked(run, "approve", "beside")
    await at.until_nobody_follows()  # only the answer to the command must be lost
    at.proxy.lost = 1
    await run.send("approve", True)
    at.proxy.lost = 1
    await asyncio.wait_for(run.cancel(), PATIENCE)
    received = [event for event in await read_all(at.engine.log, run.id) if event.type == "task.received"]
    assert len(received) == 1
    at.proxy.lost = 1
    again = await run.retry()
    await asyncio.wait_for(again.cancel(), PATIENCE)
    assert len(await at.client.list()) == 2
    at.proxy.lost = 1
    await again.delete()
    assert [record.run_id for record in await at.client.list()] == [run.id]


# --- sessions ---------------------------------------------------------------------------------------------------


async def test_a_session_is_opened_spoken_in_and_closed(at: Remote) -> None:
    """The surface of a session in process, with its errors."""
    session = await at.client.session("s1", meta={"a": 1}, idle=60)
    assert (await at.client.session("s1", meta={"a": 1}, idle=60)).id == "s1"
    assert isinstance(await at.client.get("s1"), RemoteSession)
    await session.emit("note.made", {"text": "hi"}, task="notes")
    for command in (session.pause(), session.resume()):
        with pytest.raises(IsSession):
            await command
    with pytest.raises((IsSession, RunOpen)):
        await session.retry()
    with pytest.raises(ValueError, match="closed as one of"):
        await session.close("done")  # type: ignore[arg-type]
    await session.close(outputs={"answer": 42})
    assert await result(session) == {"answer": 42}
    failed = await at.client.session("s2")
    await failed.close("failed", error=KeyError("gone"))
    with pytest.raises(RunFailed, match="KeyError"):
        await result(failed)
    with pytest.raises(ValueError, match="idle"):
        await at.client.session("s3", idle=-1)


# --- find -------------------------------------------------------------------------------------------------------


async def test_runs_are_listed_and_found(at: Remote) -> None:
    """As ``engine.list`` lists them, page by page and all at once."""
    for number in range(5):
        await result(await at.client.start("add", run_id=f"a{number}"))
    await at.client.start("asks", run_id="open")
    listed = await at.client.list()
    for record, logged in zip(listed, await at.engine.list(), strict=True):
        for name in record._fields:
            assert getattr(record, name) == getattr(logged, name), name
    assert [record async for record in at.client.runs()] == listed
    assert [record.run_id for record in await at.client.list(status="completed", limit=2)] == ["a4", "a3"]
    assert [record.run_id for record in await at.client.list(workflow="add", before="a3")] == ["a2", "a1", "a0"]
    with pytest.raises(ValueError):
        await at.client.list(limit=0)
    with pytest.raises(UnknownRun):
        await at.client.list(before="nobody")
    assert set(await at.client.workflows()) == set(at.engine.workflows)
    assert (await at.client.workflows())["add"]["tasks"]
    assert "client.double" in await at.client.tools()
    assert (await at.client.get("open")).state == (await at.engine.get("open")).state


async def test_events_of_all_runs_and_of_a_tree_go_on_from_any_cursor(at: Remote) -> None:
    """In the order of the log, through cuts; each event has the cursor of in process."""
    for number in range(3):
        await result(await at.client.start("add", run_id=f"a{number}", meta={"team": f"t{number % 2}"}))
    there = [event async for event in _until(_in_process(at.engine), "a2")]
    at.proxy.cuts = iter([400, 700, 1_000, 1_500])
    here = [event async for event in _until(at.client.all_events(), "a2")]
    assert [(event.message, event.cursor) for event in here] == [(event.message, event.cursor) for event in there]
    for place in (1, 5, len(there) - 2):
        rest = [event async for event in _until(at.client.all_events(there[place].cursor), "a2")]
        assert [event.message for event in rest] == [event.message for event in there[place + 1 :]]
    some = [event async for event in _until(at.client.all_events(meta={"team": "t0"}), "a2")]
    assert {event.message.run_id for event in some} == {"a0", "a2"}
    tree = [event.message async for event in await at.client.tree_events("a1")]
    assert tree == await read_all(at.engine.log, "a1")
    with pytest.raises(UnknownRun):
        await at.client.tree_events("nobody")


async def _in_process(engine: Engine) -> AsyncIterator[TreeEvent]:
    """The same in the process of the runs, where it is read window by window."""
    reading = engine.all_events()
    await reading.begin()
    while True:
        for event in await reading.read():
            yield event


async def _until(events: Any, run_id: str) -> AsyncIterator[Any]:
    """The events up to the end of a run."""
    async for event in events:
        yield event
        if event.message.run_id == run_id and event.message.type == "run.completed":
            return


# --- errors, tokens, patience -----------------------------------------------------------------------------------


def test_every_error_that_the_server_has_a_status_for_is_raised_as_itself() -> None:
    """One list on each side: they name the same errors of ``reactor``, and each survives the way."""
    ours = {kind for kind in STATUS if issubclass(kind, ReactorError) and kind.__module__ == "reactor.errors"}
    assert set(OF_THE_ENGINE.values()) == ours
    foreign = error_of("http://x", 418, b'{"error": "SystemExit", "detail": "a\\nb"}', None)
    assert (type(foreign), str(foreign)) == (RequestRefused, "a b (http://x answers 418)")


async def test_a_handle_says_what_is_not_awaited(at: Remote) -> None:
    """As in process: a call that was not awaited is no result."""
    run = at.client.run("r")
    with pytest.raises(NotAwaited, match=r"\(await run\)\['a'\]"):
        run["a"]
    with pytest.raises(NotAwaited, match="async for event in run"):
        for _ in run:  # type: ignore[attr-defined]
            pass
    pending = run.outputs()
    with pytest.raises(NotAwaited, match=r"await run\.outputs"):
        bool(pending)
    pending.close()


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "http://x/api?y=1"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    """Before any request; where only the scheme is missing, it is said."""
    with pytest.raises(ValueError, match="not the URL of a server") as refused:
        Client(url)
    assert str(refused.value).endswith("write http://localhost:8080") == (url == "localhost:8080")


async def test_a_server_that_is_not_there_is_one_sentence(unused_tcp_port: int) -> None:
    """After so many tries; it names the URL."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with Client(url, tries=3, sleep=sleep) as client:
        with pytest.raises(ServerUnavailable, match=f"cannot ask {url}/api/v1/runs/r: no server answers at"):
            await client.get("r")
    assert len(waits) == 2
    assert 0 < waits[0] < waits[1]


class Guarded:
    """A server that wants a token, and calls old ones expired."""

    def __init__(self) -> None:
        self.token = "t1"
        self.refused = 0

    @web.middleware
    async def check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            return web.json_response({"title": "Unauthorized", "detail": "the token is no good"}, status=401)
        return await handler(request)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_token_is_asked_for_again_after_a_401(is_async: bool) -> None:
    """Once for all that were told so, for requests and for streams that reconnect; one that stays wrong is an error."""
    guarded, given = Guarded(), list[str]()
    app = web.Application(middlewares=[guarded.check])
    reactor_web.mount(app, Engine("memory://", grace=0), [asks])
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.5)

    def token() -> str:
        given.append(guarded.token)
        return guarded.token

    async def token_later() -> str:
        return token()

    try:
        url = str(server.make_url(""))
        async with Client(url, token=token_later if is_async else token, headers={"X-Of": "mine"}) as client:
            run = await client.start("asks")
            guarded.token = "t2"
            states = await asyncio.gather(*(run.refresh() for _ in range(5)))
            assert {state.status for state in states} == {"running"}
            assert given == ["t1", "t2"]
            guarded.token = "t3"
            following = asyncio.ensure_future(_first(run))
            assert (await asyncio.wait_for(following, PATIENCE)).seq == 1
            assert given == ["t1", "t2", "t3"]
        refused = guarded.refused
        async with Client(url, token=lambda: "wrong") as client:
            for asked in (client.get(run.id), _first(client.run(run.id))):
                with pytest.raises(RequestRefused, match=r"the token is no good \(\S+ answers 401\)$") as caught:
                    await asked
                assert caught.value.status == 401
        assert guarded.refused <= refused + 4
        for from_a_file in ("t3\n", lambda: " t3\r\n"):  # `reactor keys add > key`
            async with Client(url, token=from_a_file) as client:
                assert (await client.get(run.id)).status == "running"
    finally:
        await server.close()


async def _first(run: RemoteRun) -> Any:
    async for event in run:
        return event
    raise AssertionError("no event")


async def test_a_busy_server_is_asked_again_when_it_says() -> None:
    """429, 502, 503 and 504 are tried again, not before ``Retry-After``, with one ``Idempotency-Key``; a 4xx is not."""
    statuses, keys, waits = [429, 502, 503, 504, 200, 400], list[str | None](), list[float]()

    async def act(request: web.Request) -> web.Response:
        keys.append(request.headers.get("Idempotency-Key"))
        body = {"run_id": "r", "seq": 1, "status": "paused", "workflow": "w", "version": "1"}
        return web.json_response(body, status=statuses.pop(0), headers={"Retry-After": "7"})

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    app = web.Application()
    app.router.add_post("/api/v1/runs/r/pause", act)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        async with Client(str(server.make_url("")), sleep=sleep) as client:
            run = client.run("r")
            await run.pause()
            assert run.status == "paused"
            with pytest.raises(RequestRefused, match="answers 400"):
                await run.pause()
    finally:
        await server.close()
    assert len(keys) == 6
    assert None not in keys
    assert len(set(keys[:5])) == 1
    assert keys[5] != keys[0]
    assert waits == [7, 7, 7, 7]


async def test_a_session_of_ones_own_stays_open(at: Remote) -> None:
    """The client closes what it has opened, and no more."""
    async with aiohttp.ClientSession() as session:
        async with Client(at.proxy.url, session=session) as client:
            run = await client.start("add")
            assert await result(run) == {"two": 2}
        assert not session.closed

"""Routes of one's own whose functions give nonsense, and requests that must start nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from reactor import Engine
from reactor_web import Problem, Start, add_agent, add_start, add_state, add_stream
from reactor_web.own.threads import find, remember
from tests.helpers.server import small_workflow

SSE = {"Accept": "text/event-stream"}


@pytest.mark.parametrize("found", [5, b"x", ["a"], ("a",), object(), 1.5, True])
async def test_an_id_that_is_no_text_is_a_bug_that_the_log_tells(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture, found: Any
) -> None:
    """500 with a problem document, whatever the function returns, and a sentence in the log."""
    app, engine = web.Application(), Engine("memory://", workflows=[small_workflow()], grace=0.0)
    add_stream(app, "/stream", engine, id_from=lambda request: found, await_run=1.0)
    add_state(app, "/state", engine, id_from=lambda request: found)
    client = await aiohttp_client(app)
    for path in ("/stream", "/state"):
        async with client.get(path) as response:
            assert (response.status, response.content_type) == (500, "application/problem+json")
        assert "id_from(request) must return the id of a run" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("found", [None, ""])
async def test_a_request_that_names_no_run_is_told_so(aiohttp_client: AiohttpClient, found: Any) -> None:
    """Without a word about the function that looked for it."""
    app, engine = web.Application(), Engine("memory://", grace=0.0)
    add_stream(app, "/stream", engine, id_from=lambda request: found)
    client = await aiohttp_client(app)
    async with client.get("/stream") as response:
        assert response.status == 400
        assert (await response.json())["detail"] == "the request does not say which run"


async def test_a_problem_of_the_host_may_have_any_members(aiohttp_client: AiohttpClient) -> None:
    """They are shown as values are shown elsewhere; what cannot be text is no reason for another error."""
    app, engine = web.Application(), Engine("memory://", grace=0.0)
    id = uuid.uuid4()

    def begin(request: web.Request, body: Any) -> Start:
        raise Problem(422, "no \ud800", account=id, raw=b"\xff", thing=object())

    add_start(app, "/start", engine, begin)
    client = await aiohttp_client(app)
    async with client.post("/start", json={}) as response:
        problem = await response.json()
        assert (response.status, problem["account"]) == (422, str(id))


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose", "X-Moz"])
@pytest.mark.parametrize("value", ["prefetch", "prefetch;prerender", "Prefetch"])
async def test_neither_a_prefetch_nor_a_head_starts_a_run(
    aiohttp_client: AiohttpClient, header: str, value: str
) -> None:
    """A browser that fetches a page ahead, or asks for headers, has not asked for a run."""
    app, engine = web.Application(), Engine("memory://", workflows=[small_workflow()], grace=0.0)
    add_stream(app, "/stream/{id}", engine, start=lambda request: Start("small"))
    client = await aiohttp_client(app)
    async with client.get("/stream/r1", headers={**SSE, header: value}) as response:
        assert (response.status, response.content_type) == (403, "application/problem+json")
    async with client.head("/stream/r1", headers=SSE) as response:
        assert response.status == 404
    assert await engine.list() == []
    async with client.get("/stream/r1", headers=SSE) as response:
        assert response.status == 200


async def test_a_thread_is_not_the_later_run_of_another_thread() -> None:
    """``a~2`` is the second run of the thread ``a``; a thread that is called so has runs of its own."""
    async with Engine("memory://", workflows=[small_workflow()]) as engine:
        await engine.start("small", run_id="a")
        second = await engine.start("small", run_id="a~2")
        await remember(engine, "a", "a~2")
        assert (await find(engine, "a")).run is second
        assert (await find(engine, "a~2")).run is None


async def test_bodies_of_an_agent_that_are_none_start_nothing(aiohttp_client: AiohttpClient) -> None:
    """422 with a sentence for each wrong member, and no run."""
    app, engine = web.Application(), Engine("memory://", workflows=[small_workflow()], grace=0.0)
    add_agent(app, "/agent", engine, "small")
    client = await aiohttp_client(app)
    good: dict[str, Any] = {"threadId": "t", "runId": "r", "messages": []}
    wrong: list[tuple[str, Any]] = [
        ("threadId", 5), ("threadId", ""), ("runId", None), ("messages", {}), ("messages", [5]), ("tools", "x"),
        ("context", [[]]), ("resume", [{}]), ("resume", [{"interruptId": "x", "status": []}]), ("parentRunId", 5),
    ]  # fmt: skip
    bodies: list[Any] = [*({**good, name: value} for name, value in wrong), [], 5, "x"]
    for body in bodies:
        async with client.post("/agent", json=body) as response:
            assert (response.status, response.content_type) == (422, "application/problem+json"), body
    assert await engine.list() == []

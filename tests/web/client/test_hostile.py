"""Servers that answer what no server of ours answers, users that pass in what cannot be, and a close in any phase."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reactor.errors import InputError, InvalidRunId, PlanError, ReactorError
from reactor_web.client import Client, ClientClosed, RequestRefused
from tests.helpers.runs import PATIENCE
from tests.stream.test_following import pull

Act = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Odd:
    """A server that does one thing, whatever is asked. ``asked``: has a request come?"""

    def __init__(self) -> None:
        self.act: Act
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        return await self.act(request)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        await self.go_on.wait()
        return web.Response()


@pytest.fixture
async def odd() -> AsyncIterator[Odd]:
    odd = Odd()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", odd.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.1)
    odd.url = str(server.make_url(""))
    yield odd
    odd.go_on.set()
    await server.close()


def answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Act:
    async def act(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return act


def event(seq: int, run: str = "r", type: str = "run.started", data: str = '{"workflow":"w","version":"1"}') -> str:
    return f'id: {seq}\ndata: {{"seq":{seq},"run_id":"{run}","type":"{type}","time":"t","data":{data}}}\n\n'


def stream(text: str) -> Act:
    return answer(text.encode(), headers={"Content-Type": "text/event-stream"})


VERBS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "start": lambda client: client.start("w"),
    "ensure": lambda client: client.ensure("w", run_id="r"),
    "get": lambda client: client.get("r"),
    "list": lambda client: client.list(),
    "workflows": lambda client: client.workflows(),
    "outputs": lambda client: client.run("r").outputs(),
    "emit": lambda client: client.run("r").emit_all([{"type": "a"}]),
    "send": lambda client: client.run("r").send("t", 1),
    "cancel": lambda client: client.run("r").cancel(),
    "retry": lambda client: client.run("r").retry(),
    "await": lambda client: client.run("r").ended(),
    "loop": lambda client: pull(client.run("r")),
}

ANSWERS = {
    "a page": answer(b"<html>Welcome", headers={"Content-Type": "text/html"}),
    "nothing": answer(b""),
    "half of it": answer(b'{"run_id":"r","seq":', headers={"Content-Type": "application/json"}),
    "a list": answer(b"[]"),
    "JSON of somebody else": answer(b'{"runs": [1], "workflows": [1], "seq": "x"}'),
    "a state that is none": answer(b'{"run_id": "r", "seq": 5, "status": 5, "workflow": 1, "version": 1, "runs": 3}'),
    "a redirect without end": answer(b"", 302, {"Location": "/"}),
    "an error without an end": answer(b"x" * 1_000_000, 418),
    "an error that is none": answer(b'{"error": "RunEnded", "detail": [1], "run_id": [2]}', 400),
    "no events": stream("data: nothing\n\n"),
    "events of another run": stream(event(1, "z")),
    "events with a hole": stream(event(1) + event(3)),
    "events backwards": stream(event(2) + event(1)),
    "events of wrong data": stream(event(1) + event(2, type="task.completed", data="{}")),
    "a gap without a reason": stream('data: {"type":"stream.gap","run_id":"r","time":"t","data":{}}\n\n'),
    "a state of wrong data": stream('data: {"type":"run.state","run_id":"r","time":"t","data":{"seq":"x"}}\n\n'),
    "what is not compressed": answer(b"x", headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("given", ANSWERS)
async def test_what_is_no_answer_of_ours_is_one_sentence(odd: Odd, given: str) -> None:
    """For every verb an error of the client, soon, and no other: no KeyError, no JSONDecodeError."""
    odd.act = ANSWERS[given]
    async with Client(odd.url, tries=2, max_failures=2, sleep=lambda _: asyncio.sleep(0)) as client:
        for name, verb in VERBS.items():
            with pytest.raises(ReactorError) as caught:
                await asyncio.wait_for(verb(client), PATIENCE)
            assert "\n" not in str(caught.value), name
            assert len(str(caught.value)) < 1_000


async def test_a_change_is_not_redirected(odd: Odd) -> None:
    """A redirect would make a GET of it: where the server is now is said."""
    odd.act = answer(b"", 301, {"Location": "https://elsewhere/api"})
    async with Client(odd.url) as client:
        with pytest.raises(RequestRefused, match="it is at https://elsewhere/api"):
            await client.start("w")


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("verb", ["start", "get", "await", "loop"])
async def test_a_close_ends_what_waits_for_an_answer(odd: Odd, verb: str, is_own: bool) -> None:
    """Also where the session is the user's, and stays open."""
    odd.act = odd.hang
    async with aiohttp.ClientSession() as session:
        client = Client(odd.url, session=None if is_own else session)
        asking = asyncio.ensure_future(VERBS[verb](client))
        await asyncio.wait_for(odd.asked.wait(), PATIENCE)
        await asyncio.wait_for(client.close(), PATIENCE)
        with pytest.raises(ClientClosed, match="the client is closed"):
            await asyncio.wait_for(asking, PATIENCE)
        assert not session.closed


@pytest.mark.parametrize("verb", ["start", "loop"])
@pytest.mark.parametrize("phase", ["token", "pause"])
async def test_a_close_ends_what_waits_for_anything_else(odd: Odd, verb: str, phase: str) -> None:
    """A token that never comes, and the time before the next attempt."""
    waits = asyncio.Event()

    async def for_ever(*_: object) -> Any:
        waits.set()
        await asyncio.Event().wait()

    odd.act = answer(b"", 503)
    client = Client(odd.url, sleep=for_ever, token=for_ever if phase == "token" else None)
    asking = asyncio.ensure_future(VERBS[verb](client))
    await asyncio.wait_for(waits.wait(), PATIENCE)
    await asyncio.wait_for(client.close(), PATIENCE)
    with pytest.raises(ClientClosed, match="the client is closed"):
        await asyncio.wait_for(asking, PATIENCE)


@pytest.mark.parametrize("verb", ["start", "loop"])
async def test_a_cancel_stays_a_cancel(odd: Odd, verb: str) -> None:
    """Of the user's; also where the client closes at the same time."""
    odd.act = odd.hang
    client = Client(odd.url)
    asking = asyncio.ensure_future(VERBS[verb](client))
    await asyncio.wait_for(odd.asked.wait(), PATIENCE)
    asking.cancel()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_is_passed_in_wrongly_is_named_before_a_request(odd: Odd) -> None:
    """With the name of the input; a run id is checked everywhere, also an empty one."""
    async with Client(odd.url) as client:
        wrong: list[tuple[Any, type[Exception], str]] = [
            (client.start("w", [1]), InputError, r"the input of workflow 'w' must be an object, .*, not a list"),  # pyright: ignore[reportArgumentType]
            (client.start("w", {"a": 1, "b": [object()]}), InputError, "the input 'b' is not JSON"),
            (client.start(None), TypeError, "a workflow is named by text"),  # pyright: ignore[reportArgumentType]
            (client.start_plan("{"), PlanError, "is not JSON"),
            (client.start_plan("[]"), PlanError, "must be an object, not a list"),
            (client.get(client.run("r")), InvalidRunId, "is not a valid run id"),  # pyright: ignore[reportArgumentType]
        ]
        for run_id in ("", "..", "a/b"):
            asked = (
                client.start("w", run_id=run_id), client.ensure("w", run_id=run_id), client.session(run_id),
                client.start_plan({"tasks": []}, run_id=run_id), client.get(run_id), client.delete(run_id),
                client.run("r").retry(new_run_id=run_id),
            )  # fmt: skip
            wrong += [(one, InvalidRunId, "is not a valid run id: text of 1 to 64") for one in asked]
        for asking, kind, sentence in wrong:
            with pytest.raises(kind, match=sentence):
                await asking
    assert not odd.asked.is_set()

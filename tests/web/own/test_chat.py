"""``add_chat``: the chats of the AI SDK, with the transports of its versions 6 and 7."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reactor import Context, Engine, Workflow
from reactor_web import Problem, Start, add_chat, problems
from reactor_web.sse.parser import Parser
from reactor_web.streaming.streams import STREAMS
from tests.helpers.ai_sdk import MAJORS, ChatClient, chunks_of
from tests.helpers.runs import full_log, wait_for_event, wait_until
from tests.helpers.server import CLOSE_SECONDS, Gates


def talk(gates: Gates) -> Workflow:
    """Two tasks say the words of the user at once, look something up, and join. The gate ``go`` holds them halfway."""
    flow = Workflow("talk")

    async def say(text: str, ctx: Context) -> str:
        for word in text.split():
            await ctx.chunk(f"{word} ")
            await ctx.committed()
        async with ctx.tool_call("look", {"text": text}) as call:
            await gates["go"].wait()
            call.result = len(text)
        await ctx.progress(0.5, "half")
        await ctx.emit("mood.changed", {"mood": "good"})
        if text == "fail":
            raise ValueError("it failed")
        if text == "ask":
            return await ctx.receive("really?", key="sure")
        await ctx.chunk("done")
        return text

    flow.task(say, name="left")
    flow.task(say, name="right")

    @flow.task
    async def both(left: str, right: str) -> str:
        return left + right

    return flow


class Chat:
    """A server with a chat at ``api``."""

    def __init__(self, engine: Engine, gates: Gates, server: TestServer, app: web.Application) -> None:
        self.engine = engine
        self.gates = gates
        self.api = str(server.make_url("/api/chat"))
        self.server = server
        self.streams = app[STREAMS]


def text_of(body: Any) -> str:
    parts = body["messages"][-1]["parts"]
    return next((part["text"] for part in parts if part["type"] == "text"), "")


@asynccontextmanager
async def chatting(url: str = "memory://") -> AsyncIterator[Chat]:
    gates = Gates()
    engine, flow = Engine(url, grace=0), talk(gates)

    async def begin(request: web.Request, body: Any) -> Start:
        if text_of(body) == "refuse":
            raise Problem(422, "this is not talked about")
        return Start(flow, {"text": text_of(body)}, meta={"by": "test"})

    app = web.Application(middlewares=[problems])
    engine.register(flow)
    add_chat(app, "/api/chat", engine, begin, heartbeat=1)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=CLOSE_SECONDS)
    try:
        yield Chat(engine, gates, server, app)
    finally:
        gates.open()
        await server.close()


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    async with chatting() as chat:
        yield chat


def texts_of(message: dict[str, Any]) -> list[str]:
    return [part["text"] for part in message["parts"] if part["type"] == "text"]


def body_of(text: str, chat_id: str | None = "c1", **more: Any) -> dict[str, Any]:
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat_id, "messages": [message], "trigger": "submit-message", **more}


# --- the transports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("major", MAJORS)
async def test_a_message_is_answered(chat: Chat, major: str) -> None:
    """``useChat`` sends, gets one message of the assistant, and is ready; the next turn is another run."""
    chat.gates.open()
    async with ChatClient(major, "default", chat.api, "c1") as client:
        state = await client("send", "hello you")
        assert (state["status"], state["error"]) == ("ready", None)
        _, answer = state["messages"]
        assert answer["role"] == "assistant"
        assert texts_of(answer) == ["hello you done"] * 2
        assert [part["output"] for part in answer["parts"] if part["type"] == "dynamic-tool"] == [9, 9]
        assert state["finished"] == [
            {"isAbort": False, "isDisconnect": False, "isError": False, "finishReason": "stop"}
        ]
        assert {part["type"] for part in state["data"]} >= {"data-task", "data-progress", "data-mood-changed"}
        assert state["toolCalls"] == [], "a client must not carry out the tools of the server"
        state = await client("send", "more")
        assert [message["role"] for message in state["messages"]] == ["user", "assistant"] * 2
        assert len({message["id"] for message in state["messages"]}) == 4


@pytest.mark.parametrize("major", MAJORS)
async def test_a_page_that_is_loaded_anew_finds_what_goes_on(chat: Chat, major: str) -> None:
    """``resumeStream`` gets the whole message from its start; where nothing goes on it gets nothing."""
    async with ChatClient(major, "default", chat.api, "c/1 ü") as client:
        await client("begin", "hello")
        async with ChatClient(major, "default", chat.api, "c/1 ü") as page:
            resumed = asyncio.ensure_future(page("resume"))
            await wait_until(lambda: len(chat.streams) == 2)
            chat.gates.open()
            (answer,) = (await resumed)["messages"]
            state = await client("settle")
            assert answer == state["messages"][1]
            state = await page("resume")
            assert (state["status"], state["messages"]) == ("ready", [answer])
            assert await page("reconnect", "c/1 ü") is None


@pytest.mark.parametrize("major", MAJORS)
async def test_a_failure_is_an_error_and_can_be_tried_again(chat: Chat, major: str) -> None:
    """The error has the text of the run's; ``regenerate`` starts another run."""
    chat.gates.open()
    async with ChatClient(major, "default", chat.api, "c1") as client:
        state = await client("send", "fail")
        assert (state["status"], state["error"]) == ("error", "it failed")
        first = state["messages"][-1]["id"]
        state = await client("regenerate")
        assert (state["status"], state["error"]) == ("error", "it failed")
        assert state["messages"][-1]["id"] != first
        state = await client("send", "refuse")
        assert state["status"] == "error"
        assert "this is not talked about" in state["error"]


@pytest.mark.parametrize("major", MAJORS)
async def test_who_leaves_stops_nothing_but_the_stop_route_does(chat: Chat, major: str) -> None:
    """A client that aborts has left. ``/stop`` cancels, and whoever still listens is told by an ``abort``."""
    async with ChatClient(major, "default", chat.api, "c1") as client:
        await client("begin", "hello")
        await client("leave")
        (run,) = chat.engine.running()
        assert run.status == "running"
        await wait_until(lambda: not len(chat.streams))
        resumed = asyncio.ensure_future(client("reconnect", "c1"))
        await wait_until(lambda: len(chat.streams) == 1)
        async with aiohttp.ClientSession() as session:
            stop = f"{chat.api}/c1/stop"
            async with session.post(stop, json={"activeStreamId": "another"}) as response:
                assert await response.json() == {"success": True}
            assert run.status == "running"
            async with session.post(stop, json={"assistantMessage": {"id": run.id}}) as response:
                assert await response.json() == {"success": True}
            seen = await resumed
            assert [chunk["type"] for chunk in seen["chunks"]][-3:] == ["abort", "finish-step", "finish"]
            async with session.post(stop, json={}) as response:
                assert (response.status, await response.json()) == (200, {"success": True})


@pytest.mark.parametrize("major", MAJORS)
async def test_a_server_that_closes_is_not_taken_for_the_end(chat: Chat, major: str) -> None:
    """The stream is cut off, which is an error for ``useChat``; a clean end would be a finished message."""
    async with ChatClient(major, "default", chat.api, "c1") as client:
        await client("begin", "hello")
        await chat.streams.close("shutdown")
        state = await client("settle")
        assert state["status"] == "error"
        assert state["finished"][-1]["isError"]
        assert state["finished"][-1].get("finishReason") is None


async def test_a_lost_connection_is_resumed_without_doubling_anything(chat: Chat) -> None:
    """The replay begins with ``start``, by which version 7 builds the message anew, beside what it has of it."""
    async with ChatClient("ai7", "default", chat.api, "c1") as client:
        await client("begin", "hello")
        for stream in chat.streams:
            stream.abort("error")
        state = await client("settle")
        assert state["status"] == "error"
        resumed = asyncio.ensure_future(client("resume"))
        await wait_until(lambda: len(chat.streams) == 1)
        chat.gates.open()
        state = await resumed
        assert (state["status"], state["error"]) == ("ready", None)
        _, answer = state["messages"]
        assert answer == (await client("reconnect", answer["id"]))["message"]
        assert texts_of(answer) == ["hello done"] * 2


@pytest.mark.parametrize("kind", ["workflow", "workflow-with-id"])
async def test_a_message_that_is_cut_fifty_times_is_the_same(chat: Chat, kind: str) -> None:
    """``WorkflowChatTransport``, as it is, goes on behind the chunks that it has, wherever it was cut."""
    chat.gates.open()
    rng = random.Random(13)
    for _ in range(5):
        async with ChatClient("ai7", kind, chat.api, f"c{rng.random()}") as client:
            await client("cut", [rng.randint(0, 2) for _ in range(10)])
            state = await client("send", "one two three four five")
            assert (state["status"], state["error"]) == ("ready", None)
            answer = state["messages"][1]
            assert len(state["requests"]) == 11, "the message and ten times the rest of it"
            run = await chat.engine.get(answer["id"])
            whole = await client("reconnect", run.id)
            assert whole["message"] == answer
            assert whole["chunks"] == chunks_of(await full_log(chat.engine, run))


async def test_a_client_that_counts_from_the_end_gets_the_tail(chat: Chat) -> None:
    """``startIndex=-3``: the last three chunks. The header says which is the last, so it can go on when it is cut."""
    chat.gates.open()
    async with ChatClient("ai7", "workflow-with-id", chat.api, "c1") as client:
        answer = (await client("send", "hello"))["messages"][1]
        chunks = chunks_of(await full_log(chat.engine, await chat.engine.get(answer["id"])))
        assert [chunk["type"] for chunk in chunks[-2:]] == ["finish-step", "finish"]
        assert (await client("reconnect", answer["id"], -2))["chunks"] == chunks[-2:]
        await client("cut", [1, 0, 1])
        assert (await client("reconnect", answer["id"], -3))["chunks"] == chunks[-3:]
        assert (await client("reconnect", answer["id"], 4))["chunks"] == chunks[4:]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{chat.api}/{answer['id']}/stream?startIndex=-100000") as response,
        ):
            assert response.headers["x-workflow-stream-tail-index"] == str(len(chunks) - 1)
            assert response.headers["x-workflow-run-id"] == answer["id"]
            assert (await response.text()).count("data: ") == len(chunks) + 1


async def test_a_client_goes_on_behind_every_count(chat: Chat) -> None:
    """What it has and what it is sent then are the whole, by ``startIndex`` and by ``Last-Event-ID``; behind the last
    chunk stands only ``[DONE]``."""
    chat.gates.open()
    async with aiohttp.ClientSession() as session:
        _, run_id, whole = await send(session, chat, body_of("hello"))
        frames = Parser(sticky_id=False).feed(whole)
        assert [frame.id for frame in frames] == [*(str(n) for n in range(1, len(frames))), ""]
        for count in range(len(frames)):
            for query, headers in ((f"?startIndex={count}", {}), ("", {"Last-Event-ID": str(count)})):
                async with session.get(f"{chat.api}/{run_id}/stream{query}", headers=headers) as response:
                    assert response.status == 200
                    assert Parser(sticky_id=False).feed(await response.read()) == frames[count:]


async def test_a_question_is_answered_through_the_chat(chat: Chat) -> None:
    """The part tells task and key; the answer goes to ``/input``, and the part shows it."""
    chat.gates.open()
    async with ChatClient("ai7", "default", chat.api, "c1") as client, aiohttp.ClientSession() as session:
        await client("begin", "ask")
        (run,) = chat.engine.running()
        for task in ("left", "right"):
            await wait_for_event(run, "task.waiting", task)
            answer = {"task": task, "key": "sure", "value": f"yes {task}"}
            async with session.post(f"{chat.api}/c1/input", json=answer) as response:
                assert response.status == 202
            async with session.post(f"{chat.api}/c1/input", json=answer) as response:
                assert response.status in (404, 409), "a question is answered once"
        message = (await client("settle"))["messages"][1]
        inputs = {part["id"]: part["data"]["value"] for part in message["parts"] if part["type"] == "data-input"}
        assert inputs == {"left/sure": "yes left", "right/sure": "yes right"}


# --- the same request, other servers, refusals --------------------------------------------------------------------


async def send(session: aiohttp.ClientSession, chat: Chat, body: Any, **headers: str) -> tuple[int, str, bytes]:
    async with session.post(chat.api, json=body, headers=headers) as response:
        return response.status, response.headers.get("x-workflow-run-id", ""), await response.read()


async def test_the_same_request_is_answered_with_the_same_run(chat: Chat) -> None:
    """Also twice at once, and byte by byte. Another answer is asked for by its trigger; a failed one is no answer."""
    chat.gates.open()
    async with aiohttp.ClientSession() as session:
        first, second = await asyncio.gather(*[send(session, chat, body_of("hello")) for _ in range(2)])
        assert first == second == await send(session, chat, body_of("hello"))
        assert first[0] == 200
        assert first[1].startswith("c1.1.")
        other = await send(session, chat, body_of("hello", trigger="regenerate-message", messageId="a1"))
        again = await send(session, chat, body_of("hello", trigger="regenerate-message", messageId="a1"))
        elsewhere = await send(session, chat, body_of("hello", "c2"))
        failed = [await send(session, chat, body_of("fail")) for _ in range(2)]
        ids = [first[1], other[1], again[1], elsewhere[1], *[one[1] for one in failed]]
        assert len(set(ids)) == 6
        assert again[1] == f"{other[1]}.2"


async def test_the_result_of_a_clients_tool_goes_on_with_its_message(chat: Chat) -> None:
    """Where the last message is the assistant's, the answer has its id."""
    chat.gates.open()
    body = body_of("hello")
    body["messages"].append({"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "more"}]})
    async with aiohttp.ClientSession() as session:
        _, _, stream = await send(session, chat, body)
    assert b'{"type":"start","messageId":"a1"}' in stream


async def test_after_a_restart_a_chat_and_its_counts_are_found(tmp_path: Path) -> None:
    """The engine that comes after goes on with the run; a page finds it by its chat, a cut client by its count."""
    url = f"sqlite:///{tmp_path}/runs.db"
    async with chatting(url) as chat, ChatClient("ai7", "default", chat.api, "c1") as client:
        before = (await client("begin", "hello"))["messages"][1]
        (run,) = chat.engine.running()
        await wait_for_event(run, "tool.call.started", count=2)
        seen = len(chunks_of([event async for event in upto(run, run.feed.last_seq)]))
        await chat.server.close()
    async with chatting(url) as chat, ChatClient("ai7", "workflow", chat.api, "c1") as client:
        resumed = asyncio.ensure_future(client("reconnect", "c1"))
        await wait_until(lambda: len(chat.streams) == 1)
        chat.gates.open()
        whole = await resumed
        assert whole["message"]["id"] == before["id"] == run.id
        assert whole["chunks"] == chunks_of(await full_log(chat.engine, await chat.engine.get(run.id)))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{chat.api}/{run.id}/stream?startIndex={seen}") as response,
        ):
            *rest, done = Parser(sticky_id=False).feed(await response.read())
        assert done.data == "[DONE]"
        assert [int(frame.id) for frame in rest] == list(range(seen + 1, len(whole["chunks"]) + 1))
        assert [json.loads(frame.data) for frame in rest] == whole["chunks"][seen:]
        assert texts_of(whole["message"])[-1] == "hello done"


async def upto(run: Any, seq: int) -> AsyncIterator[Any]:
    async for event in run:
        yield event
        if event.seq == seq:
            return


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ([], 422, "must be a JSON object"),
        ({}, 422, "must have messages"),
        ({"messages": ["hello"]}, 422, "must have messages"),
        ({"messages": [], "id": 7}, 422, "id must be the id of the chat"),
        (body_of("refuse"), 422, "this is not talked about"),
    ],
)
async def test_a_bad_body_starts_nothing(chat: Chat, body: Any, status: int, detail: str) -> None:
    """One sentence says what is wrong."""
    async with aiohttp.ClientSession() as session, session.post(chat.api, json=body) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert detail in (await response.json())["detail"]
    assert await chat.engine.list() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 200),
        ({"Content-Type": "text/plain", "Origin": "http://127.0.0.1:3000"}, 200),
        ({"Content-Type": "text/plain", "Origin": "https://evil.example"}, 403),
        ({"Content-Type": "text/plain", "Origin": "null"}, 403),
        ({"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain", "Host": "evil.example"}, 403),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 403),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
async def test_a_page_of_another_site_starts_nothing(chat: Chat, headers: dict[str, str], status: int) -> None:
    """``WorkflowChatTransport`` sends its JSON as text, which a browser sends anywhere: so it must say where it is."""
    chat.gates.open()
    async with aiohttp.ClientSession() as session:
        async with session.post(chat.api, data=json.dumps(body_of("hello")), headers=headers) as response:
            assert response.status == status
        for route in ("stop", "input"):
            async with session.post(f"{chat.api}/c1/{route}", data=b"{}", headers=headers) as response:
                assert response.status in (403, 415)
    assert len(await chat.engine.list()) == (1 if status == 200 else 0)


async def test_only_runs_of_a_chat_are_shown(chat: Chat) -> None:
    """Another run of the same engine has no stream here: nothing goes on."""
    run = await chat.engine.start("talk", {"text": "x"})
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{chat.api}/{run.id}/stream") as response:
            assert response.status == 204
        async with session.post(f"{chat.api}/{run.id}/input", json={"task": "left", "value": 1}) as response:
            assert response.status == 404
        async with session.get(f"{chat.api}/c1/stream?startIndx=3") as response:
            assert response.status == 204

"""A chat endpoint on a real socket: says what a test wants it to say, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """``answers``: by the system message of a request, one answer a call; the last one is given again and again."""

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        self.answers = answers
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""
        self.left = asyncio.Event()
        """Set when a client has gone in the middle of a ``stalled`` answer."""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("Authorization"))
        answers = self.answers[body["messages"][0]["content"]]
        return await (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    def asked(self, system: str) -> list[str]:
        """What it was asked under this system message."""
        return [body["messages"][1]["content"] for body in self.bodies if body["messages"][0]["content"] == system]

    def stalled(self, text: str) -> Answer:
        """Says the text, then nothing, until the client has gone."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = await begin(request)
            await response.write(message(text))
            try:
                while request.transport is not None and not request.transport.is_closing():
                    await asyncio.sleep(0.005)
                return response
            finally:  # a server may also cancel the handler of a client that has gone
                self.left.set()

        return answer


@asynccontextmanager
async def serving(answers: dict[str, list[Answer]]) -> AsyncIterator[Endpoint]:
    """The endpoint, listening."""
    endpoint = Endpoint(answers)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.chat)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=1.0)
    endpoint.url = f"http://127.0.0.1:{server.port}/v1"
    try:
        yield endpoint
    finally:
        await server.close()


# --- what it says -----------------------------------------------------------------------------------------------


def message(text: str | None = None, *, finish: str | None = None) -> bytes:
    """One message of a stream, its text unescaped."""
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return frame({"object": "chat.completion.chunk", "choices": [choice], "usage": None})


def frame(data: Any) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def usage(prompt: int, completion: int) -> bytes:
    """The message before the last, if one asks for it."""
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return frame({"choices": [], "usage": counted})


DONE = b"data: [DONE]\n\n"


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    return response


def raw(*parts: bytes, breaks: bool = False) -> Answer:
    """A stream of exactly these bytes, one write a part; ``breaks``: then the connection is cut."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0)
        if breaks:
            assert request.transport is not None
            await asyncio.sleep(0.02)  # so that what was written leaves; the cut is what is meant, not its moment
            request.transport.abort()
        return response

    return answer


def says(*tokens: str, used: tuple[int, int] | None = (1000, 100), finish: str = "stop", step: int = 0) -> Answer:
    """A whole answer; ``step``: in writes of so many bytes, wherever that cuts."""
    counted = [] if used is None else [usage(*used)]
    stream = b"".join([message(""), *map(message, tokens), message(finish=finish), *counted, DONE])
    size = step or len(stream)
    return raw(*(stream[start : start + size] for start in range(0, len(stream), size)))


def gated(gate: asyncio.Event, before: str, after: str) -> Answer:
    """Says the rest once the gate opens."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await response.write(message(before))
        await gate.wait()
        await response.write(message(after) + message(finish="stop") + usage(1000, 100) + DONE)
        return response

    return answer


def refuses(status: int, body: Any, content_type: str = "application/json") -> Answer:
    """No stream."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type)

    return answer

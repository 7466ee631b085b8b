"""A chat whose server is killed in the middle of a message: what clients have stays true, and they get the rest."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reactor_web.sse.parser import Parser
from tests.helpers.ai_sdk import ChatClient
from tests.helpers.warm import start_python


class Process:
    """A server of ``tests.helpers.chat_server``, which can be killed and begun again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/api/chat"
        self.gate = folder / "gate"
        self.store = f"sqlite:///{folder}/runs.db"
        self.begin()

    def begin(self) -> None:
        self.process = start_python("-m", "tests.helpers.chat_server", self.port, self.store, self.gate)
        assert self.process.stdout.readline() == "serving\n", self.process.communicate()[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.kill()


async def read_until(stream: aiohttp.StreamReader, type: str, count: int) -> list[Any]:
    """The chunks up to the ``count``-th of a type."""
    parser, chunks = Parser(sticky_id=False), list[Any]()
    while sum(chunk["type"] == type for chunk in chunks) < count:
        chunks += [json.loads(frame.data) for frame in parser.feed(await stream.readany())]
    return chunks


@pytest.mark.slow
async def test_after_a_kill_a_count_goes_on_and_a_page_gets_the_whole(process: Process) -> None:
    """Twice: the chunks that a client had are the first of the whole, and behind its count comes the rest."""
    question = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "one two"}]}
    body = {"id": "c1", "messages": [question], "trigger": "submit-message"}
    seen: list[Any] = []
    async with aiohttp.ClientSession() as session:
        async with session.post(process.api, json=body) as response:
            run_id = response.headers["x-workflow-run-id"]
            seen += await read_until(response.content, "tool-input-available", 2)
            process.kill()
        for _ in range(2):
            process.begin()
            url = f"{process.api}/{run_id}/stream?startIndex={len(seen)}"
            async with session.get(url) as response:
                seen += await read_until(response.content, "tool-input-available", 2)
                process.kill()
    process.begin()
    process.gate.touch()
    async with aiohttp.ClientSession() as session, session.post(process.api, json=body) as response:
        assert response.headers["x-workflow-run-id"] == run_id, "the same request found its run"
        *frames, done = Parser(sticky_id=False).feed(await response.read())
        whole = [json.loads(frame.data) for frame in frames]
    assert done.data == "[DONE]"
    assert whole[: len(seen)] == seen
    assert whole[-1] == {"type": "finish", "finishReason": "stop"}
    for major in ("ai", "ai7"):
        async with ChatClient(major, "default", process.api, "c1") as page:
            message = (await page("reconnect", run_id))["message"]
        texts = [part["text"] for part in message["parts"] if part["type"] == "text"]
        assert sorted(texts) == ["one two "] * 6 + ["one two done"] * 2, "each attempt is a text of its own"
        calls = [part["state"] for part in message["parts"] if part["type"] == "dynamic-tool"]
        assert calls == ["output-error"] * 6 + ["output-available"] * 2

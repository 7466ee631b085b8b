"""UI message streams: made of logs, and read by the clients of the AI SDK."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import orjson

from reactor.events.event import Draft, Event, Notice, task_head
from reactor_web.dialects import End, find
from reactor_web.sse.parser import Parser
from tests.helpers.node import node_script

PATIENCE_SECONDS = 120.0
"""Then a client that does not end is ended, and its test fails."""

MAJORS = ("ai", "ai7")
"""The packages of the two versions that are served: 6 and 7."""

TIME = b"2026-11-21T12:00:01.123456Z"
AI_SDK = find("ai-sdk")


def an_event(seq: int, type: str, data: Any = None, task: str | None = None, attempt: int = 1) -> Event:
    """Event ``seq`` of ``run-1``."""
    head = b""
    if task is not None:
        name, _, index = task.rstrip("]").partition("[")
        head = task_head(task, name, int(index) if index else None, attempt)
    return Event.from_draft(seq, "run-1", TIME, Draft(type, orjson.dumps(data or {}), task, head))


def log_of(*said: Sequence[Any], session: bool = False) -> list[Event]:
    """The log of an open run that begins and says this: (type, data, task, attempt) of each."""
    started = {"workflow": "w", "version": "1", "fingerprint": "f", "total_tasks": 1, "input": {}, "tasks": []}
    if session:
        started["session"] = True
    return [an_event(1, "run.started", started), *(an_event(seq, *said) for seq, said in enumerate(said, 2))]


TOTALS = {"total_tasks": 1, "completed": 1, "failed": 0, "skipped": 0, "cancelled": 0, "duration_ms": 1.0,
          "task_time_ms": 1.0, "speedup": 1.0, "outputs": {}}  # fmt: skip


def ended(*said: Sequence[Any], session: bool = False) -> list[Event]:
    """The same of a run that has completed."""
    log = log_of(*said, session=session)
    return [*log, an_event(len(log) + 1, "run.completed", TOTALS)]


def wire_of(log: Sequence[Event]) -> bytes:
    """The whole stream of a log, with what follows the end of a run."""
    state, opening = AI_SDK.begin(log[0], "fresh")
    frames = b"".join([AI_SDK.step(state, event) for event in log])
    if not log[-1].type.startswith(("run.completed", "run.failed", "run.cancelled")):
        return opening + frames
    end = Notice("stream.end", log[0].run_id, log[-1].time, {"status": "completed"})
    return opening + frames + AI_SDK.end(state, End(end, log[-1].seq))


def chunks_of(log: Sequence[Event]) -> list[dict[str, Any]]:
    """The chunks of a log."""
    frames = Parser(sticky_id=False).feed(wire_of(log))
    return [json.loads(frame.data) for frame in frames if frame.data != "[DONE]"]


@dataclass
class Reading:
    """What became of a stream in a client."""

    refused: list[str]
    """What the schema of chunks says to those that it refuses."""
    errors: list[str]
    """What the reader says; the text of an ``error`` chunk is among them."""
    chunks: list[dict[str, Any]]
    message: dict[str, Any] | None


class Judge:
    """A client of one version, which reads one stream after the other. ``with Judge("ai7") as judge``."""

    def __init__(self, major: str) -> None:
        command = [*node_script("ai_sdk_read.mjs", newest=major != "ai"), major]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._patience = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        self._patience.start()

    def read(self, stream: bytes) -> Reading:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(stream.decode()) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the client has ended: {self._process.communicate()[1]!r}")
        return Reading(**json.loads(line))

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._patience.cancel()
        self._process.kill()
        self._process.communicate()


class ChatClient:
    """``useChat`` without React: ``async with ChatClient("ai7", "default", api, "chat-1") as chat``.

    ``await chat("send", "hello")`` is a command of ``tests/node/ai_sdk_chat.mjs``.
    """

    def __init__(self, major: str, kind: str, api: str, chat_id: str) -> None:
        script = node_script("ai_sdk_chat.mjs", newest=major != "ai" or kind != "default")
        self._command = [*script, major, kind, api, chat_id]

    async def __aenter__(self) -> ChatClient:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=2**24
        )
        return self

    async def __call__(self, *command: Any) -> Any:
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        stdin.write(orjson.dumps(command) + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await stdout.readline()
            if not line:
                raise AssertionError(f"the client has ended: {await stderr.read()!r}")
        return json.loads(line)

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

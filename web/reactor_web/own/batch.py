"""The result of a run as one JSON body, in the words of a dialect."""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

from reactor.events.event import Event
from reactor.runs.run import Run
from reactor.stream.follow import cursor_after
from reactor_web.dialects import Answers, Dialect
from reactor_web.http.body import json_response
from reactor_web.http.problems import problem_response
from reactor_web.http.result import full
from reactor_web.streaming.pipeline.kept import run_started

_NOT_IN_A_RESULT: Final = frozenset({"task.progress", "task.chunk", "log.created"})
"""There may be very many of them."""


async def batch_response(run: Run, dialect: Dialect, headers: dict[str, str]) -> web.Response:
    """The answer to who has waited for the end of a run; of a dialect without one, what ``GET /runs/{id}`` answers."""
    if not isinstance(dialect, Answers):
        return json_response(await full(run), 200, headers)
    events, outputs = await _read(run)
    status, body = dialect.batch(events, outputs)
    if status < 400:
        return json_response(body, status, headers)
    members = {name: value for name, value in body.items() if name not in ("detail", "status")}
    response = problem_response(status, body["detail"], **members)
    response.headers.update(headers)
    return response


async def _read(run: Run) -> tuple[list[Event], dict[str, Any]]:
    """The events that a result is made of, and the outputs that are too large for an event, by task."""
    events: list[Event] = []
    outputs: dict[str, Any] = {}
    position = 0
    while messages := await run.feed.read(position):
        position = cursor_after(messages, position)
        for message in messages:
            if isinstance(message, Event) and message.type not in _NOT_IN_A_RESULT:
                events.append(message if message.seq > 1 else await run_started(run.feed) or message)
                if message.type == "task.completed" and "output_ref" in message.data and message.task_id is not None:
                    outputs[message.task_id] = orjson.loads(await run.output(message.task_id))
    return events, outputs

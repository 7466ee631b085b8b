"""``add_chat``: the routes that ``useChat`` of the Vercel AI SDK asks, with a run for each message of the assistant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from aiohttp import web

from reactor.engine import Engine
from reactor.errors import InvalidRunId, RunEnded, UnknownRun
from reactor.events.state import RUN_ENDED
from reactor.runs.run import Run
from reactor_web.bounds import DEFAULT_HEARTBEAT_SECONDS
from reactor_web.guard.admission import author_of, count_stream
from reactor_web.guard.hosts import guard_change, guard_site
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.http.body import ANYTHING, OBJECT, STRING, NoBody, json_body, json_response
from reactor_web.http.command import carry_out
from reactor_web.http.problems import Problem
from reactor_web.http.query import StreamOptions, stream_options
from reactor_web.http.result import recorded
from reactor_web.http.settings import check_settings
from reactor_web.own.route import COMMANDS, FOLLOWS, STARTS_AND_SHOWS, add_route, own_query, value_of
from reactor_web.own.start import Begin, Start, check_start, start_run
from reactor_web.own.starts import json_of
from reactor_web.own.turns import CHAT, Turn, read_turn
from reactor_web.streaming.stream import stream_to
from reactor_web.streaming.streams import streams_of

TAIL: Final = "x-workflow-stream-tail-index"
"""The header that says which chunk was the last, from 0, where a client counts from the end."""

_FROM_END: Final = re.compile(r"-[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class _Chat:
    """What ``add_chat`` was given."""

    path: str
    begin: Begin
    settings: Mapping[str, Any]


def add_chat(
    app: web.Application, path: str, engine: Engine, begin: Begin, *, heartbeat: float = DEFAULT_HEARTBEAT_SECONDS
) -> None:
    """Adds the routes of a chat: ``useChat`` with ``DefaultChatTransport`` or ``WorkflowChatTransport``.

        async def begin(request, body):
            return Start(flow, {"messages": body["messages"]})

        add_chat(app, "/api/chat", engine, begin)

    - ``POST path`` with ``{id, messages, trigger, messageId?}`` starts a run, which is one message of the assistant,
      and streams it in the dialect ``ai-sdk``. ``begin(request, body)`` says which run; it may be async, and raise
      ``Problem(422, "what is wrong")``. The same body again is answered with the same run, unless that has failed or
      was cancelled, or the client asks for another answer (``regenerate-message``).
    - ``GET path/{id}/stream``: the run that goes on in the chat ``id``, from its first chunk; 204 if there is none.
      ``id`` may also be that of a run, open or ended. ``startIndex=`` is how many chunks the client has; below 0 it
      counts from the end.
    - ``POST path/{id}/stop``: cancels what goes on in the chat, or the run. ``{activeStreamId?}``: only that run.
    - ``POST path/{id}/input`` with ``{task, value, key?}``: answers a question (a part ``data-input``).

    Unless ``begin`` gives one, the id of a run is ``<chat>.<messages>.<digest of the body>``. Its meta has ``chat``.
    Errors are problem documents. A client that leaves cancels nothing. Raises TypeError and ValueError for an argument
    that cannot be.
    """
    if not callable(begin):
        raise TypeError(f"{path}: begin must be a function(request, body) that returns a Start")
    if path.endswith("/"):
        raise ValueError(f"{path!r} is not the path of a chat: it must not end with /")
    chat = _Chat(path, begin, check_settings({"dialect": "ai-sdk", "heartbeat": heartbeat}))
    add_route(app, "POST", path, engine, partial(_send, chat), STARTS_AND_SHOWS)
    add_route(app, "GET", path + "/{id}/stream", engine, partial(_resume, chat), FOLLOWS)
    add_route(app, "POST", path + "/{id}/stop", engine, partial(_stop, chat), COMMANDS)
    add_route(app, "POST", path + "/{id}/input", engine, partial(_answer, chat), COMMANDS)


# --- a message ----------------------------------------------------------------------------------------------------


async def _send(chat: _Chat, request: web.Request) -> web.StreamResponse:
    """Starts the run of a turn, or finds it, and streams it from its first chunk."""
    # WorkflowChatTransport sends its JSON as text/plain
    (guard_site if request.content_type == "text/plain" else guard_change)(request)
    body = await json_of(request)
    turn = read_turn(chat.path, body)
    await asyncio.sleep(0)  # its digest of a large body has taken long enough
    options = StreamOptions(**chat.settings)
    run_id, run = await _find_run(engine_of(request), turn)
    if run is None:
        await count_stream(request)
        run = await carry_out(
            start_run(engine_of(request), await _begun(chat, request, body, turn, run_id), again=True)
        )
    return await stream_to(request, run, options, may_hand_over=True)


async def _begun(chat: _Chat, request: web.Request, body: Any, turn: Turn, run_id: str | None) -> Start:
    begun = check_start(await value_of(chat.begin(request, body)), "begin(request, body)")
    if not isinstance(begun, Start):
        raise TypeError("begin(request, body) of a chat must return a Start: the run is found by the meta that it gets")
    return replace(begun, run_id=begun.run_id or run_id, meta={**(begun.meta or {}), **turn.meta})


async def _find_run(engine: Seen, turn: Turn) -> tuple[str | None, Run | None]:
    """The id for the run of a turn, and the run that answers it already."""
    attempt = 1
    while (run_id := turn.run_id(attempt)) is not None:
        try:
            run = await engine.get(run_id)
        except UnknownRun:
            return run_id, None
        if run.status not in RUN_ENDED or (run.status == "completed" and not turn.is_again):
            return run_id, run
        attempt += 1
    return None, None


# --- what goes on -------------------------------------------------------------------------------------------------


async def _run_of(chat: _Chat, request: web.Request) -> Run | None:
    """The newest run that goes on in the chat of the path, or the run of this id that a chat has started."""
    id = request.match_info["id"]
    for run in reversed(engine_of(request).running()):
        if (run.state.meta or {}).get(CHAT) == id:
            return run
    try:
        run = await engine_of(request).get(id)
    except (UnknownRun, InvalidRunId):
        return None
    return run if CHAT in (run.state.meta or {}) else None


async def _resume(chat: _Chat, request: web.Request) -> web.StreamResponse:
    run = await _run_of(chat, request)
    if run is None:
        return NoBody(status=204)
    query, headers = own_query(request, "id"), dict[str, str]()
    start = request.query.get("startIndex", "")
    if _FROM_END.fullmatch(start):
        now = await streams_of(request).channels.kept.now(run.feed, StreamOptions(**chat.settings))
        query["startIndex"] = [str(max(0, now.frames + int(start)))]
        headers[TAIL] = str(now.frames - 1)
    options = stream_options(query, request.headers.get("Last-Event-ID"), chat.settings, others="own")
    return await stream_to(request, run, options, may_hand_over=True, headers=headers)


async def _stop(chat: _Chat, request: web.Request) -> web.Response:
    """Answered 200 also where nothing goes on: a second click, or a run that has ended meanwhile."""
    guard_change(request)
    body = await json_body(request, {"activeStreamId": STRING, "assistantMessage": OBJECT})
    run = await _run_of(chat, request)
    if run is not None and body.get("activeStreamId") in (None, run.id):
        try:
            await carry_out(run.request_cancel(reason="stopped", by=author_of(request)))
        except RunEnded:
            pass
    return json_response({"success": True})


async def _answer(chat: _Chat, request: web.Request) -> web.Response:
    """Sends a value to a question; 409 where it is answered already."""
    guard_change(request)
    body = await json_body(request, {"task": STRING, "value": ANYTHING, "key": STRING})
    if "task" not in body or "value" not in body:
        raise Problem(422, "the body must have a task and a value: {task, value}")
    run = await _run_of(chat, request)
    if run is None:
        id = request.match_info["id"][:100]
        raise UnknownRun(f"nothing goes on in the chat {id!r}, and no chat has started a run {id!r}", run_id=id)
    seq = await carry_out(run.send(body["task"], body["value"], key=body.get("key"), by=author_of(request)))
    return json_response(recorded(run, seq), 202)

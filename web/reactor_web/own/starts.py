"""``add_start``: POST starts a run, and is answered with its stream, its result or its id."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Unpack

from aiohttp import web

from reactor.engine import Engine
from reactor.runs.run import Run
from reactor_web.dialects import find
from reactor_web.guard.access import check_shows
from reactor_web.guard.admission import count_stream
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import json_response, read_body
from reactor_web.http.command import carry_out
from reactor_web.http.decoding import decode_body
from reactor_web.http.idempotency import idempotency_key
from reactor_web.http.negotiation import asks_for
from reactor_web.http.problems import Problem
from reactor_web.http.query import StreamOptions, stream_options
from reactor_web.http.result import summary
from reactor_web.http.settings import StreamSettings, check_settings
from reactor_web.own.batch import batch_response
from reactor_web.own.refusal import REFUSED, refuse
from reactor_web.own.route import STARTS, add_route, value_of
from reactor_web.own.start import AnswerKind, Begin, Start, check_answer, check_start, start_run
from reactor_web.routes.starting import ends_within, location_of, start_once
from reactor_web.streaming.stream import stream_to


def add_start(
    app: web.Application,
    path: str,
    engine: Engine,
    begin: Begin,
    *,
    answer: AnswerKind = "auto",
    **options: Unpack[StreamSettings],
) -> None:
    """Adds ``POST path``, which starts a run.

        async def begin(request, body):
            return Start(flow, {"query": body["query"]}, run_id=body.get("session_id"))

        add_start(app, "/execute", engine, begin, dialect="timeline")

    - ``path``: as in ``app.router.add_post``.
    - ``begin``: ``begin(request, body) -> Start``; may be async. ``body`` is the JSON of the request. It may also
      return a run that it has started, and raise ``Problem(422, "what is wrong")``.
    - ``answer``: ``"stream"``; ``"batch"``: the result, once the run has ended; ``"created"``: 201 and the id, at once;
      ``"auto"``: a stream where ``Accept`` names ``text/event-stream``, else the result.
    - ``options``: those of ``stream``, for streams. ``dialect`` also decides the form of the result.

    A request must have a JSON content type and a host name that is allowed here, as all that change something. A run_id
    that was started before gives the same run, and 409 where the start differs; with an ``Idempotency-Key`` the same
    request starts one run. Errors are problem documents. A client that leaves cancels nothing. Raises TypeError and
    ValueError for an argument that cannot be.
    """
    if not callable(begin):
        raise TypeError(f"{path}: begin must be a function(request, body) that returns a Start")
    check_answer(answer)
    fixed = {"dialect": "native", **options}
    check_settings(fixed)  # now, not with the first request
    route = _Route(begin, answer, fixed)
    add_route(app, "POST", path, engine, partial(_start, route), STARTS)


class _Route:
    """What ``add_start`` was given."""

    def __init__(self, begin: Begin, answer: AnswerKind, settings: dict[str, Any]) -> None:
        self.begin = begin
        self.answer: AnswerKind = answer
        self.settings = settings

    def options(self, request: web.Request, dialect: str | None = None) -> StreamOptions:
        """What the request asks of a stream; raises Problem 400."""
        settings = self.settings if dialect is None else {**self.settings, "dialect": dialect}
        cursor = request.headers.get("Last-Event-ID")
        return stream_options(request.query, cursor, check_settings(settings), others="own")

    def kind(self, request: web.Request, answer: AnswerKind | None = None) -> AnswerKind:
        """How the request is to be answered."""
        kind = answer or self.answer
        if kind == "auto":
            return "stream" if asks_for(request.headers.get("Accept"), "text/event-stream") else "batch"
        return kind


async def _start(route: _Route, request: web.Request) -> web.StreamResponse:
    guard_change(request)
    options, kind = route.options(request), route.kind(request)
    if kind != "created":
        check_shows(request)
        await count_stream(request)
    body = await json_of(request)
    try:
        begun = check_start(await value_of(route.begin(request, body)), "begin(request, body)")
        if isinstance(begun, Start):  # what it says of the answer is checked before anything starts
            options, kind = route.options(request, begun.dialect), route.kind(request, begun.answer)
            if kind != "created":
                check_shows(request)
                await count_stream(request)
            run = await _started(route, request, begun)
        else:
            run = engine_of(request).check_given(begun, "begin(request, body)")
    except REFUSED as error:
        if kind != "stream":
            raise
        return await refuse(request, options, error)
    location = location_of(request, run.id)
    headers = {"Location": location} if location else {}
    if kind == "stream":
        return await stream_to(request, run, options, may_hand_over=True, headers=headers)
    if kind == "created":
        return json_response(summary(run), 201, headers)
    if not await ends_within(request, run, None):
        raise Problem(503, f"the server is closing; the run {run.id} goes on when it is back", run_id=run.id)
    return await batch_response(run, find(options.dialect, options.own), headers)


async def _started(route: _Route, request: web.Request, start: Start) -> Run:
    key = idempotency_key(request)
    engine_of(request).check_new(start.run_id, start.workflow)
    if key is None:
        return await carry_out(start_run(engine_of(request), start))

    def again(run_id: str | None, again: bool) -> Any:
        return start_run(engine_of(request), replace(start, run_id=run_id), again=again)

    done = await start_once(request, key, again, start.run_id)
    return await engine_of(request).get(done.run_id)


async def json_of(request: web.Request) -> Any:
    """The JSON of a request, whatever it is; ``{}`` for none. Raises Problem 400 and 413."""
    return await decode_body(await read_body(request) or b"{}", request.client_max_size)

"""``add_stream``: GET a run as a stream, under any path and in any dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Unpack

from aiohttp import web

from reactor.engine import Engine
from reactor.errors import UnknownRun
from reactor.runs.run import Run
from reactor_web.dialects import find
from reactor_web.guard.admission import count_stream, count_waiting
from reactor_web.guard.hosts import guard_site
from reactor_web.guard.seen import engine_of
from reactor_web.http.command import carry_out
from reactor_web.http.negotiation import accepts
from reactor_web.http.problems import Problem
from reactor_web.http.query import Others, StreamOptions, stream_options
from reactor_web.http.serving import View, check_view
from reactor_web.http.settings import StreamSettings, check_settings
from reactor_web.own.refusal import REFUSED, refuse
from reactor_web.own.route import (
    FOLLOWS,
    STARTS_AND_SHOWS,
    IdFrom,
    add_route,
    check_id_from,
    id_of,
    id_or_none,
    names_in,
    own_query,
    value_of,
)
from reactor_web.own.start import BeginGet, check_start, start_run
from reactor_web.streaming.pipeline.kept import run_started
from reactor_web.streaming.stream import stream_to

_SAYS: Final = "text/event-stream"


def add_stream(
    app: web.Application,
    path: str,
    engine: Engine,
    *,
    id_from: IdFrom = "id",
    start: BeginGet | None = None,
    match: Sequence[str] = (),
    view: View | None = None,
    **options: Unpack[StreamSettings],
) -> None:
    """Adds ``GET path``, which streams a run.

        add_stream(app, "/timeline/stream/{session_id}", engine, dialect="timeline", id_from="session_id", await_run=60)

    - ``path``: as in ``app.router.add_get``.
    - ``id_from``: where the id of the run stands: a name in the path, else in the query, or a function(request).
    - ``start``: ``start(request) -> Start`` starts the run where there is none of this id: once, however many ask, and
      not for a page of another site. Without an id in the request the run gets a new one.
    - ``match``: names in the path that the run's meta must agree with (404). Where its meta has none of a name, and the
      dialect has an option of this name, the dialect is given what stands in the path.
    - ``view``: a pipeline of operators over the events, as in ``stream``.
    - ``options``: those of ``stream``. ``dialect`` is fixed here; a query may ask for others that are not given. Query
      parameters that are no options are the client's own, but without ``start`` what is one slip away from an option
      is 400.

    Errors are problem documents: 404 for an unknown run, unless ``await_run`` seconds are given to wait for it.
    Raises TypeError and ValueError for an argument that cannot be.
    """
    check_id_from(id_from, path)
    check_view(view)
    if unknown := set(match) - set(names_in(path)):
        raise ValueError(f"{path}: match= names {', '.join(sorted(unknown))}, which the path does not have")
    fixed = {"dialect": "native", **options}
    check_settings(fixed, has_view=view is not None)  # now, not with the first request
    route = _Route(id_from, start, tuple(match), view, fixed)
    add_route(app, "GET", path, engine, partial(_follow, route), FOLLOWS if start is None else STARTS_AND_SHOWS)


class _Route:
    """What ``add_stream`` was given."""

    def __init__(
        self,
        id_from: IdFrom,
        start: BeginGet | None,
        match: tuple[str, ...],
        view: View | None,
        settings: dict[str, Any],
    ) -> None:
        self.id_from = id_from
        self.start = start
        self.match = match
        self.view = view
        self.settings = settings

    def options(self, request: web.Request, run: Run | None) -> StreamOptions:
        """What the request asks for; raises Problem 400."""
        settings = dict(self.settings)
        known = find(settings["dialect"]).info.options
        meta = {} if run is None else run.state.meta or {}
        settings |= {name: request.match_info[name] for name in self.match if name in known and name not in meta}
        fixed = {**check_settings(settings, has_view=self.view is not None), "view": self.view}
        query = own_query(request, self.id_from)
        # a start reads the query: ?name=, ?task= and ?type= are what starts are given, though each is nearly an option
        others: Others = "own" if self.start is None else "free"
        return stream_options(query, request.headers.get("Last-Event-ID"), fixed, others=others)

    async def check_match(self, request: web.Request, run: Run) -> Run:
        """The run; raises UnknownRun where the path says something else than its meta."""
        if not self.match:
            return run
        started = await run_started(run.feed)  # a run that is being started has no state yet
        meta: dict[str, Any] = {} if started is None else started.data.get("meta") or {}
        for name in self.match:
            if name in meta and str(meta[name]) != request.match_info[name]:
                raise UnknownRun.of(run.id)
        return run


async def _follow(route: _Route, request: web.Request) -> web.StreamResponse:
    if not accepts(request.headers.get("Accept"), _SAYS):
        raise Problem(406, f"this is a stream of server-sent events: Accept: {_SAYS}")
    options = route.options(request, None)  # a bad query is 400 whether the run exists or not
    if route.start is not None and request.method == "GET":
        try:
            run = await _started(route, route.start, request)
        except REFUSED as error:
            return await refuse(request, options, error)
        return await stream_to(request, run, route.options(request, run), may_hand_over=True)
    run_id = await id_of(request, route.id_from)
    if not options.await_run:
        return await _follow_run(route, request, run_id)
    pending = engine_of(request).wait_for(run_id)  # before asking for the run, which may start in between
    try:
        response = await _follow_run(route, request, run_id)
    except UnknownRun:
        try:
            await count_waiting(request)
        except BaseException:
            pending.cancel()
            raise
        # the stream may outlast this handler: it cancels what it waits for
        return await stream_to(request, _matching(route, request, pending), options, may_hand_over=True, run_id=run_id)
    except BaseException:
        pending.cancel()
        raise
    pending.cancel()
    return response


async def _follow_run(route: _Route, request: web.Request, run_id: str) -> web.StreamResponse:
    run = await route.check_match(request, await engine_of(request).get(run_id))
    return await stream_to(request, run, route.options(request, run), may_hand_over=True)


async def _matching(route: _Route, request: web.Request, pending: asyncio.Future[Run]) -> Run:
    try:
        return await route.check_match(request, await pending)
    finally:
        pending.cancel()


async def _started(route: _Route, start: BeginGet, request: web.Request) -> Run:
    """The run of the request's id; started now, if there is none yet."""
    run_id = await id_or_none(request, route.id_from)
    comes_back = bool(request.headers.get("Last-Event-ID") or request.query.get("after"))
    if run_id is not None:
        try:
            return await route.check_match(request, await engine_of(request).get(run_id))
        except UnknownRun:
            if comes_back:
                raise  # it has followed a run that is gone: nobody asked for another one
    guard_site(request)
    await count_stream(request, run_id or "")
    begun = check_start(await value_of(start(request)), "start(request)")
    if isinstance(begun, Run):
        return engine_of(request).check_given(begun, "start(request)")
    if comes_back and run_id is None and begun.run_id is None:
        raise Problem(400, "the stream cannot go on where it broke off: its URL names no run; this would start another")
    return await carry_out(start_run(engine_of(request), replace(begun, run_id=run_id or begun.run_id), again=True))

"""``/runs/{id}/events``: the events of a run in the form that ``Accept`` asks for.

text/event-stream       server-sent events
application/x-ndjson    the same stream as lines of JSON
application/json        a page, for who asks again instead of following; ``PAGES`` has all kinds of pages
application/cloudevents-batch+json    a page of CloudEvents
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web
from multidict import MultiDict

from reactor.errors import UnknownRun
from reactor.runs.positions import TreeCursor
from reactor.runs.run import Run
from reactor_web.dialects import EVENT_STREAM, NDJSON, find_named
from reactor_web.guard.access import needs
from reactor_web.guard.admission import admission_of, count_stream, count_waiting, tenant_query
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.keys import SERVING
from reactor_web.http.leaving import leaving
from reactor_web.http.negotiation import must_choose
from reactor_web.http.parameters import Query, flag, one
from reactor_web.http.problems import Problem
from reactor_web.http.query import (
    OF_A_ROUTE,
    OF_A_TREE_PAGE,
    PageOptions,
    StreamOptions,
    page_options,
    stream_options,
)
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.methods import chooses_form
from reactor_web.streaming.forms.page import PAGES, Page, PageReader
from reactor_web.streaming.forms.position_page import PositionPageReader
from reactor_web.streaming.stream import check_tree, stream_to
from reactor_web.streaming.streams import streams_of

STREAM_FORMS: Final = (EVENT_STREAM, NDJSON.info.media_type)
FORMS: Final = (EVENT_STREAM, *PAGES, NDJSON.info.media_type)
"""Where a client likes several forms the same it is sent the first of them."""


def routes() -> list[web.RouteDef]:
    return [web.get("/runs/{id}/events", follow_run)]


@needs(Scope.READ, ticket=True)
@chooses_form
async def follow_run(request: web.Request) -> web.StreamResponse:
    """The events after the cursor: first what the log has, then live, then ``stream.end``; or one page of them."""
    engine, run_id = engine_of(request), request.match_info["id"]
    try:
        form = must_choose(request.headers.get("Accept"), FORMS)
    except Problem:
        if "await_run" not in request.query:
            await engine.get(run_id)  # where there is no run, that is the answer
        raise
    if form in PAGES:
        return await send_page(request, form)
    # a bad query is 400 whether the run exists or not
    options = options_of(request, form)
    return await with_run(request, options.await_run, lambda run: stream_to(request, run, options, may_hand_over=True))


async def with_run(
    request: web.Request, seconds: float, answer: Callable[[Run | Awaitable[Run]], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answers with the run of the path; where ``answer`` may wait for it, with one that has not started. Raises
    UnknownRun."""
    engine, run_id = engine_of(request), request.match_info["id"]
    if not seconds:
        return await answer(await engine.get(run_id))
    # wait before asking for the run, which may start in between
    pending = engine.wait_for(run_id)
    try:
        try:
            run: Run | Awaitable[Run] = await engine.get(run_id)
        except UnknownRun:
            await count_waiting(request)
            run = pending
    except BaseException:
        pending.cancel()
        raise
    if run is not pending:
        pending.cancel()
    return await answer(run)  # a stream that waits may outlast its handler: it cancels what it waits for


def options_of(
    request: web.Request, form: str, query: Query | None = None, names: Sequence[str] = OF_A_ROUTE
) -> StreamOptions:
    """The options of a stream in one of ``STREAM_FORMS``; raises Problem 400. ``query``: of the request, in part."""
    query = request.query if query is None else query
    serving = request.app[SERVING]
    fixed: dict[str, Any] = {}
    if form != EVENT_STREAM:
        for name in ("dialect", "names", "view"):
            if query.get(name, "native") != "native":
                raise Problem(400, f"{name} has no meaning in {form}, which has the events as they are")
        fixed = {"dialect": NDJSON.info.name}
    elif (view := one(query, "view")) is not None:
        try:
            fixed = {"view": serving.view(view)}
        except KeyError as error:
            raise Problem(400, error.args[0]) from None
    if "dialect" not in query and _is_of_several(query, names) and find_named(serving.dialect).info.folds:
        serving = replace(serving, dialect="native")  # the default is for streams that can have it
    return stream_options(query, request.headers.get("Last-Event-ID"), fixed, names, serving=serving)


def _is_of_several(query: Query, names: Sequence[str]) -> bool:
    return "children" not in names or query.get("children") in ("1", "true")


async def send_page(request: web.Request, form: str) -> web.Response:
    """Some events after the cursor. One that may wait for them counts as a stream."""
    cursor, closing = request.headers.get("Last-Event-ID"), streams_of(request).closing
    if flag(request.query, "children", False):
        rest = MultiDict((name, value) for name, value in request.query.items() if name != "children")
        wanted = page_options(rest, cursor, OF_A_TREE_PAGE)
        check_tree(request)
        await count_page(request, wanted)
        run = await _run_for_page(request, wanted.stream.await_run)
        after = TreeCursor(wanted.stream.after or 0, wanted.stream.part)
        reader = PositionPageReader(await engine_of(request).tree_events(run.id, after), wanted, closing)
    else:
        wanted = page_options(request.query, cursor)
        await count_page(request, wanted)
        run = await _run_for_page(request, wanted.stream.await_run)
        reader = PageReader(run.feed, wanted.stream, wanted.limit, closing)
    return answer_page(request, form, await read_page(request, reader, wanted))


async def read_page(request: web.Request, reader: PageReader | PositionPageReader, wanted: PageOptions) -> Page:
    """The page that a request asks for. One that waits, waits no longer than its client."""
    wait = _wait_of(request, wanted)
    if not wait:
        return await reader.read(0.0)
    with leaving(request) as gone:
        return await reader.read(wait, gone)


def _wait_of(request: web.Request, wanted: PageOptions) -> float:
    """How long a page may wait for something. A HEAD never waits."""
    return 0.0 if request.method == "HEAD" else wanted.wait


async def count_page(request: web.Request, wanted: PageOptions) -> None:
    """Counts a page that may wait as what it is instead of, a stream. Raises Limited."""
    if _wait_of(request, wanted):
        await count_stream(request, request.match_info.get("id", ""))


def answer_page(request: web.Request, form: str, page: Page) -> web.Response:
    """A page as a response. ``Link`` has the URL of what follows; where nothing does there is none."""
    if (admission := admission_of(request)) is not None:
        admission.has_cursor = True
    headers = {"Cache-Control": "no-store"}
    if not page.ended:
        following = [(name, value) for name, value in request.query.items() if name not in _ONCE]
        following += tenant_query(request).items()
        url = request.rel_url.with_query([*following, ("after", str(page.cursor))])
        headers["Link"] = f'<{url}>; rel="next"'
    return PacedResponse(body=PAGES[form](page), content_type=form, headers=headers)


_ONCE: Final = ("after", "tail", "snapshot", "await_run")
"""What says where the first page begins."""


async def _run_for_page(request: web.Request, seconds: float) -> Run:
    """The run, or the one that starts within so many seconds. Raises UnknownRun."""
    engine, run_id = engine_of(request), request.match_info["id"]
    if not seconds:
        return await engine.get(run_id)
    pending = engine.wait_for(run_id)
    closing = asyncio.ensure_future(streams_of(request).closing.wait())
    try:
        return await engine.get(run_id)
    except UnknownRun:
        await count_waiting(request, pending)
        with leaving(request) as gone:
            await asyncio.wait({pending, closing, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if pending.done():
            return pending.result()
        raise
    finally:
        pending.cancel()
        closing.cancel()

"""A run as server-sent events: ``stream(request, run)`` is all that a handler needs.

open        the headers, and what is written before the first event
follow      from the cursor to the end of the stream (``follower``)
hand over   a client that has caught up needs no handler, unless somebody waits for the end of it (``handover``)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, Unpack, overload

from aiohttp import web
from reactivex import Observable

from reactor.errors import ReactorError
from reactor.events.values import named
from reactor.logger import get_logger
from reactor.runs.positions import TreeCursor
from reactor.runs.run import Run
from reactor.runs.tree_events import TreeEvents
from reactor_web.dialects import Opens
from reactor_web.guard.admission import author_of
from reactor_web.guard.hosts import guard_site
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import NoBody
from reactor_web.http.problems import Problem
from reactor_web.http.query import OF_A_SOURCE, StreamOptions, stream_options
from reactor_web.http.serving import View, check_view
from reactor_web.http.settings import StreamSettings, check_settings
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.following.coming import Coming
from reactor_web.streaming.following.follower import Following
from reactor_web.streaming.following.opening import open_run
from reactor_web.streaming.forms.observable import stream_observable
from reactor_web.streaming.forms.tree import follow_positions
from reactor_web.streaming.handover import hand_over
from reactor_web.streaming.pipeline.channels import Channels
from reactor_web.streaming.response import NO_HEADERS, head_response, respond
from reactor_web.streaming.streams import streams_of

logger = get_logger("reactor.web")


@overload
async def stream(
    request: web.Request,
    source: Run | Awaitable[Run],
    *,
    view: View | None = None,
    **options: Unpack[StreamSettings],
) -> web.StreamResponse: ...


@overload
async def stream(
    request: web.Request,
    source: Observable[Any],
    *,
    view: View | None = None,
    after: int = ...,
    heartbeat: float = ...,
    dialect: str = ...,
    compress: bool = ...,
) -> web.StreamResponse: ...


async def stream(
    request: web.Request,
    source: Run | Awaitable[Run] | Observable[Any],
    *,
    view: View | None = None,
    **options: Any,
) -> web.StreamResponse:
    """Answers a request with the events of a run, from any aiohttp handler: ``return await stream(request, run)``.

    - ``source``: a run, or an awaitable of one that has not started and is awaited for ``await_run`` seconds. Or any
      Observable of ``streaming.pipeline.items``, for this one client: it is subscribed once, and disposed when the
      client goes.
    - ``view``: a pipeline of operators over the events, ``function(events: Observable) -> Observable`` of
      ``streaming.pipeline.items``. Clients with the same function and options share it.
    - ``options``: what the handler sets (``http.settings.StreamSettings``); a query changes none of it but the cursor.

    The query and ``Last-Event-ID`` of the request say what the client wants; query parameters that are no options are
    the handler's own, but what is one slip away from an option is refused. Answers 204 if the run has ended and the
    client has seen all of it. Returns when the stream has ended or the client has gone, which cancels nothing. Raises
    Problem 400 for a bad query; TypeError and ValueError for what the handler gave wrong.
    """
    if "children" in options:
        raise TypeError("children=1 is an option of the routes: only they know the runs below a run")
    if not isinstance(request, web.Request):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"stream takes the request first, then the run; the request must not be {named(request)}")
    check_view(view)
    if isinstance(source, Observable):
        fixed = check_settings(options, OF_A_SOURCE)
        wanted = stream_options(request.query, request.headers.get("Last-Event-ID"), fixed, OF_A_SOURCE, others="own")
        return await stream_observable(request, source if view is None else view(source), wanted)
    if not isinstance(source, Run) and not isawaitable(source):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"stream needs a run or an Observable, not {named(source)}: run = await engine.get(run_id)")
    fixed = check_settings(options, has_view=view is not None)
    wanted = stream_options(request.query, request.headers.get("Last-Event-ID"), {**fixed, "view": view}, others="own")
    return await stream_to(request, source, wanted, may_hand_over=False)


async def stream_to(
    request: web.Request,
    run: Run | Awaitable[Run],
    options: StreamOptions,
    *,
    may_hand_over: bool,
    headers: Mapping[str, str] = NO_HEADERS,
    run_id: str = "",
) -> web.StreamResponse:
    """Answers a request with the events of a run, under options that are checked. ``headers``: more of the answer's.

    ``run_id``: of a run that has not started, where the path does not have it as ``id``.
    With ``may_hand_over`` it may return before the stream has ended; the stream then goes on without its handler.
    """
    run = run if isinstance(run, Run) else asyncio.ensure_future(run)
    client = Client(request, options, run.id if isinstance(run, Run) else run_id or request.match_info.get("id", ""))
    client.run = run if isinstance(run, Run) else None
    try:
        return await _answer(request, run, client, may_hand_over=may_hand_over, headers=headers)
    finally:
        cancel_if_gone(request, client)
        if not isinstance(run, Run) and client.on_wake is None:
            run.cancel()  # nobody waits for it any longer


async def _answer(
    request: web.Request,
    run: Run | Awaitable[Run],
    client: Client,
    *,
    may_hand_over: bool,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    options = client.options
    check_stream(request, options)
    if isinstance(run, Run) and await _has_seen_all(request, run, options):
        return NoBody(status=204, headers=headers)
    if request.method == "HEAD":
        return head_response(options)
    if options.children:
        return await respond(request, client, partial(_deliver_tree, request, run, client), headers)
    hands_over = may_hand_over and options.on_disconnect != "cancel"
    return await respond(request, client, partial(_deliver, request, run, client, may_hand_over=hands_over), headers)


def check_stream(request: web.Request, options: StreamOptions) -> None:
    """Raises Problem for what this server, or this client, cannot have."""
    if options.children:
        check_tree(request)
    if request.query.get("on_disconnect") == "cancel":
        guard_site(request)


def check_tree(request: web.Request) -> None:
    """Raises Problem 400 where the events of a tree cannot be had, 403 for who may not see all of them."""
    engine_of(request).check_tree()
    if not engine_of(request).has_tree_events:
        raise Problem(400, "the log of this server does not keep the order of several runs: leave out children=1")


def cancel_if_gone(request: web.Request, client: Client) -> None:
    """Cancels the run if its client has gone before the end, and asked for that."""
    if client.options.on_disconnect == "cancel" and client.closing == GONE and client.run is not None:
        streams_of(request).spawn(_cancel(client.run, request))


def deliver_to(request: web.Request, run: Run | Awaitable[Run], client: Client, wire: Wire) -> Awaitable[bool]:
    """Writes the stream that a client asks for to its end, on any wire."""
    if client.options.children:
        return _deliver_tree(request, run, client, wire)
    return _deliver(request, run, client, wire, may_hand_over=False)


async def _deliver(
    request: web.Request, run: Run | Awaitable[Run], client: Client, wire: Wire, *, may_hand_over: bool
) -> bool:
    """Writes the stream to its end; False if it was handed over before."""
    streams = streams_of(request)
    follower = await _open(run, client, wire, streams.channels)
    try:
        while await follower.advance():
            client.resumed("exact")
            if may_hand_over and hand_over(request, follower, streams):
                return False
            await client.wait()
    except asyncio.CancelledError:
        if client.cut():
            await follower.finish()
        raise
    else:
        client.resumed("exact")
        await follower.finish()
    finally:
        if client.on_wake is None:
            follower.leave()
    return True


async def _open(run: Run | Awaitable[Run], client: Client, wire: Wire, channels: Channels) -> Following:
    """Writes what stands before the first event; returns who goes on."""
    options = client.options
    dialect = options.find_dialect()
    # sends the headers: the client knows at once that it is connected
    await wire.write(dialect.connected(client.run_id) if isinstance(dialect, Opens) else wire.comment)
    if isinstance(run, Run):
        return await open_run(run.feed, client, wire, channels)
    if isinstance(dialect, Opens) and options.after is None:
        await wire.write(dialect.opening(dialect.begin(None, "fresh")[0], client.run_id, 0))
    return Coming(run, client, wire, channels)


async def _has_seen_all(request: web.Request, run: Run, options: StreamOptions) -> bool:
    """Whether the run has ended, and the client has seen all that it asks for."""
    if run.feed.closed != "end" or options.find_dialect().info.fetch_client:
        return False  # a fetch client takes a 204 for an error and asks again; the clean end of a stream stops it
    if options.children:
        return await (await _tree_of(request, run, options)).has_seen_all()
    if options.find_dialect().info.counted:
        now = await streams_of(request).channels.kept.now(run.feed, options)
        return options.after == now.frames and await run.feed.rewound() is None
    last = run.feed.last_seq
    return options.after == last and await run.feed.rewound_gap(last, options.epoch) is None


async def _tree_of(request: web.Request, run: Run, options: StreamOptions) -> TreeEvents:
    return await engine_of(request).tree_events(run.id, TreeCursor(options.after or 0, options.part))


async def _deliver_tree(request: web.Request, run: Run | Awaitable[Run], client: Client, wire: Wire) -> bool:
    """Writes the stream of a tree of runs to its end."""
    await wire.write(wire.comment)
    if not isinstance(run, Run):
        started = await _wait_for_start(Coming(run, client, wire, streams_of(request).channels))
        if started is None:
            return True
        run = started
    await follow_positions(await _tree_of(request, run, client.options), client, wire)
    return True


async def _wait_for_start(coming: Coming) -> Run | None:
    """The run of a stream that was opened before its run; None, after ``stream.closing``, if the run does not start."""
    try:
        while (run := await coming.look()) is None and coming.waits:
            await coming.client.wait()
        if run is None:
            await coming.finish()
        return run
    except asyncio.CancelledError:
        if coming.client.cut():
            await coming.finish()
        raise
    finally:
        coming.leave()


async def _cancel(run: Run, request: web.Request) -> None:
    """Cancels a run whose client has gone before the end, as the client asked for."""
    try:
        await run.request_cancel(reason="disconnected", by=author_of(request))
    except ReactorError as problem:  # the run may have ended meanwhile
        logger.info("not cancelled by a disconnect", run_id=run.id, reason=str(problem))

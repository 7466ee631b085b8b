"""Starting a run over HTTP: what the routes that start one share.

``check_start`` comes first and ``answer_start`` last: a request that cannot be answered must not start anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple

from aiohttp import web

from reactor.runs.run import Run
from reactor_web.guard.hosts import guard_change
from reactor_web.http.body import json_response
from reactor_web.http.command import carry_out
from reactor_web.http.query import StreamOptions, asks_for, prefer_wait, stream_options
from reactor_web.http.result import full, summary
from reactor_web.streaming.stream import stream_to
from reactor_web.streaming.streams import streams_of


class Answer(NamedTuple):
    """How the client wants a start to be answered."""

    wait: float | None
    """Seconds to wait for the result; None: do not wait."""
    stream: StreamOptions | None
    """Answer with the stream of the run; None: with JSON."""


def check_start(request: web.Request) -> Answer:
    """How a start is to be answered; raises Problem 400, 403 or 415."""
    guard_change(request)
    wait = prefer_wait(request.headers.get("Prefer"))
    streams = asks_for(request.headers.get("Accept"), "text/event-stream")
    options = stream_options(request.query if streams else {}, request.headers.get("Last-Event-ID"))
    return Answer(wait, options if streams else None)


async def answer_start(
    request: web.Request, answer: Answer, start: Awaitable[Run | tuple[Run, bool]]
) -> web.StreamResponse:
    """Starts the run and answers as wanted. ``start`` gives the run, or (run, whether it is new) of ``ensure``.

    201 and ``Location``, 200 for a run that existed; with ``Prefer: wait`` and the result, or 202 and the state if the
    run does not end in time; or the stream.
    """
    started = await carry_out(start)
    run, is_new = started if isinstance(started, tuple) else (started, True)
    if answer.stream is not None:
        return await stream_to(request, run, answer.stream, may_hand_over=True)
    headers = {"Location": location_of(request, run)}
    status = 201 if is_new else 200
    if answer.wait is None:
        return json_response(summary(run), status, headers)
    headers["Preference-Applied"] = f"wait={answer.wait:g}"
    if not await _ends_within(run, answer.wait, streams_of(request).closing):
        status = 202
    return json_response(await full(run), status, headers)


def location_of(request: web.Request, run: Run) -> str:
    """The path of a run."""
    routes = request.match_info.apps[-1].router  # of the mounted application, which knows its own prefix
    return str(routes["run"].url_for(id=run.id))


async def _ends_within(run: Run, seconds: float, closing: asyncio.Event) -> bool:
    """Whether the run ends in time. Waits no longer when the server closes."""
    ended, closes = asyncio.ensure_future(run.ended()), asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({ended, closes}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return ended.done() and ended.exception() is None
    finally:
        ended.cancel()
        closes.cancel()

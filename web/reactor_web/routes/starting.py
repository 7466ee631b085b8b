"""Starting a run over HTTP, whatever the route: check all, start once, answer as asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web

from reactor.runs.run import Run
from reactor_web.guard.hosts import guard_change
from reactor_web.http.body import json_object, json_response
from reactor_web.http.problems import Problem
from reactor_web.http.query import names, prefer_wait, stream_options
from reactor_web.http.result import full, summary
from reactor_web.streaming.stream import stream_to
from reactor_web.streaming.streams import streams_of

Begin = Callable[[dict[str, Any]], Awaitable[tuple[Run, bool]]]
"""Starts from a checked body: (run, whether it is new)."""


async def answer_start(request: web.Request, members: Collection[str], begin: Begin) -> web.StreamResponse:
    """201 and ``Location`` (200 for a run that was there); the stream itself for ``Accept: text/event-stream``; the
    result for ``Prefer: wait=N``, or 202 and the state when the time runs out."""
    guard_change(request)
    wait = prefer_wait(request.headers.get("Prefer"))
    streams = names(request.headers.get("Accept"), "text/event-stream")
    # what cannot be answered must not start
    options = stream_options(request.query if streams else {}, request.headers.get("Last-Event-ID"))
    body = await json_object(request, members)
    for name, kind in (("run_id", str), ("workflow", str), ("meta", dict), ("budget", dict)):
        if not isinstance(body.get(name), (kind, type(None))):
            raise Problem(422, f"{name} must be {'an object' if kind is dict else 'a string'}")
    # a client that leaves now must not leave half a start behind
    run, is_new = await asyncio.shield(asyncio.ensure_future(_begun(begin, body)))
    if streams:
        return await stream_to(request, run, options, may_hand_over=True)
    headers = {"Location": location_of(request, run)}
    status = 201 if is_new else 200
    if wait is None:
        return json_response(summary(run), status, headers)
    headers["Preference-Applied"] = f"wait={wait:g}"
    if not await _ended_within(run, wait, streams_of(request).closing):
        status = 202
    return json_response(await full(run), status, headers)


async def _ended_within(run: Run, seconds: float, closing: asyncio.Event) -> bool:
    """Whether the run ended in time; a server that closes waits no longer."""
    ended, closes = asyncio.ensure_future(run.ended()), asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({ended, closes}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return ended.done() and ended.exception() is None
    finally:
        ended.cancel()
        closes.cancel()


async def _begun(begin: Begin, body: dict[str, Any]) -> tuple[Run, bool]:
    try:
        return await begin(body)
    except ValueError as error:  # of the run's id or meta; what is wrong with the input has its own type
        raise Problem(422, str(error)) from error


def location_of(request: web.Request, run: Run) -> str:
    """The path of a run."""
    prefix = request.match_info.apps[-1].router  # the application the routes are mounted in knows its own prefix
    return str(prefix["run"].url_for(id=run.id))

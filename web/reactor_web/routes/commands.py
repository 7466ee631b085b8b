"""``/runs/{id}/…``: what an operator, or a person a task waits for, tells a run. 202 once it is in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiohttp import web

from reactor.bounds import CANCEL_GRACE_SECONDS
from reactor.runs.run import Run
from reactor_web.guard.hosts import guard_change
from reactor_web.http.body import json_object, json_response
from reactor_web.http.keys import ENGINE
from reactor_web.http.problems import Problem
from reactor_web.http.result import summary
from reactor_web.routes.starting import location_of

T = TypeVar("T")

MAX_GRACE_SECONDS = 3_600


def routes() -> list[web.RouteDef]:
    return [
        web.post("/runs/{id}/cancel", cancel_run),
        web.post("/runs/{id}/pause", pause_run),
        web.post("/runs/{id}/resume", resume_run),
        web.post("/runs/{id}/input", send_input),
        web.post("/runs/{id}/retry", retry_run),
    ]


async def cancel_run(request: web.Request) -> web.Response:
    """Cancels the run, or one ``task`` of it; again 202 while that lasts, 409 after the end."""
    body = await _body(request, reason=str, task=str, grace=(int, float))
    grace = body.get("grace", CANCEL_GRACE_SECONDS)
    if not 0 <= grace <= MAX_GRACE_SECONDS:
        raise Problem(422, f"grace must be 0 to {MAX_GRACE_SECONDS} seconds")
    engine, run_id = request.app[ENGINE], request.match_info["id"]
    reason = body.get("reason", "requested")
    cancel = engine.cancel(run_id, float(grace), task=body.get("task"), reason=reason, by=request.remote)
    return _accepted(await _done(cancel))


async def pause_run(request: web.Request) -> web.Response:
    """Starts nothing new until it is resumed."""
    run, reason = await _run_and_reason(request)
    await _done(run.pause(reason=reason, by=request.remote))
    return _accepted(run)


async def resume_run(request: web.Request) -> web.Response:
    """Goes on after a pause."""
    run, reason = await _run_and_reason(request)
    await _done(run.resume(reason=reason, by=request.remote))
    return _accepted(run)


async def send_input(request: web.Request) -> web.Response:
    """Hands ``value`` to the ``task`` that waits for it, or will; ``key``: to its ``receive`` of this key."""
    body = await _body(request, task=str, value=object, key=str)
    if "task" not in body or "value" not in body:
        raise Problem(422, "the body must have a task and a value: {task, value}")
    run = await request.app[ENGINE].get(request.match_info["id"])
    await _done(run.send(body["task"], body["value"], key=body.get("key")))
    return _accepted(run)


async def retry_run(request: web.Request) -> web.Response:
    """The Location of a new run with the same input, which takes over what completed in this one."""
    body = await _body(request, run_id=str)
    run = await _done(request.app[ENGINE].retry(request.match_info["id"], new_run_id=body.get("run_id")))
    return json_response(summary(run), 202, {"Location": location_of(request, run)})


async def _run_and_reason(request: web.Request) -> tuple[Run, str]:
    body = await _body(request, reason=str)
    return await request.app[ENGINE].get(request.match_info["id"]), body.get("reason", "requested")


async def _body(request: web.Request, **members: Any) -> dict[str, Any]:
    """The body, whose members are of these types; one that is null counts as not given, except for a value."""
    guard_change(request)
    body = await json_object(request, members) if request.can_read_body else {}
    given = {name: value for name, value in body.items() if value is not None or name == "value"}
    for name, value in given.items():
        is_bool = isinstance(value, bool) and members[name] is not object
        if is_bool or not isinstance(value, members[name]):
            raise Problem(422, f"{name} must be {'a string' if members[name] is str else 'a number'}")
    return given


async def _done(command: Awaitable[T]) -> T:
    """A client that leaves now must not leave half a command behind."""
    try:
        return await asyncio.shield(asyncio.ensure_future(command))
    except ValueError as error:  # of a reason, a key, a grace
        raise Problem(422, str(error)) from error


def _accepted(run: Run) -> web.Response:
    return json_response(summary(run), 202)

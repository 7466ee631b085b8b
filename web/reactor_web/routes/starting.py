"""Starting a run over HTTP: what the routes that start one share.

``check_start`` comes first and ``answer_start`` last: a request that cannot be answered must not start anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web
from yarl import URL

from reactor.definition.workflow import Workflow
from reactor.errors import UnknownRun
from reactor.requests import make_run_id
from reactor.runs.run import Run
from reactor_web.guard.access import check_shows
from reactor_web.guard.admission import count_stream, tenant_query
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.repeated import repeats_of
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.http.body import json_response
from reactor_web.http.command import carry_out
from reactor_web.http.idempotency import Claim, digest_of, idempotency_key
from reactor_web.http.keys import OWN_ROUTE
from reactor_web.http.leaving import leaving
from reactor_web.http.negotiation import asks_for, must_choose, prefer_wait
from reactor_web.http.prefix import API_PREFIX
from reactor_web.http.problems import Problem
from reactor_web.http.query import StreamOptions
from reactor_web.http.result import full, summary
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.events import STREAM_FORMS, options_of
from reactor_web.streaming.stream import stream_to
from reactor_web.streaming.streams import streams_of

Start = Callable[[str | None, bool], Awaitable[Run | tuple[Run, bool]]]
"""``start(run_id, again)`` gives the run, or (run, whether it is new). ``again``: it may have been started before."""


class Answer(NamedTuple):
    """How the client wants a start to be answered."""

    wait: float | None
    """Seconds to wait for the result; None: do not wait."""
    stream: StreamOptions | None
    """Answer with the stream of the run; None: with JSON."""


def starter(engine: Seen, workflow: Workflow | str, body: Mapping[str, Any]) -> Start:
    """Starts a workflow with ``input``, ``meta`` and ``budget`` of a body; ``again``: or finds the run of that id."""

    engine.check_workflow(workflow if isinstance(workflow, str) else workflow.name)  # before a key is kept

    def start(run_id: str | None, again: bool) -> Awaitable[Run | tuple[Run, bool]]:
        given = {"meta": body.get("meta"), "budget": body.get("budget")}
        if again and run_id is not None:
            return engine.ensure(workflow, body.get("input"), run_id=run_id, **given)
        return engine.start(workflow, body.get("input"), run_id=run_id, **given)

    return start


def session_starter(engine: Seen, body: Mapping[str, Any]) -> Start:
    """Opens a session with ``meta``, ``budget`` and ``idle`` of a body, or finds it; raises Problem 422."""
    for name in ("workflow", "input"):
        if name in body:
            raise Problem(422, f"a session has no {name}: the body is {{session, meta, budget, idle}}")

    def start(run_id: str | None, again: bool) -> Awaitable[tuple[Run, bool]]:
        assert run_id is not None, "the id of a session is in its URL"
        given = {name: body.get(name) for name in ("meta", "budget", "idle")}
        return engine.ensure_session(run_id, **given)

    return start


def check_start(request: web.Request) -> Answer:
    """How a start is to be answered; raises Problem 400, 403 or 415."""
    guard_change(request)
    wait = prefer_wait(request.headers.get("Prefer"))
    accept = request.headers.get("Accept")
    must_choose(accept, ("application/json", *STREAM_FORMS))
    form = next((form for form in STREAM_FORMS if asks_for(accept, form)), None)
    if form is not None or wait is not None:
        check_shows(request)
    return Answer(wait, None if form is None else options_of(request, form))


async def answer_start(request: web.Request, answer: Answer, start: Start, run_id: str | None) -> web.StreamResponse:
    """Starts the run and answers as wanted. ``run_id``: the id the client chose, if it did.

    ``Location``, and 201, or 200 for a run that existed; with ``Prefer: wait`` the result, or 202 and the state if the
    run does not end in time; or the stream. With an ``Idempotency-Key`` the run is started once: the same request again
    has the same answer, or waits for the same run.
    """
    if answer.wait is not None or answer.stream is not None:
        await count_stream(request)
    key = None if request.method == "PUT" else idempotency_key(request)  # the id of a PUT is its key
    if key is None:
        started = await carry_out(start(run_id, False))
        run, is_new = started if isinstance(started, tuple) else (started, True)
    else:
        done = await start_once(request, key, start, run_id)
        if answer == Answer(None, None):
            return _of_claim(request, done)
        run, is_new = await engine_of(request).get(done.run_id), True
    headers = {"Location": location_of(request, run.id)}
    if answer.stream is not None:
        return await stream_to(request, run, answer.stream, may_hand_over=True, headers=headers)
    status = 201 if is_new else 200
    if answer.wait is None:
        return json_response(summary(run), status, headers)
    headers["Preference-Applied"] = f"wait={answer.wait:g}"
    if not await ends_within(request, run, answer.wait):
        status = 202
    return json_response(await full(run), status, headers)


async def start_once(
    request: web.Request,
    key: str,
    start: Start,
    run_id: str | None,
    first: Callable[[], Awaitable[object]] | None = None,
    shown: Callable[[Run], dict[str, Any]] = summary,
) -> Claim:
    """The claim of the key, once the run was started by this request or by one before. ``first``: as in ``once``.

    ``shown``: the answer.
    """
    engine_of(request).check_new(run_id)  # before the key is looked up: it says nothing to who may not start this

    async def act(claim: Claim, again: bool) -> dict[str, Any]:
        started = await start(claim.run_id, again)
        return shown(started[0] if isinstance(started, tuple) else started)

    claim = Claim(await digest_of(request, engine_of(request).digest_key), run_id or make_run_id())
    done = await carry_out(repeats_of(engine_of(request)).once(key, claim, act, first=first))
    try:
        await engine_of(request).get(done.run_id)
    except UnknownRun:
        raise Problem(410, f"the run {done.run_id} that this Idempotency-Key has started was deleted") from None
    return done


def _of_claim(request: web.Request, done: Claim) -> web.Response:
    headers = {"Location": location_of(request, done.run_id)}
    return PacedResponse(status=201, text=done.body, content_type="application/json", headers=headers)


def location_of(request: web.Request, run_id: str) -> str:
    """The path of a run; empty where the routes that show it are not mounted."""
    routes = request.match_info.apps[-1].router  # of the mounted application, which knows its own prefix
    if "run" in routes and OWN_ROUTE not in request:
        return str(routes["run"].url_for(id=run_id).with_query(tenant_query(request)))
    prefix = request.config_dict.get(API_PREFIX)
    return "" if prefix is None else str(URL(f"{prefix}/runs/{run_id}").with_query(tenant_query(request)))


async def ends_within(request: web.Request, run: Run, seconds: float | None) -> bool:
    """Whether the run ends in time (None: however long it takes).

    Waits no longer when the server closes, or when the client has gone.
    """
    ended = asyncio.ensure_future(run.ended())
    closes = asyncio.ensure_future(streams_of(request).closing.wait())
    try:
        with leaving(request) as gone:
            await asyncio.wait({ended, closes, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return ended.done() and ended.exception() is None
    finally:
        ended.cancel()
        closes.cancel()

"""``/runs``: start a run, read it, remove it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.errors import PlanError
from reactor.plans.load import load_plan, parse_plan
from reactor.runs.run import Run
from reactor_web.dialects import Shows, UnknownDialect, find
from reactor_web.guard.access import needs
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.http.body import ANYTHING, BOOLEAN, NUMBER, OBJECT, STRING, NoBody, json_body, json_response, read_body
from reactor_web.http.command import carry_out
from reactor_web.http.decoding import check_values
from reactor_web.http.parameters import number_in, one
from reactor_web.http.problems import Problem
from reactor_web.http.query import StreamOptions
from reactor_web.http.result import full, listed
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.listing import listing_of
from reactor_web.routes.methods import chooses_form
from reactor_web.routes.past import state_then
from reactor_web.routes.starting import answer_start, check_start, session_starter, starter
from reactor_web.streaming.streams import streams_of


def routes() -> list[web.RouteDef]:
    return [
        web.get("/runs", list_runs),
        web.get("/runs/{id}", get_run, name="run"),
        web.get("/runs/{id}/tasks/{task}/output", get_output),
        web.post("/runs", start_plan),
        web.put("/runs/{id}", put_run),
        web.delete("/runs/{id}", delete_run),
    ]


# --- read -------------------------------------------------------------------------------------------------------


@needs(Scope.READ)
async def list_runs(request: web.Request) -> web.Response:
    """A page, newest run first. ``cursor`` asks for the next page; it is null on the last one.

    ``position`` is the place in ``GET /events`` at which the page is up to date: a client that shows the page and
    follows from there misses nothing.
    """
    listing, engine = listing_of(request.query), engine_of(request)
    newest = await engine.newest_position()  # before the page: nothing up to it may be newer than the page
    records, cursor = await engine.page(
        **listing.wanted, before=listing.cursor, limit=listing.limit, only_left=listing.only_left
    )
    position = max([newest, *(record.position for record in records)])
    return json_response({"runs": [listed(record) for record in records], "cursor": cursor, "position": position})


@needs(Scope.READ)
async def get_run(request: web.Request) -> web.Response:
    """The state of a run, and the runs below it with their open questions; or what a dialect shows of its state."""
    engine = engine_of(request)
    dialect = one(request.query, "dialect") or "native"
    if dialect != "native":
        if "at" in request.query:
            raise Problem(400, f"at has no meaning in the dialect {dialect[:50]!r}, which shows the state as it is now")
        return await _shown(request, dialect)
    at = number_in(request.query, "at", (1, 999_999_999), "of the events of the run", whole=True)
    run = await _run(request)
    if at is not None:
        return await state_then(request, run, int(at))
    tree = [below.to_dict() for below in await engine.tree(run.id)]
    # the outputs last: as objects they take several times their bytes, and nobody must wait while they are there
    return json_response({**await full(run, engine.not_recovered.get(run.id)), "tree": tree})


async def _shown(request: web.Request, name: str) -> web.Response:
    """What clients that ask again and again are answered, in the words of their dialect."""
    try:
        dialect = find(name)
    except UnknownDialect as error:
        raise Problem(400, str(error)) from None
    if not isinstance(dialect, Shows):
        raise Problem(400, f"the dialect {name} has no form for clients that ask for the state")
    run = await _run(request)
    body = await streams_of(request).channels.kept.shown(run.feed, StreamOptions(dialect=name), dialect, run.id)
    return PacedResponse(body=body, content_type="application/json")


@needs(Scope.READ)
async def get_output(request: web.Request) -> web.Response:
    """The output of one task in full."""
    run = await _run(request)
    return PacedResponse(body=await run.output(request.match_info["task"]), content_type="application/json")


async def _run(request: web.Request) -> Run:
    return await engine_of(request).get(request.match_info["id"])


# --- start ------------------------------------------------------------------------------------------------------


@needs(Scope.RUN)
@chooses_form
async def start_plan(request: web.Request) -> web.StreamResponse:
    """Starts a run of the plan in the body, under the ``run_id`` of the body or a new id."""
    engine = engine_of(request)
    answer = check_start(request)
    raw = await read_body(request)
    check_values(raw, request.client_max_size)
    try:
        # in a thread: a large document takes half a second, and checks of a tool's own types take what they take
        document, workflow = await asyncio.to_thread(_load_plan, raw, engine)
    except PlanError as error:
        if isinstance(error.__context__, orjson.JSONDecodeError):
            raise Problem(400, f"the body is not JSON: {error.__context__}") from error
        raise
    started_with = {name: document.get(name) for name in ("meta", "budget")}
    start = starter(engine, workflow, started_with)
    return await answer_start(request, answer, start, document.get("run_id"))


def _load_plan(raw: bytes, engine: Seen) -> tuple[dict[str, Any], Workflow]:
    """From the text, because only the text tells of duplicate members and of integers beyond 64 bits."""
    document = parse_plan(raw if raw.strip() else b"{}")
    workflow = load_plan(document, engine.tools)
    return cast("dict[str, Any]", document), workflow


@needs(Scope.RUN)
@chooses_form
async def put_run(request: web.Request) -> web.StreamResponse:
    """Starts a run, or opens a session, under the client's id.

    The same request again finds that run; one with another body is 409.
    """
    answer = check_start(request)
    members = {"workflow": STRING, "input": ANYTHING, "meta": OBJECT, "budget": OBJECT}
    body = await json_body(request, {**members, "session": BOOLEAN, "idle": NUMBER})
    if body.get("session"):
        start = session_starter(engine_of(request), body)
    elif "idle" in body:
        raise Problem(422, "idle is for a session: {session: true, idle}")
    elif "workflow" in body:
        start = starter(engine_of(request), body["workflow"], body)
    else:
        raise Problem(422, "the body must name the workflow, {workflow, input}, or say {session: true}")
    return await answer_start(request, answer, lambda run_id, _: start(run_id, True), request.match_info["id"])


# --- remove -----------------------------------------------------------------------------------------------------


@needs(Scope.ADMIN)
async def delete_run(request: web.Request) -> web.Response:
    """Removes a run that has ended, with all its events: 204; 409 while it is open."""
    guard_change(request)
    await carry_out(engine_of(request).delete(request.match_info["id"]))
    return NoBody(status=204)

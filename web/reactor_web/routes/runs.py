"""``/runs``: start a run, read it, command it.

Commands are answered 202 once their event is in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import orjson
from aiohttp import web

from reactor.bounds import CANCEL_GRACE_SECONDS
from reactor.definition.names import did_you_mean, known_names
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import PlanError, RunExists, UnknownTask
from reactor.events.exact import is_same_json
from reactor.events.state import RUN_ENDED
from reactor.events.vocabulary import RunStatus
from reactor.plans.load import load_plan, parse_plan
from reactor.runs.run import Run
from reactor_web.bounds import MAX_GRACE_SECONDS
from reactor_web.guard.hosts import guard_change
from reactor_web.http.body import ANYTHING, NUMBER, OBJECT, STRING, Kind, NoBody, json_body, json_response
from reactor_web.http.command import carry_out
from reactor_web.http.idempotency import Claim, digest_of, idempotency_key
from reactor_web.http.keys import ENGINE, REPEATS
from reactor_web.http.problems import Problem
from reactor_web.http.query import page_size
from reactor_web.http.result import full, listed, summary
from reactor_web.routes.starting import answer_start, check_start, location_of, start_once, starter

T = TypeVar("T")

LIST_PARAMETERS = ("status", "workflow", "parent", "root", "limit", "cursor")
STATUSES = ("pending", "running", "paused", "cancelling", *sorted(RUN_ENDED))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/runs", list_runs),
        web.get("/runs/{id}", get_run, name="run"),
        web.get("/runs/{id}/tasks/{task}/output", get_output),
        web.post("/runs", start_plan),
        web.put("/runs/{id}", put_run),
        web.delete("/runs/{id}", delete_run),
        web.post("/runs/{id}/cancel", cancel_run),
        web.post("/runs/{id}/pause", pause_run),
        web.post("/runs/{id}/resume", resume_run),
        web.post("/runs/{id}/input", send_input),
        web.post("/runs/{id}/retry", retry_run),
    ]


# --- read -------------------------------------------------------------------------------------------------------


async def list_runs(request: web.Request) -> web.Response:
    """A page, newest run first. ``cursor`` asks for the next page; it is null on the last one."""
    query = request.query
    for name in query:
        if name not in LIST_PARAMETERS:
            hint = did_you_mean(name, LIST_PARAMETERS) or f"; there are {', '.join(LIST_PARAMETERS)}"
            raise Problem(400, f"there is no parameter {name[:50]!r} here{hint}")
    status = query.get("status")
    if status is not None and status not in STATUSES:
        raise Problem(400, f"status is {status[:50]!r}, but must be one of {', '.join(STATUSES)}")
    limit = page_size(query)
    records = await request.app[ENGINE].list(
        status=cast("RunStatus | None", status),
        workflow=query.get("workflow"),
        parent=query.get("parent"),
        root=query.get("root"),
        before=query.get("cursor"),
        limit=limit,
    )
    cursor = records[-1].run_id if len(records) == limit else None
    return json_response({"runs": [listed(record) for record in records], "cursor": cursor})


async def get_run(request: web.Request) -> web.Response:
    """The state of a run, and the runs below it with their open questions."""
    engine = request.app[ENGINE]
    run = await _run(request)
    body = await full(run, engine.not_recovered.get(run.id))
    return json_response({**body, "tree": [below.to_dict() for below in await engine.tree(run.id)]})


async def get_output(request: web.Request) -> web.Response:
    """The output of one task in full."""
    run = await _run(request)
    return web.Response(body=await run.output(request.match_info["task"]), content_type="application/json")


async def _run(request: web.Request) -> Run:
    return await request.app[ENGINE].get(request.match_info["id"])


# --- start ------------------------------------------------------------------------------------------------------


async def start_plan(request: web.Request) -> web.StreamResponse:
    """Starts a run of the plan in the body, under the ``run_id`` of the body or a new id."""
    engine = request.app[ENGINE]
    answer = check_start(request)
    raw = await request.read()
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


def _load_plan(raw: bytes, engine: Engine) -> tuple[dict[str, Any], Workflow]:
    """From the text, because only the text tells of duplicate members and of integers beyond 64 bits."""
    document = parse_plan(raw if raw.strip() else b"{}")
    workflow = load_plan(document, engine.tools)
    return cast("dict[str, Any]", document), workflow


async def put_run(request: web.Request) -> web.StreamResponse:
    """Starts a run under the client's id. The same request again finds that run; one with another body is 409."""
    answer = check_start(request)
    body = await json_body(request, {"workflow": STRING, "input": ANYTHING, "meta": OBJECT, "budget": OBJECT})
    if "workflow" not in body:
        raise Problem(422, "the body must name the workflow: {workflow, input}")
    start = starter(request.app[ENGINE], body["workflow"], body)
    return await answer_start(request, answer, lambda run_id, _: start(run_id, True), request.match_info["id"])


# --- command ----------------------------------------------------------------------------------------------------


async def cancel_run(request: web.Request) -> web.Response:
    """Cancels the run, or one ``task`` of it. 202 again until it has ended, then 409."""
    body = await _command(request, reason=STRING, task=STRING, grace=NUMBER)
    grace = body.get("grace", CANCEL_GRACE_SECONDS)
    if not 0 <= grace <= MAX_GRACE_SECONDS:
        raise Problem(422, f"grace must be 0 to {MAX_GRACE_SECONDS} seconds")
    engine, reason = request.app[ENGINE], body.get("reason", "requested")
    cancel = engine.cancel(
        request.match_info["id"], float(grace), task=body.get("task"), reason=reason, by=request.remote
    )
    return _accepted(await carry_out(cancel))


async def pause_run(request: web.Request) -> web.Response:
    """Starts no more tasks until the run is resumed."""
    body = await _command(request, reason=STRING)
    run = await _run(request)
    await carry_out(run.pause(reason=body.get("reason", "requested"), by=request.remote))
    return _accepted(run)


async def resume_run(request: web.Request) -> web.Response:
    """Goes on after a pause."""
    body = await _command(request, reason=STRING)
    run = await _run(request)
    await carry_out(run.resume(reason=body.get("reason", "requested"), by=request.remote))
    return _accepted(run)


async def send_input(request: web.Request) -> web.Response:
    """Sends ``value`` to the question of ``task`` that is open, or to the one named by ``key``, asked or not.

    ``run``: the task is one of that run, which is below this one. 409 where the question is answered already, or where
    the value does not say which of several it answers.
    """
    body = await _command(request, task=STRING, value=ANYTHING, key=STRING, run=STRING)
    if "task" not in body or "value" not in body:
        raise Problem(422, "the body must have a task and a value: {task, value}")
    asked = request.match_info["id"]
    run = await request.app[ENGINE].descendant(asked, body.get("run", asked))
    task, value, question = body["task"], body["value"], body.get("key")
    key = idempotency_key(request)
    if key is None:
        await _carry_out_send(request, run, run.send(task, value, key=question, by=request.remote))
        return _accepted(run)

    async def act(claim: Claim, again: bool) -> Run:
        if not (again and await _was_received(run, task, value, question, claim.seq)):
            await run.send(task, value, key=question, by=request.remote)
        return run

    claim = Claim(await digest_of(request, request.app[ENGINE].digest_key), run.id, run.feed.last_seq)
    done = await _carry_out_send(request, run, request.app[REPEATS].once(key, claim, act, scope=asked))
    return web.Response(status=202, text=done.body, content_type="application/json")


async def _carry_out_send(request: web.Request, run: Run, command: Coroutine[Any, Any, T]) -> T:
    """Where the run has no such task, the error names the runs below in which a task of this name asks."""
    try:
        return await carry_out(command)
    except UnknownTask as error:
        below = await request.app[ENGINE].tree(run.id)
        asking = [one.run_id for one in below if any(asked["task_id"] == error.task_id for asked in one.questions)]
        if not asking:
            raise
        raise Problem(
            404,
            f"there is no task {error.task_id!r} in run {run.id}, but one of this name asks in a run below: "
            f"name that run as run (--run of reactor send): {known_names(asking)}",
        ) from error


async def _was_received(run: Run, task: str, value: Any, key: str | None, after: int) -> bool:
    """Whether the log has this value for the task after a seq: before a crash it was sent, though nobody was told."""
    state = run.state.tasks.get(task)
    for seq, recorded_key in (state and state.received) or ():
        is_for_it = seq > after and key in (None, recorded_key)  # without a key it went to the question that was open
        event = await run.feed.event(seq) if is_for_it else None
        if event is not None and is_same_json(event.data["value"], value):
            return True
    return False


async def retry_run(request: web.Request) -> web.Response:
    """Starts a new run with the same input, which takes over what completed in this one. ``Location`` names it."""
    body = await _command(request, run_id=STRING)
    engine, old, wanted = request.app[ENGINE], request.match_info["id"], body.get("run_id")
    key = idempotency_key(request)
    if key is None:
        run = await carry_out(engine.retry(old, new_run_id=wanted))
        return json_response(summary(run), 202, {"Location": location_of(request, run.id)})

    async def start(run_id: str | None, again: bool) -> Run:
        try:
            return await engine.retry(old, new_run_id=run_id)
        except RunExists:
            if not again or run_id is None:
                raise
            return await engine.get(run_id)  # it was started before a crash

    done = await start_once(request, key, start, wanted)
    location = {"Location": location_of(request, done.run_id)}
    return web.Response(status=202, text=done.body, content_type="application/json", headers=location)


async def delete_run(request: web.Request) -> web.Response:
    """Removes a run that has ended, with all its events: 204; 409 while it is open."""
    guard_change(request)
    await carry_out(request.app[ENGINE].delete(request.match_info["id"]))
    return NoBody(status=204)


async def _command(request: web.Request, **members: Kind) -> dict[str, Any]:
    """The body of a command; raises Problem 403 or 415 for a request that another site could have sent."""
    guard_change(request)
    return await json_body(request, members)


def _accepted(run: Run) -> web.Response:
    return json_response(summary(run), 202)

"""Commands to an open run, over HTTP and on a WebSocket. Each is answered once its event is in the log: 202."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from aiohttp import web

from reactor.bounds import CANCEL_GRACE_SECONDS
from reactor.definition.names import known_names
from reactor.errors import RunExists, UnknownTask
from reactor.events.exact import is_same_json
from reactor.runs.run import Run
from reactor_web.bounds import MAX_GRACE_SECONDS
from reactor_web.guard.access import needs
from reactor_web.guard.admission import author_of
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.principal import Scope
from reactor_web.guard.repeated import repeats_of
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.http.body import ANYTHING, NUMBER, OBJECT, STRING, Kind, json_body, json_response
from reactor_web.http.command import carry_out
from reactor_web.http.idempotency import Claim, digest_of, idempotency_key
from reactor_web.http.problems import Problem
from reactor_web.http.result import recorded, summary
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.starting import location_of, start_once

T = TypeVar("T")


def routes() -> list[web.RouteDef]:
    return [
        web.post("/runs/{id}/cancel", cancel_run),
        web.post("/runs/{id}/pause", pause_run),
        web.post("/runs/{id}/resume", resume_run),
        web.post("/runs/{id}/input", send_input),
        web.post("/runs/{id}/retry", retry_run),
    ]


# --- what a command does ----------------------------------------------------------------------------------------


class Given(NamedTuple):
    """A command as it came."""

    engine: Seen
    run_id: str
    members: dict[str, Any]
    """Of kinds that are checked."""
    by: str | None
    """Who asks, for the log."""


async def cancel(given: Given) -> dict[str, Any]:
    """Cancels the run, or one ``task`` of it. Again until it has ended, then RunEnded."""
    members = given.members
    grace = members.get("grace", CANCEL_GRACE_SECONDS)
    if not 0 <= grace <= MAX_GRACE_SECONDS:
        raise Problem(422, f"grace must be 0 to {MAX_GRACE_SECONDS} seconds")
    reason = members.get("reason", "requested")
    command = given.engine.request_cancel(given.run_id, float(grace), task=members.get("task"), reason=reason)
    return recorded(*await carry_out(command))


async def pause(given: Given) -> dict[str, Any]:
    """Starts no more tasks until the run is resumed."""
    run = await given.engine.get(given.run_id)
    seq = await carry_out(run.pause(reason=given.members.get("reason", "requested"), by=given.by))
    return recorded(run, seq)


async def resume(given: Given) -> dict[str, Any]:
    """Goes on after a pause."""
    run = await given.engine.get(given.run_id)
    seq = await carry_out(run.resume(reason=given.members.get("reason", "requested"), by=given.by))
    return recorded(run, seq)


async def send(given: Given) -> dict[str, Any]:
    """Sends ``value`` to the question of ``task`` that is open, or to the one named by ``key``, asked or not.

    ``run``: the task is one of that run, which is below this one. 409 where the question is answered already, or where
    the value does not say which of several it answers.
    """
    run = await asked_run(given)
    members = given.members
    command = run.send(members["task"], members["value"], key=members.get("key"), by=given.by)
    seq = await carry_out_send(given.engine, run, command)
    return recorded(run, seq)


async def emit(given: Given) -> dict[str, Any]:
    """Puts an event into the run, as ``run.emit`` does; ``seqs`` has its number. ``key``: an idempotency key."""
    members = given.members
    if "type" not in members:
        raise Problem(422, "an event must have a type: {type, data?, task?}")
    run = await given.engine.get(given.run_id)
    event = {name: members[name] for name in ("type", "data", "task") if name in members}
    await given.engine.allow_emit(1)
    return {**summary(run), "seqs": await carry_out(run.emit_all([event], key=members.get("key")))}


class Command(NamedTuple):
    """What a client may ask of an open run."""

    members: Mapping[str, Kind]
    """What it may be given with."""
    act: Callable[[Given], Awaitable[dict[str, Any]]]
    """Carries it out and returns the answer."""


COMMANDS: Final[dict[str, Command]] = {
    "cancel": Command({"reason": STRING, "task": STRING, "grace": NUMBER}, cancel),
    "pause": Command({"reason": STRING}, pause),
    "resume": Command({"reason": STRING}, resume),
    "input": Command({"task": STRING, "value": ANYTHING, "key": STRING, "run": STRING}, send),
    "emit": Command({"type": STRING, "data": OBJECT, "task": STRING, "key": STRING}, emit),
}
"""By the name that a client gives."""


async def asked_run(given: Given) -> Run:
    """The run that a value is for: this one, or the one below it that ``run`` names. Raises Problem 422."""
    if "task" not in given.members or "value" not in given.members:
        raise Problem(422, "the body must have a task and a value: {task, value}")
    return await given.engine.descendant(given.run_id, given.members.get("run", given.run_id))


async def carry_out_send(engine: Seen, run: Run, command: Coroutine[Any, Any, T]) -> T:
    """Where the run has no such task, the error names the runs below in which a task of this name asks."""
    try:
        return await carry_out(command)
    except UnknownTask as error:
        below = await engine.tree(run.id)
        asking = [one.run_id for one in below if any(asked["task_id"] == error.task_id for asked in one.questions)]
        if not asking:
            raise
        raise Problem(
            404,
            f"there is no task {error.task_id!r} in run {run.id}, but one of this name asks in a run below: "
            f"name that run as run (--run of reactor send): {known_names(asking)}",
            error=type(error).__name__,
            run_id=run.id,
            task_id=error.task_id,
        ) from error


# --- over HTTP --------------------------------------------------------------------------------------------------


@needs(Scope.CONTROL)
async def cancel_run(request: web.Request) -> web.Response:
    """``cancel``."""
    return json_response(await cancel(await _given(request, "cancel")), 202)


@needs(Scope.CONTROL)
async def pause_run(request: web.Request) -> web.Response:
    """``pause``."""
    return json_response(await pause(await _given(request, "pause")), 202)


@needs(Scope.CONTROL)
async def resume_run(request: web.Request) -> web.Response:
    """``resume``."""
    return json_response(await resume(await _given(request, "resume")), 202)


@needs(Scope.CONTROL)
async def send_input(request: web.Request) -> web.Response:
    """``send``; with an ``Idempotency-Key`` once."""
    given = await _given(request, "input")
    run = await asked_run(given)
    idempotency = idempotency_key(request)
    if idempotency is None:
        return json_response(await send(given), 202)
    task, value, question = given.members["task"], given.members["value"], given.members.get("key")

    async def act(claim: Claim, again: bool) -> dict[str, Any]:
        seq = await _received(run, task, value, question, claim.seq) if again else None
        if seq is None:
            seq = await run.send(task, value, key=question, by=given.by)
        return recorded(run, seq)

    claim = Claim(await digest_of(request, given.engine.digest_key), run.id, run.feed.last_seq)
    once = repeats_of(given.engine).once(idempotency, claim, act, scope=given.run_id)
    done = await carry_out_send(given.engine, run, once)
    return PacedResponse(status=202, text=done.body, content_type="application/json")


async def _received(run: Run, task: str, value: Any, key: str | None, after: int) -> int | None:
    """Where the log has this value for the task after a seq: before a crash it was sent, though nobody was told."""
    state = run.state.tasks.get(task)
    for seq, recorded_key in (state and state.received) or ():
        is_for_it = seq > after and key in (None, recorded_key)  # without a key it went to the question that was open
        event = await run.feed.event(seq) if is_for_it else None
        if event is not None and is_same_json(event.data["value"], value):
            return seq
    return None


@needs(Scope.CONTROL)
async def retry_run(request: web.Request) -> web.Response:
    """Starts a new run with the same input, which takes over what completed in this one. ``Location`` names it.

    ``from``: this task, and what depends on it, runs again all the same.
    """
    guard_change(request)
    body = await json_body(request, {"run_id": STRING, "from": STRING})
    engine, old, wanted = engine_of(request), request.match_info["id"], body.get("run_id")
    from_task = body.get("from")
    key = idempotency_key(request)
    if key is None:
        run = await carry_out(engine.retry(old, new_run_id=wanted, from_task=from_task))
        return json_response(_retried(run), 202, {"Location": location_of(request, run.id)})

    async def start(run_id: str | None, again: bool) -> Run:
        try:
            return await engine.retry(old, new_run_id=run_id, from_task=from_task)
        except RunExists:
            if not again or run_id is None:
                raise
            return await engine.get(run_id)  # it was started before a crash

    done = await start_once(request, key, start, wanted, lambda: engine.get(old), _retried)
    location = {"Location": location_of(request, done.run_id)}
    return PacedResponse(status=202, text=done.body, content_type="application/json", headers=location)


def _retried(run: Run) -> dict[str, Any]:
    """The answer to a retry: the first event of the new run records it."""
    return recorded(run, 1)


async def _given(request: web.Request, name: str) -> Given:
    """A command as it came; raises Problem 403 or 415 for a request that another site could have sent."""
    guard_change(request)
    members = await json_body(request, COMMANDS[name].members)
    return Given(engine_of(request), request.match_info["id"], members, author_of(request))

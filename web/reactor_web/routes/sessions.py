"""What is said in a run over HTTP: ``POST /runs/{id}/events``, and ``/close`` of a session."""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web

from reactor.events.values import json_kind
from reactor.runs.session import Session
from reactor_web.guard.access import needs
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.principal import Scope
from reactor_web.guard.repeated import repeats_of
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import ANYTHING, OBJECT, STRING, any_body, json_body, json_response
from reactor_web.http.command import carry_out
from reactor_web.http.idempotency import Claim, digest_of, idempotency_key
from reactor_web.http.problems import Problem
from reactor_web.http.result import recorded
from reactor_web.http.sending import PacedResponse


def routes() -> list[web.RouteDef]:
    return [web.post("/runs/{id}/events", emit), web.post("/runs/{id}/close", close)]


@needs(Scope.CONTROL)
async def emit(request: web.Request) -> web.Response:
    """Appends an event ``{type, data?, task?}``, or a list of them, to an open run: all or none.

    202 with their seqs, once they are in the log. With an ``Idempotency-Key`` the same request again appends nothing
    and is answered the same, also after a crash: the key is in the log.
    """
    guard_change(request)
    body = await any_body(request)
    if not isinstance(body, (dict, list)):
        raise Problem(422, f"the body must be an event {{type, data, task}}, or a list of them, not {json_kind(body)}")
    events = cast("list[dict[str, Any]]", body if isinstance(body, list) else [body])
    key = idempotency_key(request)
    seen = engine_of(request)
    run = await seen.get(request.match_info["id"])
    await seen.allow_emit(max(1, len(events)))
    return json_response({"run_id": run.id, "seqs": await carry_out(run.emit_all(events, key=key))}, 202)


@needs(Scope.CONTROL)
async def close(request: web.Request) -> web.Response:
    """Ends a session: 202 once its terminal event is in the log; 409 where it has ended before."""
    guard_change(request)
    body = await json_body(request, {"status": STRING, "outputs": OBJECT, "error": ANYTHING})
    run = await engine_of(request).get(request.match_info["id"])
    if not isinstance(run, Session):
        raise Problem(409, f"run {run.id} is no session: it ends when its tasks have, or is cancelled")
    session = run

    async def act(claim: Claim | None, again: bool) -> dict[str, Any]:
        if again and session.state.has_ended:  # before a crash it was closed, though nobody was told
            return recorded(session, session.state.seq)
        status, outputs = body.get("status", "completed"), body.get("outputs")
        return recorded(session, await session.close(status, outputs=outputs, error=body.get("error")))

    key = idempotency_key(request)
    if key is None:
        return json_response(await carry_out(act(None, False)), 202)
    claim = Claim(await digest_of(request, engine_of(request).digest_key), run.id, run.feed.last_seq)
    done = await carry_out(repeats_of(engine_of(request)).once(key, claim, act, scope=run.id))
    return PacedResponse(status=202, text=done.body, content_type="application/json")

"""``/runs/{id}/ws``: the events of a run and commands to it, on one WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

from aiohttp import web

from reactor.definition.names import did_you_mean
from reactor.runs.run import Run
from reactor_web.dialects.ndjson import LINES
from reactor_web.guard.access import check_scopes, needs
from reactor_web.guard.admission import author_of, principal_of
from reactor_web.guard.hosts import guard_site
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import STRING, check_members
from reactor_web.http.problems import Problem, problem_response
from reactor_web.routes.commands import COMMANDS, Given
from reactor_web.routes.events import options_of, with_run
from reactor_web.routes.methods import chooses_form
from reactor_web.streaming.connection.client import Client
from reactor_web.streaming.forms.socket import serve_socket
from reactor_web.streaming.stream import cancel_if_gone, check_stream, deliver_to


def routes() -> list[web.RouteDef]:
    return [web.get("/runs/{id}/ws", open_socket)]


@needs(Scope.READ, ticket=True)
@chooses_form
async def open_socket(request: web.Request) -> web.StreamResponse:
    """Opens the socket. Raises Problem 400, 403 and 404 before the handshake is answered."""
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        refusal = problem_response(426, "this is a WebSocket: open it with new WebSocket(url)")
        refusal.headers["Upgrade"] = "websocket"
        return refusal
    # a browser sends the handshake of any page, and asks nobody before
    guard_site(request, "a page of another site must not open a socket here")
    options = options_of(request, LINES)

    check_stream(request, options)
    client = Client(request, options, request.match_info["id"])

    async def serve(run: Run | Awaitable[Run]) -> web.StreamResponse:
        client.run = run if isinstance(run, Run) else None
        try:
            return await serve_socket(
                request, client, partial(deliver_to, request, run, client), partial(_carry_out, request)
            )
        finally:
            cancel_if_gone(request, client)
            if isinstance(run, asyncio.Future):
                run.cancel()  # nobody waits for it any longer

    return await with_run(request, options.await_run, serve)


async def _carry_out(request: web.Request, command: dict[str, Any]) -> dict[str, Any]:
    """Carries out ``{command, …}``; raises Problem and what the command raises."""
    name: object = command.get("command")
    found = COMMANDS.get(name) if isinstance(name, str) else None
    if found is None:
        hint = did_you_mean(str(name), COMMANDS) or f"; there are {', '.join(COMMANDS)}"
        raise Problem(422, f"there is no command {str(name)[:50]!r}{hint}")
    check_scopes(principal_of(request), (Scope.CONTROL,))  # who may only read has opened the socket to read
    members = check_members(command, {**found.members, "command": STRING}, "the command")
    del members["command"]
    return await found.act(Given(engine_of(request), request.match_info["id"], members, author_of(request)))

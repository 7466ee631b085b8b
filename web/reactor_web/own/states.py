"""``add_state``: GET where a run is, for clients that ask again and again instead of following."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from reactor.engine import Engine
from reactor_web.dialects import Shows, find
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import json_response
from reactor_web.http.query import StreamOptions
from reactor_web.http.result import full
from reactor_web.http.sending import PacedResponse
from reactor_web.http.settings import check_settings
from reactor_web.own.route import READS, IdFrom, add_route, check_id_from, id_of
from reactor_web.streaming.streams import streams_of


def add_state(
    app: web.Application, path: str, engine: Engine, *, dialect: str = "native", id_from: IdFrom = "id", **options: Any
) -> None:
    """Adds ``GET path``, which answers with the state of a run as JSON.

        add_state(app, "/api/workflows/{id}", engine, dialect="agents")

    - ``path``, ``id_from``: as in ``add_stream``.
    - ``dialect``: decides the form; ``native`` is what ``GET /runs/{id}`` answers.
    - ``options``: options that only this dialect has.

    404 for an unknown run. Raises ValueError for a dialect that has no such form.
    """
    check_id_from(id_from, path)
    settings = check_settings({"dialect": dialect, **options})
    stream = StreamOptions(**settings)
    found = find(stream.dialect, stream.own)
    if dialect != "native" and not isinstance(found, Shows):
        raise ValueError(f"{path}: the dialect {dialect} has no form for clients that ask for the state")
    add_route(app, "GET", path, engine, partial(_show, id_from, stream, found), READS)


async def _show(id_from: IdFrom, options: StreamOptions, dialect: object, request: web.Request) -> web.Response:
    engine = engine_of(request)
    run = await engine.get(await id_of(request, id_from))
    if not isinstance(dialect, Shows):
        return json_response(await full(run, engine.not_recovered.get(run.id)))
    body = await streams_of(request).channels.kept.shown(run.feed, options, dialect, run.id)
    return PacedResponse(body=body, content_type="application/json")

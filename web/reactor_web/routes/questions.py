"""``/questions``: what all runs wait for, page by page."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from reactor.definition.names import did_you_mean
from reactor.runs.asked import OpenQuestion
from reactor_web.bounds import DEFAULT_PAGE, MAX_QUESTIONS
from reactor_web.guard.access import needs
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.body import json_response
from reactor_web.http.parameters import META, members_in, number_in, one
from reactor_web.http.problems import Problem

PARAMETERS: Final = ("workflow", "limit", "cursor")
"""And ``meta.<name>``."""


def routes() -> list[web.RouteDef]:
    return [web.get("/questions", list_questions)]


@needs(Scope.READ)
async def list_questions(request: web.Request) -> web.Response:
    """A page: the newest run first, of a run what was asked last. ``cursor`` is null on the last page."""
    query = request.query
    for name in query:
        if name not in PARAMETERS and not name.startswith(META):
            hint = did_you_mean(name, PARAMETERS) or f"; there are {', '.join(PARAMETERS)} and meta.<name>"
            raise Problem(400, f"there is no parameter {name[:50]!r} here{hint}")
    limit = number_in(query, "limit", (1, MAX_QUESTIONS), "questions", whole=True)
    page = await engine_of(request).questions(
        workflow=one(query, "workflow"),
        meta=members_in(query),
        before=one(query, "cursor"),
        limit=DEFAULT_PAGE if limit is None else int(limit),
    )
    return json_response({"questions": [_shown(asked) for asked in page.questions], "cursor": page.cursor})


def _shown(asked: OpenQuestion) -> dict[str, Any]:
    return {name: value for name, value in asked._asdict().items() if name != "expires" or value is not None}

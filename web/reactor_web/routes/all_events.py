"""``/events``: the events of all runs in the order in which they were committed, as a stream or by pages.

The id of a frame, the ``cursor`` of a line and the cursor of a page are positions of the log.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aiohttp import web
from multidict import MultiDict, MultiMapping

from reactor.runs.all_events import AllEvents, check_runs
from reactor.runs.positions import TreeCursor
from reactor_web.guard.access import needs
from reactor_web.guard.principal import Scope
from reactor_web.guard.seen import engine_of
from reactor_web.http.negotiation import must_choose
from reactor_web.http.parameters import META, members_in, one
from reactor_web.http.problems import Problem
from reactor_web.http.query import OF_A_POSITION_PAGE, OF_POSITIONS, StreamOptions, page_options
from reactor_web.routes.events import FORMS, answer_page, count_page, options_of, read_page
from reactor_web.routes.methods import chooses_form
from reactor_web.streaming.forms.page import PAGES
from reactor_web.streaming.forms.position_page import PositionPageReader
from reactor_web.streaming.forms.tree import stream_positions
from reactor_web.streaming.streams import streams_of

_OF_A_SELECTION: Final = ("workflow", "parent", "runs")


def routes() -> list[web.RouteDef]:
    return [web.get("/events", follow_all)]


@needs(Scope.READ, ticket=True)
@chooses_form
async def follow_all(request: web.Request) -> web.StreamResponse:
    """The events of all runs after the cursor: first what the log has, then live; or one page of them."""
    form = must_choose(request.headers.get("Accept"), FORMS)
    selected = _select(request.query)
    if not engine_of(request).has_all_events:
        raise Problem(400, "the log of this server does not keep the order of all runs: follow them one by one")
    if form not in PAGES:
        options = options_of(request, form, selected.rest, (*OF_POSITIONS, *_OF_A_SELECTION))
        info = options.find_dialect().info
        if info.folds:
            raise Problem(400, f"the dialect {info.name} makes its frames of one run, and this is a stream of all")
        return await stream_positions(request, options, _events(request, selected, options))
    names = (*OF_A_POSITION_PAGE, *_OF_A_SELECTION)
    wanted = page_options(selected.rest, request.headers.get("Last-Event-ID"), names)
    await count_page(request, wanted)
    events = _events(request, selected, wanted.stream)
    reader = PositionPageReader(events, wanted, streams_of(request).closing)
    return answer_page(request, form, await read_page(request, reader, wanted))


class _Selected(NamedTuple):
    """Which runs a query asks for, and what else it has."""

    workflow: str | None
    parent: str | None
    meta: dict[str, str]
    runs: tuple[str, ...] | None
    rest: MultiDict[str]


def _select(query: MultiMapping[str]) -> _Selected:
    meta = members_in(query)
    rest = MultiDict((name, value) for name, value in query.items() if not _is_of_selection(name))
    return _Selected(one(query, "workflow"), one(query, "parent"), meta, _runs(query), rest)


def _runs(query: MultiMapping[str]) -> tuple[str, ...] | None:
    """The ids of ``runs=a,b``, which may be repeated; None without it."""
    values = query.getall("runs", [])
    try:
        return check_runs(id.strip() for value in values for id in value.split(",")) if values else None
    except ValueError as error:  # InvalidRunId too: here it is a bad option, not a bad run
        raise Problem(400, f"runs: {error}") from None


def _is_of_selection(name: str) -> bool:
    return name in _OF_A_SELECTION or name.startswith(META)


def _events(request: web.Request, selected: _Selected, options: StreamOptions) -> AllEvents:
    after = TreeCursor(options.after or 0, options.part)
    workflow, parent, meta, runs, _ = selected
    return engine_of(request).all_events(after, workflow=workflow, parent=parent, meta=meta, runs=runs)

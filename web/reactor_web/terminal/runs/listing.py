"""`reactor ls` and `reactor questions`."""

from __future__ import annotations

from typing import Annotated, Final, cast

import typer

from reactor.events.vocabulary import RunStatus
from reactor.ports.index import RunFilter
from reactor.requests import RUN_STATUSES
from reactor_web.terminal.given import refuse
from reactor_web.terminal.places.place import Listed, Place
from reactor_web.terminal.runs.options import Json, Store, Url, at_place, parse_meta, parse_since, tell
from reactor_web.terminal.runs.tables import print_questions, print_runs

PAGE: Final = 100
"""Runs that are asked for at once."""
MOST: Final = 1_000_000

Limit = Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")]


def list_runs(
    status: Annotated[str | None, typer.Option(help=f"Only those that are {', '.join(RUN_STATUSES)}.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Started 2h, 30m or 7d ago or later, or ISO.")
    ] = None,
    meta: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Has this in its meta; repeatable.")
    ] = None,
    stranded: Annotated[bool, typer.Option("--stranded", help="Open, and nobody goes on with them.")] = False,
    question: Annotated[bool, typer.Option("--question", help="Only those that wait for an answer.")] = False,
    limit: Limit = 100,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Lists runs, newest first."""
    if status is not None and status not in RUN_STATUSES:
        refuse(f"--status {status[:50]!r} is none that a run has: give one of {', '.join(RUN_STATUSES)}")
    wanted: RunFilter = {
        "status": cast("RunStatus | None", status), "workflow": workflow, "since": parse_since(since),
        "meta": parse_meta(meta), "question": question or None,
    }  # fmt: skip

    async def work(place: Place) -> int:
        runs, are_more = await read_runs(place, limit, wanted, stranded=stranded)
        print_runs(runs, json)
        if are_more:
            tell(f"there are more; these are the newest {limit}: --limit")
        return 0

    at_place(url, store, work)


async def read_runs(
    place: Place, limit: int, wanted: RunFilter, *, stranded: bool = False
) -> tuple[list[Listed], bool]:
    """At most ``limit`` runs, page by page, and whether there are more."""
    found: list[Listed] = []
    before = None
    while len(found) <= limit:
        page = await place.page(min(PAGE, limit + 1 - len(found)), before, stranded=stranded, **wanted)
        if not page:
            return found, False
        found += page
        before = page[-1].run_id
    return found[:limit], True


def list_questions(limit: Limit = 100, url: Url = None, store: Store = None, json: Json = False) -> None:
    """Lists what runs ask and nobody has answered yet; `reactor send RUN TASK VALUE` answers."""

    async def work(place: Place) -> int:
        questions, are_more = await place.questions(limit)
        print_questions(questions, json)
        if are_more:
            tell(f"there are more; these are {limit}: --limit")
        return 0

    at_place(url, store, work)

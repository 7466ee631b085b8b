"""What a list of runs is asked for: the query of ``GET /runs``, checked."""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from reactor.definition.names import did_you_mean
from reactor.events.vocabulary import RunStatus
from reactor.ports.index import RunFilter
from reactor.requests import RUN_STATUSES
from reactor_web.http.parameters import META, Query, flag, members_in, one, time_in
from reactor_web.http.problems import Problem
from reactor_web.http.query import page_size

PARAMETERS: Final = (
    "status", "workflow", "since", "until", "parent", "root", "question", "open", "recoverable", "limit", "cursor",
)  # fmt: skip
"""And ``meta.<name>``."""


class Listing(NamedTuple):
    """A page that is asked for."""

    wanted: RunFilter
    only_left: bool
    limit: int
    cursor: str | None


def listing_of(query: Query) -> Listing:
    """Raises Problem 400 for what there is not, and for what makes no sense."""
    for name in query:
        if name not in PARAMETERS and not name.startswith(META):
            hint = did_you_mean(name, PARAMETERS) or f"; there are {', '.join(PARAMETERS)} and meta.<name>"
            raise Problem(400, f"there is no parameter {name[:50]!r} here{hint}")
    return Listing(
        {
            "status": _status(query),
            "workflow": one(query, "workflow"),
            "parent": one(query, "parent"),
            "root": one(query, "root"),
            "since": time_in(query, "since"),
            "until": time_in(query, "until"),
            "meta": members_in(query),
            "question": flag(query, "question", False),
            "open": flag(query, "open", False),
        },
        _only_left(query),
        page_size(query),
        one(query, "cursor"),
    )


def _only_left(query: Query) -> bool:
    text = one(query, "recoverable")
    if text is not None and text != "false":
        raise Problem(400, f"recoverable is {text[:50]!r}, but can only be false")
    return text is not None


def _status(query: Query) -> RunStatus | None:
    status = one(query, "status")
    if status is not None and status not in RUN_STATUSES:
        raise Problem(400, f"status is {status[:50]!r}, but must be one of {', '.join(RUN_STATUSES)}")
    return cast("RunStatus | None", status)

"""The port for the list of runs: what there is, what is unfinished, and deleting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypedDict, Unpack

from reactor.events.questions import open_questions
from reactor.events.state import RunState
from reactor.events.vocabulary import RunStatus
from reactor.ports.log import RunRecord
from reactor.requests import meta_text


class RunFilter(TypedDict, total=False):
    """Which runs are listed: those of which all of this is true. What is None or missing asks for nothing."""

    status: RunStatus | None
    workflow: str | None
    parent: str | None
    """Only runs that a task of this run has started."""
    root: str | None
    """Only runs of this tree, its root too."""
    since: datetime | None
    """Only runs that have started then or later. With a time zone."""
    until: datetime | None
    """Only runs that have started before. With a time zone."""
    meta: Mapping[str, str] | None
    """Only runs whose meta has these members, each with this text: ``requests.meta_text`` of its value."""
    question: bool | None
    """True: only open runs with a question that nobody has answered yet, as ``fold`` has them in ``waiting``."""
    open: bool | None
    """True: only runs that have not ended."""


def fits(state: RunState, root: str, wanted: RunFilter) -> bool:
    """Whether all that is wanted is true of a run, by its state: for logs that look at every run."""
    parent = None if state.parent is None else state.parent["run_id"]
    started = None if state.started is None else datetime.fromisoformat(state.started)
    since, until = wanted.get("since"), wanted.get("until")
    meta, members = state.meta or {}, (wanted.get("meta") or {}).items()
    return (
        wanted.get("status") in (None, state.status)
        and wanted.get("workflow") in (None, state.workflow)
        and wanted.get("parent") in (None, parent)
        and wanted.get("root") in (None, root)
        and (since is None or (started is not None and started >= since))
        and (until is None or (started is not None and started < until))
        and all(name in meta and meta_text(meta[name]) == text for name, text in members)
        and (not wanted.get("question") or bool(open_questions(state)))
        and (not wanted.get("open") or not state.has_ended)
    )


class RunIndex(Protocol):
    """Knows every run of a log. A record is as up to date as the last window of its run."""

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        """The run as ``records`` lists it; raises UnknownRun."""
        ...

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        """A page of the runs of one tenant, newest first: those that began last in this log come first.

        ``before``: the last run id of the previous page; raises UnknownRun where there is no such run.
        """
        ...

    async def unfinished(self) -> list[RunRecord]:
        """The runs of all tenants without a terminal event, oldest first. An engine that starts goes on with them."""
        ...

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        """Removes a run that has ended, with all that is stored of it: events, payloads, checkpoints, answers.

        Raises UnknownRun, and RunOpen for a run that has not ended. Afterwards the id is free.
        """
        ...

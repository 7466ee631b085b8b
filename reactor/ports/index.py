"""The port for the list of runs: what there is, what is unfinished, and deleting."""

from __future__ import annotations

from typing import Protocol

from reactor.ports.log import RunRecord


class RunIndex(Protocol):
    """Knows every run of a log. A record is as up to date as the last window of its run."""

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        """The run as ``records`` lists it; raises UnknownRun."""
        ...

    async def records(
        self,
        *,
        status: str | None,
        workflow: str | None,
        before: str | None,
        limit: int,
        parent: str | None = None,
        root: str | None = None,
        tenant: str = "",
    ) -> list[RunRecord]:
        """A page of the runs of one tenant, newest first, filtered by whatever is not None.

        - ``parent``: only runs that a task of this run has started. ``root``: only runs of this tree, its root too.
        - ``before``: the last run id of the previous page; raises UnknownRun where there is no such run.
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

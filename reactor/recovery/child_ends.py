"""How child runs that nobody goes on with have ended, for the logs of their parents."""

from __future__ import annotations

from reactor.runs.child_records import ChildEnd, end_of
from reactor.runs.parent import Parent
from reactor.runs.run import Run
from reactor.supervision.ledger import spent_in


async def settle(link: Parent, run: Run) -> None:
    """Writes what the log of a parent does not have of a child that nobody goes on with: spending, and its end."""
    link.run.spending.settle(link.task_id, run.id, spent_in(run.feed.state), is_counted=False)
    end = await end_in_log(run)
    if end is not None and not link.run.is_closed:
        link.run.child_records.end(link.task_id, run.id, end)


async def end_in_log(run: Run) -> ChildEnd | None:
    """How a run has ended, from its log; None where it has not."""
    last = await run.feed.event(run.feed.last_seq) if run.state.has_ended else None
    if last is None:
        return None
    return end_of(run.state, last.data, await run.feed.blob(last.seq) if "outputs_ref" in last.data else None)

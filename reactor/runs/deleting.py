"""Takes runs that have ended out of the log."""

from __future__ import annotations

from reactor.errors import RunOpen, UnknownRun
from reactor.events.state import RUN_ENDED
from reactor.runs.open_runs import OpenRuns


async def delete_run(runs: OpenRuns, run_id: str) -> None:
    """Removes a run that has ended. Raises UnknownRun, and RunOpen where it is open.

    Also for a child of an open run whose log does not have the child's end.
    """
    record = await runs.index.record(run_id)
    if run_id in runs.open:
        raise RunOpen(f"run {run_id} is open; only a run that has ended is deleted", run_id=run_id)
    if record.parent is not None and await _needs(runs, record.parent, run_id):
        raise RunOpen(
            f"run {run_id} is a child of run {record.parent}, which is open: after a crash it would start again",
            run_id=run_id,
        )
    with runs.deleting(run_id):
        await runs.index.delete(run_id)


async def _needs(runs: OpenRuns, parent_id: str, child_id: str) -> bool:
    """Whether a parent is open, and its log does not have the end of this child."""
    try:
        parent = await runs.get(parent_id)
    except UnknownRun:
        return False
    child = (parent.state.children or {}).get(child_id, {})
    return not parent.state.has_ended and child.get("status") not in RUN_ENDED

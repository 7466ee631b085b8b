"""A run as JSON: what ``GET /runs/{id}``, a 201 and ``Prefer: wait`` answer."""

from __future__ import annotations

from typing import Any

from reactor.ports.log import RunRecord
from reactor.runs.run import Run


def summary(run: Run) -> dict[str, Any]:
    """Enough to find and follow a run: the answer of a 201 and a 202."""
    state = run.state
    return {
        "run_id": run.id,
        "workflow": state.workflow,
        "version": state.version,
        "status": state.status,
        "seq": state.seq,
        "events": f"runs/{run.id}/events",
    }


async def full(run: Run, not_recovered: str | None = None) -> dict[str, Any]:
    """The folded state, with the run's input and graph, and its outputs once it completed.

    ``not_recovered``: why an open run is left as it is after a restart.
    """
    body = run.state.to_dict()
    started = await run.beginning()
    if started:
        body |= {"input": started["input"], "graph": started["tasks"]}
    if run.feed.closed == "not_recovered":
        body |= {"recoverable": False, "not_recovered": not_recovered}
    if run.state.has_ended:
        last = await run.feed.event(run.feed.last_seq)
        if last is not None:
            body |= {name: value for name, value in last.data.items() if name not in ("outputs_ref", "size")}
        if run.status == "completed":
            body["outputs"] = await run.outputs()
    return body


def listed(record: RunRecord) -> dict[str, Any]:
    """A run in ``GET /runs``."""
    return {
        "run_id": record.run_id,
        "workflow": record.workflow,
        "version": record.version,
        "status": record.status,
        "created": record.created,
        "seq": record.last_seq,
    }

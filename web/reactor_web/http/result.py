"""A run as JSON: what the routes under ``/runs`` answer."""

from __future__ import annotations

from typing import Any

import orjson

from reactor.ports.log import RunRecord
from reactor.runs.present import present_graph
from reactor.runs.run import Run
from reactor.stream.moment import moment_of


def summary(run: Run) -> dict[str, Any]:
    """What a client needs to find and follow a run: the answer to a start, and most of that to a command."""
    state = run.state
    return {
        "run_id": run.id,
        "workflow": state.workflow,
        "version": state.version,
        "status": state.status,
        "seq": state.seq,
        "events": f"runs/{run.id}/events",
    }


def recorded(run: Run, seq: int | None) -> dict[str, Any]:
    """The answer to a command. ``seq``: of the event that records it; None where there was nothing to do."""
    return {**summary(run), "recorded": seq}


async def full(run: Run, not_recovered: str | None = None) -> dict[str, Any]:
    """The folded state with the run's input and graph, and its outputs once it has completed.

    ``not_recovered`` says why nobody in this process goes on with an open run.
    """
    body = await moment_of(run.feed)
    started = await run.beginning()
    if started:
        body |= {"input": started["input"], "graph": (await present_graph(run.feed, started)).tasks}
    if run.feed.closed == "not_recovered":
        body |= {"recoverable": False, "not_recovered": not_recovered}
    if run.state.has_ended:
        last = await run.feed.event(run.feed.last_seq)
        if last is not None:
            body |= {name: value for name, value in last.data.items() if name not in ("outputs_ref", "size")}
        if run.status == "completed":
            body["outputs"] = orjson.Fragment(await run.outputs_json())  # it may be large, and is JSON already
    return body


def listed(record: RunRecord) -> dict[str, Any]:
    """One run of a listing."""
    return {
        "run_id": record.run_id,
        "workflow": record.workflow,
        "version": record.version,
        "status": record.status,
        "created": record.created,
        "seq": record.last_seq,
        "parent": record.parent,
        "root": record.root,
        **({"session": True} if record.is_session else {}),
    }

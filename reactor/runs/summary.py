"""The terminal event of a run: how it ended, its outputs or its error, its totals; and the line in the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

import orjson

from reactor import bounds
from reactor.definition.graph import Graph
from reactor.events.drafts import json_object
from reactor.events.event import Draft
from reactor.events.state import RunState
from reactor.events.values import json_number
from reactor.logger import get_logger
from reactor.supervision.ending import Closing, Ending
from reactor.supervision.ledger import Ledger
from reactor.tasks.actor import Actor
from reactor.tasks.body import TaskActor
from reactor.tasks.mapped import MappedActor

logger = get_logger()

_TYPED_BYTES: Final = 4_096
"""How much a terminal event says of what restores its outputs."""


def terminal_draft(
    run_id: str,
    graph: Graph,
    actors: Mapping[str, Actor],
    *,
    ending: Ending | None,
    ledger: Ledger,
    duration_ms: float,
    task_time_ms: float,
    closing: Closing | None = None,
    is_child: bool = False,
) -> Draft:
    """``run.completed``, ``run.failed`` or ``run.cancelled``: the outputs or the error, and the totals.

    ``closing``: of a session that was closed. ``is_child``: another run has started it, and takes its outputs.
    """
    bodies = list(bodies_of(actors.values()))
    failure = first_unhandled(graph, actors)
    ends = Counter([body.status for body in bodies])
    data: dict[str, Any] = {
        "total_tasks": len(bodies),
        **{status: ends[status] for status in ("completed", "failed", "skipped", "cancelled")},
        "duration_ms": round(duration_ms, 3),
        "task_time_ms": round(task_time_ms, 3),
        "speedup": round(task_time_ms / duration_ms, 2) if duration_ms else 0.0,
    }
    if ledger.cost or ledger.tokens or ledger.budget is not None:
        data |= {"cost": json_number(ledger.cost), "tokens": ledger.tokens}
    if ending is not None and ending.error is not None:
        return Draft("run.failed", orjson.dumps({"error": ending.error, "reason": ending.reason, **data}))
    if ending is not None:
        abandoned = sum(body.was_abandoned for body in bodies)
        return Draft("run.cancelled", orjson.dumps({"reason": ending.reason, "abandoned": abandoned, **data}))
    if failure is not None:
        return Draft("run.failed", orjson.dumps({"error": _error_of(failure), **data}))
    if closing is not None and closing.status != "completed":
        return _closed_draft(closing, data)
    outputs = json_object({name: actors[name].encoded for name in graph.leaves}) if closing is None else closing.outputs
    if is_child and closing is None:
        data |= _typed_outputs({name: actors[name] for name in graph.leaves})
    if len(outputs) <= bounds.MAX_INLINE_BYTES:
        return Draft("run.completed", orjson.dumps({"outputs": orjson.Fragment(outputs), **data}))
    reference = {"outputs_ref": f"runs/{run_id}", "size": len(outputs), **data}
    return Draft("run.completed", orjson.dumps(reference), blob=outputs)


def _closed_draft(closing: Closing, totals: Mapping[str, Any]) -> Draft:
    """Of a session that was closed as failed or cancelled."""
    reason = {} if closing.reason is None else {"reason": closing.reason}
    if closing.status == "failed":
        return Draft("run.failed", orjson.dumps({"error": closing.error, **reason, **totals}))
    return Draft("run.cancelled", orjson.dumps({**reason, "abandoned": 0, **totals}))


def _typed_outputs(leaves: Mapping[str, Actor]) -> dict[str, Any]:
    """``typed_outputs`` of ``run.completed``, if there are any."""
    typed: dict[str, Any] = {}
    for name, leaf in leaves.items():
        if isinstance(leaf, MappedActor):
            hints = [child.hints for child in leaf.children if child.status == "completed"]
            if any(hint is not False for hint in hints):
                typed[name] = [[len(list(same)), hint] for hint, same in groupby(hints)]
        elif leaf.hints is not False:
            typed[name] = leaf.hints
    if not typed:
        return {}
    return {"typed_outputs": typed if len(orjson.dumps(typed)) <= _TYPED_BYTES else None}


def bodies_of(actors: Iterable[Actor]) -> Iterator[TaskActor]:
    """Every task that runs a body: unmapped ones, and the children of mapped ones."""
    for actor in actors:
        if isinstance(actor, TaskActor):
            yield actor
        elif isinstance(actor, MappedActor):
            yield from actor.children


def first_unhandled(graph: Graph, actors: Mapping[str, Actor]) -> Actor | None:
    """The first failed task that nobody handled: no dependent of it ran with ``on_upstream_failure="run"``.

    Skipped dependents hand the question on to their own dependents.
    """
    failed = [actor for actor in actors.values() if actor.status == "failed"]
    if not failed:
        return None
    handled: set[str] = set()
    for node in reversed(graph.nodes):  # dependents first
        ran = actors[node.name].status in ("completed", "failed")
        if (ran and node.runs_on_failure) or (not ran and node.name in handled):
            handled.update(node.upstreams)
    return next((actor for actor in failed if actor.task_id not in handled), None)


def _error_of(actor: Actor) -> dict[str, Any]:
    error = actor.error or {"type": "Exception", "message": ""}
    where = actor.because or actor.task_id
    return {"type": error["type"], "message": error["message"], "task_id": where}


def log_end(state: RunState) -> None:
    """Logs that a run has ended, and how."""
    if logger.isEnabledFor(logging.INFO):
        error = state.error or {}
        logger.info(
            "run ended",
            run_id=state.run_id,
            workflow=state.workflow,
            status=state.status,
            duration_ms=state.duration_ms,
            reason=None if state.status == "completed" else state.reason,  # a pause had one, too
            error=f"{error.get('type')}: {error.get('message')}" if error else None,
        )

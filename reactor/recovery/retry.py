"""Retry: a new run with the input of one that has ended, which reuses the outputs of its completed tasks."""

from __future__ import annotations

from collections.abc import Mapping

from reactor.definition.graph import Graph
from reactor.errors import IsSession, RunOpen, WorkflowChanged
from reactor.recovery.origin import NotRecoverable, beginning_of, budget_of, graph_of, input_of
from reactor.recovery.reading import load_reusable
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.open_runs import OpenRuns
from reactor.tasks.past import Output


async def prepare_retry(
    registry: Registry, runs: OpenRuns, run_id: str
) -> tuple[Graph, Beginning, Mapping[str, Output]]:
    """What the retry of a run starts with: its graph, its beginning, and the outputs that it reuses.

    Raises UnknownRun; RunOpen where the run has not ended; IsSession for a session; WorkflowChanged where nobody has
    its graph any more: it was not registered, or has changed.
    """
    record, old = await runs.index.record(run_id), await runs.get(run_id)
    if not old.state.has_ended:
        raise RunOpen(f"run {old.id} is {old.status}; only a run that has ended is retried", run_id=old.id)
    if old.state.session:
        raise IsSession(
            f"run {old.id} is a session: what was said in it came from outside, so there is nothing to retry; "
            "open another one",
            run_id=old.id,
        )
    log = old.feed.log
    try:
        data = await beginning_of(old.feed)
        graph = graph_of(registry, record, data, runs.graphs.get(run_id))
        beginning = Beginning(input_of(data, graph), data.get("meta", {}), budget_of(data), retry_of=old.id)
    except NotRecoverable as problem:
        raise WorkflowChanged(f"run {old.id} cannot be retried: {problem}", run_id=old.id) from None
    return graph, beginning, await load_reusable(log, graph, old.state)

"""Retry: a new run with the input of one that has ended, which reuses the outputs of its completed tasks.

It runs in the graph of the old run, or in the last one of that name: then it reuses what is still the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactor.definition.graph import Graph
from reactor.definition.names import did_you_mean, known_names
from reactor.errors import IsSession, RunOpen, UnknownTask, WorkflowChanged
from reactor.recovery.origin import NotRecoverable, UnknownGraph, beginning_of, budget_of, input_of, known_graph
from reactor.recovery.reading import load_reusable
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.open_runs import OpenRuns
from reactor.runs.present import present_graph
from reactor.runs.run import Run
from reactor.tasks.past import Output


async def prepare_retry(
    registry: Registry, runs: OpenRuns, run_id: str, from_task: str | None = None
) -> tuple[Graph, Beginning, Mapping[str, Output]]:
    """What the retry of a run starts with: its graph, its beginning, and the outputs that it reuses.

    ``from_task``: this task, and what depends on it, runs again though it has completed. Raises UnknownTask where the
    graph has none of this name; UnknownRun; RunOpen where the run has not ended, and is not left either; IsSession for
    a session; WorkflowChanged where no graph of its workflow is registered, or its input does not fit the last one.
    """
    old = await runs.get(run_id)
    if not old.state.has_ended and not runs.is_left(old):
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
        graph, entries = await _graph_for(registry, runs, old, data)
        beginning = Beginning(input_of(data, graph), data.get("meta", {}), budget_of(data), retry_of=old.id)
    except NotRecoverable as problem:
        raise WorkflowChanged(f"run {old.id} cannot be retried: {problem}", run_id=old.id) from None
    if from_task is not None and from_task not in graph.by_name:
        hint = did_you_mean(from_task, graph.by_name) or f"; its tasks are {known_names(graph.by_name)}"
        sentence = f"there is no task {from_task[:100]!r} in run {old.id} to begin from{hint}"
        raise UnknownTask(sentence, run_id=old.id, task_id=from_task)
    return graph, beginning, await load_reusable(log, graph, old.state, entries, from_task)


async def _graph_for(
    registry: Registry, runs: OpenRuns, old: Run, started: dict[str, Any]
) -> tuple[Graph, list[dict[str, Any]] | None]:
    """The graph that the new run has, and the entries of the old one where that is another."""
    try:
        return await known_graph(registry, old.feed, started, runs.graphs.get(old.id)), None
    except UnknownGraph:
        present = await present_graph(old.feed, started)
        graph = None if "plan" in started else registry.latest(present.workflow)
        if graph is None:
            raise
        return graph, present.tasks

"""Where the actors of a run begin: afresh, or where the log says that they were; and what listeners know of the run."""

from __future__ import annotations

from collections.abc import Mapping

from reactor.definition.graph import Graph
from reactor.executors.careful import CarefulExecutor
from reactor.listeners import RunInfo
from reactor.ports.executor import Executor
from reactor.runs.beginning import Beginning
from reactor.runs.host import Host
from reactor.runs.journal import Journal
from reactor.supervision.progress import Progress
from reactor.tasks.past import Past


def executors_of(host: Host, journal: Journal, past: Past | None) -> Mapping[str, Executor]:
    """After a crash bodies wait until the log says that the run goes on; where it is stuck, that they begin."""
    if past is None or not past.crashed:
        return host.executors
    resumed = journal.feed.last_seq + 1
    logged = journal.committed if past.is_stuck else lambda: journal.commits.upto(resumed)
    return {name: CarefulExecutor(host.loop, executor, logged) for name, executor in host.executors.items()}


def progress_of(graph: Graph, past: Past | None) -> Progress:
    """How far it is."""
    if past is None:
        return Progress(len(graph.nodes))
    counted = {
        task.id
        for task in past.tasks.values()
        if task.has_ended_before and (task.id in past.runs_again or not task.has_ended)
    }
    return Progress(past.graph_tasks, past.ended_units, counted, past.least_progress)


def info_of(host: Host, graph: Graph, run_id: str, beginning: Beginning) -> RunInfo:
    """What listeners are told of a run."""
    kind = "session" if beginning.session else "workflow" if graph.plan is None else "plan"
    return RunInfo(run_id, host.tenant, graph.name, kind)

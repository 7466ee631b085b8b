"""Whether a run can go on in another graph than its own, and what ``run.upgraded`` says of it. Pure.

A graph will do if it keeps everything that the log of the run relies on: each task that has begun is there, of the same
kind, over the same upstreams. What has not begun may leave, come and change. That the input fits is seen by
``origin.input_of``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from reactor.definition.graph import Graph, Node
from reactor.definition.names import child_task_id
from reactor.events.drafts import run_upgraded
from reactor.events.event import Draft
from reactor.events.state import RunState, TaskState
from reactor.runs.present import PresentGraph


class Upgrade(NamedTuple):
    """From the graph that a run has to another one."""

    before: PresentGraph
    graph: Graph
    tasks: list[dict[str, Any]]
    """The entries of the new graph that the old one does not have."""
    removed: list[str]

    @property
    def added(self) -> list[str]:
        """The names of the tasks that are new."""
        known = {entry["id"] for entry in self.before.tasks}
        return [node.name for node in self.graph.nodes if node.name not in known]

    def draft(self, run_id: str, downtime_ms: float) -> Draft:
        """``run.upgraded``."""
        graph = self.graph
        facts = {
            "from": self.before.fingerprint,
            "to": graph.fingerprint,
            "version": graph.version,
            "total_tasks": graph.bodies,
            "maps": len(graph.nodes) - graph.bodies,
            "downtime_ms": downtime_ms,
        }
        entries = graph.large_facts["tasks"]
        return run_upgraded(run_id, facts, orjson.dumps(self.tasks), self.removed, entries)


def compare(before: PresentGraph, state: RunState, graph: Graph) -> Upgrade | str:
    """What makes ``graph`` of the graph that a run has; or a sentence that names the task in the way.

    ``state``: that of the run.
    """
    known = {entry["id"]: entry for entry in before.tasks}
    for name in dict.fromkeys(task.task for task in state.tasks.values() if has_begun(task)):
        if name in known and (problem := _obstacle(name, known[name], state, graph)) is not None:
            return problem
    described: list[dict[str, Any]] = orjson.loads(graph.large_facts["tasks"])
    return Upgrade(
        before,
        graph,
        [entry for entry in described if entry != known.get(entry["id"])],
        [name for name in known if name not in graph.by_name],
    )


def has_begun(task: TaskState) -> bool:
    """Whether the log says anything of a task: it has begun or ended, was sent something, or was asked to stop."""
    return task != TaskState(task.id, task.id, depends_on=task.depends_on)


def is_same(entry: Mapping[str, Any] | None, node: Node) -> bool:
    """Whether a task of the log, as its entry describes it, is this one: of the same kind, over the same upstreams."""
    return entry is not None and _difference(entry, node, is_whole=True) is None


def _obstacle(name: str, entry: Mapping[str, Any], state: RunState, graph: Graph) -> str | None:
    node = graph.by_name.get(name)
    if node is None:
        return f"its task {name!r} has begun, and is not in the graph any more"
    seen = state.tasks.get(name)
    is_open = seen is None or not seen.has_ended
    problem = _difference(entry, node, is_whole=is_open) or (_pairing(node, state) if is_open else None)
    return None if problem is None else f"its task {name!r} has begun, and {problem}"


def _difference(entry: Mapping[str, Any], node: Node, *, is_whole: bool) -> str | None:
    """``is_whole``: it has not ended, so it matters which list its children take."""
    if entry["kind"] != node.kind:
        return "is mapped now, which it was not" if node.kind == "map" else "is not mapped any more"
    before, now = entry["depends_on"], node.upstreams
    if set(before) != set(now):
        return f"depends on {_listed(now)} now, where it was {_listed(before)}"
    if node.map_source is None or len(now) == 1 or not is_whole:
        return None
    if "over" not in entry:
        return "its log is of a version that does not say which of its upstreams it is mapped over"
    return None if entry["over"] == node.map_source else f"is mapped over {node.map_source}, not {entry['over']}, now"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _pairing(node: Node, state: RunState) -> str | None:
    """A map over a map has a child for each child of that, or for each of its outputs. It must stay what it was.

    An entry does not say which; how many children there are does, where it is not the same.
    """
    seen, source = state.tasks.get(node.name), state.tasks.get(node.map_source or "")
    if seen is None or seen.count is None or source is None or source.count is None:
        return None
    children = [state.tasks.get(child_task_id(source.id, index)) for index in range(source.count)]
    outputs = sum(child is not None and child.status != "skipped" and child.has_ended_before for child in children)
    if seen.count == (source.count if node.pairs else outputs):
        return None
    return f"takes {source.id} {'child by child' if node.pairs else 'as a whole list'} now, which it did not"

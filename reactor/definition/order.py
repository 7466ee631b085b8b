"""The order of the tasks of a workflow: upstreams first, and an error that spells out a cycle."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reactor.definition.node import Node
from reactor.errors import WorkflowError


def dependents_by_name(nodes: Collection[Node]) -> dict[str, list[str]]:
    """For each task the tasks that wait for it, in the order of the nodes."""
    dependents: dict[str, list[str]] = {node.name: [] for node in nodes}
    for node in nodes:
        for upstream in node.upstreams:
            dependents[upstream].append(node.name)
    return dependents


def topological_order(workflow: str, nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """The nodes with upstreams first, otherwise in order of definition (Kahn's algorithm).

    Raises WorkflowError that spells out the cycle if there is one.
    """
    waiting = {name: len(node.upstreams) for name, node in nodes.items()}
    dependents = dependents_by_name(nodes.values())
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # the list grows during the loop
        for dependent in dependents[name]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    if len(ready) < len(nodes):
        cycle = _find_cycle(nodes, {name for name, count in waiting.items() if count})
        raise WorkflowError(
            f"workflow {workflow!r} has a cycle: {' -> '.join(cycle)}; leave out one of these dependencies",
            workflow=workflow,
            task=cycle[0],
        )
    return tuple(nodes[name] for name in ready)


def _find_cycle(nodes: Mapping[str, Node], stuck: set[str]) -> list[str]:
    """Follows upstreams among the tasks that never became ready until a name repeats; returned in data flow order."""
    path: list[str] = []
    seen: dict[str, int] = {}
    name = next(name for name in nodes if name in stuck)
    while name not in seen:
        seen[name] = len(path)
        path.append(name)
        name = next(upstream for upstream in nodes[name].upstreams if upstream in stuck)
    return [name, *reversed(path[seen[name] :])]

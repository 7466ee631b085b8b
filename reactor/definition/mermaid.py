"""A drawing of a workflow as Mermaid text (https://mermaid.js.org)."""

from __future__ import annotations

from collections.abc import Collection

from reactor.definition.node import Node


def flowchart(nodes: Collection[Node]) -> str:
    """A Mermaid flowchart: mapped tasks have a double border, and edges to a task with a condition are dashed."""
    ids = {node.name: f"t{i}" for i, node in enumerate(nodes)}
    lines = ["flowchart TD"]
    for node in nodes:
        left, right = ("[[", "]]") if node.map_source else ("[", "]")
        lines.append(f'    {ids[node.name]}{left}"{node.name}"{right}')
    for node in nodes:
        arrow = "-.->" if node.task.when else "-->"
        for upstream in node.upstreams:
            label = "|each|" if upstream == node.map_source else ""
            lines.append(f"    {ids[upstream]} {arrow}{label} {ids[node.name]}")
    return "\n".join(lines)

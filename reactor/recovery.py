"""Whether a logged run can go on here, and with what it began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactor.feed import Feed
from reactor.graph import Graph
from reactor.ports import RunRecord
from reactor.run import Run
from reactor.workflow import Workflow


class NotRecoverable(Exception):
    """Why a run is left as it is."""


async def beginning_of(feed: Feed, graph: Graph) -> tuple[dict[str, Any], dict[str, Any]]:
    """Input and meta of a run from its first event; raises NotRecoverable where this graph cannot go on with it."""
    data = await Run(feed, None).beginning()
    if not data:
        raise NotRecoverable("the log does not have its beginning")
    if data["fingerprint"] != graph.fingerprint:
        raise NotRecoverable(f"the graph of workflow {graph.name!r} has changed since it was started")
    for name in data.get("not_recoverable", ()):
        raise NotRecoverable(
            f"its input {name!r} is a value that no log can give back (annotate it, or use plain JSON)"
        )
    try:
        return graph.restore_input(data["input"]), data.get("meta", {})
    except ValueError as error:
        raise NotRecoverable(f"its input cannot be read back: {error}") from error


def graph_of(workflows: Mapping[str, Workflow], record: RunRecord) -> Graph:
    """The graph a logged run goes on with; raises NotRecoverable where it is not here."""
    workflow = workflows.get(record.workflow)
    if workflow is None:
        raise NotRecoverable(f"its workflow {record.workflow!r} is not registered here")
    if workflow.version != record.version:
        raise NotRecoverable(f"it was started with version {record.version!r}, here is {workflow.version!r}")
    return workflow.validate()

"""What a run in the log was started with, and whether this process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reactor.definition.graph import Graph
from reactor.definition.policy import Budget
from reactor.errors import ReactorError
from reactor.events.drafts import json_object
from reactor.plans.load import load_plan
from reactor.ports.log import RunRecord
from reactor.registry import Registry
from reactor.runs.run import Run
from reactor.stream.feed import Feed


class NotRecoverable(Exception):
    """Its text says why this process cannot go on with a run."""


async def beginning_of(feed: Feed) -> dict[str, Any]:
    """The ``data`` of ``run.started``; raises NotRecoverable where that event was trimmed."""
    data = await Run(feed, None).beginning()
    if not data:
        raise NotRecoverable("the log does not have its run.started event any more")
    return data


def graph_of(registry: Registry, record: RunRecord, beginning: dict[str, Any]) -> Graph:
    """The graph of a run in the log; raises NotRecoverable where its workflow is not registered or has changed."""
    if "plan" in beginning:
        graph = _graph_of_plan(registry, beginning["plan"])
    else:
        workflow = registry.workflows.get(record.workflow)
        if workflow is None:
            raise NotRecoverable(f"its workflow {record.workflow!r} is not registered here")
        if workflow.version != record.version:
            raise NotRecoverable(f"it was started with version {record.version!r}, here is {workflow.version!r}")
        graph = workflow.validate()
    if beginning["fingerprint"] != graph.fingerprint:
        raise NotRecoverable(f"the graph of workflow {graph.name!r} has changed since it was started")
    return graph


def _graph_of_plan(registry: Registry, plan: object) -> Graph:
    try:
        return registry.register(load_plan(plan, registry.tools))
    except ReactorError as error:
        raise NotRecoverable(f"its plan cannot be run any more: {error}") from error


def recorded_input(graph: Graph, input: Mapping[str, Any]) -> dict[str, Any]:
    """An input as ``run.started`` records it, for a comparison. Raises InputError where it does not fit the graph."""
    encoded = graph.encode_input(graph.validate_input(input))
    return orjson.loads(json_object({name: value.json for name, value in encoded.items()}))


def recorded_start(
    graph: Graph,
    input: Mapping[str, Any],
    meta: Mapping[str, Any] | None,
    budget: Budget | Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What ``run.started`` records of what a run is started with, for a comparison. Raises as ``recorded_input``."""
    return {
        "workflow": graph.name,
        "plan": graph.plan,
        "input": recorded_input(graph, input),
        "meta": dict(meta or {}) or None,
        "budget": None if budget is None else Budget.of(budget).to_dict(),
    }


def budget_of(beginning: dict[str, Any]) -> Budget | None:
    """The budget of a run in the log."""
    return None if "budget" not in beginning else Budget.of(beginning["budget"])


def input_of(beginning: dict[str, Any], graph: Graph) -> dict[str, Any]:
    """The input of a run in the log, as its bodies receive it; raises NotRecoverable where it cannot be restored."""
    for name in beginning.get("not_recoverable", ()):
        raise NotRecoverable(
            f"its input {name!r} is a value that no log can give back (annotate it, or use plain JSON)"
        )
    try:
        return graph.restore_input(beginning["input"], beginning.get("typed_inputs"))
    except ValueError as error:
        raise NotRecoverable(f"its input cannot be read back: {error}") from error

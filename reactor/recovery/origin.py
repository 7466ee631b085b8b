"""Whether a logged run can go on here, and with what it began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reactor.definition.graph import Graph
from reactor.definition.policy import Budget
from reactor.errors import ReactorError, WorkflowChanged
from reactor.events.drafts import json_object
from reactor.plans.load import load_plan
from reactor.ports.log import RunRecord
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.run import Run
from reactor.stream.feed import Feed


class NotRecoverable(Exception):
    """Why a run is left as it is."""


async def beginning_of(feed: Feed) -> dict[str, Any]:
    """``data`` of ``run.started``; raises NotRecoverable where the log does not have it any more."""
    data = await Run(feed, None).beginning()
    if not data:
        raise NotRecoverable("the log does not have its beginning")
    return data


def graph_of(registry: Registry, record: RunRecord, beginning: dict[str, Any]) -> Graph:
    """The graph a logged run goes on with; raises NotRecoverable where it is not here, or another one by now."""
    if "plan" in beginning:
        graph = _planned(registry, beginning["plan"])
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


def _planned(registry: Registry, plan: object) -> Graph:
    try:
        return registry.register(load_plan(plan, registry.tools))
    except ReactorError as error:
        raise NotRecoverable(f"its plan cannot be run here any more: {error}") from error


def recorded_input(graph: Graph, input: Mapping[str, Any]) -> dict[str, Any]:
    """An input as ``run.started`` records it, to compare with. Raises InvalidInput where the graph does not take it."""
    encoded = graph.encode_input(graph.validate_input(input))
    return orjson.loads(json_object({name: value.json for name, value in encoded.items()}))


def is_same_start(
    started: Mapping[str, Any],
    graph: Graph,
    input: Mapping[str, Any],
    meta: Mapping[str, Any],
    budget: Budget | Mapping[str, Any] | None,
) -> bool:
    """Whether a start of this graph with these would have written the ``run.started`` that is in the log."""
    asked = {
        "workflow": graph.name,
        "plan": graph.plan,
        "input": recorded_input(graph, input),
        "meta": dict(meta) or None,
        "budget": None if budget is None else Budget.of(budget).to_dict(),
    }
    return asked == {name: started.get(name) for name in asked}


async def retry_of(registry: Registry, record: RunRecord, feed: Feed) -> tuple[Graph, Beginning]:
    """The graph of an ended run, and with what a new run of it begins; raises WorkflowChanged."""
    try:
        data = await beginning_of(feed)
        graph = graph_of(registry, record, data)
        meta, budget = data.get("meta", {}), budget_of(data)
        return graph, Beginning(input_of(data, graph), meta, budget, retry_of=record.run_id)
    except NotRecoverable as problem:
        sentence = f"run {record.run_id} cannot be retried: {problem}"
        raise WorkflowChanged(sentence, run_id=record.run_id) from None


def budget_of(beginning: dict[str, Any]) -> Budget | None:
    """The budget of a logged run."""
    return None if "budget" not in beginning else Budget.of(beginning["budget"])


def input_of(beginning: dict[str, Any], graph: Graph) -> dict[str, Any]:
    """The input of a logged run as its bodies receive it; raises NotRecoverable."""
    for name in beginning.get("not_recoverable", ()):
        raise NotRecoverable(
            f"its input {name!r} is a value that no log can give back (annotate it, or use plain JSON)"
        )
    try:
        return graph.restore_input(beginning["input"])
    except ValueError as error:
        raise NotRecoverable(f"its input cannot be read back: {error}") from error

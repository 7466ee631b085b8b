"""What a run in the log was started with, and whether this process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reactor.definition.graph import Graph
from reactor.definition.policy import Budget
from reactor.errors import ReactorError
from reactor.events.drafts import json_object
from reactor.events.exact import is_same_json
from reactor.events.restoring import given_digest, input_digest
from reactor.events.values import describe_error
from reactor.plans.load import load_plan
from reactor.registry import Registry
from reactor.requests import check_meta
from reactor.runs.present import PresentGraph, present_graph
from reactor.runs.run import Run
from reactor.runs.session import SESSION_GRAPH
from reactor.stream.feed import Feed


class NotRecoverable(Exception):
    """Its text says why this process cannot go on with a run."""


class UnknownGraph(NotRecoverable):
    """This process does not have the graph of a run."""


async def beginning_of(feed: Feed) -> dict[str, Any]:
    """The ``data`` of ``run.started``; raises NotRecoverable where that event was trimmed."""
    data = await Run(feed, None).beginning()
    if not data:
        raise NotRecoverable("the log does not have its run.started event any more")
    return data


async def known_graph(registry: Registry, feed: Feed, beginning: dict[str, Any], own: Graph | None = None) -> Graph:
    """The graph in which a run of the log goes on; raises UnknownGraph where this process does not have it.

    ``own``: the graph that whoever asks has for this run, if any; it counts before a registered one like it, whose
    bodies may be others.
    """
    if beginning.get("session"):
        return SESSION_GRAPH
    present = await present_graph(feed, beginning)
    if not present.fingerprint:
        raise NotRecoverable("its log does not say which graph it began with")
    if own is not None and own.identity == present.identity:
        return own
    if "plan" in beginning:
        found = _graph_of_plan(registry, beginning["plan"])
        graph = found if found.fingerprint == present.fingerprint else None
    else:
        graph = registry.find(present.identity)
    if graph is None:
        raise UnknownGraph(what_is_here_instead(registry.latest(present.workflow), present))
    return graph


def what_is_here_instead(graph: Graph | None, present: PresentGraph) -> str:
    """Of the graph of a run. ``graph``: the last one of its name."""
    if graph is None:
        return f"its workflow {present.workflow!r} is not registered here"
    if graph.version != present.version:
        return f"it was started with version {present.version!r}, here is {graph.version!r}"
    return f"the graph of workflow {present.workflow!r} has changed since it was started"


def _graph_of_plan(registry: Registry, plan: object) -> Graph:
    try:
        return registry.accept(load_plan(plan, registry.tools))
    except ReactorError as error:
        raise NotRecoverable(f"its plan cannot be run any more: {error}") from error


def is_same_input(started: Mapping[str, Any], graph: Graph, input: Mapping[str, Any], digest_key: bytes) -> bool:
    """Whether a run was started with this input: the whole of it, with secrets and excluded fields, types told apart.

    It was where the input is the same before it is validated, or after.

    ``started``: ``data`` of its ``run.started``. False also where that cannot be told. Raises InputError where the
    input does not fit the graph.
    """
    values = graph.validate_input(input)
    recorded_digest = started.get("given_digest")
    if recorded_digest is not None and recorded_digest == given_digest(digest_key, input, values):
        return True
    encoded = graph.encode_input(values)
    if all(value.recoverable for value in encoded.values()):
        if "not_recoverable" in started:
            return False
        given = orjson.loads(json_object({name: value.json for name, value in encoded.items()}))
        hints = {name: value.hints for name, value in encoded.items() if value.typed}
        recorded = started.get("typed_inputs", hints)  # an older log has none
        return is_same_json([given, hints], [started.get("input"), recorded])
    digest = input_digest(digest_key, values, encoded)
    return digest is not None and digest == started.get("input_digest")


def is_same_start(
    registry: Registry,
    started: Mapping[str, Any],
    graph: Graph,
    input: Mapping[str, Any],
    meta: Mapping[str, Any] | None,
    budget: Budget | Mapping[str, Any] | None,
    digest_key: bytes,
) -> bool:
    """The same for all that a run is started with: workflow or plan, input, meta and budget.

    The name of a registered workflow says which it is, also where its graph has changed since.
    """
    if started.get("session"):
        return False
    given = {
        "fingerprint": started.get("fingerprint") if registry.is_named(graph) else graph.fingerprint,
        "workflow": graph.name,
        "plan": graph.plan,
        "meta": check_meta(meta or {}) or None,
        "budget": None if budget is None else Budget.of(budget).to_dict(),
    }
    given = orjson.loads(orjson.dumps(given))
    recorded = {name: started.get(name) for name in given}
    return is_same_json(given, recorded) and is_same_input(started, graph, input, digest_key)


def budget_of(beginning: dict[str, Any]) -> Budget | None:
    """The budget of a run in the log."""
    return None if "budget" not in beginning else Budget.of(beginning["budget"])


def input_of(beginning: dict[str, Any], graph: Graph) -> dict[str, Any]:
    """The input of a run in the log, as its bodies receive it; raises NotRecoverable where it cannot be restored.

    Where the graph is not the one that the run began with, it may take less, and more that has a default.
    """
    is_own = (graph.version, graph.fingerprint) == (beginning["version"], beginning["fingerprint"])
    for name in beginning.get("not_recoverable", ()):
        if is_own or name in graph.inputs:
            raise NotRecoverable(
                f"its input {name!r} is a value that no log can give back (annotate it, or use plain JSON)"
            )
    restore = graph.restore_input if is_own else graph.adapt_input
    try:
        return restore(beginning["input"], beginning.get("typed_inputs"))
    except Exception as error:  # a user's validator may raise anything
        raise NotRecoverable(f"its input cannot be read back: {describe_error(error)['message']}") from error

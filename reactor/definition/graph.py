"""A validated, frozen DAG: what a run is made from. Everything that can be decided before a run is decided here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import orjson

from reactor.bounds import MAX_TASKS
from reactor.definition.binding import GIVEN, INPUT, Parameter, adapter_for
from reactor.definition.inputs import RunInput, collect_inputs, input_schema, parse_input, validate_input
from reactor.definition.mermaid import flowchart
from reactor.definition.node import Node
from reactor.definition.order import dependents_by_name, topological_order
from reactor.definition.policy import Limit
from reactor.definition.resolve import resolve_task
from reactor.definition.returns import OutputCheck
from reactor.definition.slips import warn_of_slips
from reactor.definition.task import Task
from reactor.errors import WorkflowError
from reactor.events.exact import is_same_json
from reactor.events.restoring import Encoded, Hints, encode_output, restore_output


class Identity(NamedTuple):
    """What tells the graphs of one name apart: two graphs with one identity are taken to be the same."""

    name: str
    version: str
    fingerprint: str


class Definition(Protocol):
    """What a graph needs to know of a ``Workflow``."""

    name: str
    version: str
    timeout: float | None
    concurrency: int | None
    plan: dict[str, Any] | None

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]: ...


class Graph:
    """The tasks of a workflow as nodes in topological order (upstreams first), and the inputs a run takes.

    ``leaves`` are the names of the tasks that no other task depends on.
    """

    def __init__(self, workflow: Definition, nodes: tuple[Node, ...], inputs: Mapping[str, RunInput]) -> None:
        self.name = workflow.name
        self.version = workflow.version
        self.timeout = workflow.timeout
        self.concurrency = workflow.concurrency
        self.plan = workflow.plan
        self.nodes = nodes
        self.inputs = inputs
        self.by_name = {node.name: node for node in nodes}
        dependents = dependents_by_name(nodes)
        for place, node in enumerate(nodes):
            node.place = place
            node.output_check = OutputCheck.of(f"task {node.name!r} of workflow {self.name!r}", node.returns)
            node.dependents = tuple(dependents[node.name])
            source = None if node.map_source is None else self.by_name[node.map_source]
            node.pairs = source is not None and source.map_source is not None and not node.takes_whole_list
        self.leaves = tuple(node.name for node in nodes if node.is_leaf)
        self.bodies = sum(node.map_source is None for node in nodes)
        """How many tasks run a body themselves; the children of a mapped task are not known yet."""
        self.limits = _collect_limits(workflow.name, nodes)
        """The limits its tasks use, by name; None for a name that the engine has to define."""

    @classmethod
    def of(cls, workflow: Definition) -> Graph:
        """Validates a workflow; raises WorkflowError that names the tasks involved."""
        name, tasks = workflow.name, workflow.tasks
        if not 0 < len(tasks) <= MAX_TASKS:
            hint = "" if tasks else "; put @flow.task over a function"
            raise WorkflowError(
                f"workflow {name!r} has {len(tasks):,} tasks, but must have 1 to {MAX_TASKS:,}{hint}",
                workflow=name,
                task=None,
            )
        nodes = {task.name: resolve_task(name, tasks, task) for task in tasks.values()}
        taken: dict[str, list[tuple[str, Parameter]]] = {}
        for node in nodes.values():
            for parameter in (*node.parameters, *node.when, *node.cache_key):
                if parameter.kind == INPUT:
                    taken.setdefault(parameter.source, []).append((node.name, parameter))
        inputs = collect_inputs(name, taken, tasks)
        graph = cls(workflow, topological_order(name, nodes), inputs)
        warn_of_slips(name, inputs)
        return graph

    # --- the input of a run ---

    def validate_input(self, given: object) -> dict[str, Any]:
        """The input as the bodies receive it; raises InputError that names each input, its task and what it expects."""
        return validate_input(self.name, self.inputs, given)

    def parse_input(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Input from text, as a command line gives it (``key=value``), checked, for a run; raises InputError."""
        return parse_input(self.name, self.inputs, texts)

    def encode_input(self, values: Mapping[str, Any]) -> dict[str, Encoded]:
        """Validated input as JSON, and for each value whether that JSON restores it after a restart."""
        return {name: encode_output(value, adapter_for(self.inputs[name].annotation)) for name, value in values.items()}

    def restore_input(self, logged: Mapping[str, Any], typed: Mapping[str, Hints | None] | None) -> dict[str, Any]:
        """The values of a logged input, which bodies were given before; raises ValueError where that cannot be done.

        ``typed``: the inputs that were validated into something else than their JSON, with their hints. The others are
        taken as they are: a validator must not see its own result. None: an older log, which does not tell them apart.
        """
        if typed is None:
            return self._restore_old_input(logged)
        adapters = {name: adapter_for(self.inputs[name].annotation) for name in typed if name in self.inputs}
        return {
            name: restore_output(orjson.dumps(value), adapters.get(name), typed.get(name))
            for name, value in logged.items()
        }

    def adapt_input(self, logged: Mapping[str, Any], typed: Mapping[str, Hints | None] | None) -> dict[str, Any]:
        """The same for an input that another graph of this workflow was given: what this graph takes of it.

        Raises ValueError also where something is missing, or would be another value here.
        """
        taken = {name: value for name, value in logged.items() if name in self.inputs}
        values = self.restore_input(taken, typed)
        validated = self.validate_input(values)
        before, now = self.encode_input(values), self.encode_input(validated)
        for name, value in values.items():
            if before[name] != now[name] or type(value) is not type(validated[name]):
                task = self.inputs[name].tasks[0]
                raise ValueError(f"the input {name!r} of task {task!r} becomes another value when it is validated here")
        return values

    def _restore_old_input(self, logged: Mapping[str, Any]) -> dict[str, Any]:
        restored: dict[str, Any] = {}
        for name, value in logged.items():
            adapter = adapter_for(self.inputs[name].annotation) if name in self.inputs else None
            json = orjson.dumps(value)
            restored[name] = value if adapter is None else adapter.validate_json(json)
            if adapter is None:
                continue
            again = orjson.loads(encode_output(restored[name], adapter).json)
            if not is_same_json(value, again):
                raise ValueError(f"the input {name!r} becomes another value when it is validated a second time")
        return restored

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of a run's input."""
        return input_schema(self.inputs)

    # --- descriptions ---

    @cached_property
    def fingerprint(self) -> str:
        """A hash of names, edges, parameters and ``on_upstream_failure``: with another one, a run cannot go on."""
        shape = [
            [
                node.name,
                sorted(node.upstreams),
                node.map_source,
                sorted(_shape(parameter) for parameter in node.parameters),
                sorted(parameter[:3] for parameter in node.when),
                node.task.on_upstream_failure,
            ]
            for node in sorted(self.nodes, key=lambda node: node.name)
        ]
        return hashlib.sha256(orjson.dumps(shape)).hexdigest()[:16]

    @property
    def identity(self) -> Identity:
        """What a run that began with this graph is known by in the log."""
        return Identity(self.name, self.version, self.fingerprint)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What ``run.started`` says of the workflow: ``{workflow, version, fingerprint, maps?}``."""
        facts = {"workflow": self.name, "version": self.version, "fingerprint": self.fingerprint}
        maps = len(self.nodes) - self.bodies
        return {**facts, "maps": maps} if maps else facts

    @cached_property
    def large_facts(self) -> dict[str, bytes]:
        """What ``run.started`` says that may be too large for an event, as JSON: ``tasks``, and ``plan`` if any."""
        tasks = orjson.dumps([node.describe() for node in self.nodes])
        return {"tasks": tasks} if self.plan is None else {"tasks": tasks, "plan": orjson.dumps(self.plan)}

    def describe(self) -> dict[str, Any]:
        """The answer of ``GET /workflows/{name}``: ``{name, version, fingerprint, tasks, input_schema}``."""
        return {
            "name": self.name,
            "version": self.version,
            "fingerprint": self.fingerprint,
            "tasks": [node.describe() for node in self.nodes],
            "input_schema": self.input_schema,
        }

    def mermaid(self) -> str:
        """A Mermaid flowchart: mapped tasks have a double border, and edges to a task with a condition are dashed."""
        return flowchart(self.nodes)


def _shape(parameter: Parameter) -> tuple[str, ...]:
    given = (orjson.dumps(parameter.default).decode(),) if parameter.kind == GIVEN else ()
    return (*parameter[:3], *given)


def _collect_limits(workflow: str, nodes: Iterable[Node]) -> dict[str, Limit | None]:
    """The limits by name; raises WorkflowError where two tasks define one name differently."""
    found: dict[str, Limit | None] = {}
    for node in nodes:
        for limit in node.task.limits:
            name, defined = (limit, None) if isinstance(limit, str) else (limit.name, limit)
            known = found.setdefault(name, defined)
            if known is None:
                found[name] = defined
            elif defined is not None and known != defined:
                raise WorkflowError(
                    f"workflow {workflow!r}, task {node.name!r}: it defines the limit {name!r} as {defined}, "
                    f"but another task defines it as {known}",
                    workflow=workflow,
                    task=node.name,
                )
    return found

"""A validated, frozen DAG: what a run is made from. Everything that can be decided before a run is decided here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NoReturn, Protocol

import orjson

from reactor.bounds import MAX_TASKS
from reactor.definition.address import check_address
from reactor.definition.binding import (
    CONTEXT,
    GIVEN,
    INPUT,
    ITEM,
    UPSTREAM,
    Parameter,
    RunInput,
    Signature,
    adapter_for,
    collect_inputs,
    input_schema,
    parse_input,
    signature_of,
    validate_input,
)
from reactor.definition.policy import Limit
from reactor.definition.references import referenced
from reactor.definition.task import Group, Task
from reactor.errors import WorkflowError
from reactor.events.values import Encoded, encode_output


class Definition(Protocol):
    """What a graph is made from: a ``Workflow``."""

    name: str
    version: str
    timeout: float | None
    concurrency: int | None
    plan: dict[str, Any] | None

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]: ...


class Node:
    """A task in its graph: its upstreams by name and what each parameter is. ``map_source`` is the upstream it maps."""

    __slots__ = (
        "arguments",
        "cache_key",
        "context",
        "dependents",
        "executor",
        "is_limited",
        "map_source",
        "name",
        "parameters",
        "returns",
        "runs_async",
        "task",
        "upstreams",
        "when",
    )

    def __init__(
        self,
        task: Task[..., Any],
        parameters: tuple[Parameter, ...],
        when: tuple[Parameter, ...],
        cache_key: tuple[Parameter, ...],
        upstreams: tuple[str, ...],
        map_source: str | None,
        signature: Signature,
    ) -> None:
        self.task = task
        self.parameters = parameters
        self.when = when
        self.cache_key = cache_key
        self.upstreams = upstreams
        self.dependents: tuple[str, ...] = ()
        """Who waits for its end: set by its graph."""
        self.map_source = map_source
        self.returns = signature.returns
        self.runs_async = signature.is_async
        # asked at every start of a body
        self.name = task.name
        self.arguments = tuple(parameter for parameter in parameters if parameter.kind != CONTEXT)
        self.context = signature.context
        self.executor = task.executor or ("loop" if signature.is_async else "thread")
        """``loop``, ``thread`` or ``process``."""
        self.is_limited = task.concurrency is not None or bool(task.limits) or self.executor != "loop"
        """Whether its bodies take anything that is limited, besides what all do."""

    @property
    def is_leaf(self) -> bool:
        """Whether nobody depends on it: its output is one of the run's."""
        return not self.dependents

    @property
    def runs_on_failure(self) -> bool:
        return self.task.on_upstream_failure == "run"

    @property
    def kind(self) -> str:
        """``task``, or ``map`` for one that fans out."""
        return "task" if self.map_source is None else "map"

    def describe(self) -> dict[str, Any]:
        """As it stands in ``run.started`` and ``GET /workflows/{name}``."""
        described: dict[str, Any] = {"id": self.name, "kind": self.kind, "depends_on": list(self.upstreams)}
        if self.task.tool is not None:
            described["tool"] = self.task.tool
        return described | ({"meta": dict(self.task.meta)} if self.task.meta else {})


class Graph:
    """The nodes in topological order (upstreams first), the inputs of a run, and the names nobody depends on."""

    def __init__(self, workflow: Definition, nodes: tuple[Node, ...], inputs: Mapping[str, RunInput]) -> None:
        self.name = workflow.name
        self.version = workflow.version
        self.timeout = workflow.timeout
        self.concurrency = workflow.concurrency
        self.plan = workflow.plan
        self.nodes = nodes
        self.inputs = inputs
        self.by_name = {node.name: node for node in nodes}
        dependents = _dependents(nodes)
        for node in nodes:
            node.dependents = tuple(dependents[node.name])
        self.leaves = tuple(node.name for node in nodes if node.is_leaf)
        self.bodies = sum(node.map_source is None for node in nodes)
        """Tasks that run a body themselves; the children of a map are counted once it fans out."""
        self.limits = _limits(workflow.name, nodes)
        """The named limits its tasks use: as they are defined by a task, None where the engine has to."""

    @classmethod
    def of(cls, workflow: Definition) -> Graph:
        """Validates; raises WorkflowError with the names involved."""
        name, tasks = workflow.name, workflow.tasks
        if not 0 < len(tasks) <= MAX_TASKS:
            raise WorkflowError(
                f"workflow {name!r} has {len(tasks)} tasks; 1 to {MAX_TASKS:,} can run", workflow=name, task=None
            )
        resolved = {task.name: _Resolver(name, tasks, task).node() for task in tasks.values()}
        taken: dict[str, list[tuple[str, Parameter]]] = {}
        for node in resolved.values():
            for parameter in (*node.parameters, *node.when, *node.cache_key):
                if parameter.kind == INPUT:
                    taken.setdefault(parameter.source, []).append((node.name, parameter))
        return cls(workflow, _ordered(name, resolved), collect_inputs(name, taken))

    def validate_input(self, given: object) -> dict[str, Any]:
        """The input as the bodies receive it; raises InputError that names each input, its task and what it expects."""
        return validate_input(self.name, self.inputs, given)

    def parse_input(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The same for input typed as text (``key=value``)."""
        return parse_input(self.name, self.inputs, texts)

    def encode_input(self, values: Mapping[str, Any]) -> dict[str, Encoded]:
        """Validated input as JSON, and whether that gives the same values back after a restart."""
        return {name: encode_output(value, adapter_for(self.inputs[name].annotation)) for name, value in values.items()}

    def restore_input(self, logged: Mapping[str, Any]) -> dict[str, Any]:
        """The values of an input that was encoded; raises ValueError (pydantic's) where the types have changed."""
        restored: dict[str, Any] = {}
        for name, value in logged.items():
            adapter = adapter_for(self.inputs[name].annotation) if name in self.inputs else None
            restored[name] = value if adapter is None else adapter.validate_json(orjson.dumps(value))
        return restored

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of a run's input."""
        return input_schema(self.inputs)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a run of the old graph could not go on in the new one: names, edges, parameters, options."""
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

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What ``run.started`` says of it: workflow, version, fingerprint."""
        return {"workflow": self.name, "version": self.version, "fingerprint": self.fingerprint}

    @cached_property
    def large_facts(self) -> dict[str, bytes]:
        """The same of what may be large, as JSON: the description of its tasks, and the plan it was made from."""
        tasks = orjson.dumps([node.describe() for node in self.nodes])
        return {"tasks": tasks} if self.plan is None else {"tasks": tasks, "plan": orjson.dumps(self.plan)}

    def describe(self) -> dict[str, Any]:
        """The definition as ``GET /workflows/{name}`` answers it."""
        return {
            "name": self.name,
            "version": self.version,
            "fingerprint": self.fingerprint,
            "tasks": [node.describe() for node in self.nodes],
            "input_schema": self.input_schema,
        }

    def mermaid(self) -> str:
        """A Mermaid flowchart: mapped tasks doubled, conditions dashed, names escaped."""
        ids = {node.name: f"t{i}" for i, node in enumerate(self.nodes)}
        lines = ["flowchart TD"]
        for node in self.nodes:
            left, right = ("[[", "]]") if node.map_source else ("[", "]")
            lines.append(f'    {ids[node.name]}{left}"{node.name}"{right}')
        for node in self.nodes:
            arrow = "-.->" if node.task.when else "-->"
            for upstream in node.upstreams:
                label = "|each|" if upstream == node.map_source else ""
                lines.append(f"    {ids[upstream]} {arrow}{label} {ids[node.name]}")
        return "\n".join(lines)


def _limits(workflow: str, nodes: Iterable[Node]) -> dict[str, Limit | None]:
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
                    f"another task as {known}",
                    workflow=workflow,
                    task=node.name,
                )
    return found


def _shape(parameter: Parameter) -> tuple[str, ...]:
    given = (orjson.dumps(parameter.default).decode(),) if parameter.kind == GIVEN else ()
    return (*parameter[:3], *given)


class _Resolver:
    """Decides what each parameter of one task is."""

    def __init__(self, workflow: str, tasks: Mapping[str, Task[..., Any]], task: Task[..., Any]) -> None:
        self.workflow = workflow
        self.tasks = tasks
        self.task = task
        self.needs = {name: self.named(upstream, "needs") for name, upstream in task.needs.items()}
        self.map = {name: self.named(upstream, "map") for name, upstream in self.map_option().items()}

    def fail(self, problem: str) -> NoReturn:
        raise WorkflowError(
            f"workflow {self.workflow!r}, task {self.task.name!r}: {problem}",
            workflow=self.workflow,
            task=self.task.name,
        )

    def map_option(self) -> Mapping[str, str | Task[..., Any]]:
        option = self.task.map
        if option is None:
            return {}
        if isinstance(option, Mapping):
            if len(option) != 1:
                self.fail(f"map takes one parameter, not {len(option)}")
            return option
        return {option if isinstance(option, str) else option.name: option}

    def named(self, upstream: str | Task[..., Any], option: str) -> str:
        name = upstream if isinstance(upstream, str) else upstream.name
        known = self.tasks.get(name)
        if known is None or (not isinstance(upstream, str) and known is not upstream):
            near = get_close_matches(name, self.tasks, n=1)
            hint = f", did you mean {near[0]!r}?" if near and known is None else ""
            self.fail(f"{option} names {name!r}, which is no task of this workflow{hint}")
        return name

    def signature(self, function: Callable[..., Any], of: str) -> Signature:
        try:
            return signature_of(function)
        except (TypeError, ValueError) as error:
            self.fail(f"the signature of its {of} cannot be used: {error}")

    def parameters(self, signature: Signature) -> tuple[Parameter, ...]:
        taken = signature.parameters
        if self.task.tool is not None:  # what a document does not give is the function's own default
            taken = tuple(parameter for parameter in taken if parameter[0] in self.task.given)
        found = [self.parameter(*parameter) for parameter in taken]
        if signature.context is not None:
            found.append(Parameter(signature.context, CONTEXT, signature.context, None, None))
        return tuple(found)

    def parameter(self, name: str, default: Any, annotation: Any) -> Parameter:
        if name in self.task.given:
            return Parameter(name, GIVEN, name, self.task.given[name], annotation)
        if name in self.map:
            return Parameter(name, ITEM, self.map[name], default, annotation)
        if name in self.needs:
            return Parameter(name, UPSTREAM, self.needs[name], default, annotation)
        if name in self.tasks:
            return Parameter(name, UPSTREAM, name, default, annotation)
        return Parameter(name, INPUT, name, default, annotation)

    def node(self) -> Node:
        signature = self.signature(self.task.function, "body")
        parameters = self.parameters(signature)
        when = self.function_parameters(self.task.when, "condition")
        key = self.function_parameters(self.task.cache.key if self.task.cache else None, "cache key")
        self.check_taken(parameters, (*when, *key))
        self.check_executor(signature)
        sources = [p.source for p in (*parameters, *when, *key) if p.kind in (UPSTREAM, ITEM)]
        given = [self.named(upstream, "input") for upstream in referenced(self.task.given)]
        upstreams = tuple(dict.fromkeys((*sources, *given, *self.after())))
        if self.task.name in upstreams:
            self.fail("it depends on itself")
        map_source = next(iter(self.map.values()), None)
        return Node(self.task, parameters, when, key, upstreams, map_source, signature)

    def function_parameters(self, function: Callable[..., Any] | None, of: str) -> tuple[Parameter, ...]:
        """Of a function beside the body, which is asked on the loop."""
        if function is None:
            return ()
        signature = self.signature(function, of)
        if signature.is_async:
            self.fail(f"its {of} is async; it decides at once, from values that are there")
        return self.parameters(signature)

    def after(self) -> Iterable[str]:
        for part in self.task.after:
            yield from (
                [self.named(task, "after") for task in part.last]
                if isinstance(part, Group)
                else [self.named(part, "after")]
            )

    def check_executor(self, signature: Signature) -> None:
        executor = self.task.executor
        if executor == "thread" and signature.is_async:
            self.fail("an async def body runs on the loop, not in a thread")
        if executor == "loop" and not signature.is_async:
            self.fail("a def body would hold the event loop; executor='loop' is for async def")
        if executor == "process":
            try:
                check_address(self.task.function)
            except ValueError as error:
                self.fail(f"it cannot run in a process: {error}")

    def check_taken(self, parameters: Iterable[Parameter], beside: Iterable[Parameter]) -> None:
        body = {parameter.name for parameter in parameters}
        both = body | {parameter.name for parameter in beside}
        for name in self.needs:
            if name not in both:
                self.fail(f"needs binds {name!r}, which is no parameter of its body")
        for name in self.map:
            if name not in body:
                taken = next(iter(body), "parameter")
                self.fail(
                    f"map binds {name!r}, which is no parameter of its body; "
                    f'where the names differ: map={{"{taken}": "{self.map[name]}"}}'
                )


def _dependents(nodes: Collection[Node]) -> dict[str, list[str]]:
    """Who waits for whom, in the order of the nodes."""
    dependents: dict[str, list[str]] = {node.name: [] for node in nodes}
    for node in nodes:
        for upstream in node.upstreams:
            dependents[upstream].append(node.name)
    return dependents


def _ordered(workflow: str, nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """Kahn's algorithm, in order of definition among equals; raises WorkflowError with the cycle spelled out."""
    waiting = {name: len(node.upstreams) for name, node in nodes.items()}
    dependents = _dependents(nodes.values())
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # grows while it is walked
        for dependent in dependents[name]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    if len(ready) < len(nodes):
        cycle = _cycle(nodes, {name for name, count in waiting.items() if count})
        raise WorkflowError(
            f"workflow {workflow!r} has a cycle: {' -> '.join(cycle)}", workflow=workflow, task=cycle[0]
        )
    return tuple(nodes[name] for name in ready)


def _cycle(nodes: Mapping[str, Node], stuck: set[str]) -> list[str]:
    """Walks upstream among the stuck until a name repeats; told in the direction the data would flow."""
    path: list[str] = []
    seen: dict[str, int] = {}
    name = next(name for name in nodes if name in stuck)
    while name not in seen:
        seen[name] = len(path)
        path.append(name)
        name = next(upstream for upstream in nodes[name].upstreams if upstream in stuck)
    return [name, *reversed(path[seen[name] :])]

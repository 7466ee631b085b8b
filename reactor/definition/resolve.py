"""Decides where each parameter of a task gets its value, and so which tasks it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from reactor.definition.binding import CONTEXT, GIVEN, INPUT, ITEM, UPSTREAM, Parameter, Signature, signature_of
from reactor.definition.executors import EXECUTORS
from reactor.definition.names import did_you_mean, known_names
from reactor.definition.node import Node
from reactor.definition.references import referenced_tasks
from reactor.definition.task import Group, Task
from reactor.errors import WorkflowError

_COMPARED_TASKS: Final = 1_000
"""How many task names a misspelt one is compared with: about 20 us each."""


def resolve_task(workflow: str, tasks: Mapping[str, Task[..., Any]], task: Task[..., Any]) -> Node:
    """The node of ``task`` among ``tasks``; raises WorkflowError for what cannot be bound. ``workflow`` is the name."""
    return _Resolver(workflow, tasks, task).node()


class _Resolver:
    """What one task names, looked up among all tasks of the workflow."""

    def __init__(self, workflow: str, tasks: Mapping[str, Task[..., Any]], task: Task[..., Any]) -> None:
        self.workflow = workflow
        self.tasks = tasks
        self.task = task
        self.needs = {name: self.find(upstream, "needs") for name, upstream in task.needs.items()}
        self.map = {name: self.find(upstream, "map") for name, upstream in self.map_option().items()}

    def node(self) -> Node:
        signature = self.signature(self.task.function, "body")
        parameters = self.parameters(signature)
        when = self.function_parameters(self.task.when, "condition")
        key = self.function_parameters(self.task.cache.key if self.task.cache else None, "cache key")
        self.check_bound_names(parameters, (*when, *key))
        self.check_executor(signature)
        sources = [p.source for p in (*parameters, *when, *key) if p.kind in (UPSTREAM, ITEM)]
        given = [self.find(upstream, "input") for upstream in referenced_tasks(self.task.given)]
        upstreams = tuple(dict.fromkeys((*sources, *given, *self.after())))
        if self.task.name in upstreams:
            self.fail("it depends on itself; give it another name=, or its parameter another name")
        map_source = next(iter(self.map.values()), None)
        return Node(self.task, parameters, when, key, upstreams, map_source, signature)

    # --- upstreams ---

    def find(self, upstream: str | Task[..., Any], option: str) -> str:
        """The name of an upstream; fails where the workflow has no such task, or another one of that name."""
        name = upstream if isinstance(upstream, str) else upstream.name
        known = self.tasks.get(name)
        if known is None or (not isinstance(upstream, str) and known is not upstream):
            hint = did_you_mean(name, self.tasks, most=_COMPARED_TASKS) if known is None else ""
            others = [other for other in self.tasks if other != self.task.name]
            self.fail(
                f"{option} names {name!r}, which is not a task of this workflow"
                + (hint or f"; its other tasks are {known_names(others)}")
            )
        return name

    def map_option(self) -> Mapping[str, str | Task[..., Any]]:
        option = self.task.map
        if option is None:
            return {}
        if isinstance(option, Mapping):
            if len(option) != 1:
                self.fail(f'map takes one parameter, not {len(option)}: map={{"parameter": "task"}}')
            return option
        return {option if isinstance(option, str) else option.name: option}

    def after(self) -> Iterable[str]:
        for part in self.task.after:
            yield from (
                [self.find(task, "after") for task in part.last]
                if isinstance(part, Group)
                else [self.find(part, "after")]
            )

    # --- parameters ---

    def signature(self, function: Callable[..., Any], of: str) -> Signature:
        try:
            return signature_of(function)
        except (TypeError, ValueError) as error:
            self.fail(f"the signature of its {of} cannot be used: {error}")

    def parameters(self, signature: Signature) -> tuple[Parameter, ...]:
        taken = signature.parameters
        if self.task.tool is not None:  # a parameter that the document leaves out keeps the function's default
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

    def function_parameters(self, function: Callable[..., Any] | None, of: str) -> tuple[Parameter, ...]:
        """The parameters of a condition or cache key, which is called on the event loop and must answer at once."""
        if function is None:
            return ()
        signature = self.signature(function, of)
        if signature.is_async:
            self.fail(f"its {of} is async; write it as a plain def, because it is called on the event loop")
        return self.parameters(signature)

    # --- checks ---

    def check_executor(self, signature: Signature) -> None:
        if self.task.executor is not None:
            problem = EXECUTORS[self.task.executor](self.task.function, signature.is_async)
            if problem is not None:
                self.fail(problem)

    def check_bound_names(self, parameters: Iterable[Parameter], others: Iterable[Parameter]) -> None:
        """``needs`` may bind parameters of the body and of the functions beside it, ``map`` only those of the body."""
        body = {parameter.name for parameter in parameters}
        both = body | {parameter.name for parameter in others}
        for name in self.needs:
            if name not in both:
                takes = did_you_mean(name, both) or f"; its parameters are {known_names(both)}"
                self.fail(f"needs binds {name!r}, which is not a parameter of its body{takes}")
        for name in self.map:
            if name not in body:
                example = next(iter(body), "parameter")
                self.fail(
                    f"map binds {name!r}, which is not a parameter of its body; "
                    f'where the names differ, write map={{"{example}": "{self.map[name]}"}}'
                )

    def fail(self, problem: str) -> NoReturn:
        raise WorkflowError(
            f"workflow {self.workflow!r}, task {self.task.name!r}: {problem}",
            workflow=self.workflow,
            task=self.task.name,
        )

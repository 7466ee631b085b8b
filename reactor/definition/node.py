"""``Node``: one task in its graph, with everything that is decided about it before a run."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from reactor.definition.binding import CONTEXT, MISSING, UPSTREAM, Parameter, Signature
from reactor.definition.returns import OutputCheck
from reactor.definition.task import Task


class Node:
    """A task in its graph: its upstreams by name, and where each parameter gets its value.

    ``map_source`` is the upstream whose list the task is mapped over; None for a task that is not mapped.
    """

    __slots__ = (
        "arguments",
        "cache_key",
        "context",
        "dependents",
        "executor",
        "is_limited",
        "map_source",
        "name",
        "output_check",
        "pairs",
        "parameters",
        "place",
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
        """Names of the tasks that wait for this one to end. The graph sets it."""
        self.place = 0
        """Its place in the order of the graph, from 0. The graph sets it."""
        self.map_source = map_source
        self.pairs = False
        """Whether it maps another mapped task child by child, and not over its whole list. The graph sets it."""
        self.returns = _output_annotation(signature.returns)
        self.output_check: OutputCheck | None = None
        """Compares outputs with ``returns``; None where there is nothing to say, or it was said. The graph sets it."""
        self.runs_async = signature.is_async
        # every start of a body needs these, so they are computed once
        self.name = task.name
        self.arguments = tuple(parameter for parameter in parameters if parameter.kind != CONTEXT)
        self.context = signature.context
        self.executor = task.executor or ("loop" if signature.is_async else "thread")
        """``loop``, ``thread`` or ``process``."""
        self.is_limited = task.concurrency is not None or bool(task.limits) or self.executor != "loop"
        """Whether its bodies need a slot of their own, besides the limits that hold for every task."""

    @property
    def is_leaf(self) -> bool:
        """Whether no other task depends on it; the outputs of the leaves are the outputs of the run."""
        return not self.dependents

    @property
    def takes_whole_list(self) -> bool:
        """Whether a parameter takes the list itself that the task is mapped over."""
        return any(p.kind == UPSTREAM and p.source == self.map_source for p in (*self.parameters, *self.when))

    @property
    def runs_on_failure(self) -> bool:
        """Whether it runs once all its upstreams have ended, even if one of them failed."""
        return self.task.on_upstream_failure == "run"

    @property
    def kind(self) -> str:
        """``map`` for a mapped task, ``task`` for any other."""
        return "task" if self.map_source is None else "map"

    def describe(self) -> dict[str, Any]:
        """The task as ``run.started`` and ``GET /workflows/{name}`` show it (``vocabulary.run.TaskData``)."""
        task = self.task
        described: dict[str, Any] = {
            "id": self.name,
            "kind": self.kind,
            "depends_on": list(self.upstreams),
            "place": self.place,
        }
        if self.map_source is not None and len(self.upstreams) > 1:
            described["over"] = self.map_source
        if task.when is not None:
            described["when"] = True
        if task.group is not None:
            described["group"] = dict(task.group)
        if task.tool is not None:
            described["tool"] = task.tool
        return described | ({"meta": dict(task.meta)} if task.meta else {})


def _output_annotation(returns: Any) -> Any:
    """The annotation of the output: of a body that returns an ``Observable[T]`` it is T."""
    kind = get_origin(returns) or returns
    # by name: definitions know nothing of Rx
    if getattr(kind, "__module__", "").partition(".")[0] != "reactivex" or kind.__name__ != "Observable":
        return returns
    return next(iter(get_args(returns)), MISSING)

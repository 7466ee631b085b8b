"""Define: ``Workflow`` collects tasks; ``Task`` is one of them, and stays callable.

    flow = Workflow("census")

    @flow.task
    async def modules(root: str) -> list[str]: ...

    @flow.task(map="modules")
    def measure(modules: str) -> dict: ...

Names may refer forward; the workflow is validated and frozen at first use, or by ``flow.validate()``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack, overload

from reactor.bounds import TASK_NAME, WORKFLOW_NAME
from reactor.definition.graph import Graph
from reactor.definition.groups import Part, in_parallel, in_sequence
from reactor.definition.options import count_problem, options_problem, seconds_problem
from reactor.definition.task import Group, NamedFunction, P, R, Task, TaskOptions
from reactor.errors import WorkflowError
from reactor.events.values import plain_copy

_RESERVED = frozenset({"ctx", "run"})
"""Names a task cannot have: the context's parameter, and the run itself in streams."""


RunOnce = Callable[["Workflow", Mapping[str, Any]], dict[str, Any]]
"""Runs a workflow to its end and returns its outputs."""

_run_once: RunOnce | None = None


def provide_run_once(run_once: RunOnce) -> None:
    """Called by the engine, which stands above this file: ``Workflow.run`` uses it."""
    global _run_once
    _run_once = run_once


class Workflow:
    """A DAG of tasks under a name and version; recovery matches both.

    ``timeout``: seconds a run may take, pauses left out, before it is stopped and fails. ``concurrency``: bodies that
    run at once in all its runs of one engine together.

    Raises WorkflowError, with the names involved, for whatever can be wrong with the parts; what can be wrong with the
    whole (a cycle, an unknown upstream) is raised by ``validate()``.
    """

    def __init__(
        self, name: str, version: str = "1", *, timeout: float | None = None, concurrency: int | None = None
    ) -> None:
        if not WORKFLOW_NAME.fullmatch(name):
            raise WorkflowError(
                f"{name!r} is not a workflow name: 1 to 64 letters, digits and . _ ~ -", workflow=name, task=None
            )
        for problem in (seconds_problem("timeout", timeout), count_problem("concurrency", concurrency)):
            if problem is not None:
                raise WorkflowError(f"workflow {name!r}: {problem}", workflow=name, task=None)
        self.name = name
        self.version = version
        self.timeout = timeout
        self.concurrency = concurrency
        self.plan: dict[str, Any] | None = None
        """The document of a DAG that is data (``plans.load``), which is stored with its runs."""
        self._tasks: dict[str, Task[..., Any]] = {}
        self._graph: Graph | None = None

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by name, in order of definition."""
        return self._tasks

    @overload
    def task(self, function: Callable[P, R], /, **options: Unpack[TaskOptions]) -> Task[P, R]: ...

    @overload
    def task(self, /, **options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...

    def task(
        self, function: Callable[P, R] | None = None, /, **options: Unpack[TaskOptions]
    ) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
        """Adds a task. A parameter takes the output of the task of its name, or is an input of the run.

        - ``name``: instead of the function's.
        - ``after``: tasks to wait for without taking their output.
        - ``needs``: parameter -> the task whose output it takes, where the names differ.
        - ``when``: a function whose parameters bind like the body's; false skips the task.
        - ``map``: an upstream (or ``{parameter: upstream}``) whose list is fanned out, one child ``name[i]`` an item,
          as soon as the list is there; over another mapped task, child by child.
        - ``retry``: a ``Retry``, or the number of attempts.
        - ``timeout``: seconds an attempt may take before it is stopped and fails with ``TaskTimeout``.
        - ``executor``: ``"thread"`` (default for ``def``) or ``"process"``, which a cancel can kill; the function must
          then stand at module level. ``async def`` bodies run on the loop.
        - ``concurrency``: how many bodies of this task run at once in one run.
        - ``limits``: names of limits of the engine (``Engine(limits=[Limit("openai", 60, per=60)])``), or Limits.
        - ``cache``: a ``Cache``, its key function alone, or True: the output is taken from the store where it is known.
        - ``on_upstream_failure``: ``"skip"`` (default), or ``"run"``: once all upstreams ended, whatever the end.
        - ``meta``: JSON for those who watch.
        """

        unknown = options.keys() - TaskOptions.__annotations__.keys()
        if unknown:
            known = ", ".join(TaskOptions.__annotations__)
            raise TypeError(f"flow.task has no option {', '.join(map(repr, sorted(unknown)))}; it knows {known}")

        def add(function: Callable[P, R]) -> Task[P, R]:
            # a tool is a function too, and a task of another workflow as well
            task = Task(function.function if isinstance(function, NamedFunction) else function, options)
            self._add(task)
            return task

        return add if function is None else add(function)

    def _add(self, task: Task[..., Any]) -> None:
        if problem := self._problem(task):
            raise WorkflowError(f"workflow {self.name!r}: {problem}", workflow=self.name, task=task.name)
        self._tasks[task.name] = task

    def _problem(self, task: Task[..., Any]) -> str | None:
        if self._graph is not None:
            return f"task {task.name!r} comes too late, the workflow is frozen since its first use"
        if not callable(task.function):
            return f"task {task.name!r} is {task.function!r}, not a function"
        if not TASK_NAME.fullmatch(task.name):
            return (
                f"{task.name!r} is not a task name (a letter or _, then up to 63 letters, digits, . _ ~ -): give name="
            )
        if task.name in _RESERVED:
            return f"the task name {task.name!r} is reserved"
        if task.name in self._tasks:
            return f"there are two tasks named {task.name!r}"
        if (problem := options_problem(task)) is not None:
            return problem
        if task.on_upstream_failure not in ("skip", "run"):
            return (
                f"on_upstream_failure of task {task.name!r} must be 'skip' or 'run', not {task.on_upstream_failure!r}"
            )
        try:
            task.meta = plain_copy(task.meta)
        except (TypeError, RecursionError) as error:
            return f"meta of task {task.name!r} is not JSON: {error}"
        return None

    @property
    def is_frozen(self) -> bool:
        """Since its first use, or ``validate()``."""
        return self._graph is not None

    def sequence(self, *parts: Part) -> Group:
        """Each part waits for the one before it: ``flow.sequence(fetch, flow.parallel(left, right), store)``.

        Adds ``after`` to tasks there are; what is handed on is still bound by parameter names. Gives a group, which can
        be a part again, or stand in ``after=``.
        """
        return in_sequence(self, parts)

    def parallel(self, *parts: Part) -> Group:
        """Parts that run side by side, as one part of a ``sequence`` or for ``after=``; adds nothing by itself."""
        return in_parallel(self, parts)

    def validate(self) -> Graph:
        """The frozen graph; raises WorkflowError for a cycle, an unknown upstream, a parameter that cannot be bound."""
        if self._graph is None:
            self._graph = Graph.of(self)
        return self._graph

    def run(self, input: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Runs to the end on a loop and a memory log of its own, and returns the outputs of the last tasks.

        Raises RunFailed, or RuntimeError inside a running loop (there: ``await engine.start(...)``).
        """
        if _run_once is None:
            raise RuntimeError("import reactor first: it brings the engine that runs a workflow")
        return _run_once(self, input or {})

    def __repr__(self) -> str:
        return f"<Workflow {self.name} {self.version}, {len(self._tasks)} tasks>"
